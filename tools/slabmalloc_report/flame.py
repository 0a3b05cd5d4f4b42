# SPDX-License-Identifier: MIT
"""A flame graph: width is bytes, the outermost function is at the bottom.

Deep in the stacks, where little is left, nothing is drawn: a narrow tower would make the picture
high and the rest of it small.
"""

import zlib
from html import escape

from .charts import WIDTH, tag
from .words import human, percent

ROW, LETTER = 18, 6.7
NARROWEST, LEAST = 0.4, 0.02  # pixels of a box; share of the bytes that a row of boxes stands for

STYLE = """
svg { background: #fff } text { font: 11px monospace; fill: #111; pointer-events: none }
.head { font: 15px sans-serif } rect { stroke: #fff; stroke-width: 0.5 } rect:hover { stroke: #000 }
@media (prefers-color-scheme: dark) {
svg { background: #16181d } .head { fill: #eee }
rect { stroke: #16181d } rect:hover { stroke: #fff } }
"""


class Frame:
    def __init__(self, name):
        self.name, self.bytes, self.inner = name, 0, {}


def tree(stacks):
    """stacks: [(names, bytes)]"""
    root = Frame("all")
    for names, count in stacks:
        frame = root
        frame.bytes += count
        for name in names:
            frame = frame.inner.setdefault(name, Frame(name))
            frame.bytes += count
    return root


def colour(name):
    """Warm, and the same for the same function in each picture."""
    spread = zlib.crc32(name.encode())
    return f"hsl({15 + spread % 40} {70 + spread // 64 % 20}% {60 + spread // 4096 % 14}%)"


def boxes(root):
    """(frame, x, depth), row by row from the bottom."""
    row, depth = [(root, 0)], 0
    while sum(frame.bytes for frame, _ in row) > LEAST * root.bytes:
        above = []
        for frame, x in row:
            if frame.bytes * WIDTH < NARROWEST * root.bytes:
                continue
            yield frame, x, depth
            for inner in sorted(frame.inner.values(), key=lambda f: f.name):
                above.append((inner, x))
                x += inner.bytes
        row, depth = above, depth + 1


def short(name, width):
    letters = int((width - 6) / LETTER)
    if letters < 3:
        return ""
    return name if len(name) <= letters else name[:letters - 2] + "…"


def box(frame, x, depth, scale, height):
    width, y = frame.bytes * scale, height - (depth + 1) * ROW
    share = f"{human(frame.bytes)}, {percent(frame.bytes * scale, WIDTH)}"
    return tag("g", tag("title", escape(f"{frame.name}: {share}")) +
               tag("rect", x=f"{x * scale:.2f}", y=y, width=f"{width:.2f}", height=ROW - 1, rx=2,
                   fill=colour(frame.name)) +
               tag("text", escape(short(frame.name, width)), x=f"{x * scale + 3:.2f}", y=y + 13),
               data_name=frame.name)


def drawn(root):
    """The boxes, and how high they are together."""
    found = list(boxes(root))
    height = (1 + max((depth for _, _, depth in found), default=0)) * ROW
    return "".join(box(*one, WIDTH / root.bytes, height) for one in found), height


def picture(stacks, label):
    """For a page."""
    parts, height = drawn(tree(stacks))
    return parts and tag("svg", parts, class_="flame", viewBox=f"0 0 {WIDTH} {height}", role="img",
                         aria_label=label)


def document(stacks, title):
    """By itself."""
    root = tree(stacks)
    parts, height = drawn(root)
    head = tag("text", escape(f"{title}: {human(root.bytes)}"), class_="head", x=0, y=-10)
    return tag("svg", tag("style", STYLE) + head + parts, xmlns="http://www.w3.org/2000/svg",
               viewBox=f"-10 -34 {WIDTH + 20} {height + 44}", width=WIDTH + 20, height=height + 44)
