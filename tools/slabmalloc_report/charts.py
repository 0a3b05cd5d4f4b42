# SPDX-License-Identifier: MIT
"""Lines and layers against axes, as SVG. Colours are classes of page.css: line-1, fill-1 …"""

from html import escape

from .words import byte_step, human, nice_step

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 1000, 78, 14, 12, 34


def tag(name, text=None, **attributes):
    """An element; a name that ends with _ is one that Python has for itself, and _ within is -."""
    inside = "".join(f' {k.rstrip("_").replace("_", "-")}="{escape(str(v))}"'
                     for k, v in attributes.items() if v is not None)
    return f"<{name}{inside}/>" if text is None else f"<{name}{inside}>{text}</{name}>"


def text(words, x, y, **attributes):
    return tag("text", escape(words), x=f"{x:.1f}", y=f"{y:.1f}", **attributes)


class Frame:
    """The area between the axes: from numbers to places."""

    def __init__(self, height, x_least, x_most, y_most):
        self.height = height
        self.x_least, self.x_most = x_least, max(x_most, x_least + 1e-9)
        self.y_most = max(y_most, 1)

    def x(self, value):
        return LEFT + (value - self.x_least) / (self.x_most - self.x_least) * (WIDTH - LEFT - RIGHT)

    def y(self, value):
        room = self.height - TOP - BOTTOM
        return TOP + room - value / self.y_most * room

    def y_axis(self):
        step = byte_step(self.y_most, 6)
        value = 0
        while value <= self.y_most:
            y = self.y(value)
            yield tag("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=f"{y:.1f}",
                      y2=f"{y:.1f}")
            yield text(human(value), LEFT - 8, y + 4, class_="tick", text_anchor="end")
            value += step

    def x_axis(self, unit):
        step = nice_step(self.x_most - self.x_least, 8)
        i = 0
        while self.x_least + i * step <= self.x_most * (1 + 1e-9):
            value = self.x_least + i * step
            yield text(f"{value:g}{unit}", self.x(value), self.height - BOTTOM + 18,
                       class_="tick", text_anchor="middle")
            i += 1

    def around(self, parts, label, chart=None):
        return tag("svg", "".join(parts), viewBox=f"0 0 {WIDTH} {self.height}", role="img",
                   aria_label=label, data_chart=chart, data_left=LEFT, data_right=WIDTH - RIGHT)


def path(points):
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def lines(x, by_name, unit, label, chart):
    """Bytes over x; None: not known there."""
    most = max((v for values in by_name.values() for v in values if v is not None), default=0)
    frame = Frame(280, x[0], x[-1], most * 1.05)
    parts = [*frame.y_axis(), *frame.x_axis(unit)]
    for number, values in enumerate(by_name.values(), 1):
        points = [(frame.x(a), frame.y(v)) for a, v in zip(x, values) if v is not None]
        parts.append(tag("path", class_=f"line line-{number}", d=path(points)))
        if len(points) < 40:
            parts += [tag("circle", class_=f"fill-{number}", cx=f"{a:.1f}", cy=f"{b:.1f}", r=2.5)
                      for a, b in points]
    return frame.around(parts, label, chart)


def layers(x, by_name, unit, label, chart):
    """Bytes over x, one upon the other."""
    floor = [0] * len(x)
    frame = Frame(280, x[0], x[-1], max(map(sum, zip(*by_name.values())), default=0) * 1.05)
    parts = [*frame.y_axis(), *frame.x_axis(unit)]
    for number, (name, values) in enumerate(by_name.items(), 1):
        top = [a + v for a, v in zip(floor, values)]
        there = [(frame.x(a), frame.y(v)) for a, v in zip(x, top)]
        back = [(frame.x(a), frame.y(v)) for a, v in zip(x, floor)]
        kind = "other" if name == "all others" else number
        parts.append(tag("path", tag("title", escape(name)), class_=f"layer fill-{kind}",
                         d=path(there + back[::-1]) + "Z"))
        floor = top
    return frame.around(parts, label, chart)


def legend(names, shape="fill"):
    """names: [(name, number of the colour or a word)]"""
    items = [tag("li", tag("span", "", class_=f"key {shape}-{number}") + escape(name))
             for name, number in names]
    return tag("ul", "".join(items), class_="legend")
