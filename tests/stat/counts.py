#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The numbers of a dump against what somebody else counts: the program, the kernel, strace."""
import collections
import contextlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile

from common import SUBJECT, dumps, environment
import tap

KIB, MIB = 1 << 10, 1 << 20
CALLS = ["mmap", "munmap", "mprotect", "madvise", "mremap"]


def cache(data, name):
    return next(c for c in data["caches"] if c["name"] == name)


def live_bytes(t):
    found, others, result = dumps("known")
    if not t.ok(len(found) == 3, "three dumps", tap.outcome(result)):
        return
    before, held, after = (d["totals"] for d in found)
    expect = int(others[0].split()[1])
    t.ok(
        held["live_bytes"] - before["live_bytes"] == expect,
        f"live_bytes grew by the {expect} bytes that the program took, to the byte",
        held["live_bytes"] - before["live_bytes"],
    )
    t.ok(
        after["live_bytes"] == before["live_bytes"],
        "and shrank by as much, to the byte",
        before["live_bytes"],
        after["live_bytes"],
    )
    for d in found:
        t.ok(
            d["totals"]["allocated"] == d["totals"]["live_bytes"] <= d["totals"]["active"]
            <= d["totals"]["mapped"],
            "allocated <= active <= mapped",
            d["totals"],
        )
    t.ok(held["vmalloc_bytes"] == 2 * 48 * MIB and held["areas"] == 2, "two areas of 48 MiB", held)
    t.ok(
        held["large_allocs"] - before["large_allocs"] == 4
        and held["large_asked_bytes"] - before["large_asked_bytes"] == 2 * 49 * MIB
        and after["large_frees"] - before["large_frees"] == 4,
        "four large blocks came and went",
        held,
    )
    t.ok(
        held["peak_vmalloc_bytes"] == after["peak_vmalloc_bytes"] == 96 * MIB
        and after["peak_frames_bytes"] >= held["active"] - held["vmalloc_bytes"],
        "the peaks are what there was at the most",
        after,
    )


def quiet(t):
    found = dumps("dumps", 1, 3)[0]
    kernels = ("resident", "resident_bytes", "peak_resident_bytes", "metadata", "metadata_bytes")
    for data in found:
        del data["time_ms"]
        for name in kernels:
            del data["totals"][name]
    t.ok(found[0] == found[1] == found[2], "a dump allocates nothing and changes no number", *found)
    t.ok(found[0]["complete"], "nothing is in doubt where nothing happens")


def waste(t):
    data = dumps("waste")[0][0]
    c = cache(data, "kmalloc-112")
    t.ok(10000 <= c["active_objs"] <= 10040, "half of 20000 objects are active", c)
    t.ok(
        abs(c["internal_bytes"] - 12 * c["active_objs"]) <= 12 * 200,
        "12 bytes of each were not asked for",
        c,
    )
    t.ok(
        c["waste_bytes"] == c["slab_bytes"] - c["given_bytes"] - 112 * c["active_objs"]
        and c["waste_bytes"] >= 10000 * 112,
        "what the program does not hold of the slabs is waste",
        c,
    )
    t.ok(
        data["totals"]["external_bytes"] == sum(x["waste_bytes"] for x in data["caches"])
        and data["totals"]["internal_bytes"] == sum(x["internal_bytes"] for x in data["caches"]),
        "the totals are the caches' sums",
    )


def watched(t):
    """What each request was is known where every object is watched."""
    data = dumps("waste", SLABMALLOC_DEBUG="U,kmalloc-112")[0][0]
    c = max((c for c in data["caches"] if c["name"] == "kmalloc-112"), key=lambda c: c["id"])
    asked = c["objsize"] * c["active_objs"] - c["internal_bytes"]
    t.ok(
        c["id"] >= 128 and 0 <= asked - 100 * 10000 <= 112 * 40,
        "under debugging, what was asked for is known to the byte",
        c,
        asked,
    )


def remote(t):
    # Who gives back what is idle would change numbers in the middle of a dump.
    data = dumps("remote", SLABMALLOC_KSHRINKD="off")[0][0]
    size = 20000 * 256
    t.ok(
        size * 0.9 <= data["totals"]["remote_bytes"] <= size * 1.1,
        f"of {size} bytes that another thread freed, remote_bytes tells",
        data["totals"]["remote_bytes"],
    )
    t.ok(len(data["threads"]) == data["totals"]["threads"] == 2, "both threads", data["threads"])
    flushed = sum(c["flushed_objs"] for c in data["caches"])
    t.ok(
        data["totals"]["flushed_objs"] == flushed
        and data["totals"]["refills"] == sum(c["refills"] for c in data["caches"]),
        "flushes and refills are the caches' sums",
    )


def slow_paths(t):
    data = dumps("busy", 1, 2)[0][-1]
    for path in data["slow_paths"]:
        t.ok(
            sum(path["buckets"]) == path["timed"]
            and path["most_ns"] <= path["ns"] <= max(1, path["timed"]) * path["most_ns"],
            f"the histogram of {path['name']} agrees with its sums",
            path,
        )
    t.ok(data["slow_paths"][0]["timed"] > 0, "slow allocations are timed", data["slow_paths"])


def running(t):
    """Objects of one class that always are 8 * 4096, or one more of each thread."""
    data = dumps("busy", 1, 60)[0]
    bursts = [
        c for d in data for c in d["caches"] if c["name"] == "kmalloc-256" and not c["changing"]
    ]
    bad = [c for c in bursts if c["active_objs"] > 8 * 500 + 20]
    t.ok(not bad, f"{len(bursts)} of 60 saw bursts, none more than there was", *bad[:3])
    found = [cache(d, "kmalloc-512") for d in data]
    still = [c for c in found if not c["changing"]]
    # A few belong to the program's start.
    bad = [c for c in still if not 8 * 4096 <= c["active_objs"] <= 8 * 4097 + 20]
    t.ok(len(found) == 60 and not bad, f"{len(still)} dumps of 60 saw what there was", *bad[:3])
    sane = all(
        c["num_objs"] == c["num_slabs"] * c["objperslab"] and c["active_objs"] <= c["num_objs"]
        for c in found
    )
    t.ok(sane, "and none is out of its mind")


def mappings(pid):
    """(size, resident) in bytes of the mappings that are nobody's: no file, no stack, no heap."""
    size = resident = 0
    nobody = False
    with open(f"/proc/{pid}/smaps", encoding="ascii") as f:
        for line in f:
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                nobody = len(line.split()) == 5
            elif nobody and line.startswith(("Size:", "Rss:")):
                n = int(line.split()[1]) * KIB
                size += n if line.startswith("Size:") else 0
                resident += n if line.startswith("Rss:") else 0
    return size, resident


@contextlib.contextmanager
def asleep(conf):
    """A process whose threads sleep, and the dump that it made then."""
    with tempfile.TemporaryDirectory() as place:
        path = os.path.join(place, "dump")
        env = environment(
            SLABMALLOC_STATS=path, SLABMALLOC_STATS_FORMAT="json", SLABMALLOC_STATS_SIGNAL="USR2",
            SLABMALLOC_CONF=conf,
        )
        with subprocess.Popen(
            [SUBJECT, "threads", "60"], env=env, stdout=subprocess.PIPE
        ) as process:
            try:
                process.stdout.readline()
                process.send_signal(signal.SIGUSR2)
                wait_for(lambda: os.path.exists(path))
                with open(path, encoding="ascii") as f:
                    yield process, json.load(f)
            finally:
                process.kill()


def read_proc(process, name):
    with open(f"/proc/{process.pid}/{name}", encoding="ascii") as f:
        return f.read()


def kernels_view(t):
    """What the kernel says after the dump is of the same moment, nearly."""
    with asleep("thp:never,kshrinkd:off") as (process, data):
        size, resident = mappings(process.pid)
        rss = int(re.search(r"Rss: +(\d+)", read_proc(process, "smaps_rollup"))[1]) * KIB
        most = int(re.search(r"VmHWM:\s+(\d+)", read_proc(process, "status"))[1]) * KIB
        tasks = sorted(map(int, os.listdir(f"/proc/{process.pid}/task")))
    totals = data["totals"]
    t.ok(data["pid"] == process.pid, "the process id", data["pid"])
    t.ok(
        sorted(x["tid"] for x in data["threads"]) == tasks,
        "the threads are the kernel's",
        data["threads"],
        tasks,
    )
    # The kernel counts what a processor did lately a little later.
    t.ok(abs(totals["resident_bytes"] - rss) <= MIB, "resident_bytes is Rss of smaps", totals, rss)
    t.ok(abs(totals["peak_resident_bytes"] - most) <= MIB, "and its peak VmHWM", totals, most)
    # Beside the heap: the stacks of three threads, and libc's few pages.
    stack = resource.getrlimit(resource.RLIMIT_STACK)[0]
    stack = 64 * MIB if stack == resource.RLIM_INFINITY else stack
    t.ok(
        totals["mapped_bytes"] <= size <= totals["mapped_bytes"] + 3 * stack + 16 * MIB,
        "mapped_bytes are among the mappings of smaps",
        totals,
        size,
    )
    t.ok(
        totals["resident"] <= resident <= totals["resident"] + MIB,
        "resident is what smaps has of them",
        totals["resident"],
        resident,
    )


def huge_pages(t):
    with asleep("thp:always,kshrinkd:off") as (process, data):
        text = read_proc(process, "smaps")
    asked = sum(
        int(re.search(r"\nSize: +(\d+) kB", m)[1]) * KIB
        for m in re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", text)
        if re.search(r"VmFlags:.* hg\b", m)
    )
    promise = "huge_bytes is what the kernel was asked for"
    if not asked and "VmFlags" in text:
        t.skip(promise, "no huge pages here")
        return
    t.ok(data["totals"]["huge_bytes"] == asked, f"{promise}: {asked}", data["totals"])


def wait_for(condition, seconds=20):
    import time  # pylint: disable=import-outside-toplevel

    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def system_calls(t):
    """Between two dumps of one program, whose writes strace shows too."""
    promise = "system calls are as many as strace sees"
    if not shutil.which("strace"):
        t.skip(promise, "no strace")
        return
    with tempfile.TemporaryDirectory() as place:
        trace, out = os.path.join(place, "trace"), os.path.join(place, "out")
        watched = ",".join(CALLS + ["write"])
        with open(out, "wb") as f:
            done = subprocess.run(
                ["strace", "-o", trace, "-e", f"trace={watched}",
                 "-E", f"LD_PRELOAD={tap.library()}", SUBJECT, "known"],
                stdout=f, stderr=subprocess.PIPE, check=False, text=True,
            )
        if done.returncode:
            t.skip(promise, f"strace: {done.stderr.strip()[:60]}")
            return
        with open(trace, encoding="utf-8", errors="replace") as f:
            lines = f.read().splitlines()
        with open(out, encoding="ascii") as f:
            found = [json.loads(line)["totals"] for line in f if line.startswith("{")]
    # From the first line of the second part on, up to the last of the third.
    begin = next(i for i, x in enumerate(lines) if x.startswith('write(1, "expect'))
    last = max(i for i, x in enumerate(lines) if x.startswith("write(1,"))
    first = max(i for i, x in enumerate(lines[:begin]) if x.startswith("write(1,"))
    seen = collections.Counter(x.split("(")[0] for x in lines[first:last])
    for name in CALLS:
        counted = found[2][f"{name}_calls"] - found[0][f"{name}_calls"]
        t.ok(counted == seen[name], f"{promise}: {seen[name]} of {name}", counted)
    lengths = collections.Counter()
    for line in lines[first:last]:
        match = re.match(r"(\w+)\(\w+, (\d+)(?:, (MADV_\w+))?\)", line)
        if match:
            lengths[match[3] or match[1]] += int(match[2])
    for name, call in (("unmapped_bytes", "munmap"), ("purged_bytes", "MADV_DONTNEED")):
        counted = found[2][name] - found[0][name]
        t.ok(counted == lengths[call], f"{name} are those of {call}: {lengths[call]}", counted)


def main():
    t = tap.Tap()
    live_bytes(t)
    quiet(t)
    waste(t)
    watched(t)
    remote(t)
    slow_paths(t)
    running(t)
    kernels_view(t)
    huge_pages(t)
    system_calls(t)
    t.done()


if __name__ == "__main__":
    main()
