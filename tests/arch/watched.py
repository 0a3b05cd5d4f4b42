#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Tools that watch memory themselves: valgrind with our malloc, and AddressSanitizer.

usage: WATCHED, with SLABMALLOC_SO and CC.
"""

import os
import pathlib
import re
import shutil
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "api"))

from tap import Tap, library, outcome, run  # noqa: E402

CRIMES = {
    "overflow": "0 bytes after a block of size 20 alloc'd",
    "underflow": "1 bytes before a block of size 20 alloc'd",
    "use after free": "3 bytes inside a block of size 20 free'd",
    "uninitialised": "depends on uninitialised value",
    "leak": "57 bytes in 1 blocks are definitely lost",
}
OFTEN = 100000
OURS = "--soname-synonyms=somalloc=nouserintercepts"


def valgrind(tap, watched):
    if not shutil.which("valgrind"):
        return tap.skip("memcheck sees our blocks", "no valgrind")
    # Valgrind itself must not run on the preloaded library.
    command = ["valgrind", "-q", "--leak-check=full", "--error-exitcode=9", OURS,
               "env", f"LD_PRELOAD={library()}", watched]
    command[1:1] = ["--trace-children=yes"]
    result = run(command)
    tap.ok(result.returncode == 0 and not result.stderr, "an innocent program is not accused",
           outcome(result))
    for crime, words in CRIMES.items():
        result = run([*command, crime])
        tap.ok(words in result.stderr and result.returncode, f"memcheck tells of {crime}",
               outcome(result))
    return None


def instructions(watched, *crime):
    result = run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                  "--trace-children=yes", OURS, "env", f"LD_PRELOAD={library()}", watched, *crime])
    counts = re.findall(r"Collected : (\d+)", result.stderr)
    return int(counts[-1]) if counts else None


def callgrind(tap, watched):
    """Every tool but memcheck is to see malloc as it is: watched, a pair takes thousands of instructions."""
    what = "callgrind counts malloc as it is"
    if not shutil.which("valgrind"):
        return tap.skip(what, "no valgrind")
    once, often = instructions(watched), instructions(watched, "nothing, often")
    return tap.ok(once and often and often - once < 500 * OFTEN, what, f"{once} and {often}")


def asan(tap, compiler, scratch):
    program = os.path.join(scratch, "program")
    built = shutil.which(compiler) and run(
        [compiler, "-fsanitize=address", "-o", program, str(HERE / "watched.c")])
    if not built or built.returncode:
        return tap.skip(f"AddressSanitizer of {compiler}", "it cannot be linked here")
    result = run([program], preload=[library()])
    # gcc's is a library and insists on being the first; clang's is in the program, with its malloc.
    first = "does not come first" in result.stderr
    told = "slabmalloc: this program has AddressSanitizer" in result.stderr
    return tap.ok(first or (told and result.stderr.count("\n") == 1 and result.returncode == 0),
                  f"a program with AddressSanitizer of {compiler} says plainly what to do",
                  outcome(result))


def main():
    tap = Tap()
    valgrind(tap, sys.argv[1])
    callgrind(tap, sys.argv[1])
    with tempfile.TemporaryDirectory() as scratch:
        for compiler in ("gcc", "clang"):
            asan(tap, compiler, scratch)
    tap.done()


main()
