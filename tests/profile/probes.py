#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The USDT probes of the library: usage: SITES, with SLABMALLOC_SO.

That they are there is read from the file; that they fire, bpftrace tells where it can run.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

import sites  # noqa: F401

from tap import Tap, library, outcome, run, skip_all

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"

PROBES = {
    "otel_memory": {"alloc": 3, "free": 1},
    "slabmalloc": {"slab_new": 3, "slab_free": 3, "remote_free": 2,
                   "reclaim_start": 1, "reclaim_end": 1, "mmap": 2, "munmap": 2},
}


def probes_of(so):
    """{(provider, name): number of arguments}"""
    notes = subprocess.run(["readelf", "-nW", so], capture_output=True, text=True,
                           check=True).stdout
    found = re.findall(r"Provider: (\S+)\s+Name: (\S+)\s+Location: .*\n\s+Arguments: (.*)", notes)
    return {(provider, name): len(args.split()) for provider, name, args in found}


def count(so, program, folder):
    """What bpftrace counted while the program ran, and all that it said.

    It is attached to the file, not to the process, which has not mapped the library when it starts.
    """
    script = "".join(
        f"usdt:{so}:{provider}:{name} {{ @{provider}_{name} = count(); }}\n"
        for provider, names in PROBES.items() for name in names)
    script += f"usdt:{so}:otel_memory:alloc {{ @bytes = sum(arg1); }}\ninterval:s:60 {{ exit(); }}\n"
    # The last probe is attached when all others are.
    script += 'interval:ms:100 { printf("ready\\n"); }\n'
    path = pathlib.Path(folder, "probes.bt")
    path.write_text(script, encoding="ascii")
    with subprocess.Popen(["bpftrace", "-q", "-B", "line", path], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True) as tracer:
        said = ""
        for line in tracer.stdout:
            is_first = line == "ready\n" and line not in said
            said += line
            if is_first:
                run([program, "threads"], SLABMALLOC_PROFILE="all,/dev/null")
                run([program, "naps"])
                tracer.send_signal(signal.SIGINT)
    return {k: int(v) for k, v in re.findall(r"^@(\w+): (\d+)$", said, re.M)}, said


def new_slabs(tap, program):
    """What scripts/new-slabs tells of a program that keeps blocks of 100,000 bytes."""
    with subprocess.Popen([program, "slowly"], stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        r = subprocess.run([SCRIPTS / "new-slabs", str(child.pid), "1"], capture_output=True,
                           text=True, timeout=60, check=False)
        child.kill()
    rows = [line.split() for line in r.stdout.splitlines()]
    tap.ok(len(rows) > 2 and rows[1][0] == "kmalloc-114688" and int(rows[1][3]) > 100,
           "new-slabs: the cache that grows comes first", outcome(r))


def judge_counts(tap, found, said, program):
    if not found:
        tap.skip("probes fire", said.strip().splitlines()[-1] if said.strip() else "bpftrace fails")
    else:
        tap.ok(found.get("otel_memory_alloc", 0) >= 4000 and found.get("bytes", 0) >= 400000,
               "each sampled allocation is told", said)
        tap.ok(found.get("otel_memory_free", 0) >= 2000, "and each free of one", said)
        tap.ok(found.get("slabmalloc_slab_new", 0) > 0 and found.get("slabmalloc_mmap", 0) > 0,
               "and the slow paths", said)
        starts = found.get("slabmalloc_reclaim_start", 0)
        ends = found.get("slabmalloc_reclaim_end", 0)
        # Each of the two programs may end in the middle of one.
        tap.ok(starts > 0 and abs(starts - ends) <= 2,
               "and each reclaim, its start and its end", said)
        new_slabs(tap, program)


def main():
    so, program = library(), os.path.realpath(sys.argv[1])
    there = probes_of(so)
    if not there and not list(pathlib.Path("/usr/include").glob("**/sys/sdt.h")):
        skip_all("built without sys/sdt.h (systemtap-sdt-dev)")
    tap = Tap()
    for provider, names in PROBES.items():
        for name, arguments in names.items():
            tap.ok(there.get((provider, name)) == arguments,
                   f"{provider}:{name} has {arguments} arguments", there)
    why = "no bpftrace" if not shutil.which("bpftrace") else "not root" if os.geteuid() else None
    with tempfile.TemporaryDirectory() as folder:
        # Probes are the file's: in a copy of it nobody else meets a breakpoint. (Valgrind cannot pass one.)
        so = shutil.copy(so, pathlib.Path(folder, "libslabmalloc.so.0"))
        os.environ["LD_LIBRARY_PATH"] = folder
        judge_counts(tap, *((None, why) if why else count(so, program, folder)), program)
    tap.done()


if __name__ == "__main__":
    main()
