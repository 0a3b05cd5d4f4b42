# SPDX-License-Identifier: MIT
"""Size classes and the slabs that they are cut from: the library's, and what they could be."""

import bisect
import dataclasses

FRAME = 4096
GRAIN, MOST = 16, 256 << 10
FINE, MIDDLE = 1024, 16 << 10  # of the library: every 16 bytes, 8 classes a doubling, then 4
MAP_BITS, WORD_BITS = 256, 64


@dataclasses.dataclass(frozen=True)
class Class:
    size: int
    frames: int
    objects: int


def sizes(steps=None):
    """Of `steps` classes a doubling, multiples of 16; None: the library's."""
    found, base = {GRAIN}, GRAIN
    while base < MOST:
        if steps:
            nr = steps
        else:
            nr = base // GRAIN if base < FINE else 8 if base < MIDDLE else 4
        found.update(base + -(-base * i // nr // GRAIN) * GRAIN for i in range(1, nr + 1))
        base *= 2
    return sorted(found)


def bounds(size):
    """The library's choices below 4 KiB: frames that a slab may have."""
    return (1, 2, 4, 8) if size <= 2048 else (1, 2, 4, *range(8, 17))


def frames_for(size):
    """As the library does it: whole objects above a frame, else the least waste, up to 1/64."""
    if size >= FRAME:
        step = size
        while step % FRAME:
            step += size
        return max(step, (32 << 10) // step * step) // FRAME
    waste = {}
    for n in bounds(size):
        objects = n * FRAME // size
        second_word = n == 1 and WORD_BITS < objects <= MAP_BITS // 2
        if 4 <= objects <= MAP_BITS and not second_word:
            waste[n] = n * FRAME % size / n
            if waste[n] * 64 <= FRAME:
                return n
    return min(waste, key=waste.get)


def slab(size, order=None):
    """order: 4 KiB << order a slab, or as many as one object needs; None: as the library does."""
    frames = frames_for(size) if order is None else max(1 << order, -(-size // FRAME))
    return Class(size, frames, min(frames * FRAME // size, MAP_BITS) if size < FRAME
                 else frames * FRAME // size)


def table(steps=None, order=None):
    return [slab(size, order) for size in sizes(steps)]


class Classes:
    """The class of a request."""

    def __init__(self, steps=None, order=None):
        self.table = table(steps, order)
        self.sizes = [c.size for c in self.table]
        self.by_grain = [bisect.bisect_left(self.sizes, i * GRAIN)
                         for i in range(MOST // GRAIN + 1)]

    def index(self, size, align=0):
        """None: it is large. align: its logarithm; 0: none."""
        if size > MOST or align > 12:
            return None
        i = self.by_grain[(size + GRAIN - 1) // GRAIN]
        while align > 4 and i < len(self.sizes) and self.sizes[i] % (1 << align):
            i += 1
        return i if i < len(self.sizes) else None
