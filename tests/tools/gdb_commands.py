#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""scripts/gdb/slabmalloc.py in processes and in cores."""
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from common import SUBJECT, TOP_TREE, need_ptrace, subject, tap

t = tap.Tap()
SCRIPT = TOP_TREE / "scripts" / "gdb" / "slabmalloc.py"

# What mode `leak` of the subject has lost: 15 pairs of 200 bytes, and 3 MiB.
LOST_SMALL, LOST_LARGE = 30, 3 << 20


def gdb(target, *commands):
    arguments = ["gdb", "-q", "-nx", "-batch", "-ex", "set debuginfod enabled off",
                 "-ex", "set pagination off", *target, "-ex", f"source {SCRIPT}"]
    for command in commands:
        arguments += ["-ex", f"echo >>>{command}\\n", "-ex", command]
    result = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False,
                            errors="replace")
    parts = re.split(r"^>>>(.*)\n", result.stdout, flags=re.M)
    answers = dict(zip(parts[1::2], parts[2::2]))
    answers["all"] = result.stdout + result.stderr
    return answers


def look_at(what, s, target, letters):
    """One gdb for all of it: its start takes the time."""
    expected = {
        f"{s.at['node']}": r"object \d+ at \S+ of (104|112) bytes: live, at its start",
        f"(char *){s.at['node']} + 20": r"live, 20 bytes inside",
        s.at["middle"]: r"cache kmalloc-5120",
        s.at["large"]: r"large block of 1048576 bytes at \S+: live, 0 bytes inside",
        f"(char *){s.at['area']} + 70000": r"area of 41943040 bytes at \S+: live, 70000 bytes",
        s.at["freed"]: r"cache kmalloc-80.*\n.*free, " +
                       ("in its slab" if letters else "in a sheaf of thread 1 .*tid"),
        s.at["code"]: r"not of this heap \(hold in section .text",
        "$sp": r"not of this heap",
    }
    answers = gdb(target, *(f"slab whatis {x}" for x in expected), "slab caches", "slab verify")
    for address, wanted in expected.items():
        answer = answers.get(f"slab whatis {address}", "")
        t.ok(re.search(wanted, answer), f"{what}: whatis: {wanted}", answers["all"])
    if letters:
        answer = answers.get(f"slab whatis {s.at['node']}", "")
        t.ok(re.search(r"asked for: 104 bytes\n  allocated by thread 1 .*:\n.* hold \+", answer),
             f"{what}: whatis: who allocated it, with the stack", answer)
        answer = answers.get(f"slab whatis {s.at['freed']}", "")
        t.ok(re.search(r"freed by thread 1 .*:\n.* hold \+", answer),
             f"{what}: whatis: who freed it", answer)
    caches(what, s, answers)


def caches(what, s, answers):
    own, seen = {}, {}
    for line in s.dump:
        fields = line.split()
        if line.startswith("kmalloc-") and len(fields) == 16 and fields[14] != "0":
            own[fields[0]] = fields[1:4] + fields[14:15]
    for line in answers.get("slab caches", "").splitlines():
        fields = line.split()
        if line.startswith("kmalloc-"):
            seen[fields[0]] = fields[1:4] + fields[5:6]
    t.ok(own and own == seen, f"{what}: caches: the numbers of slabinfo",
         sorted(set(map(str, own.items())) ^ set(map(str, seen.items()))), answers["all"])
    t.ok("no errors" in answers.get("slab verify", ""), f"{what}: verify finds nothing wrong",
         answers["all"])


def leaks(what, target, letters):
    answers = gdb(target, "slab find-leaks")
    answer = answers.get("slab find-leaks", "")
    small = sum(int(n) for n in re.findall(r"^(\d+) lost of kmalloc-208:", answer, re.M))
    # A register or an old stack may still hold one pair, and who is to say that it is not used?
    t.ok(LOST_SMALL - 2 <= small <= LOST_SMALL, f"{what}: find-leaks: the small ones",
         answers["all"])
    t.ok(re.search(rf"1 lost of large block: {LOST_LARGE} bytes", answer),
         f"{what}: find-leaks: the large one", answers["all"])
    t.ok(not re.search(r"lost of (kmalloc-(112|5120|784)|area)", answer),
         f"{what}: find-leaks: nothing that is held", answers["all"])
    if letters:
        t.ok(re.search(r"lost of kmalloc-208: \d+ bytes.*\n.* lose \+", answer),
             f"{what}: find-leaks: where it was allocated", answer)


def core_of(pid, directory):
    subprocess.run(["gdb", "-q", "-nx", "-batch", "-ex", "set debuginfod enabled off",
                    "-p", str(pid), "-ex", f"gcore {directory}/core"],
                   capture_output=True, timeout=120, check=False)
    return directory / "core"


def look(directory, letters):
    under = f" under {letters}" if letters else ""
    with subject("still", SLABMALLOC_DEBUG=letters) as s:
        live = ["-p", str(s.pid)]
        look_at(f"a process{under}", s, live, letters)
        core = core_of(s.pid, directory)
        look_at(f"a core{under}", s, [SUBJECT, str(core)], letters)
        core.unlink()
    with subject("leak", SLABMALLOC_DEBUG=letters) as s:
        leaks(f"a process{under}", ["-p", str(s.pid)], letters)
        core = core_of(s.pid, directory)
        leaks(f"a core{under}", [SUBJECT, str(core)], letters)
        core.unlink()


# Names of the damage, and Python that does it; heap and memory are there.
DAMAGE = {
    "a count of free objects": (
        "at = h.d.address('cache_nodes') + 7 * h.d.number('kmem_cache_node')"
        " + h.d.number('kmem_cache_node.nr_free'); w(at, h.memory.word(at) + 1, 8)",
        r"kmalloc-112: nr_free is \d+, found \d+"),
    "a slab's objects in use": (
        "r = h.region_at({node}); i = ({node} - r[0]) >> 12;"
        " at = r[1] + h.d.number('region.page') + i * h.page_size + h.d.number('page.inuse');"
        " w(at, 1, 2)",
        r"slab 0x\S+ of kmalloc-112: 1 in use"),
    "a pointer in a sheaf": (
        "x = next(x for x in h.sheaves() if x[3]); w(x[1] + h.d.number('slab_sheaf'),"
        " x[3][0] + 16, 8)",
        r"is no object of kmalloc-\d+ in use"),
    "a list without an end": (
        "at = next(iter(h.regions.values()))[1] + h.d.number('region.link'); w(at, at, 8)",
        r"has no end"),
}


def profiled():
    with subject("still", SLABMALLOC_PROFILE="64k,/dev/null") as s:
        answers = gdb(["-p", str(s.pid)], "slab caches", "slab verify")
        caches("a process that is profiled", s, answers)


def damaged():
    with subject("still") as s:
        for what, (code, expected) in DAMAGE.items():
            code = code.format(node=s.at["node"])
            # What gdb writes is undone, so that the next damage is alone.
            answers = gdb(
                ["-p", str(s.pid)],
                "python import slabmalloc_heap, struct; h = slabmalloc_heap.Heap(); undo = []",
                "python mem = gdb.selected_inferior()",
                "python w = lambda at, v, n: (undo.append((at, mem.read_memory(at, n).tobytes())),"
                " mem.write_memory(at, v.to_bytes(n, 'little')))",
                f"python {code}",
                "slab verify",
                "python [mem.write_memory(a, b) for a, b in undo]",
            )
            t.ok(re.search(expected, answers["all"]), f"verify sees {what}", answers["all"])


def refused():
    with subject("busy", preload=False) as s:
        answers = gdb(["-p", str(s.pid)], "slab caches")
        t.ok("slab: no libslabmalloc here" in answers["all"], "no library: one line",
             answers["all"])


def main():
    if not shutil.which("gdb"):
        tap.skip_all("no gdb")
    probe = subprocess.run(["gdb", "-nx", "-batch", "-ex", "python print(6 * 7)"],
                           capture_output=True, text=True, timeout=60, check=False)
    if "42" not in probe.stdout:
        tap.skip_all("gdb has no Python")
    need_ptrace()
    with tempfile.TemporaryDirectory() as directory:
        for letters in ("", "U"):
            look(Path(directory), letters)
    profiled()
    damaged()
    refused()
    t.done()


main()
