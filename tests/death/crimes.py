#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the library says of each crime of crimes.c: usage: PROGRAM, with SLABMALLOC_SO.

Each crime runs twice. By default the exact line is on stderr, and the process dies of SIGABRT: at
once, before the program's next step (which is after the thread's end where a thread did it), or
at exit where only a flush can see it. With abort:0 the same line is there, the call is
ignored, the heap works, and the process ends well.
"""

import os
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "api"))

from tap import Tap, library, outcome, run  # noqa: E402  pylint: disable=wrong-import-position

AT_ONCE, AT_EXIT = "at once", "at exit"

DOUBLE_64 = "double free: object of kmalloc-64"
DOUBLE_LARGE = "double free: large block"
FOREIGN = "invalid pointer: not of this heap"
MISALIGNED = "invalid pointer: misaligned, object of kmalloc-64"
INTERIOR = "invalid pointer: 16 bytes inside an object of kmalloc-64"
INSIDE_LARGE = "invalid pointer: inside a large block of 1048576 bytes at {base}"
INSIDE_HUGE = "invalid pointer: inside a large block of 67108864 bytes at {base}"

# Memory that went back to the system may be known to nobody any more.
GIVEN_BACK = f"{DOUBLE_LARGE}|{FOREIGN}"
SLAB_GIVEN_BACK = f"double free: .+|invalid pointer: in free memory of this heap|{FOREIGN}"

CRIMES = [
    ("double_free", "free", DOUBLE_64, AT_ONCE),
    ("double_free_aba", "free", DOUBLE_64, AT_ONCE),
    ("double_free_after_10000_others", "free", DOUBLE_64, AT_ONCE),
    ("double_free_after_all_is_freed", "free", SLAB_GIVEN_BACK, AT_ONCE),
    ("double_free_of_16_bytes", "free", "double free: object of kmalloc-16", AT_ONCE),
    ("double_free_of_250_kib", "free", "double free: object of kmalloc-262144", AT_ONCE),
    ("double_free_between_objects_that_live", "free", "double free: object of kmalloc-640", AT_ONCE),
    ("double_free_of_written", "free", DOUBLE_64, AT_ONCE),
    ("double_free_here_then_by_thread", "free", DOUBLE_64, AT_ONCE),
    ("double_free_by_thread_then_here", "free", DOUBLE_64, AT_ONCE),
    ("double_free_while_first_thread_lives", "free", DOUBLE_64, AT_ONCE),
    ("double_free_large", "free", DOUBLE_LARGE, AT_ONCE),
    ("double_free_huge", "free", GIVEN_BACK, AT_ONCE),
    ("free_stack", "free", FOREIGN, AT_ONCE),
    ("free_static", "free", FOREIGN, AT_ONCE),
    ("free_mmapped", "free", FOREIGN, AT_ONCE),
    ("free_noncanonical", "free", FOREIGN, AT_ONCE),
    ("free_top_of_address_space", "free", FOREIGN, AT_ONCE),
    ("free_8", "free", FOREIGN, AT_ONCE),
    ("free_misaligned_1", "free", MISALIGNED, AT_ONCE),
    ("free_misaligned_8", "free", MISALIGNED, AT_ONCE),
    ("free_interior_16", "free", INTERIOR, AT_EXIT),
    ("free_interior_16_in_thread", "free", INTERIOR, AT_ONCE),
    ("free_interior_large_4096", "free", INSIDE_LARGE, AT_ONCE),
    ("free_interior_large_64", "free", INSIDE_LARGE, AT_ONCE),
    (
        "free_interior_of_250_kib",
        "free",
        "invalid pointer: 102400 bytes inside an object of kmalloc-262144",
        AT_ONCE,
    ),
    ("free_interior_huge", "free", INSIDE_HUGE, AT_ONCE),
    ("realloc_foreign", "realloc", FOREIGN, AT_ONCE),
    ("realloc_freed", "realloc", DOUBLE_64, AT_ONCE),
    ("realloc_freed_large", "realloc", DOUBLE_LARGE, AT_ONCE),
    ("realloc_interior_large", "realloc", INSIDE_LARGE, AT_ONCE),
    ("usable_size_of_foreign", "malloc_usable_size", FOREIGN, AT_ONCE),
]


# Memory that nobody has: the processor tells.
FAULTS = ("write_below_the_heap", "write_far_below_the_heap", "write_beyond_the_heap")


def the_line(result, function, words):
    """Whether stderr is exactly the one line, about the pointer that the program named."""
    said = dict(re.findall(r"^(at|base) (0x[0-9a-f]+)$", result.stdout, re.M))
    if "at" not in said:
        return False
    words = words.replace("{base}", said.get("base", "?"))
    pattern = rf"slabmalloc: {function}\({said['at']}\): ({words})\n"
    return re.fullmatch(pattern, result.stderr) is not None


def main():
    program = sys.argv[1]
    tap = Tap()
    for name, function, words, when in CRIMES:
        dies = run([program, name], preload=[library()])
        seen_in_time = when == AT_EXIT or "survived" not in dies.stdout
        tap.ok(
            dies.returncode == -signal.SIGABRT
            and the_line(dies, function, words)
            and seen_in_time,
            f"{name}: the line and SIGABRT, {when}",
            f"wanted: {words}",
            outcome(dies),
        )
        lives = run([program, name], preload=[library()], SLABMALLOC_ABORT="0")
        tap.ok(
            lives.returncode == 0
            and the_line(lives, function, words)
            and "heap works" in lives.stdout,
            f"{name}: with abort:0 the line, and the program goes on",
            f"wanted: {words}",
            outcome(lives),
        )
    for name in FAULTS:
        dies = run([program, name], preload=[library()])
        tap.ok(
            dies.returncode == -signal.SIGSEGV and "survived" not in dies.stdout,
            f"{name}: SIGSEGV",
            outcome(dies),
        )
    tap.done()


if __name__ == "__main__":
    main()
