#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the library does in a process that hardly allocates: nothing that can be seen from outside.

The system calls of /bin/true are recorded with and without the library. With SLABMALLOC_SO.
"""

import os
import re
import shutil
import sys
import tempfile

from tap import Tap, library, outcome, run, skip_all


def trace(preload):
    """The system calls of /bin/true, a line each, and the run itself."""
    with tempfile.TemporaryDirectory() as place:
        log = os.path.join(place, "log")
        # Set by strace for the program only: strace itself must not run on the library.
        setting = ["-E", "LD_PRELOAD=" + preload] if preload else []
        result = run(["strace", "-f", "-o", log, *setting, "/bin/true"])
        text = ""
        if os.path.exists(log):
            with open(log, encoding="utf-8", errors="replace") as f:
                text = f.read()
    return text, result


def opened(text):
    return set(re.findall(r'open(?:at)?\((?:AT_FDCWD, )?"([^"]*)"', text))


def main():
    if not shutil.which("strace"):
        skip_all("no strace here")
    bare, result = trace(None)
    if result.returncode != 0 or "exit_group" not in bare:
        skip_all(f"strace does not work here: {result.stderr.strip()}")
    ours, result = trace(library())
    tap = Tap()
    tap.ok(result.returncode == 0 and not result.stderr, "/bin/true runs", outcome(result))

    threads = re.findall(r".*\b(?:clone3?|v?fork)\(.*", ours)
    tap.ok(not threads, "no thread and no process is started", *threads)

    files = opened(ours) - opened(bare) - {library(), "/etc/ld.so.preload"}
    alien = {f for f in files if not re.search(r"/libpthread\.so", f)}
    tap.ok(not alien, "no file is opened but the library itself", *alien)

    tap.ok("libnuma" not in ours, "libnuma is not loaded")
    reads = [name for name in files if name.startswith(("/sys/", "/proc/"))]
    tap.ok(not reads, "nothing of /sys and /proc is read", *reads)

    calls = len(ours.splitlines()) - len(bare.splitlines())
    print(f"# {calls} more system calls than without the library")
    tap.ok(calls <= 40, "at most 40 more system calls, those of the loader included", ours)
    tap.done()


if __name__ == "__main__":
    sys.exit(main())
