# SPDX-License-Identifier: MIT
"""Requests by class: a bar from the class's least size to its own, on logarithmic axes."""

import math
from html import escape

from .charts import BOTTOM, LEFT, RIGHT, TOP, WIDTH, tag, text
from .words import grouped, human

HEIGHT = 300
LEAST, MOST = 8, 1 << 20


def place_x(size):
    share = math.log2(max(size, LEAST) / LEAST) / math.log2(MOST / LEAST)
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def place_y(count, most):
    share = math.log10(max(count, 0.5) * 2) / math.log10(max(most, 1) * 2.4)
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def axes(most):
    power = 1
    while power <= most * 1.2:
        y = place_y(power, most)
        yield tag("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=f"{y:.1f}", y2=f"{y:.1f}")
        yield text(grouped(power), LEFT - 8, y + 4, class_="tick", text_anchor="end")
        power *= 10
    size = 16
    while size <= 256 << 10:
        yield text(human(size).replace(".0", ""), place_x(size), HEIGHT - BOTTOM + 18,
                   class_="tick", text_anchor="middle")
        size *= 4
    yield text("more", place_x(MOST) - 2, HEIGHT - BOTTOM + 18, class_="tick", text_anchor="end")


def bar(row, most):
    right = place_x(row["size"] or MOST)
    left = min(place_x(row["least"] - 1), right - 1.5)
    y = place_y(row["count"], most)
    name = f"up to {row['size']} bytes" if row["size"] else f"above {row['least'] - 1} bytes"
    lost = row["given"] - row["asked"]
    words = f"{name}: {grouped(row['count'])}"
    if row["asked"] is not None:
        words += f", {human(row['asked'])} asked for, {human(lost)} lost to rounding"
    full = row["asked"] / row["given"] if row["given"] and row["asked"] is not None else 1
    level = 1 + min(max(int((full - 0.5) * 8), 0), 3)
    return tag("rect", tag("title", escape(words)), class_=f"bar fill-1 full-{level}",
               x=f"{left + .5:.1f}", y=f"{y:.1f}", width=f"{max(right - left - 1, 0.8):.1f}",
               height=f"{HEIGHT - BOTTOM - y:.1f}")


def picture(rows, label):
    rows = [r for r in rows if r["count"]]
    most = max((r["count"] for r in rows), default=1)
    parts = [*axes(most), *(bar(r, most) for r in rows)]
    return tag("svg", "".join(parts), viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=label)
