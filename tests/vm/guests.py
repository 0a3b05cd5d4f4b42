#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The virtual machines are what was asked for."""

import pathlib
import sys

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "api")]

from tap import Tap, skip_all  # noqa: E402
import vm  # noqa: E402

LOOK = r"""
cd /sys/devices/system/node
echo cpus $(cat node*/cpulist | tr '\n' ' ')
echo memory $(cat has_memory)
echo kib $(awk '/MemTotal/ { print $4 }' node*/meminfo)
echo psi $([ -e /proc/pressure/memory ] && echo yes || echo no)
echo controllers $(cat /sys/fs/cgroup/cgroup.subtree_control 2>/dev/null)
exit 3
"""


def look(tap, what, nodes, append=""):
    """What a guest says of itself: the first word of a line -> the others."""
    try:
        status, text = vm.run(LOOK, {}, nodes, append)
    except vm.Hung as why:
        tap.ok(False, f"{what}: the guest ends", str(why))
        return {}
    tap.ok(status == 3, f"{what}: the command's exit status comes back", status, text)
    return {w[0]: w[1:] for w in (line.split() for line in text.splitlines()) if w}


def main():
    try:
        vm.kernel()
    except vm.Missing as why:
        skip_all(str(why))
    tap = Tap()
    said = look(tap, "three nodes", ((2, 256), (0, 128), (1, 0)))
    tap.ok(len(said.get("cpus", ())) == 2, "one node has no processors", said)
    tap.ok(sorted(int(k) > 0 for k in said.get("kib", ())) == [False, True, True],
           "one has no memory", said)
    tap.ok(said.get("psi") == ["yes"], "PSI is on", said)
    tap.ok(said.get("controllers") == ["memory"], "cgroup v2 has the memory controller", said)
    said = look(tap, "psi=0 groups=none", ((1, 128),), "psi=0 groups=none")
    tap.ok(said.get("psi") == ["no"], "PSI can be off", said)
    tap.ok(said.get("controllers") == [], "cgroups can be absent", said)
    tap.done()


if __name__ == "__main__":
    main()
