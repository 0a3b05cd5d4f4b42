# SPDX-License-Identifier: MIT
"""The samples as pictures, and as one HTML page with them in it. Needs matplotlib."""

import base64
import datetime
import html
import io
import pathlib

from . import results as samples

# Okabe and Ito's colours, which the colour-blind can tell apart; ours is the strong one.
COLOURS = {"glibc": "#777777", "jemalloc": "#E69F00", "mimalloc": "#56B4E9",
           "tcmalloc": "#009E73", "slabmalloc": "#D62728"}
OTHERS = ("#CC79A7", "#0072B2", "#B8A800", "#000000")
NOTE = "minima of all rounds, glibc = 1; below 1 is better"


def backend():
    try:
        import matplotlib  # pylint: disable=import-outside-toplevel
    except ImportError as error:
        raise SystemExit("pictures need matplotlib: scripts/setup lab") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot  # pylint: disable=import-outside-toplevel
    pyplot.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
                            "svg.fonttype": "none"})
    return pyplot


def colours(allocators):
    others = iter(OTHERS * len(allocators))
    return {a.name: COLOURS.get(a.name) or next(others) for a in allocators}


def ratio(results, row, allocator, metric):
    return results.ratio(row, allocator, metric, samples.Results.minimum)


def mean(results, rows, allocator, metric):
    return samples.geometric_mean(
        [r for r in (ratio(results, row, allocator, metric) for row in rows) if r])


def ratios(plt, results, rows, allocators, metric, title):
    """A row a workload, a dot an allocator; the geometric means below a line."""
    figure, axes = plt.subplots(figsize=(9, 1.6 + 0.27 * len(rows)), layout="constrained")
    paint = colours(allocators)
    for a in allocators:
        points = [(ratio(results, row, a.name, metric), i) for i, row in enumerate(rows)]
        points.append((mean(results, rows, a.name, metric), len(rows) + 0.5))
        points = [p for p in points if p[0]]
        own = a.name == "slabmalloc"
        axes.scatter(*zip(*points) if points else ([], []), s=70 if own else 32,
                     color=paint[a.name], label=a.name, zorder=4 if own else 3,
                     edgecolor="white", linewidth=0.6, marker="D" if own else "o")
    axes.axhline(len(rows) - 0.25, color="black", linewidth=0.8)
    axes.axvline(1, color=COLOURS["glibc"], linewidth=1)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    axes.set_yticks([*range(len(rows)), len(rows) + 0.5], [*rows, "geometric mean"])
    axes.set_ylim(len(rows) + 1.1, -0.7)
    axes.grid(color="#e4e4e4")
    axes.set_axisbelow(True)
    axes.set_xlabel(f"{title} ({NOTE})")
    axes.set_title(title, loc="left", fontweight="bold")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(allocators), frameon=False)
    return figure


def scatter(plt, results, rows, allocators):
    """Who is fast and small at once: to the left and low."""
    figure, axes = plt.subplots(figsize=(6, 4.6), layout="constrained")
    paint = colours(allocators)
    points = {a.name: [mean(results, rows, a.name, m) for m in ("seconds", "peak_rss_kib")]
              for a in allocators}
    points = {name: point for name, point in points.items() if all(point)}
    for name, (x, y) in points.items():
        own = name == "slabmalloc"
        # Above its point, unless another one is there.
        crowded = any(n != name and 0 <= other - y < 0.05 for n, (_, other) in points.items())
        axes.scatter(x, y, s=190 if own else 90, color=paint[name], marker="D" if own else "o")
        axes.annotate(f"{name}  {x:.2f}, {y:.2f}", (x, y), xytext=(9, -15 if crowded else 7),
                      textcoords="offset points", fontweight="bold" if own else "normal")
    axes.axvline(1, color="#bbbbbb", linewidth=1)
    axes.axhline(1, color="#bbbbbb", linewidth=1)
    axes.margins(0.3)
    axes.set_xlim(right=axes.get_xlim()[1] * 1.25)
    axes.set_xlabel("wall time, geometric mean (glibc = 1): faster is left")
    axes.set_ylabel("peak RSS, geometric mean (glibc = 1): smaller is low")
    axes.set_title(f"Fast and small, {len(rows)} rows", loc="left", fontweight="bold")
    return figure


def killed(results, row, allocator):
    return results.failed(row, allocator) or results.minimum(row, allocator, "a_lives") == 0


def over_time(plt, results, name, lines, allocators):
    """A line an allocator; a cross where its program was killed."""
    figure, axes = plt.subplots(figsize=(9, 3), layout="constrained")
    paint = colours(allocators)
    for allocator, points in lines.items():
        if points:
            own = allocator == "slabmalloc"
            axes.plot(*zip(*points), color=paint[allocator], label=allocator,
                      linewidth=2.4 if own else 1.2, zorder=4 if own else 3)
            if killed(results, name, allocator):
                axes.plot(*points[-1], "x", color=paint[allocator], markersize=9, markeredgewidth=2,
                          clip_on=False)
    if min((points[0][0] for points in lines.values() if points), default=0) < 0:
        axes.axvline(0, color="#bbbbbb", linewidth=1)
        axes.annotate("another program\nwants memory", (0, 0.02), xytext=(3, 0), color="#777777",
                      xycoords=axes.get_xaxis_transform(), textcoords="offset points")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("seconds")
    axes.set_ylabel("RSS, MiB")
    axes.set_title(f"{name}: resident memory over time", loc="left", fontweight="bold", pad=20)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(lines), frameon=False)
    return figure


def bars(plt, results, row, metric, unit, allocators):
    figure, axes = plt.subplots(figsize=(6, 0.9 + 0.34 * len(allocators)), layout="constrained")
    paint = colours(allocators)
    found = [(a.name, results.minimum(row, a.name, metric)) for a in allocators]
    found = [(name, value) for name, value in found if value is not None]
    drawn = axes.barh([n for n, _ in found], [v * unit[0] for _, v in found],
                      color=[paint[n] for n, _ in found])
    axes.bar_label(drawn, fmt="%.0f", padding=3)
    axes.invert_yaxis()
    axes.set_xlabel(unit[1])
    axes.set_title(f"{row}: /bin/true", loc="left", fontweight="bold")
    return figure


def draw(results, timelines, allocators):
    """[(name, figure)]; what was not measured has no picture."""
    plt = backend()
    rows = [r for r in results.rows() if "seconds" in results.metrics(r)
            and results.minimum(r, "glibc", "seconds")]
    found = []
    if rows:
        small = [r for r in rows if "peak_rss_kib" in results.metrics(r)]
        found = [("summary", scatter(plt, results, small or rows, allocators)),
                 ("time", ratios(plt, results, rows, allocators, "seconds", "Wall time"))]
        if small:
            found.append(("memory", ratios(plt, results, small, allocators, "peak_rss_kib",
                                           "Peak RSS")))
    found += [(name, over_time(plt, results, name, lines, allocators))
              for name, lines in timelines.items()]
    for row, metric, unit in (("startup", "start_ns", (1e-3, "µs a start, minimum")),
                              ("startup-rss", "rss_kib", (1, "RSS, KiB"))):
        if metric in results.metrics(row):
            found.append((row, bars(plt, results, row, metric, unit, allocators)))
    return found


def write(path, results, timelines, allocators, tables):
    """The page, and beside it summary.png, for those who only look once."""
    path = pathlib.Path(path)
    if path.is_dir():
        path = path / "index.html"
    usable = [a for a in allocators if not a.missing]
    body = []
    for name, figure in draw(results, timelines, usable):
        image = io.BytesIO()
        figure.savefig(image, format="png", dpi=130)
        if name == "summary":
            path.with_name("summary.png").write_bytes(image.getvalue())
        data = base64.b64encode(image.getvalue()).decode("ascii")
        body.append(f'<img alt="{html.escape(name)}" src="data:image/png;base64,{data}">')
    day = datetime.date.today().isoformat()
    path.write_text(f"""<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>slabmalloc and its peers</title>
<style>body {{ font: 16px sans-serif; max-width: 64em; margin: 2em auto; padding: 0 1em }}
img {{ max-width: 100%; display: block; margin: 2em 0 }}
pre {{ font-size: 12px; overflow-x: auto; background: #f6f6f6; padding: 1em }}</style>
<h1>slabmalloc and its peers</h1>
<p>{day}. Ratios are of minima, wall time and peak resident memory, with glibc = 1: on a virtual
machine noise only adds. The tables below the pictures, which name the machine and the versions,
have medians, with minima in brackets; their ratio tables say which they show.</p>
{chr(10).join(body)}
<h2>Tables</h2>
<pre>{html.escape(tables)}</pre>
</html>
""", encoding="utf-8")
