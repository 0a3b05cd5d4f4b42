#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""slabmalloc-stat against what the library says of itself."""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from common import SUBJECT, need_ptrace, subject, tap, tool

t = tap.Tap()

THREADS = 5  # of mode `still`

# Counted by the kernel, at another moment: these bytes may lie between.
SLACK = {"resident_bytes": 4 << 20, "peak_resident_bytes": 4 << 20, "metadata_bytes": 256 << 10,
         "metadata": 256 << 10}


def totals_of(dump):
    """Lines `name value`."""
    found = {}
    for line in dump:
        match = re.fullmatch(r"([a-z_]+) +(\d+)", line)
        if match:
            found[match[1]] = int(match[2])
    return found


def caches_of(dump):
    """name: (active, objects, size, per slab, pages, active slabs, slabs)."""
    found = {}
    for line in dump:
        fields = line.split()
        if len(fields) == 16 and not line.startswith(("#", "mempool-")):
            found[fields[0]] = tuple(int(x) for x in fields[1:6] + fields[13:15])
    return found


def buddy_of(lines):
    return [line.split()[4:19] for line in lines if re.match(r"Node \d+, zone +\w+ +\d", line)]


def json_of(*arguments):
    result = tool("slabmalloc-stat", "--json", *arguments)
    return json.loads(result.stdout) if result.returncode == 0 else {"error": result.stderr}


def json_caches(data):
    return {
        c["name"]: (c["active_objs"], c["num_objs"], c["objsize"], c["objperslab"],
                    c["pagesperslab"], c["active_slabs"], c["num_slabs"])
        for c in data["caches"]
    }


def same_totals(own, seen):
    """Names of the totals that differ, of those that both have."""
    return [
        (name, own[name], seen[name]) for name in own
        if name in seen and abs(own[name] - seen[name]) > SLACK.get(name, 0)
    ]


TABLES = ["nodes", "cache_nodes", "calls", "slow_paths", "pressures", "shrinkers", "mempools"]


def check_tables(s, what, data):
    """Those of the library's own dump, row by row."""
    own = json.loads(next(line for line in s.dump if line.startswith("{")))
    # Nothing tells from outside which node the objects in a thread's sheaf are of.
    for row in own["cache_nodes"]:
        del row["active_objs"]
    for table in TABLES:
        t.ok(data[table] == own[table], f"{what}: {table} are those of the dump",
             [(a, b) for a, b in zip(data[table], own[table]) if a != b][:3], own[table][:1])
    t.ok(data["mempools"] and data["mempools"][0]["out"] == 1, f"{what}: there is a pool",
         data["mempools"])


def check_numbers(s, what, data, own):
    t.ok("error" not in data, f"{what}: it can be read", data.get("error"))
    if "error" in data:
        return
    t.ok(data["complete"] and not data["changing"], f"{what}: nothing is in doubt",
         data["changing"])
    t.ok(len(set(own) & set(data["totals"])) >= 14,
         f"{what}: the totals have the names of the library's dump", own, data["totals"])
    t.ok(not same_totals(own, data["totals"]), f"{what}: the totals are the library's own",
         same_totals(own, data["totals"]))
    caches = caches_of(s.dump)
    t.ok(caches and caches == json_caches(data), f"{what}: the caches are those of slabinfo",
         sorted(set(caches.items()) ^ set(json_caches(data).items())))
    orders = [[str(n) for n in z["orders"]] for z in data["zones"]]
    t.ok(orders == buddy_of(s.dump), f"{what}: the free blocks are those of buddyinfo",
         orders, buddy_of(s.dump))
    check_tables(s, what, data)


def stopped(cores):
    for letters in ("", "FZPU"):
        with subject("still", cores=cores, SLABMALLOC_DEBUG=letters) as s:
            what = f"a stopped process{' under ' + letters if letters else ''}"
            data, own = json_of(s.pid), totals_of(s.dump)
            t.ok(data.get("state") == "stopped", f"{what}: it is called stopped", data)
            check_numbers(s, what, data, own)
            tids = {int(x) for x in os.listdir(f"/proc/{s.pid}/task")}
            seen = [x["tid"] for x in data.get("threads", [])]
            t.ok(len(seen) == len(set(seen)) == THREADS and set(seen) <= tids,
                 f"{what}: each thread that allocates is there by its number", seen, tids)
            formats(s, data)
            cored(s, data, own, cores, letters)


def on_nodes():
    with subject("still", SLABMALLOC_NUMA="fake=4") as s:
        data = json_of(s.pid)
        check_numbers(s, "a process on four nodes", data, totals_of(s.dump))
        t.ok(len(data["nodes"]) == 4 and data["cache_nodes"], "each has its row", data["nodes"])
        text = tool("slabmalloc-stat", s.pid).stdout
        row = " ".join(str(n["numa_hit"]) for n in data["nodes"])
        t.ok(re.search(rf"^numa_hit +{row.replace(' ', ' +')}$", text, re.M),
             "the text has a column for each", row, text)


def profiled():
    with subject("still", SLABMALLOC_PROFILE="64k,/dev/null") as s:
        check_numbers(s, "a process that is profiled", json_of(s.pid), totals_of(s.dump))


def formats(s, data):
    text = tool("slabmalloc-stat", s.pid).stdout
    live = data["totals"]["live_bytes"]
    t.ok(re.search(rf"^live_bytes +{live} ", text, re.M) and "kmalloc-112" in text,
         "the text has the same numbers", text)
    prometheus = tool("slabmalloc-stat", "--prometheus", s.pid).stdout
    sample = re.compile(r'slabmalloc_\w+(\{\w+="[^"\n]*"(,\w+="[^"\n]*")*\})? [0-9]+(\.[0-9]{9})?')
    comment = re.compile(r"# (HELP slabmalloc_\w+ \S.*|"
                         r"TYPE slabmalloc_\w+ (gauge|counter|histogram))")
    bad = [x for x in prometheus.splitlines() if not (sample.fullmatch(x) or comment.fullmatch(x))]
    t.ok(prometheus.endswith("\n") and not bad, "Prometheus' text is as its grammar says", *bad[:5])
    names = [x.split()[2] for x in prometheus.splitlines() if x.startswith("# TYPE")]
    t.ok(len(names) == len(set(names)), "each metric is declared once", names)
    t.ok(f"slabmalloc_live_bytes {live}\n" in prometheus,
         "Prometheus' text has the same numbers")
    # The tables by the names of the library's own text, which formats.py of suite stat looks at.
    for name in ("system_call_made_total", "slow_path_seconds_total", "pressure_events_total",
                 "shrink_most_seconds", "mempool_out", "slow_path_duration_seconds"):
        t.ok(f"slabmalloc_{name}" in names, f"Prometheus' text has {name}", names)


def core_by_gdb(pid, cores):
    gcore = shutil.which("gcore")
    if not gcore:
        return None
    subprocess.run([gcore, "-o", "gcore", str(pid)], cwd=cores, capture_output=True, timeout=60,
                   check=False)
    path = cores / f"gcore.{pid}"
    return path if path.exists() else None


def core_by_kernel(s, cores):
    """The core that the kernel writes, which ends the process; None: it writes it elsewhere."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text(encoding="ascii").strip()
    if pattern[0] == "|" or "/" in pattern:
        return None
    s.process.send_signal(signal.SIGABRT)
    s.process.send_signal(signal.SIGCONT)
    s.process.wait(timeout=60)
    found = [x for x in cores.iterdir() if x.name.startswith("core")]
    return found[0] if found else None


def cored(s, live, own, cores, letters):
    for by in ("gdb", "the kernel"):
        what = f"a core by {by}{' under ' + letters if letters else ''}"
        core = core_by_gdb(s.pid, cores) if by == "gdb" else core_by_kernel(s, cores)
        if not core:
            t.skip(what, "no core can be had so")
            continue
        data = json_of(core)
        check_numbers(s, what, data, {k: v for k, v in own.items() if k not in SLACK})
        t.ok(data.get("state") == "core" and data.get("caches") == live["caches"],
             f"{what}: it says what the stopped process said")
        if by == "gdb" and not letters:
            damaged_core(core)
        core.unlink()


def damaged_core(core):
    whole = core.read_bytes()
    for share in (0, 3, 200, len(whole) // 20, len(whole) // 2):
        core.write_bytes(whole[:share])
        result = tool("slabmalloc-stat", core)
        t.ok(result.returncode in (0, 1) and (result.returncode == 0 or
                                              result.stderr.count("\n") == 1),
             f"{share} bytes of a core: an answer or a line", tap.outcome(result))
    core.write_bytes(whole)


def running():
    with subject("busy") as s:
        time.sleep(0.5)
        # What it holds, and what its eight threads may hold at the most.
        low = 1000 * 112 + 300 * 5120 + (1 << 20) + (40 << 20)
        high = low + 8 * 512 * 2048 + (4 << 20)
        looks = [json_of(s.pid) for _ in range(50)]
        bad = [x for x in looks if "error" in x or
               not low <= x["totals"]["live_bytes"] <= high]
        t.ok(not bad, "a running process: 50 looks are all within what it may hold",
             low, high, *(x.get("error") or x["totals"] for x in bad[:3]))
        t.ok(all(x["state"] == "running" for x in looks), "it is called running")
        t.ok(any(x["changing"] for x in looks), "what changed while it was read is said")
        t.ok("~" in "".join(tool("slabmalloc-stat", s.pid).stdout for _ in range(20)),
             "and marked in the text")
        t.ok(s.process.poll() is None, "it runs on")


def watched():
    with subject("busy") as s:
        with subprocess.Popen(
            [str(Path(os.environ["SLABMALLOC_TOOLS"]) / "slabmalloc-stat"), "-j", "-w", "0.1",
             str(s.pid)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as watch:
            lines = [json.loads(watch.stdout.readline()) for _ in range(3)]
            t.ok([x["pid"] for x in lines] == [s.pid] * 3, "--watch looks again and again")
            s.process.kill()
            _, err = watch.communicate(timeout=60)
            t.ok(watch.returncode == 0 and "has ended" in err,
                 "--watch says that the process has ended", watch.returncode, err)


def refused():
    lines = {
        "no process": (["999999999"], "there is no process"),
        "a file that is no core": (["/etc/passwd"], "no core file"),
        "a program": ([SUBJECT], "no core of a 64-bit process"),
        "no file": (["/nowhere/core"], "No such file"),
    }
    for what, (arguments, expected) in lines.items():
        result = tool("slabmalloc-stat", *arguments)
        t.ok(result.returncode == 1 and result.stderr.count("\n") == 1 and
             (expected in result.stderr or "neither" in result.stderr) and not result.stdout,
             f"{what}: one line", tap.outcome(result))
    with subject("busy", preload=False) as s:
        result = tool("slabmalloc-stat", s.pid)
        t.ok(result.returncode == 1 and "does not have libslabmalloc" in result.stderr,
             "a process without the library: one line", tap.outcome(result))


def patched(directory, old, new):
    """A library in which some bytes are other ones."""
    data = Path(tap.library()).read_bytes()
    at = data.find(old)
    path = directory / "libslabmalloc.so"
    path.write_bytes(data[:at] + new + data[at + len(old):])
    return path


def other_builds(directory):
    version = b"slabmalloc heap\0\1\0\0\0"
    layout = b"page.order".ljust(40, b"\0") + b"\1"
    for what, old, new, expected in (
        ("another version", version, version[:16] + b"\x63\0\0\0", "descriptor version 99"),
        ("another layout", layout, layout[:40] + b"\x0b", "another layout, from page.order on"),
    ):
        library = patched(directory, old, new)
        with subject("busy", preload=str(library)) as s:
            result = tool("slabmalloc-stat", s.pid)
            t.ok(result.returncode == 1 and expected in result.stderr and
                 result.stderr.count("\n") == 1, f"{what}: one line", tap.outcome(result))
    library = patched(directory, b"", b"")
    with subject("busy", preload=str(library)) as s:
        library.unlink()
        t.ok(json_of(s.pid).get("version"), "a library that is gone from disk is found in memory")


def main():
    need_ptrace()
    with tempfile.TemporaryDirectory() as directory:
        stopped(Path(directory))
        profiled()
        on_nodes()
        running()
        watched()
        refused()
        other_builds(Path(directory))
    t.done()


main()
