# SPDX-License-Identifier: MIT
"""A trace under other settings: names of settings, and a row of numbers for each."""

import re

from .model import Heap, Settings
from .problem import Problem

PRESENT = "as it is"

DEFAULT = (
    PRESENT, "classes=1", "classes=2", "classes=4", "classes=8", "order=0", "order=2", "order=4",
    "decay=0", "decay=5000",
)

KEYS = {"classes": ("steps", 1, 64), "order": ("order", 0, 8), "decay": ("decay_ms", 0, 10 ** 7)}


def parse(text):
    """"classes=4,order=1" to Settings."""
    found = {}
    for part in [] if text == PRESENT else text.split(","):
        match = re.fullmatch(r"(\w+)=(\d+)", part.strip())
        if not match or match[1] not in KEYS:
            raise Problem(f"--what-if: {part!r}: classes=N, order=N and decay=MS are known")
        name, least, most = KEYS[match[1]]
        if not least <= int(match[2]) <= most:
            raise Problem(f"--what-if: {part!r}: from {least} to {most}")
        found[name] = int(match[2])
    return Settings(text, **found)


def mean(series, column):
    """Over time; series has steps of one length, mostly."""
    weight = total = 0
    for now, after in zip(series, series[1:]):
        weight += after[0] - now[0]
        total += now[column] * (after[0] - now[0])
    return total // weight if weight else series[0][column] if series else 0


def row(settings, heap):
    peak = heap.peak
    return {
        "settings": settings.name, "classes": len(heap.classes.table),
        "asked": peak["asked"], "rounded": peak["live"],
        "used": peak["used"], "resident": peak["resident"],
        "mean_used": mean(heap.series, 3), "mean_resident": mean(heap.series, 4),
    }


def rows(trace, texts, seen=lambda text: None):
    """The first row is always that of the present settings."""
    found = []
    for text in dict.fromkeys((PRESENT, *texts)):
        settings = parse(text)
        seen(text)
        found.append(row(settings, Heap(settings).run(trace)))
    return found
