#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What comes of each crime of attacks*.c, under this library and others.

usage: attacks.py --ours PROGRAM      with SLABMALLOC_SO: what must be caught, as TAP
       attacks.py --table FILE PROGRAM          with SLABMALLOC_SO: every crime under every malloc

A crime is
    caught    named in words on stderr, before the program's next step;
    late      named, but only later, when something else met the damage, or at exit;
    crash     ended by a signal without a word;
    silent    the program went on and was harmed: two owners of one block, changed bytes, a secret
              read;
    harmless  the program went on, and nothing came of it.
"""

import concurrent.futures
import fnmatch
import glob
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "api"))

from tap import Tap, library, outcome, run  # noqa: E402  pylint: disable=wrong-import-position

KFENCE = "all"

# How this library is run: name, variables.
OURS = {
    "default": {},
    "F": {"SLABMALLOC_DEBUG": "F"},
    "Z": {"SLABMALLOC_DEBUG": "Z"},
    "P": {"SLABMALLOC_DEBUG": "P"},
    "U": {"SLABMALLOC_DEBUG": "U"},
    "FZPU": {"SLABMALLOC_DEBUG": "FZPU"},
    "harden": {"SLABMALLOC_HARDEN": "all"},
    "KFENCE": {"SLABMALLOC_KFENCE": KFENCE},
    "KFENCE, harden": {"SLABMALLOC_KFENCE": KFENCE, "SLABMALLOC_HARDEN": "all"},
    "all": {
        "SLABMALLOC_DEBUG": "FZPU",
        "SLABMALLOC_HARDEN": "all",
        "SLABMALLOC_KFENCE": KFENCE,
    },
}

# What must come of crimes; the first pattern that fits counts. What is not here may go either way:
# where a guard lies is chance, and so is what an interior pointer meets that waits in a sheaf.
INVALID = ["freed/*", "misaligned-free/*", "foreign-free/*", "double-free/*"]
MUST = {
    "default": [
        ("caught", ["double-free/of-overwritten/huge"]),
        (None, ["double-free/of-overwritten/*"]),
        ("caught", INVALID + ["interior-free/by-thread/*", "interior-free/realloc/*",
             "interior-free/*/huge", "interior-free/by-half/large"]),
        ("harmless", ["write-freed/freelist/*"]),
    ],
    "FZPU": [
        ("caught", INVALID + ["interior-free/*", "wrong-size/*", "no-bytes/write-behind"]),
        (None, ["*/huge"]),
        ("late", ["*/never-freed/*", "write-freed/at-once/*", "write-freed/last-byte/*",
             "write-freed/by-thread/*"]),
        ("caught", ["overflow/*", "underflow/*", "write-freed/then-allocate/*",
             "write-freed/freelist/*", "mismatch/*"]),
        ("harmless", ["read-freed/*", "read-uninitialized/*"]),
    ],
    "harden": [
        ("caught", INVALID + ["interior-free/*", "wrong-size/*"]),
        ("harmless", ["read-freed/*", "read-uninitialized/*", "write-freed/freelist/*"]),
        ("crash", ["no-bytes/*"]),
    ],
    "KFENCE": [
        ("caught", INVALID + ["interior-free/*", "read-freed/*", "write-freed/*",
             "overflow/by-*", "underflow/by-*", "no-bytes/write-behind"]),
        # Bytes of the page that nobody looks at before the end, or a fault.
        (None, ["*/never-freed/*"]),
    ],
    "all": [
        (None, ["mismatch/*/huge"]),
        ("caught", ["mismatch/*"]),
        ("caught", INVALID + ["interior-free/*", "read-freed/*", "write-freed/*", "wrong-size/*",
             "overflow/by-*", "underflow/by-*"]),
        ("crash", ["no-bytes/*"]),
    ],
}

# What is said of a family of crimes.
BAD_POINTER = (
    "double free: |invalid pointer: |Object already free|Invalid object pointer|KFENCE: invalid "
)
OUT_OF_BOUNDS = (
    "Redzone overwritten|Poison overwritten|padding overwritten|"
    "KFENCE: out-of-bounds|KFENCE: memory corruption"
)
SAID = {
    "double-free": BAD_POINTER + "|KFENCE: use-after-free write",
    "freed": BAD_POINTER,
    "misaligned-free": "invalid pointer: |Invalid object pointer|KFENCE: invalid ",
    "interior-free": BAD_POINTER,
    "foreign-free": "invalid pointer: not of this heap|KFENCE: invalid free",
    "overflow": OUT_OF_BOUNDS,
    "underflow": OUT_OF_BOUNDS,
    "write-freed": "Poison overwritten|KFENCE: use-after-free write",
    "read-freed": "KFENCE: use-after-free read",
    "wrong-size": r"operator delete(\[\])?\(0x[0-9a-f]+\): wrong size: \d+, of a block of \d+ bytes",
    "mismatch": r"Mismatched free of what (malloc|operator new|operator new\[\]) allocated",
    "no-bytes": OUT_OF_BOUNDS,
}

# Where Debian has the others.
PEERS = {
    "glibc": None,
    "jemalloc": "/usr/lib/*/libjemalloc.so.2",
    "mimalloc": "/usr/lib/*/libmimalloc.so.2",
    "tcmalloc": "/usr/lib/*/libtcmalloc_minimal.so.4",
    "scudo": "/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.scudo_standalone-x86_64.so",
}

WORDS = ("caught", "late", "crash", "silent", "harmless")


def judge(result):
    """What came of a run."""
    done = "done\n" in result.stdout
    if result.returncode == "timeout":
        return "crash"
    if result.returncode != 0 and result.stderr.strip():
        return "late" if done else "caught"
    if result.returncode != 0:
        return "crash"
    if result.stderr.strip():
        return "late"
    return "silent" if "\nharm\n" in result.stdout else "harmless"


def commit(program, crime, so, variables):
    preload = [so] if so else None
    return run([program, crime], preload, 30, SLABMALLOC_TEST_PEER="1", **variables)


def commit_all(program, crimes, so, variables):
    """Each crime's result."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda crime: commit(program, crime, so, variables), crimes)
        return dict(zip(crimes, results))


def all_crimes(program):
    return run([program, "--list"]).stdout.split()


def expected(setting, crime):
    """What must come of it, or None."""
    for outcome_wanted, patterns in MUST[setting]:
        if any(fnmatch.fnmatch(crime, p) for p in patterns):
            return outcome_wanted
    return None


def survive(tap, program, setting, crimes):
    """What is given back wrongly is not taken, with abort:0, and the heap is as it was."""
    crimes = [c for c in crimes if "free" in c.split("/")[0] or c.startswith(("wrong", "mismatch"))]
    crimes = [c for c in crimes if not c.startswith(("write", "read"))]
    results = commit_all(program, crimes, library(), {**OURS[setting], "SLABMALLOC_ABORT": "0"})
    wrong = []
    for crime, result in results.items():
        named = re.search(SAID[crime.split("/")[0]], result.stderr)
        if result.returncode != 0 or not named or "no harm" not in result.stdout:
            wrong += [crime, outcome(result)]
    tap.ok(not wrong, f"{setting}: {len(crimes)} crimes do no harm with abort:0", *wrong)


def ours(program):
    """What must be caught is, and named by its name."""
    tap = Tap()
    crimes = all_crimes(program)
    tap.ok(len(crimes) > 200, f"there are {len(crimes)} crimes")
    for setting in MUST:
        results = commit_all(program, crimes, library(), OURS[setting])
        # KFENCE takes samples: a block that it missed on a loaded machine has a second chance.
        missed = [c for c in crimes if "KFENCE" in setting and expected(setting, c) == "caught"
                  and judge(results[c]) != "caught"]
        results.update(commit_all(program, missed, library(), OURS[setting]))
        for wanted in WORDS:
            wrong, count = [], 0
            for crime, result in results.items():
                if expected(setting, crime) != wanted:
                    continue
                count += 1
                named = wanted not in ("caught", "late") or re.search(
                    SAID[crime.split("/")[0]], result.stderr
                )
                if judge(result) != wanted or not named:
                    wrong += [f"{crime}: {judge(result)}", outcome(result)]
            if count:
                tap.ok(not wrong, f"{setting}: {count} crimes are {wanted}", *wrong)
        survive(tap, program, setting, [c for c in crimes if expected(setting, c) == "caught"])
    tap.done()


HEAD = """\
# Crimes against the heap

Made by `tests/death/attacks.py --table`: {count} programs (`tests/death/attacks*.c`), each with one error in its use of memory: a
way to do wrong, in a small (40 bytes), medium (2000), large (100,000) or huge (3 MiB) block. Each ran once under each malloc:

- **caught**: named in words on stderr, before the program's next step
- **late**: named, but later, when something else met the damage, or at exit
- **crash**: ended by a signal, or hung, without a word
- **silent**: the program went on and was harmed: two owners of one block, changed bytes, a secret read
- `.`: the program went on, and nothing came of it this time

slabmalloc as it is (default), under letters of `SLABMALLOC_DEBUG`, with `SLABMALLOC_HARDEN=all`, and with KFENCE for every
allocation up to 4 MiB (`SLABMALLOC_KFENCE={kfence}`), which puts a block at the left or the right end of its pages by
chance: a write outside is seen at once, when the block is freed or at exit, a read on one side only. *all* is FZPU,
hardening and this KFENCE together. The others as Debian has them: {versions}.
hardened_malloc and mimalloc's secure build are not in Debian.

What is not caught by default, and why:

- *A double free of a block that was overwritten in between*: what tells `free` that a block is free is a word in it. Any debug
  letter and hardening look elsewhere, each time.
- *An interior pointer that is a multiple of 16*, if it lies in a page where an object begins: it goes into the sheaf like
  any other, and is seen when that is emptied (late), if no `malloc` has returned it before. Any debug letter and hardening
  look for the object's start in each `free`.
- *A wrong size in a sized delete; new[] given back by delete*: it does no harm here, and programs that do it work under glibc.
  Any debug letter and hardening (sizes), and letter U (new, new[], malloc) tell.
- *Reads and writes outside of a block, or after it was freed*: nothing lies between blocks that could change. Z, P and KFENCE
  tell; hardening lets no secret be read.

Blocks above 256 KiB have pages of their own, and neither guard bytes nor poison: KFENCE guards them. What may stay silent
under all letters together is a write through a stale pointer into what is another's block by now: only KFENCE takes such memory away.

"""


def version_of(name):
    if name == "glibc":
        return "glibc " + os.confstr("CS_GNU_LIBC_VERSION").split()[1]
    paths = sorted(glob.glob(PEERS[name]))
    if not paths:
        return None
    found = re.search(r"clang/([0-9.]+)/", paths[-1])
    if found:
        return f"scudo of LLVM {found.group(1)}"
    owner = run(["dpkg-query", "-S", os.path.realpath(paths[-1])]).stdout.split(":")[0]
    return f"{name} " + run(["dpkg-query", "-W", "-f", "${Version}", owner]).stdout


def row(cells):
    return "| " + " | ".join(str(c) for c in cells) + " |\n"


def summary(columns, crimes):
    """Per family, how many of its crimes were caught, at once or late."""
    families = list(dict.fromkeys(c.split("/")[0] for c in crimes))
    text = row(["family", "crimes"] + list(columns)) + row(["---"] + ["---:"] * (len(columns) + 1))
    for family in families + [""]:
        of_family = [c for c in crimes if c.startswith(family)]
        cells = [sum(r[c] in ("caught", "late") for c in of_family) for r in columns.values()]
        text += row([family or "**all, caught or late**", len(of_family)] + cells)
    for word in WORDS:
        cells = [sum(r[c] == word for c in crimes) for r in columns.values()]
        text += row([f"*{word}*", ""] + cells)
    return text


def first_line(stderr):
    """The line that names the crime, without what differs from run to run."""
    line = next((x for x in stderr.splitlines() if "BUG" in x or x.startswith("slabmalloc: ")), "")
    return re.sub(r"0x[0-9a-f]+", "0x…", re.sub(r"\+0x[0-9a-f/x]+", "", line))


def examples(results, crimes):
    """One line of each family under each setting that says something."""
    text = "| crime | under | what is said |\n|---|---|---|\n"
    seen = set()
    for crime in crimes:
        for setting in ("default", "FZPU", "harden", "KFENCE", "all"):
            line = first_line(results[setting][crime].stderr)
            key = (crime.split("/")[0], setting)
            if line and key not in seen:
                seen.add(key)
                text += row([crime, setting, f"`{line}`"])
    return text


def table(path, program):
    crimes = all_crimes(program)
    columns, results = {}, {}
    for setting, variables in OURS.items():
        results[setting] = commit_all(program, crimes, library(), variables)
        columns[setting] = {c: judge(r) for c, r in results[setting].items()}
    there = [p for p in PEERS if version_of(p)]
    for peer in there:
        so = PEERS[peer] and sorted(glob.glob(PEERS[peer]))[-1]
        found = commit_all(program, crimes, so, {})
        columns[peer] = {c: judge(r) for c, r in found.items()}
    with open(path, "w", encoding="utf-8") as f:
        versions = ", ".join(version_of(p) for p in there)
        f.write(HEAD.format(count=len(crimes), kfence=KFENCE, versions=versions))
        f.write("## How many are caught\n\n" + summary(columns, crimes))
        f.write("\n## What is said\n\n" + examples(results, crimes))
        f.write("\n## Each crime\n\n" + row(["crime"] + list(columns)))
        f.write(row(["---"] * (len(columns) + 1)))
        for crime in crimes:
            cells = [r[crime] if r[crime] != "harmless" else "." for r in columns.values()]
            f.write(row([crime] + cells))


def main():
    if sys.argv[1:2] == ["--ours"] and len(sys.argv) >= 3:
        ours(sys.argv[-1])
    elif sys.argv[1:2] == ["--table"] and len(sys.argv) == 4:
        table(*sys.argv[2:])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
