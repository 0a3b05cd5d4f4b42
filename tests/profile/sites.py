# SPDX-License-Identifier: MIT
"""What the tests of this directory share: running sites.c, and whose samples are whose."""

import pathlib
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "api"))

import pprof  # noqa: E402
from tap import run  # noqa: E402


class Sites:
    """A run of one pattern: the result, and {function: {type: value}} of its profile."""

    def __init__(self, program, folder, pattern, interval, **variables):
        self.path = pathlib.Path(folder, pattern + ".pb")
        self.path.unlink(missing_ok=True)
        self.result = run([program, pattern], SLABMALLOC_PROFILE=f"{interval},{self.path}",
                          **variables)
        self.profile = pprof.read(self.path.read_bytes()) if self.path.exists() else None
        self.by_function = by_function(program, self.profile) if self.profile else {}


def addresses_of_functions(program):
    """[(start, end, name)] in the file."""
    found = []
    listing = subprocess.run(["readelf", "-sW", program], capture_output=True, text=True,
                             check=True)
    for line in listing.stdout.splitlines():
        words = line.split()
        if len(words) == 8 and words[3] == "FUNC" and int(words[2], 0):
            start = int(words[1], 16)
            found.append((start, start + int(words[2], 0), words[7]))
    return found


def load_offset(program):
    """What is to be added to a file offset of code to find its address in the file's own terms."""
    listing = subprocess.run(["readelf", "-lW", program], capture_output=True, text=True,
                             check=True)
    for line in listing.stdout.splitlines():
        words = line.split()
        if words[:1] == ["LOAD"] and "E" in words[6:8]:
            return int(words[2], 16) - int(words[1], 16)
    raise ValueError("no code")


def by_function(program, profile):
    """The innermost function of each sample, and the sums of its samples."""
    functions, offset = addresses_of_functions(program), load_offset(program)
    mine = [m for m in profile.mappings.values() if m.name == str(program)]
    sums = {}
    for stack, values in profile.samples:
        name = None
        for m in mine:
            if m.start <= stack[0] < m.limit:
                address = stack[0] - m.start + m.offset + offset
                name = next((n for s, e, n in functions if s <= address < e), None)
        into = sums.setdefault(name, dict.fromkeys(values, 0))
        for key, value in values.items():
            into[key] += value
    return sums
