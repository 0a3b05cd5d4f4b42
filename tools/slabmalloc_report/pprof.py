# SPDX-License-Identifier: MIT
"""Heap profiles: pprof's profile.proto, and collapsed stacks.

A profile becomes {kind of value: {stack: bytes}}, a stack being a tuple of names, outermost first.
The message's fields have the numbers that github.com/google/pprof/proto/profile.proto gives them.
"""

import collections
import re
import struct

from . import elf
from .problem import Problem

COLLAPSED = re.compile(r"(.+) (\d+)")

TYPE, SAMPLE, MAPPING, LOCATION, FUNCTION, STRING = 1, 2, 3, 4, 5, 6


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def fields(data):
    """(number, value) of each field of a message: an int, or bytes."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            value, at = data[at:at + size], at + size
        elif kind == 2:
            size, at = varint(data, at)
            value = data[at:at + size]
            at += size
            if at > len(data):
                raise IndexError
        else:
            raise ValueError(kind)
        yield key >> 3, value


def message(data):
    """{number: [values]}"""
    found = collections.defaultdict(list)
    for number, value in fields(data):
        found[number].append(value)
    return found


def numbers(values):
    """A repeated number, packed or not."""
    for value in values:
        if isinstance(value, int):
            yield value
            continue
        at = 0
        while at < len(value):
            one, at = varint(value, at)
            yield one


def first(values, default=0):
    return values[0] if values else default


class Profile:
    """The tables of a message, by their ids."""

    def __init__(self, data):
        root = message(data)
        self.strings = [x.decode(errors="replace") for x in root[STRING]]
        self.types = [self.strings[first(message(x)[1])] for x in root[TYPE]]
        self.functions = {}
        for x in map(message, root[FUNCTION]):
            self.functions[first(x[1])] = self.strings[first(x[2])]
        self.mappings = {}
        for x in map(message, root[MAPPING]):
            self.mappings[first(x[1])] = {
                "start": first(x[2]), "offset": first(x[4]), "path": self.strings[first(x[5])],
                "build_id": self.strings[first(x[6])],
            }
        self.locations = {first(x[1]): x for x in map(message, root[LOCATION])}
        self.samples = [message(x) for x in root[SAMPLE]]
        self.named = {}
        self.symbols = {}

    def names(self, location):
        """Innermost first: inlined functions are lines of one location."""
        if location not in self.named:
            self.named[location] = self.name(self.locations.get(location, {4: [], 3: [], 2: []}))
        return self.named[location]

    def name(self, location):
        lines = [self.functions.get(first(message(x)[1]), "?") for x in location[4]]
        if lines:
            return lines
        address = first(location[3])
        mapping = self.mappings.get(first(location[2]))
        if not mapping:
            return [f"{address:#x}"]
        path = mapping["path"]
        if path not in self.symbols:
            self.symbols[path] = elf.Symbols(path, mapping["build_id"])
        name = self.symbols[path].find(address - mapping["start"] + mapping["offset"])
        return [name or f"[{path.rpartition('/')[2] or hex(address)}]"]

    def stacks(self):
        found = {kind: collections.Counter() for kind in self.types}
        for sample in self.samples:
            stack = [n for x in numbers(sample[1]) for n in self.names(x)]
            for kind, value in zip(self.types, numbers(sample[2])):
                if value:
                    found[kind][tuple(reversed(stack))] += value
        return found


def read_pprof(path, data):
    try:
        return Profile(data).stacks()
    except (IndexError, ValueError, TypeError, AttributeError, struct.error):
        raise Problem(f"{path}: no profile in pprof's format, or a damaged one") from None


def is_collapsed(data):
    head = data[:65536].decode(errors="replace").splitlines()[:3]
    return bool(head) and bool(COLLAPSED.fullmatch(head[0])) and data[:1].isascii() \
        and data[:1] > b" "


def read_collapsed(path, data):
    kind = "alloc_space" if path.endswith(".alloc.collapsed") else "inuse_space"
    found = collections.Counter()
    for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
        match = COLLAPSED.fullmatch(line)
        if not match:
            raise Problem(f"{path}:{number}: not a call stack and a number")
        found[tuple(match[1].split(";"))] += int(match[2])
    return {kind: found}
