#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the table of what holds under which malloc.

usage: conformance.py --table FILE BUILD

BUILD is a build directory, with its tests. The others are those of Debian that the lab compares with.
"""

import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))

from lab import allocators  # noqa: E402  pylint: disable=wrong-import-position

LINE = re.compile(r"(ok|not ok) \d+ - (.*?): (.*) \(([^()]*)\)(?: # (.*))?$", re.M)

HEAD = """\
# What the standards say, and who does it

Made by `tests/conformance/conformance.py --table`: {count} clauses of C17, C23, POSIX 2024, C++20, glibc's manual and the Linux
manual pages, each checked in a process of its own ({versions}).

**yes**: it holds; **no**: it does not; **signal** and **hangs** (120 s): the process did not come back; **.**: there is no such
function. "What cannot be had" are 65,535 sizes: all within 2^14 of PTRDIFF_MAX and SIZE_MAX, and every multiple of 2^50; with the
functions that take an alignment at each of 61, for each 31st size but at 16 and 4096, where it is every size.

What does not hold here, and why:

{ours}
"""
WHY = {
}


def judge(program, allocator):
    """Clause -> word."""
    env = allocator.environment() | {"SLABMALLOC_TEST_PEER": "1"}
    result = subprocess.run([program], env=env, capture_output=True, text=True, errors="replace", check=False)
    found = {}
    for good, function, text, source, more in LINE.findall(result.stdout):
        word = "yes" if good == "ok" else "no"
        if more:
            word = "." if more.startswith("SKIP") else more
        found[function, text, source] = word
    return found


def row(*cells):
    return "| " + " | ".join(cells) + " |\n"


def main():
    if len(sys.argv) != 4 or sys.argv[1] != "--table":
        sys.exit(__doc__)
    path, build = sys.argv[2:]
    program = pathlib.Path(build) / "tests/conformance/api-conformance"
    there = [a for a in allocators.choose(build, [], None) if not a.missing]
    there.sort(key=lambda a: a.name != "slabmalloc")
    found = {a.name: judge(program, a) for a in there}
    ours = found["slabmalloc"]
    red = [f"- {function}: {text}: {WHY[text]}" for (function, text, _), word in ours.items()
           if word not in ("yes", ".")]
    versions = ", ".join(f"{a.name} {a.version}" for a in there if a.name != "slabmalloc")
    with open(path, "w", encoding="utf-8") as f:
        f.write(HEAD.format(count=len(ours), versions=versions,
                            ours="\n".join(red) or "(Nothing: all of it holds.)"))
        f.write("\n" + row("function", "clause", "source", *found))
        f.write(row(*["---"] * (3 + len(found))))
        for clause in ours:
            function, text, source = clause
            f.write(row(f"`{function}`", text, source,
                        *(words.get(clause, "no") for words in found.values())))
        f.write(row("**hold**", "", "",
                    *(str(sum(w == "yes" for w in words.values())) for words in found.values())))


if __name__ == "__main__":
    main()
