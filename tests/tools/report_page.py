#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""slabmalloc-report: a page's numbers are those of the dumps, traces and profiles it is made of."""
import gzip
import json
import re
import struct
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path

from common import TOP_TREE, may_look, subject, tap, tool

sys.path.insert(0, str(TOP_TREE / "tools"))
from slabmalloc_report import dumps, kmalloc, model, trace  # noqa: E402

t = tap.Tap()
REPORT = TOP_TREE / "tools" / "slabmalloc-report"
VOID = {"meta"}


def report(*arguments):
    return subprocess.run([str(REPORT), *map(str, arguments)], capture_output=True, text=True,
                          timeout=100, check=False)


class Page(HTMLParser):
    """Its tables, what JSON it holds, and elements that are not closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.odd, self.links = [], [], []
        self.tables, self.data, self.rows, self.sections = {}, None, None, []
        self.elements = []
        self.feed(text)
        self.close()
        self.odd += self.open

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.elements.append((tag, found))
        self.links += [(k, v) for k, v in attrs if k in ("src", "href", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.rows = self.tables.setdefault(found["id"], [])
        elif tag == "tr":
            self.rows.append([])
        elif tag == "td":
            self.rows[-1].append(found.get("data-value", ""))
        elif tag == "section":
            self.sections.append(found["id"])

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.odd.append(f"/{tag}")

    def handle_data(self, data):
        if self.open[-1:] == ["td"] and self.rows[-1][-1] == "":
            self.rows[-1][-1] = data
        elif self.open[-1:] == ["script"] and self.data is None:
            self.data = json.loads(data)


def page_of(what, *arguments):
    result = report(*arguments)
    t.ok(result.returncode == 0 and not result.stderr, f"{what}: a page is made",
         tap.outcome(result)[-1500:])
    page = Page(result.stdout)
    t.ok(not page.odd, f"{what}: every element is closed", *page.odd[:5])
    outside = re.findall(r"""(?:url\(|@import|https?:)[^;]{0,40}""", result.stdout)
    outside = [x for x in outside if "www.w3.org/2000/svg" not in x]
    t.ok(not page.links and not outside, f"{what}: it needs nothing from outside", page.links,
         *outside)
    return page


def check_dump(page, dump):
    totals = {row[0].removesuffix(" ~"): int(row[1]) for row in page.tables["totals"] if row}
    t.ok(totals == dump["totals"], "the totals are those of the last dump",
         set(totals.items()) ^ set(dump["totals"].items()))
    shown = {row[0]: [int(x.replace("\u202f", "").replace(" ", "")) for x in row[1:8]]
             for part in ("waste", "waste-more") for row in page.tables.get(part, [])
             if row and row[0] != "large blocks"}
    own = {c["name"]: [c["active_objs"], c["num_objs"], c["slab_bytes"],
                       c["active_objs"] * c["objsize"], c["internal_bytes"],
                       c["waste_bytes"], c["given_bytes"]]
           for c in dump["caches"] if c["num_slabs"]}
    t.ok(own and shown == own, "each cache's bytes are those of the dump",
         *[(k, own.get(k), shown.get(k)) for k in own | shown if own.get(k) != shown.get(k)][:3])
    series = page.data["series"]
    layers = [sum(column) for column in zip(*series["layers"].values())]
    t.ok(layers == series["lines"]["live"] and layers[-1] == dump["totals"]["live_bytes"],
         "what lives by cache is together what lives", layers, series["lines"]["live"])


def check_map(page, dump):
    """The dump's own equations; the subject has no highmem, and areas lie outside of regions."""
    cells = [c for r in dump["regions"] for c in r["cells"]]
    used, kept = (sum(c[i] * c[3] for c in cells) for i in (1, 2))
    n = dump["totals"]
    t.ok(used == n["live_bytes"] - n["vmalloc_bytes"] + n["sheaf_bytes"],
         "what cells have in use is what lives or lies in sheaves", used, n)
    dirty = 4096 * sum(z["dirty"] for z in dump["zones"])
    t.ok(used + kept == n["committed_bytes"] - n["vmalloc_bytes"] - n["dirty_bytes"] + dirty +
         n["huge_free_bytes"], "and with what is free and resident, what is committed", used, kept,
         n)
    t.ok(dump["regions_complete"] and
         len(dump["regions"]) == sum(z["regions"] for z in dump["zones"]), "no region is missing")
    t.ok((page.data["regions"]["used"], page.data["regions"]["kept"]) == (used, kept),
         "the page has the same")
    drawn = sum(1 for tag, a in page.elements if tag == "rect" and "full-" in a.get("class", "")
                and "bar" not in a["class"])
    least = len([c for c in cells if c[1]])
    t.ok(least <= drawn <= least + 16 * len(dump["regions"]),
         "each run of cells in use is drawn", least, drawn)


def dumps_of_a_process(folder):
    with subject("still") as s:
        results = [tool("slabmalloc-stat", "--json", "--regions", s.pid).stdout for _ in range(3)]
        text = tool("slabmalloc-stat", s.pid).stdout
        own = "\n".join(s.dump) + "\n"
    path = folder / "dumps.json"
    path.write_text("".join(results), encoding="utf-8")
    dump = json.loads(results[-1])
    page = page_of("dumps", path)
    t.ok({"time", "map", "sizes", "waste-by-class"} <= set(page.sections), "its sections",
         page.sections)
    t.ok(page.data["series"]["timed"] and len(page.data["series"]["x"]) == 3,
         "three dumps, by time")
    check_dump(page, dump)
    check_map(page, dump)
    path = folder / "dump.txt"
    for what, words in (("slabmalloc-stat's text", text), ("the library's text", own)):
        path.write_text(words, encoding="utf-8")
        (read,) = dumps.read_text(str(path), words.encode())
        caches, expected = (
            {c["name"]: (c["active_objs"], c["num_objs"], c["objsize"]) for c in x["caches"]}
            for x in (read, dump))
        t.ok(caches == expected and
             read["totals"]["live_bytes"] == dump["totals"]["live_bytes"],
             f"{what} is read, too", caches, read["totals"])
    page_of("text", path)


def varint(value):
    out = b""
    while value >= 128:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def tiny_trace(path, calls):
    """calls: (kind, size or None, block, old): each is a thread's next; bench/trace/format.h."""
    body, previous = b"", 0

    def block(address):
        nonlocal previous
        turned = address >> 3
        step = turned - previous
        previous = turned or previous
        return varint((step << 1 ^ step >> 63) & (1 << 64) - 1)

    for kind, size, new, old in calls:
        body += bytes([1 << 4 | kind])
        body += block(old) if kind in (trace.REALLOC, trace.FREE) else b""
        body += varint(size) + block(new) if kind <= trace.REALLOC else b""
        body += varint(1) if kind == trace.REALLOC else b""
    section = struct.pack("=IIIIQQQ", trace.SECTION_MAGIC, 0, len(body), 64, 0, 0, 10 ** 6)
    head = struct.pack("=QIIQ40s", 0x0a636172746d6c73, 1, 1, 1, b"tiny")
    path.write_bytes((head + section + body).ljust(trace.CHUNK, b"\0"))


def what_if(folder):
    path = folder / "tiny.trace"
    calls = [(trace.MALLOC, 100, 4096 + 128 * i, 0) for i in range(1000)]
    calls += [(trace.FREE, None, 0, 4096 + 128 * i) for i in range(500)]
    calls += [(trace.REALLOC, 1000, 1 << 20, 4096 + 128 * 500), (trace.MALLOC, 300000, 1 << 21, 0)]
    tiny_trace(path, calls)
    page = page_of("what if", path, "--what-if=classes=1", "--what-if=order=3")
    rows = {r["settings"]: r for r in page.data["what_if"]}
    t.ok(list(rows) == ["as it is", "classes=1", "order=3"],
         "a row for each, the present settings first", rows)
    peak = 499 * 100 + 1000 + 300000
    t.ok({r["asked"] for r in rows.values()} == {peak}, "what was asked for is the same", rows)
    # At the peak: 499 of 112, one that grew to 1008, and 74 frames.
    t.ok(rows["as it is"]["rounded"] == 499 * 112 + 1008 + 74 * 4096,
         "rounded up to the library's classes", rows["as it is"])
    t.ok(rows["classes=1"]["rounded"] == 499 * 128 + 1024 + 74 * 4096,
         "rounded up to powers of two", rows["classes=1"])
    t.ok(all(r["rounded"] <= r["used"] <= r["resident"] for r in rows.values()),
         "each holds the one before", rows)
    shown = [[int(x) for x in row[2:5]] for row in page.tables["what-if"] if row]
    t.ok(shown == [[r["rounded"], r["used"], r["resident"]] for r in rows.values()],
         "as the table says", shown)
    requests = {r["size"]: r for r in page.data["requests"]}
    t.ok((requests[112]["count"], requests[112]["asked"], requests[None]["count"]) ==
         (1000, 100000, 1), "requests are counted by class", requests[112])


def classes(folder):
    """The model's classes and slabs are the library's."""
    path = folder / "table.h"
    maker = TOP_TREE / "src/slab/kmalloc-table.py"
    subprocess.run([sys.executable, str(maker), str(path)], check=True)
    rows = [tuple(map(int, re.findall(r"\d+", line)[:3]))
            for line in path.read_text(encoding="ascii").splitlines() if line.startswith("KMALLOC")]
    t.ok(rows and rows == [(c.size, c.frames, c.objects) for c in kmalloc.table()],
         "the model has the library's classes and slabs")
    index = kmalloc.Classes().index
    found = [index(n) for n in (1, 17, 1025, 256 << 10, (256 << 10) + 1)]
    t.ok([*found, index(100, 6)] == [0, 1, 64, 111, None, 7],
         "and finds the class of a size, and of an alignment")
    heap = model.Heap(model.Settings("one"))
    thread = model.Thread(heap.caches)
    blocks = [heap.birth(thread, 64, 0) for _ in range(10000)]
    for b in blocks:
        heap.death(thread, *b)
    thread.end(heap.caches, heap)
    t.ok(heap.live == 0 and heap.asked == 0 and heap.frames <= model.KEEP_FRAMES,
         "what is freed leaves a few empty slabs", heap.live, heap.frames)


def message(*parts):
    out = b""
    for number, value in parts:
        out += varint(number << 3 | (0 if isinstance(value, int) else 2))
        out += varint(value) if isinstance(value, int) else varint(len(value)) + value
    return out


def profiles(folder):
    strings = [b"", b"inuse_space", b"bytes", b"outer", b"in<ner"]
    data = message(
        (1, message((1, 1), (2, 2))), *((6, s) for s in strings),
        (5, message((1, 1), (2, 3))), (5, message((1, 2), (2, 4))),
        (4, message((1, 7), (4, message((1, 1))))), (4, message((1, 8), (4, message((1, 2))))),
        (2, message((1, varint(8) + varint(7)), (2, varint(3000)))),
        (2, message((1, 7), (2, 1000))))
    path = folder / "profile.pb.gz"
    path.write_bytes(gzip.compress(data))
    page = page_of("a profile", path)
    t.ok(page.data["profiles"][str(path)] ==
         {"in use": [[["outer", "in<ner"], 3000], [["outer"], 1000]]},
         "its stacks, outermost first", page.data["profiles"])
    widths = {a["data-name"]: None for tag, a in page.elements if "data-name" in a}
    t.ok(list(widths) == ["all", "outer", "in<ner"], "a box for each function", widths)
    path = folder / "stacks.collapsed"
    path.write_text("main;work 10\nmain 5\n", encoding="ascii")
    page = page_of("collapsed stacks", path)
    t.ok(page.data["profiles"][str(path)]["in use"] == [[["main", "work"], 10], [["main"], 5]],
         "collapsed stacks are a profile, too")


def refused(folder):
    path = folder / "bad"
    for what, data in (("no such file", None), ("an empty file", b""),
                       ("JSON that is no dump", b'{"a": 1}'),
                       ("a trace cut short",
                        b"slmtrac\n" + struct.pack("=IIQ", 1, 1, 9) + bytes(90)),
                       ("two processes", b'{"pid": 1, "totals": {}, "caches": []}\n'
                                         b'{"pid": 2, "totals": {}, "caches": []}\n'),
                       ("anything else", b"\xff\x01\x02" * 50)):
        path.unlink(missing_ok=True)
        if data is not None:
            path.write_bytes(data)
        result = report(path)
        t.ok(result.returncode == 1 and result.stderr.count("\n") == 1 and
             str(path) in result.stderr, f"{what}: one line", tap.outcome(result))
    path.write_text("main 5\n", encoding="ascii")
    for option in ("--what-if=speed=9", "--what-if=order=99", "--what-if"):
        result = report(path, option)
        t.ok(result.returncode == 1 and "--what-if" in result.stderr, f"{option}: one line",
             tap.outcome(result))


def documented():
    page = (TOP_TREE / "tools" / "slabmalloc-report.1").read_text(encoding="utf-8")
    known = set(re.findall(r"--([a-z-]+)", report("--help").stdout)) - {"help"}
    written = set(re.findall(r"Fl -([a-z-]+)", page))
    t.ok(known == written & known and written - known <= {"regions", "json"},
         "the man page has its options", known, written)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        classes(folder)
        what_if(folder)
        profiles(folder)
        refused(folder)
        documented()
        if may_look():
            dumps_of_a_process(folder)
        else:
            t.skip("dumps of a process", "ptrace is forbidden here")
    t.done()


main()
