# SPDX-License-Identifier: MIT
"""Dumps of statistics: JSON Lines, and the texts that slabmalloc-stat and the library write.

A dump becomes a dict of the shape of the JSON: totals by name, a list of caches, and, where they
are there, regions and time_ms. A text has fewer fields, and no time.
"""

import json
import re

from .problem import Problem

HEADING = re.compile(r"# (?P<program>.+) \((?P<pid>\d+)\), (?P<state>\w+); "
                     r"libslabmalloc (?P<version>\S+)")
TOTAL = re.compile(r"([a-z_]+) +(\d+)~?(?: \(.*\))?")
CACHE = re.compile(r"(\S+) +(\d+) +(\d+) +(\d+) +\d+% +(\d+) +\S+ +\S+(?: ~)?")
SLABINFO = re.compile(r"(\S+) +(\d+) +(\d+) +(\d+) +(\d+) +(\d+) : tunables .* : "
                      r"slabdata +\d+ +(\d+) +\d+")

FRAME = 4096


def is_json(data):
    return data.lstrip()[:1] == b"{"


def is_text(data):
    head = data[:4096].decode(errors="replace")
    return head.startswith("slabinfo - version") or bool(HEADING.match(head))


def read_json(path, data):
    found = []
    for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            dump = json.loads(line)
        except ValueError as error:
            raise Problem(f"{path}:{number}: {error}") from None
        if not isinstance(dump, dict) or "totals" not in dump or "caches" not in dump:
            raise Problem(f"{path}:{number}: no dump of slabmalloc's")
        found.append(dump)
    return found


def text_cache(line):
    """A row of either table; None: it is none. Waste is what no active object has."""
    match = CACHE.fullmatch(line)
    if match:
        name, active, objects, size, slabs = match[1], *(int(x) for x in match.groups()[1:])
        per_slab, frames = (objects // slabs if slabs else 0), None
    else:
        match = SLABINFO.match(line)
        # A memory pool's reserve is a line there, too; its elements are counted where they lie.
        if not match or match[1].startswith("mempool-"):
            return None
        name, active, objects, size, per_slab, frames, slabs = (
            match[1], *(int(x) for x in match.groups()[1:]))
    in_slabs = slabs * frames * FRAME if frames else objects * size
    return {"name": name, "active_objs": active, "num_objs": objects, "objsize": size,
            "objperslab": per_slab, "num_slabs": slabs, "slab_bytes": in_slabs,
            "waste_bytes": in_slabs - active * size, "given_bytes": 0, "internal_bytes": 0,
            "sheaf_objs": 0}


def read_text(path, data):
    """A dump begins with its heading, each."""
    found = []
    for line in data.decode(errors="replace").splitlines():
        heading = HEADING.match(line)
        if heading or line.startswith("slabinfo - version"):
            about = heading.groupdict() if heading else {}
            found.append({**about, "totals": {}, "caches": []})
        elif not found:
            raise Problem(f"{path}: no dump of slabmalloc's")
        elif cache := text_cache(line.rstrip()):
            found[-1]["caches"].append(cache)
        elif total := TOTAL.fullmatch(line):
            found[-1]["totals"][total[1]] = int(total[2])
    return found
