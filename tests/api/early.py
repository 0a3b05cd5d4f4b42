#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Ways into a process: preloaded in either order, dlopened, linked in several ways.

usage: EARLY EARLY_LIB DLOPENED HOG LINKED_PRELOADED LINKED..., with SLABMALLOC_SO.
"""

import os
import sys

from tap import Tap, library, outcome, run


def main():
    early, early_lib, dlopened, hog, bare, *linked = sys.argv[1:]
    ours = library()
    tap = Tap()

    def promise(words, result, said=""):
        tap.ok(
            result.returncode == 0 and said in result.stdout and not result.stderr,
            words,
            outcome(result),
        )

    promise(
        "free(NULL) and malloc before any constructor work",
        run([early], preload=[ours]),
        "early ended",
    )
    promise(
        "a constructor of a library preloaded after ours may malloc and free",
        run([early], preload=[ours, early_lib]),
        "early_lib ended",
    )
    promise(
        "a constructor of a library preloaded before ours may malloc and free",
        run([early], preload=[early_lib, ours]),
        "early_lib ended",
    )
    promise("dlopen without preload works, also after dlclose", run([dlopened, ours]), "well")
    promise("dlopen works with 64 bytes of static TLS left", run([dlopened, ours, hog]), "well")
    promise("preloaded, malloc is ours", run([bare], preload=[ours]), "all ours")
    for program in linked:
        name = os.path.basename(program)
        promise(f"{name}: malloc is ours, also for libc", run([program]), "all ours")
    tap.done()


if __name__ == "__main__":
    main()
