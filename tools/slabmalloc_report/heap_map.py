# SPDX-License-Identifier: MIT
"""Regions as grids of cells of 64 KiB: the colour is whose, its strength how full."""

from html import escape

from .charts import WIDTH, tag
from .words import human, percent

CELL = 65536
MOST = 64  # regions that are drawn
FEW = 4  # regions whose cells are drawn large


def look(cell, kinds):
    """The classes of a cell, or None: nothing is there."""
    owner, used, kept, _ = cell
    if owner in ("free", "page set") and not used:
        return "kept" if kept else None
    kind = kinds.index(owner) + 1 if owner in kinds else "other"
    return f"fill-{kind} full-{1 + min(used * 4 // CELL, 3)}"


def words(cell, count):
    owner, used, kept, _ = cell
    many = f"{count} × 64 KiB" if count > 1 else "64 KiB"
    said = f"{many}, {owner}: {percent(used, CELL)} in use"
    return said + (f", {human(kept)} free and resident" if kept else "")


def rectangles(region, kinds, columns):
    at, side = 0, WIDTH / columns
    for cell in region["cells"]:
        left = cell[3]
        while left:
            run = min(left, columns - at % columns)
            shape = look(cell, kinds)
            if shape:
                yield tag("rect", tag("title", escape(words(cell, run))), class_=shape,
                          x=f"{at % columns * side:.2f}", y=f"{at // columns * side:.2f}",
                          width=f"{run * side - 0.6:.2f}", height=f"{side - 0.6:.2f}")
            at += run
            left -= run


def region_picture(region, kinds, columns):
    cells = sum(c[3] for c in region["cells"])
    used = sum(c[1] * c[3] for c in region["cells"])
    height = f"{-(-cells // columns) * WIDTH / columns:.2f}"
    title = f"{region['base']}, node {region['node']}, {region['zone']}: " \
            f"{percent(used, cells * CELL)} of {human(cells * CELL)} in use"
    svg = tag("svg", tag("rect", class_="ground", width=WIDTH, height=height) +
              "".join(rectangles(region, kinds, columns)),
              viewBox=f"0 0 {WIDTH} {height}", role="img", aria_label=title)
    return tag("figure", svg + tag("figcaption", escape(title)), class_="region")


def pictures(regions):
    columns = 64 if len(regions["rows"]) <= FEW else 128
    return "".join(region_picture(r, regions["kinds"], columns) for r in regions["rows"][:MOST])
