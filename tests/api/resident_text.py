#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Where the functions lie that small heaps run: in the library's first 128 KiB.

The kernel maps 64 KiB of a file around a fault, so each such place that is touched is resident:
with two for the code, and one for constants, a small process has 192 KiB of the library.

usage: BUILDTYPE COMPILER SOURCE…, with SLABMALLOC_SO.
"""

import pathlib
import subprocess
import sys

from tap import Tap, library, skip_all

END = 128 << 10


def functions(file):
    """(address, size, name) of each function that is defined in it."""
    lines = subprocess.run(["nm", "-S", "--defined-only", file], check=True, capture_output=True,
                           text=True).stdout.splitlines()
    fields = [line.split() for line in lines]
    return [(int(f[0], 16), int(f[1], 16), f[3]) for f in fields if len(f) == 4 and f[2] in "tT"]


def main():
    buildtype, compiler, *sources = sys.argv[1:]
    if buildtype != "release" or compiler != "gcc":
        skip_all("only a release build by gcc is laid out so")
    so = library()
    places = {}
    for address, size, name in functions(so):
        places.setdefault((name, size), []).append(address)
    tap = Tap()
    last = 0, "nothing"
    seen = 0
    for source in sources:
        file = pathlib.Path(so + ".p") / (source.replace("/", "_") + ".o")
        for _, size, name in functions(file):
            # What nobody calls is not linked.
            at = places.get((name, size))
            if at:
                last = max(last, (min(at) + size, name))
                seen += 1
    tap.ok(seen > 200, "the functions that small heaps run are found", f"{seen} of them")
    tap.ok(last[0] <= END, "what small heaps run lies in the first 128 KiB",
           f"{last[1]} ends at {last[0]:#x}: a file of `often` in meson.build has to be `seldom`")
    tap.done()


main()
