#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A heap gives way under pressure, in guests of different kinds: usage: PRESSURE DENY.

Each guest runs pressure.sh, whose lines are the results. With SLABMALLOC_SO.
"""

import pathlib
import shutil
import sys

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "api")]

from tap import Tap, library, skip_all  # noqa: E402
import vm  # noqa: E402

# What the guest is, its kernel's words, its memory in MiB, the cases of pressure.sh.
GUESTS = (
    ("cgroup v2 and PSI", "", 512, "glibc max high nobody noproc roproc container membarrier"),
    ("no PSI", "psi=0", 512, "max"),
    ("no cgroup, little memory", "groups=none", 160, "system madvise ppoll prctl"),
)


def main():
    pressure, deny = sys.argv[1:]
    try:
        vm.kernel()
    except vm.Missing as why:
        skip_all(str(why))
    files = {"libslabmalloc.so": library(), "pressure": pressure, "deny": deny,
             "setpriv": shutil.which("setpriv"), "unshare": shutil.which("unshare"),
             "pressure.sh": HERE / "pressure.sh"}
    tap = Tap()
    for guest, append, mib, cases in GUESTS:
        command = f"sh pressure.sh {cases}"
        try:
            _, text = vm.run(command, files, ((2, mib),), append, timeout=100)
        except vm.Hung as why:
            tap.ok(False, f"{guest}: the guest ends", str(why))
            continue
        evidence = []
        for line in text.splitlines():
            evidence.append(line)
            if line.startswith(("ok - ", "not ok - ")):
                outcome, _, promise = line.partition(" - ")
                print(*(e for e in evidence if e.startswith("#")), sep="\n")
                tap.ok(outcome == "ok", f"{guest}: {promise}", *evidence)
                evidence = []
    tap.done()


if __name__ == "__main__":
    main()
