#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Options, their warnings, and the statistics at exit: usage: REPORT, with SLABMALLOC_SO."""

import json
import os
import pathlib
import re
import sys
import tempfile
import xml.etree.ElementTree

from tap import Tap, library, outcome, run

KEYS = """
    abort thp thp_start dirty_max dirty_min decay_ms sheaf_bytes vmalloc_cache stats help
""".split()

SCHEMA = pathlib.Path(__file__).resolve().parents[2] / "preload/stats.schema.json"
TOTALS = list(json.loads(SCHEMA.read_text(encoding="utf-8"))["properties"]["totals"]["properties"])

SLABINFO_HEADER = (
    "slabinfo - version: 2.1\n"
    "# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>"
    " : tunables <limit> <batchcount> <sharedfactor>"
    " : slabdata <active_slabs> <num_slabs> <sharedavail>\n"
)
# The kernel's own formats (mm/slab_common.c, mm/vmstat.c): a line is right if it prints the same.
SLABINFO_LINE = (
    "%-17s %6d %6d %6d %4d %4d : tunables %4d %4d %4d : slabdata %6d %6d %6d"
)
ORDERS = 15


class Dump:
    """A dump in its four parts, on several nodes six; `wrong` says what is not as it should be."""

    def __init__(self, text):
        self.wrong = []
        self.caches = {}
        self.totals = {}
        parts = text.split("\n\n")
        if len(parts) not in (4, 6):
            self.wrong.append(f"{len(parts)} parts, not four")
            return
        self.read_slabinfo(parts[0] + "\n")
        self.read_buddyinfo(parts[1])
        self.read_zoneinfo(parts[2])
        self.read_totals(parts[3])

    def read_slabinfo(self, text):
        if not text.startswith(SLABINFO_HEADER):
            self.wrong.append("slabinfo: header")
        for line in text[len(SLABINFO_HEADER) :].splitlines():
            name, *words = line.replace(": tunables", "").replace(": slabdata", "").split()
            if not all(w.isdigit() for w in words) or len(words) != 11:
                self.wrong.append(f"slabinfo: {line}")
                continue
            n = [int(w) for w in words]
            active, objects, size, per_slab, pages = n[:5]
            active_slabs, slabs = n[8:10]
            if SLABINFO_LINE % (name, *n) != line:
                self.wrong.append(f"slabinfo: spacing: {line}")
            if not (active <= objects == per_slab * slabs and active_slabs <= slabs):
                self.wrong.append(f"slabinfo: counts disagree: {line}")
            if name != f"kmalloc-{size}" or size * per_slab > pages * 4096:
                self.wrong.append(f"slabinfo: size: {line}")
            self.caches[name] = active

    def read_buddyinfo(self, text):
        for line in text.splitlines():
            found = re.fullmatch(r"Node (\d+), zone +(\w+) ( *\d+ ){%d}" % ORDERS, line)
            counts = line.split()[4:]
            wanted = found and "Node %d, zone %8s " % (int(found[1]), found[2])
            wanted = wanted and wanted + "".join("%6d " % int(c) for c in counts)
            if line != wanted:
                self.wrong.append(f"buddyinfo: {line}")

    def read_zoneinfo(self, text):
        lines = text.splitlines()
        if not re.fullmatch(r"Node \d+, zone +\w+", lines[0]):
            self.wrong.append(f"zoneinfo: {lines[0]}")
        for line in lines:
            if not re.fullmatch(r"Node \d+, zone +\w+|  pages free +\d+| {6,8}\w+ +\d+", line):
                self.wrong.append(f"zoneinfo: {line}")

    def read_totals(self, text):
        for line in text.splitlines():
            found = re.fullmatch(r"(\w+) +(\d+)", line)
            if not found:
                self.wrong.append(f"totals: {line}")
                continue
            self.totals[found[1]] = int(found[2])
        others = [n for n in self.totals if n not in TOTALS]
        alien = [n for n in others if not n.startswith(("pressure_", "shrink_"))]
        if list(self.totals)[: len(TOTALS)] != TOTALS or alien:
            self.wrong.append(f"totals: names are {list(self.totals)}")


def check_warnings(tap, true):
    def warned(words, conf, pattern, **variables):
        if conf:
            variables["SLABMALLOC_CONF"] = conf
        result = run(true, preload=[library()], **variables)
        lines = result.stderr.splitlines()
        good = len(lines) == 1 and re.match(r"slabmalloc: ", lines[0])
        good = good and re.search(pattern, lines[0])
        tap.ok(result.returncode == 0 and good, words, outcome(result))

    def silent(words, **variables):
        result = run(true, preload=[library()], **variables)
        tap.ok(result.returncode == 0 and not result.stderr, words, outcome(result))

    warned("an unknown key is named in one warning", "nonsense:1", "nonsense")
    warned("a known key beside an unknown one is no warning", "abort:0,nonsense:1", "nonsense")
    warned("a bad size is named", "dirty_max:12Q", "dirty_max")
    warned("a size that is no number is named", "sheaf_bytes:many", "sheaf_bytes")
    warned("a negative size is named", "decay_ms:-1", "decay_ms")
    warned("a size that overflows is named", "vmalloc_cache:99999999999999999999G", "vmalloc_cache")
    warned("a bad boolean is named", "abort:perhaps", "abort")
    warned("a bad policy is named", "thp:sometimes", "thp")
    warned("a key without a value is named", "abort", "abort")
    warned("a bad value of a single variable is named", None, "(?i)abort", SLABMALLOC_ABORT="2")
    warned("a bad policy in a single variable is named", None, "(?i)thp", SLABMALLOC_THP="x")
    silent("an empty configuration is none", SLABMALLOC_CONF="")
    silent(
        "all keys are taken with good values",
        SLABMALLOC_CONF="abort:1,thp:never,thp_start:32M,dirty_max:1G,dirty_min:4096,decay_ms:10,"
        "sheaf_bytes:64K,vmalloc_cache:0,stats:0,help:0",
    )
    for policy in "never", "auto", "always":
        silent(f"thp:{policy} is a policy", SLABMALLOC_THP=policy)
    silent("single variables are taken", SLABMALLOC_DIRTY_MAX="1M", SLABMALLOC_DECAY_MS="5")


def check_help(tap, true):
    result = run(true, preload=[library()], SLABMALLOC_CONF="help:1")
    missing = [k for k in KEYS if not re.search(rf"(?m)^\W*{k}\b", result.stderr)]
    tap.ok(
        result.returncode == 0 and not missing and not result.stdout,
        "help:1 prints a table of all keys on stderr",
        f"missing: {missing}",
        outcome(result),
    )
    single = run(true, preload=[library()], SLABMALLOC_HELP="1")
    tap.ok(single.stderr == result.stderr, "SLABMALLOC_HELP=1 does the same", outcome(single))


def check_dump_formats(tap, report):
    result = run([report, "hold", "1000", "64"], preload=[library()], SLABMALLOC_STATS="1")
    dump = Dump(result.stderr)
    tap.ok(not dump.wrong, "the dump has the kernel's formats", dump.wrong, result.stderr)
    named = run([report, "hold", "1000", "64"], preload=[library()], SLABMALLOC_STATS="stderr")
    tap.ok(not Dump(named.stderr).wrong, "stats:stderr is stats:1", named.stderr)
    off = run([report, "hold", "1000", "64"], preload=[library()], SLABMALLOC_STATS="0")
    tap.ok(not off.stderr, "stats:0 prints nothing", off.stderr)
    closed = run([report, "closed"], preload=[library()], SLABMALLOC_STATS="1")
    tap.ok(
        closed.returncode == 0,
        "a program that closes stderr ends well with stats:1",
        outcome(closed),
    )


def check_dump_files(tap, report):
    with tempfile.TemporaryDirectory() as place:
        path = os.path.join(place, "stats.%p")
        result = run([report, "fork"], preload=[library()], SLABMALLOC_STATS=path)
        pids = result.stdout.split()
        files = sorted(os.listdir(place))
        tap.ok(
            len(pids) == 2 and files == sorted(f"stats.{p}" for p in pids),
            "a path with %p gives each process a file of its own",
            files,
            outcome(result),
        )
        wrong = []
        for name in files:
            with open(os.path.join(place, name), encoding="ascii") as f:
                wrong += Dump(f.read()).wrong
        tap.ok(files and not wrong, "the files have the same format", wrong)
        result = run([report, "hold", "1", "1"], preload=[library()], SLABMALLOC_STATS=place)
        good = result.returncode == 0
        tap.ok(good, "a path that cannot be written harms nobody", outcome(result))


def check_figures(tap, report):
    for count, size in (5000, 64), (300, 1024), (20, 262144):
        name = f"kmalloc-{size}"
        result = run(
            [report, "hold", str(count), str(size)], preload=[library()], SLABMALLOC_STATS="1"
        )
        dump = Dump(result.stderr)
        active = dump.caches.get(name, 0)
        live = dump.totals.get("live_bytes", 0)
        tap.ok(
            count <= active < count + 100,
            f"{count} live objects of {name} are counted as active",
            f"counted: {active}",
            result.stderr,
        )
        tap.ok(
            count * size <= live < count * size + 1024 * 1024,
            f"live_bytes counts {count} objects of {size} bytes",
            f"counted: {live}",
            result.stderr,
        )
    holds = count * size
    t = dump.totals
    tap.ok(
        t
        and holds <= t["resident_bytes"] <= t["mapped_bytes"]
        and t["live_bytes"] <= t["committed_bytes"],
        "live is at most committed, resident at most mapped",
        t,
    )
    tap.ok(t and t["threads"] == 1 and t["mmap_calls"] >= 1, "one thread is one thread", t)
    large = Dump(
        run([report, "hold", "3", "50000000"], preload=[library()], SLABMALLOC_STATS="1").stderr
    )
    tap.ok(
        large.totals.get("live_bytes", 0) >= 150000000
        and large.totals.get("vmalloc_bytes", 0) >= 150000000,
        "large blocks are counted as live, and as vmalloc areas",
        large.totals,
    )


# What glibc's malloc_stats writes.
MALLOC_STATS = """Arena 0:
system bytes     = %10d
in use bytes     = %10d
Total (incl. mmap):
system bytes     = %10d
in use bytes     = %10d
max mmap regions = %10d
max mmap bytes   = %10d
"""
# The children of malloc_info's root, and of its heap.
TOTALS_OF_HEAP = ["total fast", "total rest"]
SYSTEM = ["system current", "system max", "aspace total", "aspace mprotect"]


def elements(parent):
    return [f"{e.tag} {e.get('type', '')}".strip() for e in parent]


def check_malloc_info(tap, text):
    root = xml.etree.ElementTree.fromstring(text)
    heap = root.find("heap")
    tap.ok(
        root.tag == "malloc" and root.get("version") == "1"
        and elements(root) == ["heap", *TOTALS_OF_HEAP, "total mmap", *SYSTEM]
        and elements(heap) == ["sizes", *TOTALS_OF_HEAP, *SYSTEM],
        "malloc_info has glibc's elements",
        text,
    )
    sizes = [{k: int(v) for k, v in e.items()} for e in heap.find("sizes")]
    good = [
        e["from"] <= e["to"] and e["total"] == e["to"] * e["count"] and e["count"] > 0
        for e in sizes
    ]
    tap.ok(sizes and all(good), "its sizes are those of free objects", sizes)


def check_glibc_reports(tap, report):
    result = run([report, "xml"], preload=[library()])
    try:
        check_malloc_info(tap, result.stdout)
    except (xml.etree.ElementTree.ParseError, AttributeError) as e:
        tap.ok(False, "malloc_info writes XML", e, outcome(result))
    result = run([report, "stats"], preload=[library()])
    numbers = [int(n) for n in re.findall(r"= +(\d+)$", result.stderr, re.M)]
    tap.ok(
        result.returncode == 0 and not result.stdout
        and len(numbers) == 6 and MALLOC_STATS % tuple(numbers) == result.stderr,
        "malloc_stats writes glibc's lines on stderr",
        outcome(result),
    )
    tap.ok(
        len(numbers) == 6 and 64000 <= numbers[1] <= numbers[0] <= numbers[2],
        "and they are this heap's numbers",
        numbers,
    )


def main():
    report = sys.argv[1]
    tap = Tap()
    check_help(tap, ["/bin/true"])
    check_warnings(tap, ["/bin/true"])
    check_dump_formats(tap, report)
    check_dump_files(tap, report)
    check_figures(tap, report)
    check_glibc_reports(tap, report)
    tap.done()


if __name__ == "__main__":
    main()
