# SPDX-License-Identifier: MIT
"""The numbers of a page, without a word of markup: what was read, put together.

    about       program, pid, version, state, and the files
    totals      of the last dump
    series      x (seconds, or the number of the dump), and in bytes: resident, committed, live, and
                live by cache
    caches      rows of the last dump, the most bytes first
    regions     of the last dump that has them; kinds: what has a colour, the most bytes first
    requests    by class, of the trace; asked: what they held, by time
    profiles    stacks and bytes
    what_if     rows (what_if.py)
"""

import bisect
import collections

from . import trace as events
from .kmalloc import MOST, sizes

COLOURS = 7  # caches that have a colour of their own; the others share one
CELL = 65536
SERIES = ("resident_bytes", "committed_bytes", "live_bytes")
POINTS = 400


def large_bytes(dump):
    """Live, and in no cache."""
    totals = dump["totals"]
    objects = sum(c["active_objs"] * c["objsize"] for c in dump["caches"])
    return max(totals.get("live_bytes", 0) - totals.get("vmalloc_bytes", 0) - objects, 0)


def held(dump):
    """{name: live bytes}"""
    found = collections.Counter({c["name"]: c["active_objs"] * c["objsize"]
                                 for c in dump["caches"]})
    found["large blocks"] = large_bytes(dump)
    found["areas"] = dump["totals"].get("vmalloc_bytes", 0)
    return found


def thinned(dumps):
    """So many points that a picture can show; the last is always there."""
    step = -(-len(dumps) // POINTS)
    return dumps[::-1][::step][::-1] if step > 1 else dumps


def series(dumps):
    dumps = thinned(dumps)
    timed = all("time_ms" in d for d in dumps)
    if timed:
        dumps = sorted(dumps, key=lambda d: d["time_ms"])
        x = [(d["time_ms"] - dumps[0]["time_ms"]) / 1000 for d in dumps]
    else:
        x = list(range(1, len(dumps) + 1))
    by_cache = [held(d) for d in dumps]
    most = collections.Counter()
    for found in by_cache:
        most |= found
    names = [n for n, count in most.most_common(COLOURS) if count]
    layers = {n: [found[n] for found in by_cache] for n in names}
    if len(most) > len(names):
        layers["all others"] = [found.total() - sum(found[n] for n in names) for found in by_cache]
    return {
        "x": x, "timed": timed, "layers": layers,
        "lines": {n.removesuffix("_bytes"): [d["totals"].get(n) for d in dumps] for n in SERIES
                  if any(n in d["totals"] for d in dumps)},
    }


def regions(dump):
    kinds = collections.Counter()
    for region in dump["regions"]:
        for owner, used, _, run in region["cells"]:
            if owner not in ("free", "page set"):
                kinds[owner] += used * run
    return {
        "rows": dump["regions"], "complete": dump.get("regions_complete", True),
        "kinds": [n for n, _ in kinds.most_common(COLOURS)],
        "used": sum(c[1] * c[3] for r in dump["regions"] for c in r["cells"]),
        "kept": sum(c[2] * c[3] for r in dump["regions"] for c in r["cells"]),
        "bytes": sum(CELL * c[3] for r in dump["regions"] for c in r["cells"]),
    }


def requests(trace):
    """What was asked for against the library's classes; size None: above them."""
    table = sizes()
    count, asked = [0] * (len(table) + 1), [0] * (len(table) + 1)
    given = 0
    for size in trace.size:
        i = bisect.bisect_left(table, size)
        count[i] += 1
        asked[i] += size
        if i == len(table):
            given += -(-size // 4096) * 4096
    rows = [{"size": size, "least": before + 1, "count": n, "asked": bytes_, "given": n * size}
            for size, before, n, bytes_ in zip(table, [-1, *table], count, asked)]
    rows.append({"size": None, "least": MOST + 1, "count": count[-1], "asked": asked[-1],
                 "given": given})
    return rows


def asked(trace):
    """Seconds, and the most bytes that were asked for and held in each of POINTS spans."""
    end = max(trace.time, default=0) + 1
    most = [0] * POINTS
    now = 0
    sizes_, none = trace.size, events.NONE
    for _, _, born, died, time in trace.events():
        if born != none:
            now += sizes_[born]
        if died != none:
            now -= sizes_[died]
        i = min(time * POINTS // end, POINTS - 1)
        if now > most[i]:
            most[i] = now
    for i in range(1, POINTS):
        if not most[i]:
            most[i] = most[i - 1]
    return {"x": [i * end / POINTS / 1e6 for i in range(POINTS)], "lines": {"asked": most}}


def profile(kinds):
    """The kinds of bytes that a profile has, and their stacks, each kind's most first."""
    names = {"inuse_space": "in use", "alloc_space": "allocated"}
    return {
        names.get(kind, kind): [[list(stack), count] for stack, count in stacks.most_common()]
        for kind, stacks in sorted(kinds.items(), reverse=True)
        if stacks and (kind in names or not kind.endswith(("_objects", "count")))
    }


def about(dumps, trace, files):
    last = dumps[-1] if dumps else {}
    found = {k: last[k] for k in ("program", "pid", "version", "state") if k in last}
    if trace and "program" not in found:
        found["program"] = trace.program
        found.setdefault("pid", trace.pid)
    found["files"] = files
    return found


def collect(dumps, trace, profiles, what_if, files):
    found = {"about": about(dumps, trace, files)}
    if dumps:
        found["totals"] = dumps[-1]["totals"]
        found["changing"] = dumps[-1].get("changing", [])
        found["caches"] = sorted((c for c in dumps[-1]["caches"] if c["num_slabs"]),
                                 key=lambda c: -c["slab_bytes"])
        found["large"] = large_bytes(dumps[-1])
        found["series"] = series(dumps)
        mapped = [d for d in dumps if d.get("regions")]
        if mapped:
            found["regions"] = regions(mapped[-1])
    if trace:
        found["requests"] = requests(trace)
        found["asked"] = asked(trace)
    if profiles:
        found["profiles"] = {path: profile(kinds) for path, kinds in profiles.items()}
    if what_if:
        found["what_if"] = what_if
    return found
