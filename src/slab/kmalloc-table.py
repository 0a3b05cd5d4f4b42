#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes kmalloc-table.h: the sizes of the kmalloc caches and the shape of their slabs.

Every 16 bytes up to 1 KiB, then four steps a doubling up to 256 KiB; --pow2 keeps the same
class numbers (the fast path computes them) but rounds every size up to a power of two.

A slab is the smallest that wastes at most 1/16: of 1, 2, 4 or 8 frames and at least eight objects
below 4 KiB; of exactly as many frames as its objects need (32 KiB, or one object) above.
"""

import sys

FRAME = 4096
FINE_MAX, MAX = 1024, 256 << 10
MAP_BITS = 256


def sizes(pow2):
    fine = [16 * i for i in range(1, FINE_MAX // 16 + 1)]
    coarse = []
    base = FINE_MAX
    while base < MAX:
        coarse += [base + base // 4 * q for q in range(1, 5)]
        base *= 2
    round_up = (lambda n: 1 << (n - 1).bit_length()) if pow2 else (lambda n: n)
    return [round_up(n) for n in fine + coarse]


def frames(size):
    if size >= FRAME:
        step = size
        while step % FRAME:
            step += size
        return max(step, (32 << 10) // step * step) // FRAME
    for n in (1, 2, 4, 8):
        objects = n * FRAME // size
        if objects >= 8 and (n * FRAME - objects * size) * 16 <= n * FRAME:
            return n
    return 8


def main():
    out, pow2 = sys.argv[1], "--pow2" in sys.argv
    rows = []
    for size in sizes(pow2):
        n = frames(size)
        objects = n * FRAME // size
        assert 1 <= objects <= MAP_BITS
        align = size & -size
        unit = max(64, align)
        leftover = n * FRAME - objects * size
        colours = min(leftover // unit, 255)
        if not colours:
            unit = 0
        inverse = -(-(1 << 32) // size)
        rows.append(f"KMALLOC({size}, {n}, {objects}, {inverse}u, {colours + 1}, {unit}, {-(-(4 << 16) // objects)}u)")
    with open(out, "w", encoding="ascii") as f:
        f.write("/* Made by kmalloc-table.py: size, frames, objects, 2^32/size, colours, colour unit, 2^18/objects */\n")
        f.write("\n".join(rows) + "\n")


main()
