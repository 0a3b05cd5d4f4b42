#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes kmalloc-table.h: the sizes of the kmalloc caches and the shape of their slabs.

Every 16 bytes up to 1 KiB, eight steps a doubling up to 16 KiB, four up to 256 KiB; --pow2 keeps
the same class numbers (the fast path computes them) but rounds every size up to a power of two.

A slab of objects below 4 KiB is the smallest that wastes at most 1/64, or else the least: of 1, 2, 4, 8
or, above 2 KiB, 9 to 16 frames and at least four objects; of two rather than one if the bitmap of free
objects needs a second word, which is in the second frame's struct page. Above 4 KiB it has exactly as
many frames as its objects need (32 KiB, or one object).
"""

import sys

FRAME = 4096
FINE_MAX, MIDDLE_MAX, MAX = 1024, 16 << 10, 256 << 10
MAP_BITS, WORD_BITS = 256, 64


def sizes(pow2):
    fine = [16 * i for i in range(1, FINE_MAX // 16 + 1)]
    coarse = []
    base = FINE_MAX
    while base < MAX:
        steps = 8 if base < MIDDLE_MAX else 4
        coarse += [base + base // steps * q for q in range(1, steps + 1)]
        base *= 2
    round_up = (lambda n: 1 << (n - 1).bit_length()) if pow2 else (lambda n: n)
    return [round_up(n) for n in fine + coarse]


def frames(size):
    if size >= FRAME:
        step = size
        while step % FRAME:
            step += size
        return max(step, (32 << 10) // step * step) // FRAME
    best = None
    for n in (1, 2, 4, 8) if size <= 2048 else (1, 2, 4, *range(8, 17)):
        objects = n * FRAME // size
        waste = n * FRAME - objects * size
        if objects < 4 or objects > MAP_BITS or (n == 1 and WORD_BITS < objects <= MAP_BITS // 2):
            continue
        if waste * 64 <= n * FRAME:
            return n
        if best is None or waste * best[1] < best[0] * n:
            best = (waste, n)
    return best[1]


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
