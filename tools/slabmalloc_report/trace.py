# SPDX-License-Identifier: MIT
"""Traces of slabmalloc-record (bench/trace/format.h): every call, in the order of their numbers.

Addresses become identifiers: a block has the number of its birth among all births.
"""

import array
import heapq
import struct

from .problem import Problem

MAGIC = b"slmtrac\n"
CHUNK = 64 << 10
FILE, SECTION = struct.Struct("=QIIQ40s"), struct.Struct("=IIIIQQQ")
SECTION_MAGIC = 0x74636573
MALLOC, CALLOC, ALIGNED, REALLOC, FREE, FREE_NULL, END = range(1, 8)
NONE = 0xffffffff
MASK = (1 << 64) - 1

# What an event of a Trace is.
BIRTH, DEATH, CHANGE, THREAD_END = range(4)


def is_trace(data):
    return data[:8] == MAGIC


class Trace:
    """Events in columns: kind, thread, born and died (identifiers, or NONE), and microseconds."""

    def __init__(self, path, data):
        self.path = path
        self.kind, self.thread = array.array("B"), array.array("H")
        self.born, self.died = array.array("L"), array.array("L")
        self.time = array.array("L")
        self.size, self.align = array.array("Q"), array.array("B")  # by identifier
        _, version, self.pid, chunks, program = FILE.unpack_from(data)
        if version != 1:
            raise Problem(f"{path}: a trace of format {version}, and this program reads 1")
        if len(data) < chunks * CHUNK:
            raise Problem(f"{path}: cut short")
        self.program = program.partition(b"\0")[0].decode(errors="replace")
        try:
            self.join(data)
        except IndexError:
            raise Problem(f"{path}: damaged") from None

    def join(self, data):
        """Merges the threads. A realloc's old block leaves the table at its first number."""
        live = {}
        streams = [records(data, sections) for sections in by_thread(data).values()]
        for _, kind, thread, block, old, size, align, time in heapq.merge(*streams):
            if kind == FREE_NULL:
                continue
            died = born = NONE
            if kind == REALLOC and align == 0:
                if old:
                    live[-thread - 1] = live.pop(old, NONE)
                continue
            if kind == REALLOC:
                died = live.pop(-thread - 1, NONE) if old else NONE
                if not block and size:
                    live[old], died = died, NONE
                align = 0
            elif kind == FREE:
                died = live.pop(old, NONE)
            if block:
                born = live[block] = len(self.size)
                self.size.append(size)
                self.align.append(align)
            self.add(kind, thread, born, died, time)

    def add(self, kind, thread, born, died, time):
        if kind == END:
            event = THREAD_END
        elif born == NONE == died:
            return
        else:
            event = DEATH if born == NONE else BIRTH if died == NONE else CHANGE
        self.kind.append(event)
        self.thread.append(min(thread, 0xffff))
        self.born.append(born)
        self.died.append(died)
        self.time.append(time)

    def events(self):
        return zip(self.kind, self.thread, self.born, self.died, self.time)


def by_thread(data):
    """{thread: [(start, end, number, first_us, last_us)]}"""
    found = {}
    for chunk in range(0, len(data), CHUNK):
        at = chunk + (0 if chunk else FILE.size)
        while at + SECTION.size <= chunk + CHUNK:
            magic, thread, used, _, number, first, last = SECTION.unpack_from(data, at)
            if magic != SECTION_MAGIC:
                break
            start = at + SECTION.size
            found.setdefault(thread, []).append((thread, start, start + used, number, first, last))
            at = (start + used + 7) & ~7
    return found


def varint(data, at):
    byte = data[at]
    at += 1
    if byte < 128:
        return byte, at
    value, shift = byte & 127, 7
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def unpack(packed, previous):
    """A block, turned by three bits, from its difference to the previous one."""
    return (previous + (packed >> 1 ^ -(packed & 1))) & MASK


def address(turned):
    return (turned << 3 | turned >> 61) & MASK


def records(data, sections):
    """(number, kind, thread, block, old, size, align, time); realloc twice, then with align 1."""
    for thread, at, end, number, first, last in sections:
        start, pace, block = at, (last - first) / max(end - at, 1), 0
        while at < end:
            time = int(first + (at - start) * pace)
            head = data[at]
            at += 1
            kind, step = head & 15, head >> 4
            if not step:
                step, at = varint(data, at)
            number += step
            old = new = size = 0
            count = 1
            if kind in (CALLOC, ALIGNED):
                count, at = varint(data, at)
            elif kind in (REALLOC, FREE):
                packed, at = varint(data, at)
                old = unpack(packed, block)
                block = old or block
            if kind <= REALLOC:
                size, at = varint(data, at)
                packed, at = varint(data, at)
                new = unpack(packed, block)
                block = new or block
            if kind == CALLOC:
                size *= count
            align = min(count, 63) if kind == ALIGNED else 0
            yield (number, kind, thread, address(new), address(old), min(size, MASK), align, time)
            if kind == REALLOC:
                step, at = varint(data, at)
                number += step
                yield number, kind, thread, address(new), address(old), min(size, MASK), 1, time
