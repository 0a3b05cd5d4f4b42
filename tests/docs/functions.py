#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Are the functions' manual pages whole? usage: functions.py PAGE…

Each page has a declaration and is free of errors. They are made by include/kernel-doc.py.
"""
import pathlib
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "api"))

from tap import Tap  # noqa: E402


def main():
    pages = [pathlib.Path(path) for path in sys.argv[1:]]
    tap = Tap()
    bare = [p.name for p in pages
            if not re.search(r"\.Bd -literal\n.*\b" + p.stem + r"\([^)]", p.read_text())
            and p.stem + "()" not in p.read_text()]
    tap.ok(len(pages) > 40, "there are pages", len(pages))
    tap.ok(not bare, "each has a declaration", *bare)
    if shutil.which("mandoc"):
        done = subprocess.run(["mandoc", "-T", "lint", "-W", "error", *pages], text=True,
                              capture_output=True, check=False)
        tap.ok(done.returncode == 0, "mandoc finds no error in them", done.stdout)
    else:
        tap.skip("mandoc", "is not installed")
    page = next(p for p in pages if p.stem == "kmem_cache_create").read_text()
    tap.ok(all(word in page for word in ("ENOSPC", "object_size", "slabmalloc/slab.h")),
           "kmem_cache_create(3) has its arguments, errors and header", page)
    tap.done()


if __name__ == "__main__":
    main()
