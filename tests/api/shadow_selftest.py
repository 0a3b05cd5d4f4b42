#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The shadow test against a malloc with one defect at a time: usage: PROGRAM BROKEN_LIBRARY."""

import re
import sys

from tap import Tap, outcome, run

DEFECTS = {
    "overlap": "overlaps a live object",
    "twice": "overlaps a live object",
    "misaligned": "misaligned",
    "aligned": "misaligned",
    "dirty": "calloc's memory is not zero",
    "realloc": "realloc did not keep the contents",
    "usable": "usable size changed|overlaps a live object|contents changed",
    "errno": "errno changed",
}


def operation(text):
    found = re.search(r"operation (\d+); again with", text)
    return found and found.group(1)


def main():
    program, broken = sys.argv[1:3]
    tap = Tap()
    command = [program, "--threads", "1", "--ops", "150000", "--seed", "11"]

    def shadow(argv, defect):
        return run(argv, preload=[broken], SLABMALLOC_TEST_PEER="1", BROKEN=defect)

    sound = shadow(command, "none")
    tap.ok(sound.returncode == 0, "a sound malloc passes", outcome(sound))
    for defect, words in DEFECTS.items():
        first = shadow(command, defect)
        tap.ok(
            first.returncode == 1 and re.search(words, first.stderr),
            f"the defect '{defect}' is found",
            outcome(first),
        )
        second = shadow(command, defect)
        tap.ok(
            operation(first.stderr) and operation(first.stderr) == operation(second.stderr),
            f"the same seed finds '{defect}' at the same operation",
            outcome(first),
            outcome(second),
        )
    many = shadow(command[:2] + ["8"] + command[3:], "overlap")
    tap.ok(many.returncode == 1, "8 threads find 'overlap'", outcome(many))
    tap.done()


if __name__ == "__main__":
    main()
