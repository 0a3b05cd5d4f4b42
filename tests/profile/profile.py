#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What profiles say of a program whose allocations are known: usage: SITES, with SLABMALLOC_SO.

Sampled sums are compared with the truth to within five standard deviations: with mean distance T, s of
n bytes each taken with p = 1 - exp(-n / T), the estimate of s * n bytes has the deviation n * sqrt(s * (1 - p) / p).
"""

import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

from sites import Sites

from tap import Tap, outcome, run

MANY = 200000


def unbiased(tap, program, folder):
    """Pairs beside kept objects: the pattern that a bounded refill would sample wrongly."""
    for pattern, size, counted, count in (
        ("pairs_of_64", 64, 64, MANY),
        ("pairs_of_1500", 1500, 1536, MANY // 8),
        ("pairs_of_300000", 300000, 300000, 1000),
    ):
        interval = 65536
        s = Sites(program, folder, pattern, "64k")
        p = 1 - math.exp(-counted / interval)
        near = 5 * math.sqrt(count * (1 - p) / p) + 2
        for site in ("keep_some", "turn_over"):
            found = s.by_function.get(site, {})
            objects = found.get("alloc_objects", 0)
            tap.ok(abs(objects - count) <= near,
                   f"{pattern}: {site}'s allocations are estimated without bias",
                   f"{objects} of {count}, near is {near}", s.by_function, outcome(s.result))
            tap.ok(abs(found.get("alloc_space", 0) - objects * size) <= size + objects / 10,
                   f"{pattern}: {site}'s bytes are those asked for", found)
        live = s.by_function.get("turn_over", {}).get("inuse_space")
        tap.ok(live == 0, f"{pattern}: what was freed is not in use", s.by_function)


def asleep(tap, program, folder):
    """Reclaim empties the sheaves of threads that sleep, again and again."""
    interval, objects = 4096, 4 * 1000
    s = Sites(program, folder, "naps", "4k")
    sizes = [128 + 256 * k for k in range(8)]
    truth = objects * sum(sizes)
    near = 5 * math.sqrt(sum(objects * n * n / math.expm1(n / interval) for n in sizes))
    for site in ("keep_some", "turn_over"):
        found = s.by_function.get(site, {}).get("alloc_space", 0)
        tap.ok(abs(found - truth) <= near, f"naps: {site}'s bytes are estimated without bias",
               f"{found} of {truth}, near is {near}", outcome(s.result))


def mixed(tap, program, folder):
    """Threads that allocate all sizes: the program says what it did, and the estimate's variance."""
    s = Sites(program, folder, "mixed", "256k")
    said = [float(word) for word in s.result.stdout.split()]
    found = s.by_function.get("mixed_some", {})
    if not tap.ok(len(said) == 4 and found, "mixed: the program has told", outcome(s.result)):
        return
    for kind, truth, variance in (("alloc_space", *said[:2]), ("inuse_space", *said[2:])):
        near = 5 * math.sqrt(variance) + truth / 1000
        tap.ok(abs(found[kind] - truth) <= near, f"mixed: the weights' sum is {kind}",
               f"{found[kind]} of {truth}, near is {near}")


def expect(tap, sites, pattern, truth):
    """truth: {function: (alloc_objects, alloc_space, inuse_objects, inuse_space)}."""
    for function, values in truth.items():
        found = tuple(sites.by_function.get(function, {}).values())
        tap.ok(found == values, f"{pattern}: {function} is exact where everything is recorded",
               f"{found}, not {values}", sites.by_function, outcome(sites.result))


def exact(tap, program, folder):
    large, larger = 1 << 20, 40 << 20
    s = Sites(program, folder, "every_way", "all")
    expect(tap, s, "every_way", {
        "keep_some": (10, 1000, 5, 500),
        "keep_calloc": (10, 2000, 5, 1000),
        "keep_aligned": (10, 10000, 5, 5000),
        "keep_large": (20, 10 * (large + larger), 10, 5 * (large + larger)),
        "keep_kmalloc": (10, 5000, 5, 2500),
        "keep_typed": (10, 1200, 5, 600),
    })
    expect(tap, Sites(program, folder, "reallocs", "all"), "reallocs", {
        "keep_some": (1, 100, 0, 0),
        # It gets no more than it asked for where it grows by an eighth and more.
        "grow": (4, 2000 + large + (30 << 20) + 5000, 1, 5000),
    })
    expect(tap, Sites(program, folder, "threads", "all"), "threads", {
        "keep_some": (4000, 400000, 2000, 200000),
    })
    expect(tap, Sites(program, folder, "child", "all"), "child of fork", {
        "keep_some": (1000, 100000, 500, 50000),
        "keep_in_child": (10, 10000, 10, 10000),
    })


def well_formed(tap, program, folder):
    p = Sites(program, folder, "every_way", "4k").profile
    tap.ok(p.types == [("alloc_objects", "count"), ("alloc_space", "bytes"),
                       ("inuse_objects", "count"), ("inuse_space", "bytes")], "the four types")
    tap.ok(p.default == "inuse_space" and p.period == 4096, "default type and period", p)
    code = [m for m in p.mappings.values() if m.name == str(program)]
    note = subprocess.run(["readelf", "-n", program], capture_output=True, text=True,
                          check=False).stdout
    build = re.search(r"Build ID: ([0-9a-f]+)", note)
    tap.ok(len(code) == 1 and code[0].build_id == (build[1] if build else ""),
           "the program's mapping carries its build id", p.mappings)
    inside = all(not number or p.mappings[number].start <= at < p.mappings[number].limit
                 for number, at in p.locations.values())
    tap.ok(inside, "each location is in its mapping")


def texts(tap, program):
    all_on = {"SLABMALLOC_PROFILE": "all,/dev/null"}
    r = run([program, "threads", "collapsed"], **all_on)
    line = re.search(r"^(\S*;)?allocate;keep_some 200000$", r.stdout, re.M)
    tap.ok(line, "collapsed: the stack from outside in, and the bytes in use", outcome(r))
    r = run([program, "threads", "collapsed-alloc"], **all_on)
    line = re.search(r"^(\S*;)?allocate;keep_some 400000$", r.stdout, re.M)
    tap.ok(line, "collapsed-alloc: all that was ever allocated", outcome(r))
    r = run([program, "threads", "heap"], **all_on)
    tap.ok(re.match(r"heap profile: \d+: \d+ \[\d+: \d+\] @ heapprofile\n", r.stdout) and
           re.search(r"^2000: 200000 \[4000: 400000\] @( 0x[0-9a-f]+)+$", r.stdout, re.M) and
           re.search(rf"^[0-9a-f]+-[0-9a-f]+ r-xp .* {re.escape(program)}$", r.stdout, re.M),
           "heap: gperftools' text with the mappings", outcome(r))
    r = run([program, "threads", "nothing"], **all_on)
    tap.ok(r.returncode == 1 and "Invalid argument" in r.stderr, "an unknown format is refused")
    r = run([program, "threads", "pprof"])
    tap.ok(r.returncode == 1 and "not implemented" in r.stderr, "off, there is none", outcome(r))


def leaks(tap, program):
    r = run([program, "threads"], SLABMALLOC_LEAKS="1", SLABMALLOC_DEBUG="U")
    first = r.stderr.split("\n\n", maxsplit=1)[0].splitlines()
    tap.ok(re.match(r"slabmalloc: in use at exit: \d+ bytes in \d+ blocks; call stacks: \d+$",
                    first[0] if first else "") and
           "200000 bytes in 2000 blocks, from" in r.stderr and
           re.search(r"^ keep_some\+0x\S+ \[profile-sites\]\n allocate\+0x", r.stderr, re.M),
           "leaks under U: exact sizes, by call stack", outcome(r))
    r = run([program, "pairs_of_64"], SLABMALLOC_LEAKS="1")
    found = re.search(r"^about (\d+) bytes in \d+ blocks \(\d+ samples\), from\n keep_some\+",
                      r.stderr, re.M)
    tap.ok(found and 4e6 < int(found[1]) < 24e6 and " turn_over+" not in r.stderr,
           "leaks otherwise: estimates, and nothing that was freed", outcome(r))


def trigger(tap, program, folder):
    """A file's appearance asks for a profile; no signal, no call."""
    path = pathlib.Path(folder, "live.pb")
    env = dict(os.environ, SLABMALLOC_PROFILE=f"64k,{path}")
    with subprocess.Popen([program, "slowly"], env=env) as child:
        time.sleep(0.2)
        pathlib.Path(f"{path}.now").touch()
        for _ in range(60):
            if path.exists():
                break
            time.sleep(0.1)
        running = child.poll() is None
        written = path.exists()
        child.kill()
    tap.ok(running and written and not pathlib.Path(f"{path}.now").exists(),
           "a profile of a running program is written when PATH.now appears")


def places(tap, program, folder):
    """A path may be something else than a file, which stays what it is."""
    fifo = pathlib.Path(folder, "fifo")
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    r = run([program, "every_way"], SLABMALLOC_PROFILE=f"64k,{fifo}")
    tap.ok(fifo.is_fifo() and len(os.read(reader, 100000)) > 100 and not r.stderr,
           "a profile goes into a pipe", outcome(r))
    os.close(reader)
    run([program, "child"], SLABMALLOC_PROFILE=f"all,{folder}/of-%p.heap")
    tap.ok(len(list(pathlib.Path(folder).glob("of-[0-9]*.heap"))) == 1,
           "%p is the number of the process that writes", os.listdir(folder))
    r = run([program, "every_way"], SLABMALLOC_PROFILE=f"64k,{folder}/none/x")
    tap.ok(f"slabmalloc: profile: cannot write {folder}/none/x\n" == r.stderr,
           "a path that cannot be written is told", outcome(r))


def options(tap, program):
    for bad in ("12", "x", "5q,/dev/null"):
        r = run([program, "threads"], SLABMALLOC_PROFILE=bad)
        tap.ok("profile: no interval" in r.stderr and r.returncode == 0, f"{bad}: said, and off",
               outcome(r))
    r = run([program, "threads"], SLABMALLOC_PROFILE="0")
    tap.ok(not r.stderr and r.returncode == 0, "0: off", outcome(r))
    r = run([program, "every_way", "collapsed"], SLABMALLOC_PROFILE="all,/dev/null",
            SLABMALLOC_HARDEN="all")
    tap.ok(re.search(r"keep_some 500$", r.stdout, re.M), "with hardening", outcome(r))
    r = run([program, "every_way", "collapsed"], SLABMALLOC_PROFILE="all,/dev/null",
            SLABMALLOC_DEBUG="FZPU")
    tap.ok(re.search(r"keep_some 500$", r.stdout, re.M), "with debugging", outcome(r))


def main():
    program = os.path.realpath(sys.argv[1])
    tap = Tap()
    with tempfile.TemporaryDirectory() as folder:
        unbiased(tap, program, folder)
        asleep(tap, program, folder)
        mixed(tap, program, folder)
        exact(tap, program, folder)
        well_formed(tap, program, folder)
        trigger(tap, program, folder)
        places(tap, program, folder)
    texts(tap, program)
    leaks(tap, program)
    options(tap, program)
    tap.done()


if __name__ == "__main__":
    main()
