#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a dump says is alive, against a recorder in front of malloc; usage: RECORD LIVE.

With SLABMALLOC_SO. The recorder knows every block by its address and what was asked for. What the
library gives for that is told by the table of classes (tools/slabmalloc_report/kmalloc.py); blocks
above are whole frames; what realloc let grow by less than an eighth has as much to spare. Where nothing is allocated
meanwhile all of it is equal, to the byte and the object.
"""

import collections
import json
import pathlib
import sys
import tempfile

sys.dont_write_bytecode = True
TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests/api"), str(TOP / "tools")]

from slabmalloc_report import kmalloc, trace  # noqa: E402
from tap import Tap, library, outcome, run  # noqa: E402

FRAME, AREA = 4096, 32 << 20


class Live:
    """What is left of a trace at its end."""

    def __init__(self, path):
        events = trace.Trace(str(path), path.read_bytes())
        self.classes = kmalloc.Classes()
        self.asked, given = 0, {}
        for kind, _, born, died, _ in events.events():
            old = given.pop(died, 0)
            if kind in (trace.BIRTH, trace.CHANGE):
                given[born] = self.given(events.size[born], events.align[born], old)
        self.asked = sum(events.size[block] for block in given)
        self.objects = collections.Counter(n for n in given.values() if n <= kmalloc.MOST)
        self.large = sum(n for n in given.values() if kmalloc.MOST < n <= AREA)
        self.areas = [n for n in given.values() if n > AREA]

    def given(self, size, align, old):
        """What is had for a request; old: what realloc had of it before, it grows by more."""
        if old // 2 < size <= old <= kmalloc.MOST:
            return old
        if 0 < old < size < old + size // 8 and size + size // 8 <= kmalloc.MOST:
            size += size // 8
        size = max(size, 1 << align, 1)
        index = self.classes.index(size, align)
        return -size % FRAME + size if index is None else self.classes.sizes[index]

    def bytes(self):
        in_slabs = sum(size * n for size, n in self.objects.items())
        return in_slabs + self.large + sum(self.areas)


def compare(tap, what, dump, live):
    totals = dump["totals"]
    tap.ok(totals["live_bytes"] == totals["allocated"] == live.bytes(),
           f"{what}: live_bytes are the recorder's, to the byte", totals["live_bytes"],
           live.bytes())
    seen = {c["objsize"]: c["active_objs"] for c in dump["caches"] if c["active_objs"]}
    wrong = {size: (seen.get(size, 0), live.objects.get(size, 0))
             for size in seen.keys() | live.objects.keys()
             if seen.get(size, 0) != live.objects.get(size, 0)}
    tap.ok(not wrong, f"{what}: active_objs of {len(seen)} caches are the recorder's", wrong)
    tap.ok(totals["areas"] == len(live.areas) and totals["vmalloc_bytes"] == sum(live.areas),
           f"{what}: so are the {len(live.areas)} areas", totals, live.areas)
    rounding = live.bytes() - live.asked
    tap.ok(0 <= rounding <= live.asked / 4, f"{what}: rounding is as small as the classes are near",
           rounding, live.asked)


def main():
    tap = Tap()
    record, program = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        for what, settings in (
            ("as it is", {}),
            ("on four nodes", {"SLABMALLOC_NUMA": "fake=4"}),
            # What it is just giving back would count as allocated.
            ("with kshrinkd", {"SLABMALLOC_KSHRINKD": "on", "SLABMALLOC_DECAY_MS": "3600000",
                               "SLABMALLOC_DIRTY_MIN": "1G", "SLABMALLOC_DIRTY_MAX": "1G"}),
        ):
            path = pathlib.Path(folder, "trace")
            result = run([record, "-o", str(path), program, "1"], preload=[library()], **settings)
            lines = [x for x in result.stdout.splitlines() if x.startswith("{")]
            if tap.ok(result.returncode == -9 and len(lines) == 1,
                      f"{what}: the program gets to its end", outcome(result)):
                compare(tap, what, json.loads(lines[0]), Live(path))
    tap.done()


if __name__ == "__main__":
    main()
