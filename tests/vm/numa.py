#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Where memory lies, in guests of several nodes. With SLABMALLOC_SO.

    numa.py PROGRAM                             the promises, in guests of all shapes
    numa.py --guest 'two nodes' PROGRAM         in one
    numa.py --with /usr/lib/…/libother.so PROGRAM   other libraries' figures beside ours, and glibc's
    numa.py --with … --table FILE PROGRAM       the same as a table for reading (tests/NUMA.md);
                                                --rounds N: so many times

The program is numa.c, which tells what part of the bytes lies beside the thread that asked for them.
"""

import argparse
import glob
import os
import pathlib
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "api")]

from tap import Tap, library, skip_all  # noqa: E402
import vm  # noqa: E402

LIBNUMA = next(iter(glob.glob("/usr/lib/*/libnuma.so.1") + glob.glob("/usr/lib64/libnuma.so.1")), None)
# (processors, MiB) of each node
GUESTS = {
    "two nodes": ((1, 320), (1, 320)),
    "four nodes": ((1, 224), (1, 224), (1, 224), (1, 224)),
    "a node without processors": ((1, 320), (1, 320), (0, 128)),
    "a node without memory": ((1, 320), (1, 320), (1, 0)),
    "a full node": ((1, 256), (1, 192), (1, 256)),
}
# Node 2 is nearer to node 0 than node 1 is.
DISTANCES = {"a full node": {(0, 1): 40, (0, 2): 20, (1, 2): 30}}
# Percent of the bytes that must lie where they should.
LEAST = dict.fromkeys(
    ("small", "medium", "large", "reused", "migrated", "swapped", "bound", "preferred"), 99.0)
# The nodes take turns, a few dozen of them.
LEAST["interleaved"] = 80.0

OURS = "env LD_PRELOAD=/payload/libslabmalloc.so"

# What real programs write is the same with the library and without; the statistics tell of both nodes.
PROGRAMS = f"""
seq 1 20000 | ./sort -R > /tmp/text
for how in '' /payload/libslabmalloc.so; do
    LD_PRELOAD=$how ./sort -n --parallel=2 /tmp/text | LD_PRELOAD=$how ./xz -T2 -1 | \
        LD_PRELOAD=$how ./xz -d | md5sum | sed 's/^/sum /'
done
taskset 2 {OURS} SLABMALLOC_STATS=1 ./sort /tmp/text 2>&1 >/dev/null |
    grep -E '^(numa|local|other|mbind|Node)'
"""

# As numactl --membind=1 does.
MEMBIND = f"{OURS} ./numa under 2 2 ./numa all_on 1"

# Threads of all four nodes, two of which have memory for them.
CPUSET = f"""
echo +cpuset >/sys/fs/cgroup/cgroup.subtree_control
mkdir /sys/fs/cgroup/few
echo 1-2 >/sys/fs/cgroup/few/cpuset.mems
sh -c 'echo $$ >/sys/fs/cgroup/few/cgroup.procs; exec {OURS} ./numa small medium reused migrated'
"""

FULL = f"{OURS} SLABMALLOC_STATS=1 ./numa full 2>&1 | grep -E '^(failed|beyond|numa_|fallback)'"

# Guest: what else is run there, and what judges it.
EXTRAS = {
    "two nodes": ("programs", "membind"),
    "four nodes": ("cpuset",),
    "a full node": ("full",),
}
COMMANDS = {"programs": PROGRAMS, "membind": MEMBIND, "cpuset": CPUSET, "full": FULL}

ABOUT = {
    "small": "16 B to 1 KiB, each thread its own",
    "medium": "to 256 KiB",
    "large": "to 64 MiB",
    "reused": "what a thread gets after a thread of another node has freed all it had",
    "migrated": "what a thread gets after it has moved to another node",
    "swapped": "what threads get after each has freed what another node's thread had",
    "bound": "under the thread's own policy, another node than it runs on",
    "preferred": "the same, preferred",
    "interleaved": "under that policy: the smaller part, of what it should be",
}


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--guest", action="append", choices=GUESTS)
    parser.add_argument("--with", dest="others", action="append", default=[], metavar="PATH.so")
    parser.add_argument("--table", metavar="FILE")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("program")
    return parser.parse_args()


def words_of(lines):
    return {words[0]: words[1:] for words in map(str.split, lines) if words}


def shares_of(lines):
    return {w[0]: float(w[1]) for w in map(str.split, lines) if len(w) == 2}


def judge_shares(tap, what, lines, names):
    shares = shares_of(lines)
    for name in names:
        tap.ok(shares.get(name, 0) >= LEAST[name], f"{what}: {name}: at least {LEAST[name]} %",
               *lines)


def judge_programs(tap, guest, lines):
    text = "\n".join(lines)
    sums = [line for line in lines if line.startswith("sum ")]
    rows = words_of(lines)
    tap.ok(len(sums) == 2 and sums[0] == sums[1], f"{guest}: real programs write the same", text)
    tap.ok(any(line.startswith("Node 1, zone   Normal") for line in lines),
           f"{guest}: the second node has a zone", text)
    hits, misses = (list(map(int, rows.get(row, (0, 0)))) for row in ("numa_hit", "numa_miss"))
    tap.ok(hits[1] > 100 * (hits[0] + sum(misses)), f"{guest}: memory is that of the node", text)
    tap.ok(rows.get("mbind_refused") == ["0"], f"{guest}: regions are bound", text)


def judge_full(tap, guest, lines):
    rows = {name: list(map(float, values)) for name, values in words_of(lines).items()}
    tap.ok(rows.get("failed") == [0], f"{guest}: no request fails", *lines)
    beyond = rows.get("beyond_bytes", [0])[0]
    tap.ok(beyond > 16 << 20, f"{guest}: what it has not comes from elsewhere", *lines)
    tap.ok(rows.get("beyond", [0])[0] >= 99, f"{guest}: from the nearest of the others", *lines)
    foreign, miss = rows.get("numa_foreign", [0] * 3), rows.get("numa_miss", [0] * 3)
    # As sampled, by 2 MiB.
    tap.ok(beyond / 2 <= foreign[0] <= 2 * beyond and foreign[0] - miss[2] <= 4 << 20,
           f"{guest}: numa_foreign of that node, numa_miss of the other tell of it", *lines)
    tap.ok(rows.get("fallback", [0])[0] == foreign[0], f"{guest}: the system's choice, not ours",
           *lines)


def judge(tap, guest, under, lines, libnuma):
    if under == "libslabmalloc.so":
        judge_shares(tap, guest, lines, LEAST)
        tap.ok(shares_of(lines).get("libnuma") == libnuma,
               f"{guest}: libnuma is loaded where it is installed", *lines)
    elif under == "programs":
        judge_programs(tap, guest, lines)
    elif under == "membind":
        judge_shares(tap, f"{guest}, all bound to the second", lines, ("small", "medium", "large"))
    elif under == "cpuset":
        judge_shares(tap, f"{guest}, a cpuset with the memory of two", lines,
                     ("small", "medium", "reused", "migrated"))
    elif under == "full":
        judge_full(tap, guest, lines)


def commands(guest, others, path):
    """(name, command) of what is run in a guest."""
    unders = {"libslabmalloc.so": "/payload/libslabmalloc.so"}
    if others:
        unders |= {"glibc": ""}
        unders |= {os.path.basename(so): f"/payload/{os.path.basename(so)}" for so in others}
    runs = []
    if guest not in DISTANCES:
        runs = [(name, f"env LD_LIBRARY_PATH={path} LD_PRELOAD={so} ./numa")
                for name, so in unders.items()]
    if not others:
        runs += [(name, COMMANDS[name]) for name in EXTRAS.get(guest, ())]
    return runs


def package(path):
    """"libmimalloc2.0 2.0.9", if it is Debian's."""
    said = subprocess.run(["dpkg", "-S", os.path.realpath(path)], capture_output=True, text=True,
                          check=False).stdout
    name = said.split(": ")[0]
    said = name and subprocess.run(["dpkg-query", "-W", name], capture_output=True, text=True,
                                   check=False).stdout
    return " ".join(said.replace(":amd64", "").split()) or os.path.basename(path)


def cell(values):
    if not values:
        return "–"
    low, high = f"{min(values):.0f}", f"{max(values):.0f}"
    return low if low == high else f"{low} to {high}"


def write_table(path, figures, others):
    """figures: guest -> library -> of each round, name -> percent."""
    out = ["# Where memory lies, on several nodes", "",
           "Percent of the bytes that lie on the node of the thread that asked for them, or, of the",
           "last three, where its policy wants them; the least and the most of some rounds. In virtual",
           "machines; made by", "",
           "    tests/vm/numa.py --rounds 3 --with LIBRARY… --table tests/NUMA.md \\",
           "        build/release/tests/vm/numa",
           "",
           f"with Debian's {', '.join(map(package, others))}",
           "and glibc. This tcmalloc (gperftools) has no option for nodes; Debian has no other.",
           ""]
    for guest, by_library in figures.items():
        nodes = ", ".join(f"{cpus} and {mib} MiB" for cpus, mib in GUESTS[guest])
        unders = list(by_library)
        out += [f"## {guest.capitalize()}", "", f"CPUs and memory of the nodes: {nodes}.", "",
                "| | " + " | ".join(u.split(".so")[0] for u in unders) + " |",
                "|---|" + "---:|" * len(unders)]
        for name, about in ABOUT.items():
            cells = (cell([r[name] for r in by_library[u] if name in r]) for u in unders)
            out.append(f"| {name}: {about} | " + " | ".join(cells) + " |")
        out.append("")
    pathlib.Path(path).write_text("\n".join(out[:-1]) + "\n", encoding="utf-8")


def main():
    args = arguments()
    try:
        vm.kernel()
    except vm.Missing as why:
        skip_all(str(why))
    files = {"numa": args.program, "libslabmalloc.so": library()}
    files |= {name: shutil.which(name) for name in ("sort", "xz") if shutil.which(name)}
    files |= {os.path.basename(path): path for path in args.others}
    if LIBNUMA:
        files["libnuma.so.1"] = LIBNUMA
    tap = Tap()
    figures = {}
    for guest in args.guest or GUESTS:
        # With libnuma where that can be had, in one of the guests; in the others by system calls.
        path = "/payload" if guest == "four nodes" else ""
        runs = [f"echo '== {name}'; {command}"
                for name, command in commands(guest, args.others, path)] * args.rounds
        if not runs:
            continue
        try:
            _, text = vm.run("\n".join(runs), files, GUESTS[guest], timeout=240 * args.rounds,
                             distances=DISTANCES.get(guest))
        except vm.Hung as why:
            tap.ok(False, f"{guest}: the guest ends", str(why))
            continue
        for part in text.split("== ")[1:]:
            under, *lines = part.splitlines()
            print(f"# {guest}: {under}: {', '.join(lines)}")
            judge(tap, guest, under, lines, bool(path and LIBNUMA))
            figures.setdefault(guest, {}).setdefault(under, []).append(shares_of(lines))
    if args.table:
        write_table(args.table, figures, args.others)
    tap.done()


if __name__ == "__main__":
    main()
