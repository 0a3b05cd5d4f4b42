# SPDX-License-Identifier: MIT
"""Samples as tables and as JSON."""

import os
import pathlib
import platform

from . import results as samples

# metric -> (heading, divisor, format); the order is that of the columns.
METRICS = {
    "seconds": ("wall s", 1, "{:.3f}"),
    "cpu_seconds": ("CPU s", 1, "{:.3f}"),
    "call_seconds": ("in calls s", 1, "{:.3f}"),
    "touch_seconds": ("writing s", 1, "{:.3f}"),
    "start_ns": ("wall µs", 1000, "{:.0f}"),
    "start_cpu_us": ("CPU µs", 1, "{:.0f}"),
    "peak_rss_kib": ("peak MiB", 1024, "{:.1f}"),
    "final_rss_kib": ("final MiB", 1024, "{:.1f}"),
    "rss_kib": ("RSS KiB", 1, "{:.0f}"),
    "anonymous_kib": ("anonymous KiB", 1, "{:.0f}"),
    "huge_kib": ("huge MiB", 1024, "{:.0f}"),
    "minor_faults": ("faults", 1, "{:.0f}"),
    "objects_per_second": ("M objects/s", 1e6, "{:.1f}"),
    "operations_per_second": ("M ops/s", 1e6, "{:.3f}"),
    "gib_per_second": ("GiB/s", 1, "{:.1f}"),
    "rss_over_live": ("RSS/live", 1, "{:.3f}"),
    "rss_over_live_full": ("RSS/live full", 1, "{:.3f}"),
    "rss_over_live_freed": ("… 90 % freed", 1, "{:.2f}"),
    "rss_over_live_reused": ("… reused", 1, "{:.2f}"),
    "metadata_percent": ("metadata %", 1, "{:.2f}"),
    "idle_kib_above_start": ("idle MiB", 1024, "{:.1f}"),
    "idle_kib": ("idle MiB", 1024, "{:.0f}"),
    "longest_wait_ms": ("longest wait ms", 1, "{:.1f}"),
    "a_idle_kib": ("A idle MiB", 1024, "{:.0f}"),
    "a_after_kib": ("A after MiB", 1024, "{:.0f}"),
    "a_lives": ("A lives", 1, "{:.0f}"),
    "b_lives": ("B lives", 1, "{:.0f}"),
    "waited_seconds": ("B waited s", 1, "{:.2f}"),
    "held_kib": ("held MiB", 1024, "{:.0f}"),
    "returned_kib": ("returned MiB", 1024, "{:.0f}"),
    "reaction_ms": ("90 % after ms", 1, "{:.0f}"),
    "quiet_ns": ("p99.9 ns", 1, "{:.0f}"),
    "pressed_ns": ("… pressed ns", 1, "{:.0f}"),
}
# Beside these medians the minimum is shown: noise only ever adds to a time.
WITH_MINIMUM = {"seconds", "cpu_seconds", "start_ns", "start_cpu_us"}


def grid(header, lines):
    """Columns as wide as their widest cell; the first to the left, the others to the right."""
    widths = [max(len(line[i]) for line in [header, *lines]) for i in range(len(header))]

    def one(line):
        cells = [c.rjust(w) for c, w in zip(line[1:], widths[1:])]
        return "  ".join([line[0].ljust(widths[0]), *cells]).rstrip()

    return "\n".join(["  " + one(line) for line in [header, *lines]])


def cell(results, row, allocator, metric):
    _, divisor, form = METRICS[metric]
    median = results.median(row, allocator, metric)
    if median is None:
        return "-"
    text = form.format(median / divisor)
    if metric in WITH_MINIMUM:
        text += f" ({form.format(results.minimum(row, allocator, metric) / divisor)})"
    return text


def failures(results, row, allocators):
    names = ["(all)", *[a.name for a in allocators]]
    found = [(name, results.failed(row, name)) for name in names]
    return "".join(f"\n  {name}: failed: {reason}" for name, reason in found if reason)


def workload_table(results, row, what, allocators):
    metrics = [m for m in METRICS if m in results.metrics(row)]
    header = ["", *[METRICS[m][0] for m in metrics]]
    lines = [[a.name, *[cell(results, row, a.name, m) for m in metrics]]
             for a in allocators if not results.failed(row, a.name)]
    return f"{row}: {what}\n" + grid(header, lines) + failures(results, row, allocators)


def micro_table(results, allocators):
    """Benchmarks down, allocators across: ns for an operation, median (minimum)."""
    rows = [row for row in results.rows() if row.startswith("micro/")]
    if not rows:
        return "micro:" + failures(results, "micro", allocators)
    lines = []
    for row in rows:
        line = [row.removeprefix("micro/")]
        for a in allocators:
            median = results.median(row, a.name, "ns")
            line.append("-" if median is None else
                        f"{median:.1f} ({results.minimum(row, a.name, 'ns'):.1f})")
        lines.append(line)
    return ("micro: ns for an operation, median (minimum); with threads, for one of any of them\n"
            + grid(["", *[a.name for a in allocators]], lines)
            + "".join(failures(results, row, allocators) for row in ["micro", *rows]))


def ratio_table(results, rows, metric, title, allocators, figure):
    """Medians or minima relative to glibc's, and their geometric mean over an allocator's rows."""
    lines, means = [], []
    for row in rows:
        ratios = [results.ratio(row, a.name, metric, figure) for a in allocators]
        lines.append([row, *["-" if r is None else f"{r:.2f}" for r in ratios]])
    for a in allocators:
        ratios = [results.ratio(row, a.name, metric, figure) for row in rows]
        mean = samples.geometric_mean([r for r in ratios if r])
        means.append("-" if mean is None else f"{mean:.2f}" + ("" if all(ratios) else "*"))
    note = "\n  * without the rows that it failed" if any("*" in m for m in means) else ""
    lines.append(["geometric mean", *means])
    return f"{title}, glibc = 1\n" + grid(["", *[a.name for a in allocators]], lines) + note


def machine():
    cpu = [line.split(":", 1)[1].strip()
           for line in pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
           if line.startswith("model name")]
    return {
        "kernel": platform.release(),
        "processor": cpu[0] if cpu else platform.machine(),
        "processors": os.cpu_count(),
        "memory_mib": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20,
    }


def tables(results, benches, allocators):
    """All tables as one text."""
    here = machine()
    parts = [f"{here['processor']}, {here['processors']} processors, {here['memory_mib']} MiB, "
             f"Linux {here['kernel']}"]
    parts += ["\n".join(f"  {a.name:12} {a.missing or a.version or a.path}" for a in allocators)]
    usable = [a for a in allocators if not a.missing]
    for bench in benches:
        if bench.name == "micro":
            parts.append(micro_table(results, usable))
        else:
            parts.append(workload_table(results, bench.name, bench.what, usable))
    rows = [b.name for b in benches if "seconds" in results.metrics(b.name)]
    if rows and any(a.name == "glibc" for a in usable):
        for metric, title in (("seconds", "wall time"), ("peak_rss_kib", "peak RSS")):
            for word, figure in (("minima", samples.Results.minimum),
                                 ("medians", samples.Results.median)):
                parts.append(ratio_table(results, rows, metric, f"{title}, {word}", usable, figure))
    return "\n\n".join(parts) + "\n"


def as_json(results, allocators):
    return {
        "machine": machine(),
        "allocators": [{"name": a.name, "path": a.path, "version": a.version,
                        "missing": a.missing} for a in allocators],
        "samples": results.samples,
        "failures": results.failures,
    }
