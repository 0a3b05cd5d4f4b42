# SPDX-License-Identifier: MIT
"""The page: sections of data.py's numbers, in page.html."""

import json
import string
from html import escape
from pathlib import Path

from . import charts, flame, heap_map, histogram, tables
from .charts import tag
from .words import human, percent

HERE = Path(__file__).resolve().parent

CAVEAT = """Simulated: size classes, slabs, sheaves of threads, what realloc leaves in place, and
how free memory decays. Left out: where free frames lie (huge pages, the buddy), page sets, barns,
empty slabs that stay until their memory is wanted, pages given back inside slabs, the allocator's own structures,
and the program beside its heap.
Compare rows with each other, not with a process."""


def section(title, *parts, name):
    return tag("section", tag("h2", escape(title)) + "".join(parts), id=name)


def note(words):
    return tag("p", escape(words), class_="note")


def followed(svg):
    return tag("figure", svg + tag("p", "", class_="said"))


def tiles(data):
    totals = data.get("totals", {})
    names = {"resident_bytes": "resident", "live_bytes": "live",
             "internal_bytes": "lost to rounding", "external_bytes": "free in slabs",
             "dirty_bytes": "free and resident", "peak_resident_bytes": "most resident"}
    found = [(human(totals[n]), words) for n, words in names.items() if totals.get(n)]
    if not found and "asked" in data:
        found = [(human(max(data["asked"]["lines"]["asked"])), "most asked for at a time")]
    return tag("div", "".join(tag("div", tag("b", value) + tag("span", words), class_="tile")
                              for value, words in found), class_="tiles")


def over_time(data):
    s = data["series"]
    if len(s["x"]) < 2:
        return ""
    unit = " s" if s["timed"] else ""
    names = [(n, i) for i, n in enumerate(s["lines"], 1)]
    layers = [(n, "other" if n == "all others" else i) for i, n in enumerate(s["layers"], 1)]
    if len(layers) > 7 and layers[-1][0] != "all others":
        layers[-1] = (layers[-1][0], "other")
    order = "over time." if s["timed"] else "without a time, by their number."
    head = f"{len(s['x'])} dumps, {order}"
    return section(
        "Memory over time", note(head), charts.legend(names, "line"),
        followed(charts.lines(s["x"], s["lines"], unit, "bytes over time", "lines")),
        tag("h3", "Live bytes by cache"), charts.legend(layers),
        followed(charts.layers(s["x"], s["layers"], unit, "live bytes by cache", "layers")),
        name="time")


def asked_over_time(data):
    a = data["asked"]
    return section("What the trace asked for, over time",
                   followed(charts.lines(a["x"], a["lines"], " s", "bytes asked for", "asked")),
                   name="asked")


def map_of_regions(data):
    r = data["regions"]
    kinds = [(n, i) for i, n in enumerate(r["kinds"], 1)]
    said = "A cell is 64 KiB; its colour says whose most of it is, a paler one that less is in " \
           f"use. Of {human(r['bytes'])} of address space, {human(r['used'])} are in use and " \
           f"{human(r['kept'])} free but resident ({percent(r['kept'], r['used'] + r['kept'])})."
    more = []
    if len(r["rows"]) > heap_map.MOST:
        more.append(note(f"{len(r['rows']) - heap_map.MOST} more regions are not drawn."))
    if not r["complete"]:
        more.append(note("The program ran and changed it meanwhile: some cells are wrong."))
    return section("Where memory lies", note(said),
                   charts.legend([*kinds, ("other caches", "other"), ("free, resident", "kept"),
                                  ("free", "ground")]),
                   heap_map.pictures(r), *more, name="map")


def sizes(data):
    rows = data["requests"]
    return section(
        "Sizes asked for, and the classes that hold them",
        note("Requests of the trace; a bar is as wide as its class, and paler the more of the "
             "class's size is lost to rounding."),
        tag("figure", histogram.picture(rows, "requests by size class")),
        tag("details", tag("summary", "as numbers") + tables.requests(rows)), name="sizes")


def sizes_of_objects(data):
    """Without a trace: what lives now."""
    rows, before = [], 0
    for c in sorted(data["caches"], key=lambda c: c["objsize"]):
        live = c["active_objs"] * c["objsize"]
        if c["name"].startswith("kmalloc-"):
            least = max(before + 1, c["objsize"] - c["objsize"] // 8)
            rows.append({"size": c["objsize"], "least": least,
                         "count": c["active_objs"], "asked": live - min(c["internal_bytes"], live),
                         "given": live})
            before = c["objsize"]
    return section("Objects by size class",
                   note("Those that the program holds in the last dump. A trace would show the "
                        "sizes asked for."),
                   tag("figure", histogram.picture(rows, "objects by size class")), name="sizes")


def waste(data):
    keys = charts.legend([("asked for", 1), ("rounding, as sampled", 5),
                          ("free in slabs and sheaves", 2), ("given back to the system", "kept")])
    return section("Waste by class", keys, tables.waste(data["caches"], data["large"]),
                   name="waste-by-class")


def profiles(data):
    for number, (path, kinds) in enumerate(data["profiles"].items(), 1):
        parts = []
        for kind, stacks in kinds.items():
            svg = flame.picture(stacks, f"memory {kind} by call stack")
            if svg:
                total = human(sum(n for _, n in stacks))
                parts += [tag("h3", f"Memory {kind}: {total}"), tag("figure", svg)]
        yield section(f"Who allocated it: {path}",
                      tag("p", "Width is bytes; who is called stands above the caller. A click "
                          "widens a function, one on “all” shows everything again.",
                          class_="note screen"), *parts, name=f"flame-{number}")


def what_if(data):
    keys = charts.legend([("asked for", 1), ("rounding", 5), ("free in slabs and sheaves", 2),
                          ("free, resident", "kept")])
    return section("What if: the trace under other settings", note(CAVEAT), keys,
                   tables.what_if(data["what_if"]), name="what-if-section")


def sections(data):
    yield tiles(data)
    if "series" in data:
        yield over_time(data)
    if "asked" in data:
        yield asked_over_time(data)
    if "regions" in data:
        yield map_of_regions(data)
    if "requests" in data:
        yield sizes(data)
    elif "caches" in data:
        yield sizes_of_objects(data)
    if "caches" in data:
        yield waste(data)
    if "profiles" in data:
        yield from profiles(data)
    if "what_if" in data:
        yield what_if(data)
    if "totals" in data:
        numbers = tables.totals(data["totals"], data["changing"])
        yield section("All totals of the last dump",
                      tag("details", tag("summary", "as numbers") + numbers), name="all-totals")


def about_line(about):
    state = about.get("state", "")
    pid = f"process {about['pid']}" if "pid" in about else ""
    version = f"libslabmalloc {about['version']}" if "version" in about else ""
    return escape(", ".join(x for x in (pid, state, version) if x))


def page(data):
    """The whole document."""
    about = data["about"]
    unnamed = f"process {about['pid']}" if "pid" in about else "a program"
    title = "Memory of " + about.get("program", unnamed)
    files = ", ".join(f"{f['path']} ({f['what']})" for f in about["files"])
    template = string.Template((HERE / "page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(title), about=about_line(about), sections="\n".join(sections(data)),
        footer=escape(f"Made by slabmalloc-report of: {files}"),
        data=json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
        style=(HERE / "page.css").read_text(encoding="utf-8"),
        script=(HERE / "page.js").read_text(encoding="utf-8"))
