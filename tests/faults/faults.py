#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each system call that the library makes fails, in turn, at its n-th use; and limits are met.

usage: [--all] [--table FILE] TROUBLE WORK, with SLABMALLOC_SO.

TROUBLE (trouble.c) makes a call fail in WORK (work.c), which says what must hold. Without --all
some uses of each call are tried, with it up to POINTS of them; --table also writes a table.
"""

import argparse
import collections
import concurrent.futures
import os
import pathlib
import platform
import re
import shutil
import sys

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "api"), str(HERE.parent / "vm")]

from tap import Tap, library, outcome, run, skip_all  # noqa: E402

POINTS = 60
CANNOT = 77

# What can happen to each call. Those that WORK never makes are counted, and told.
CALLS = (
    ("mmap", "ENOMEM"), ("munmap", "ENOMEM"), ("mremap", "ENOMEM"), ("madvise", "EINVAL"),
    ("madvise", "EAGAIN"), ("mprotect", "ENOMEM"), ("mincore", "EAGAIN"), ("futex", "EINTR"),
    ("clone3", "EAGAIN"), ("clone", "EAGAIN"), ("memfd_create", "EMFILE"), ("fcntl", "EMFILE"),
    ("ftruncate", "ENOSPC"), ("fallocate", "ENOSPC"), ("newfstatat", "EACCES"),
    ("openat", "EMFILE"), ("openat", "EACCES"), ("read", "EIO"), ("close", "EIO"),
    ("getrandom", "ENOSYS"),
    ("prctl", "EINVAL"), ("getcpu", "ENOSYS"), ("sched_yield", "ENOSYS"), ("mbind", "ENOSYS"),
    ("get_mempolicy", "EPERM"), ("membarrier", "ENOSYS"), ("rt_sigaction", "EINVAL"),
    ("ppoll", "EINTR"), ("eventfd2", "EMFILE"), ("timerfd_create", "EMFILE"),
    ("epoll_create1", "EMFILE"), ("process_madvise", "EPERM"), ("move_pages", "ENOSYS"),
)
# With these the library makes calls that it makes by no other setting.
SETTINGS = ({}, {"SLABMALLOC_KFENCE": "sample_interval=1"}, {"SLABMALLOC_DEBUG": "FZPU"})

REFUSED = re.compile(r"^refused (\d+)", re.MULTILINE)
COUNTED = re.compile(r"calls (\d+) failed (\d+)")

HEAD = """\
# What happens when the system refuses

Made by `tests/faults/faults.py --all --table`: a program that uses memory in all ways (small
objects, large blocks that grow, threads that free each other's blocks, fork, trim, frames of
the page allocator) runs while a system call fails, once at its n-th use, and from its n-th use
on for a while. It must get NULL and ENOMEM or what it asked for, and keep its blocks'
contents and, after free, errno. Afterwards every request must be served; then the heap is
consistent, no object is missing, and resident memory is what it was before.
"""

Row = collections.namedtuple("Row", "what how uses refused result")




def trouble(args, call, error, first, last, kind, setting):
    """One run: (calls, allocations refused, what happened)."""
    result = run([args.trouble, call, error, str(first), str(last), args.work, *kind], **setting)
    calls = COUNTED.search(result.stdout)
    refused = REFUSED.search(result.stdout)
    return int(calls[1]) if calls else 0, int(refused[1]) if refused else 0, result


def some(calls, points):
    """Uses to try out of so many: the first ones, then ever further apart."""
    chosen, n = [], 1.0
    while int(n) <= calls and len(chosen) < points:
        chosen.append(int(n))
        n = max(n + 1, n * (1 + 8 / points))
    return sorted(set(chosen))


def one_call(args, pool, call, error):
    """All runs in which that call fails: a Row, and the runs that went wrong."""
    points = POINTS if args.all else 4
    settings = SETTINGS if args.all else SETTINGS[:1]
    jobs, counts, refused, bad = [], [], 0, []
    for setting in settings:
        for kind in ((), ("cold",)):
            calls, _, result = trouble(args, call, error, 1, 0, kind, setting)
            if result.returncode:
                bad.append(outcome(result))
            counts.append(calls)
            uses = some(calls, points)
            spans = [(n, n) for n in uses]
            spans += [(n, calls * 100) for n in (uses if args.all else uses[:1])]
            jobs += [pool.submit(trouble, args, call, error, *span, kind, setting)
                     for span in spans]
    for job in jobs:
        _, nr, result = job.result()
        refused += nr
        if result.returncode:
            bad.append(" ".join(map(str, result.args[1:])) + ": " + outcome(result))
    return Row(f"`{call}`: {error}", len(jobs), max(counts), refused, bad)


def limited(args, kind, *prefix, **setting):
    """WORK under a limit of its own or of PREFIX."""
    result = run([*prefix, args.work, *kind], **setting)
    refused = REFUSED.search(result.stdout)
    return Row("", 1, "", int(refused[1]) if refused else 0,
               [] if result.returncode == 0 else [outcome(result)])


LIMITS = (
    ("`RLIMIT_AS`", ("as",)),
    ("`RLIMIT_DATA`", ("data",)),
    ("`max_map_count` reached", ("maps",)),
    ("39 bits of address space", ("narrow",)),
)


def memory_max(args):
    """In a memory cgroup with little more room than is needed; None: there can be none."""
    for root, limit in (("/sys/fs/cgroup", "memory.max"),
                        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")):
        group = pathlib.Path(root) / f"slabmalloc-faults-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / limit).write_text(str(96 << 20))
            return limited(args, (), "/bin/sh", "-c",
                           f'echo 0 >{group}/cgroup.procs && exec "$@"', "sh")
        except OSError:
            continue
        finally:
            try:
                group.rmdir()
            except OSError:
                pass
    return None


GUEST = r"""
export LD_LIBRARY_PATH=/payload
echo 2 >/proc/sys/vm/overcommit_memory
echo 60 >/proc/sys/vm/overcommit_ratio
./work; echo "overcommit: $?"
./work data; echo "overcommit and RLIMIT_DATA: $?"
echo 0 >/proc/sys/vm/overcommit_memory
grep -qw la57 /proc/cpuinfo && ./work; echo "five levels of page tables: $?"
mkdir /sys/fs/cgroup/small
echo 48M >/sys/fs/cgroup/small/memory.max
(echo 0 >/sys/fs/cgroup/small/cgroup.procs; exec ./work); echo "memory.max: $?"
"""


def in_guest(args, tap, rows):
    """What the machine must not be set to for a test: in a virtual one."""
    try:
        import vm  # pylint: disable=import-outside-toplevel
    except ImportError:
        return tap.skip("overcommit 2, memory.max, 57 bits in a virtual machine", "there is none")
    try:
        _, text = vm.run(GUEST, {"work": args.work, "libslabmalloc.so.0": library()}, ((2, 512),))
    except (vm.Missing, vm.Hung) as why:
        return tap.skip("overcommit 2, memory.max, 57 bits in a virtual machine", str(why))
    for what, row in (("overcommit", "`overcommit_memory` 2"),
                      ("overcommit and RLIMIT_DATA", "`overcommit_memory` 2 and `RLIMIT_DATA`"),
                      ("five levels of page tables", "57 bits of address space (nothing fails)"),
                      ("memory.max", "a memory cgroup (`memory.max`) of 48 MiB")):
        good = f"\n{what}: 0\n" in "\n" + text
        tap.ok(good, f"a virtual machine with {what}: no crash, nothing lost", text)
        rows.append(Row(row + ", in a virtual machine", 1, "", "", [] if good else [text]))
    return None


def table(rows, skipped):
    """The table, as text."""
    lines = [
        *HEAD.splitlines(),
        "",
        "| what fails | runs | uses in one run | allocations refused | result |",
        "|------------|-----:|----------------:|--------------------:|--------|",
    ]
    for row in rows:
        if row.uses == 0:
            continue
        result = "held" if not row.result else f"BROKEN in {len(row.result)}"
        lines.append(f"| {row.what} | {row.how} | {row.uses} | {row.refused} | {result} |")
    lines += ["", "A `futex` that fails is one that waits: a kernel does not lose a wake-up.",
              "\"Uses\" includes those of the C library itself (a thread's stack, its end)."]
    unused = [row.what for row in rows if row.uses == 0]
    lines += ["", "Not made by this work: " + ", ".join(unused) + "."]
    if skipped:
        lines += ["", "Not to be had where this table was made: " + "; ".join(skipped) + "."]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--table")
    parser.add_argument("trouble")
    parser.add_argument("work")
    args = parser.parse_args()
    library()
    if platform.machine() != "x86_64":
        skip_all("the tracer knows the registers of x86-64 only")
    if run([args.trouble, "mmap", "ENOMEM", "1", "0", "/bin/true"]).returncode == CANNOT:
        skip_all("nothing can be traced here")
    tap, rows, skipped = Tap(), [], []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for call, error in CALLS:
            row = one_call(args, pool, call, error)
            rows.append(row)
            tap.ok(not row.result, f"{call} may say {error}: no crash, nothing lost",
                   *row.result[:3])
    for what, kind in LIMITS:
        row = limited(args, kind)._replace(what=what)
        rows.append(row)
        tap.ok(not row.result, f"{what}: no crash, nothing lost", *row.result)
    if shutil.which("setarch"):
        row = limited(args, (), "setarch", "--addr-compat-layout", "--addr-no-randomize")
        rows.append(row._replace(what="addresses from below (`ADDR_COMPAT_LAYOUT`)"))
        tap.ok(not row.result, "ADDR_COMPAT_LAYOUT: no crash, nothing lost", *row.result)
    row = memory_max(args)
    if row:
        rows.append(row._replace(what="a memory cgroup of 96 MiB"))
        tap.ok(not row.result, "a memory cgroup: no crash, nothing lost", *row.result)
    else:
        skipped.append("a memory cgroup on this machine")
        tap.skip("a memory cgroup: no crash, nothing lost", "none can be made here")
    if args.all:
        in_guest(args, tap, rows)
    if args.table:
        pathlib.Path(args.table).write_text(table(rows, skipped), encoding="utf-8")
    tap.done()


main()
