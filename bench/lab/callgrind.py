# SPDX-License-Identifier: MIT
"""Programs under callgrind, and its output as a call graph.

The format (valgrind's manual, "Callgrind Format Specification"): "fn=" names the function that the
cost lines after it belong to, "cfn=" and "calls=" announce a call, and the cost line after them
is what the call cost inclusive of all below. Names are given once, "(7) name", and are "(7)" after
that.

Functions are kept apart by who called them ("--separate-callers"): the name of one is then a chain,
inner'outer'outermost, and what a scenario calls to prepare itself is not mixed with what it counts.
"""

import collections
import pathlib
import re
import tempfile

from . import process

NAME = re.compile(r"\((\d+)\)(?: (.*))?$")

Function = collections.namedtuple("Function", "object name")


class Profile:
    """Instructions of one run: the total, and calls[caller][callee] = [how many, inclusive]."""

    def __init__(self, lines):
        self.total = 0
        self.calls = collections.defaultdict(dict)
        self._names = {"ob": {}, "fn": {}}
        self._read(iter(lines))

    def _name(self, table, text):
        """Resolves a compressed name, and remembers one that is given."""
        match = NAME.match(text)
        if not match:
            return text
        known = self._names[table]
        if match.group(2) is not None:
            known[match.group(1)] = match.group(2)
        return known[match.group(1)]

    def _read(self, lines):
        ob = callee_ob = ""
        fn = callee = None
        for line in lines:
            key, _, value = line.rstrip("\n").partition("=")
            if key == "ob":
                ob = callee_ob = self._name("ob", value)
            elif key == "fn":
                fn, callee_ob = Function(ob, self._name("fn", value)), ob
            elif key == "cob":
                callee_ob = self._name("ob", value)
            elif key == "cfn":
                callee, callee_ob = Function(callee_ob, self._name("fn", value)), ob
            elif key == "calls":
                edge = self.calls[fn].setdefault(callee, [0, 0])
                edge[0] += int(value.split()[0])
                edge[1] += int(next(lines).split()[1])
            elif line.startswith("totals:"):
                self.total = int(line.split()[1])

    def called_from(self, prefix):
        """{function whose name begins with prefix: (calls that it made, their cost)}."""
        found = collections.defaultdict(lambda: [0, 0])
        for caller, callees in self.calls.items():
            if caller.name.startswith(prefix):
                for count, cost in callees.values():
                    found[chain(caller)[0]][0] += count
                    found[chain(caller)[0]][1] += cost
        return {name: tuple(pair) for name, pair in found.items()}

    def functions(self, object_path, prefix):
        """{function of one library: (times run, inclusive cost)} below functions of that prefix.

        Without those that the prefix's functions call themselves.
        """
        found = collections.defaultdict(lambda: [0, 0])
        for callees in self.calls.values():
            for callee, (count, cost) in callees.items():
                name, *outer = chain(callee)
                below = any(caller.startswith(prefix) for caller in outer[1:])
                if below and callee.object == object_path:
                    found[name][0] += count
                    found[name][1] += cost
        return {name: tuple(pair) for name, pair in found.items()}


def chain(function):
    """A function's name and its callers', innermost first; without callgrind's recursion depth."""
    return [name for name in function.name.split("'") if not name.isdigit()]


def profile(command, env, timeout=1800):
    """Runs the command under callgrind."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out"
        options = ["--tool=callgrind", "--quiet", f"--callgrind-out-file={out}"]
        # valgrind must not put its own malloc in the place of the one to be counted.
        options += ["--soname-synonyms=somalloc=nouserintercepts"]
        # Deep enough for the slowest path of any allocator to show the counted call at its end.
        options += ["--separate-callers=12"]
        process.run(["valgrind", *options, *command], env | {"LD_BIND_NOW": "1"}, timeout)
        with open(out, encoding="utf-8", errors="replace") as lines:
            return Profile(lines)
