# SPDX-License-Identifier: MIT
"""Resident memory over time: one extra run of a workload, looked at from outside.

No timed run is disturbed by it.
"""

import pathlib
import resource
import subprocess
import time

CHOSEN = ("phase", "idle-1", "large", "bursts")
PERIOD = 0.015
MIB = 1 << 20


def pages(path):
    try:
        return int(pathlib.Path(path).read_text(encoding="ascii").split()[1])
    except (OSError, IndexError):
        return 0


def huge_kib(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("AnonHuge"))


def mib(pid):
    return pages(f"/proc/{pid}/statm") * resource.getpagesize() / MIB


def watch(command, env, timeout, enter=None):
    """[(seconds, MiB)], and the most memory in huge pages that was seen, in KiB."""
    points, huge, start = [], 0, time.monotonic()
    with subprocess.Popen([str(word) for word in command], env=env, stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          preexec_fn=enter) as child:
        while child.poll() is None:
            at = time.monotonic() - start
            if at > timeout:
                child.kill()
                break
            found = mib(child.pid)
            if found:  # 0: it has ended
                points.append((round(at, 4), found))
            if len(points) % 8 == 0:
                huge = max(huge, huge_kib(child.pid))
            time.sleep(PERIOD)
    return points, huge


def measure(lab, bench):
    """Every allocator once: points into lab.timelines, huge pages into the results."""
    for allocator in lab.allocators:
        if lab.results.failed(bench.name, allocator.name):
            continue
        lab.progress.say(f"{bench.name}: memory over time, {allocator.name}")
        points, huge = watch(bench.command(lab), allocator.environment(), bench.timeout)
        lab.results.add(bench.name, allocator.name, {"huge_kib": huge})
        lab.timelines.setdefault(bench.name, {})[allocator.name] = points
