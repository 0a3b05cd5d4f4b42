# SPDX-License-Identifier: MIT
"""Tables of the page, with bars in them."""

from html import escape

from .charts import tag
from .words import grouped, human, percent


def cell(words, kind=None):
    return tag("td", escape(str(words)), class_=kind)


def bytes_cell(count):
    """As people read it, and to the byte where the pointer rests."""
    return tag("td", human(count), title=f"{grouped(count)} bytes", data_value=count)


def stack(parts, whole):
    """A bar of [(kind, bytes)]."""
    inside = "".join(tag("i", "", class_=f"fill-{kind}", style=f"width:{100 * count / whole:.2f}%")
                     for kind, count in parts if count and whole)
    return tag("td", tag("div", inside, class_="stack"), class_="bar")


def table(heads, rows, name):
    head = tag("tr", "".join(tag("th", escape(h)) for h in heads))
    return tag("div", tag("table", tag("thead", head) + tag("tbody", "".join(rows)), id=name),
               class_="scroll")


SHOWN = 20  # caches; the others come behind a click


def waste(caches, large):
    """Bytes of slabs: asked for, lost to rounding, free, given back."""
    most = max((c["slab_bytes"] for c in caches), default=1)
    rows, others = [], []
    for c in caches:
        live = c["active_objs"] * c["objsize"]
        asked = live - min(c["internal_bytes"], live)
        parts = [(1, asked), (5, live - asked), (2, c["waste_bytes"]), ("kept", c["given_bytes"])]
        (rows if len(rows) < SHOWN else others).append(tag("tr", "".join([
            cell(c["name"]), cell(grouped(c["active_objs"])), cell(grouped(c["num_objs"])),
            bytes_cell(c["slab_bytes"]), bytes_cell(live), bytes_cell(c["internal_bytes"]),
            bytes_cell(c["waste_bytes"]), bytes_cell(c["given_bytes"]), stack(parts, most)])))
    if large:
        rows.insert(0, tag("tr", "".join([
            cell("large blocks"), cell("–"), cell("–"), bytes_cell(large), bytes_cell(large),
            cell("–"), cell("–"), cell("–"), stack([(1, large)], max(most, large))])))
    heads = ("cache", "objects", "room for", "in slabs", "live", "of it rounding", "free",
             "given back", "")
    more = tag("details", tag("summary", f"{len(others)} smaller ones") +
               table(heads, others, "waste-more"))
    return table(heads, rows, "waste") + (more if others else "")


def requests(rows):
    found = []
    for r in rows:
        if not r["count"]:
            continue
        name = f"{r['least']}–{r['size']}" if r["size"] else f"{r['least']} and more"
        lost = r["given"] - r["asked"]
        found.append(tag("tr", "".join([
            cell(name), cell(grouped(r["count"])), bytes_cell(r["asked"]),
            bytes_cell(lost), cell(percent(lost, r["given"]))])))
    return table(("bytes", "requests", "asked for", "lost to rounding", "share"), found, "requests")


def what_if(rows):
    present = rows[0]
    most = max(r["resident"] for r in rows)
    found = []
    for r in rows:
        more = r["resident"] - present["resident"]
        change = "" if r is present else ("+" if more > 0 else "") + human(more)
        parts = [(1, r["asked"]), (5, r["rounded"] - r["asked"]), (2, r["used"] - r["rounded"]),
                 ("kept", r["resident"] - r["used"])]
        found.append(tag("tr", "".join([
            cell(r["settings"]), cell(r["classes"]), bytes_cell(r["rounded"]),
            bytes_cell(r["used"]), bytes_cell(r["resident"]), cell(change),
            bytes_cell(r["mean_resident"]), stack([(k, max(n, 0)) for k, n in parts], most)]),
            class_="present" if r is present else None))
    return table(("settings", "classes", "rounded", "in use", "resident", "change", "mean resident",
                  ""), found, "what-if")


def totals(numbers, changing):
    rows = []
    for name, value in numbers.items():
        mark = " ~" if name in changing else ""
        rows.append(tag("tr", cell(name) + tag("td", grouped(value) + mark, data_value=value)))
    return table(("total", "value"), rows, "totals")
