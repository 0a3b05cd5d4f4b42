# SPDX-License-Identifier: MIT
"""slab find-leaks: live blocks that no pointer leads to.

Marking as a conservative collector does: every aligned word of registers, stacks and writable
memory that is not the heap's may be a pointer, also into the middle of a block. The allocator's own
memory is left out: the sheaves' arrays still hold pointers to objects that were handed out.
"""
import bisect
import re
import struct
from array import array

import gdb

from slabmalloc_heap import Block, HeapError

PF_X, PF_W = 1, 2
RED_ZONE = 128  # bytes below the stack pointer that a function may use
CHUNK = 16 << 20


class Mappings:
    """Memory that is or was writable (RELRO): (start, end, path)."""

    def __init__(self):
        self.core = None
        match = re.search(r"^\s*`(.*)', file type .*core", self.files(), re.M)
        if not gdb.selected_inferior().threads():
            raise HeapError("no process and no core")
        core = re.search(r"Local core dump file:\s*`(.*)',", self.files())
        if core or match:
            self.core = (core or match)[1]
            self.ranges = list(self.of_core(self.core))
        else:
            self.ranges = list(self.of_process(gdb.selected_inferior().pid))

    @staticmethod
    def files():
        return gdb.execute("info files", to_string=True)

    @staticmethod
    def of_process(pid):
        before = (0, 0, "")
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as maps:
            for line in maps:
                fields = line.rstrip("\n").split(None, 5)
                start, end = (int(x, 16) for x in fields[0].split("-"))
                mapping = start, end, fields[5] if len(fields) > 5 else ""
                if fields[1].startswith("rw"):
                    # What the loader wrote before it took the right away.
                    if before[1:] == (start, mapping[2]) and mapping[2]:
                        yield before
                    yield mapping
                before = mapping if fields[1].startswith("r--") else (0, 0, "")

    @staticmethod
    def of_core(path):
        with open(path, "rb") as core:
            head = core.read(64)
            offset, = struct.unpack_from("<Q", head, 32)
            size, count = struct.unpack_from("<HH", head, 54)
            for i in range(count):
                core.seek(offset + i * size)
                kind, flags, _, start, _, filled = struct.unpack("<IIQQQQ", core.read(40))
                if kind == 1 and filled and (flags & PF_W or not flags & PF_X and filled < CHUNK):
                    yield start, start + filled, ""


class Ranges:
    """Disjoint address ranges, to be cut out of others."""

    def __init__(self):
        self.ranges = []

    def add(self, start, size):
        self.ranges.append((start, start + size))

    def outside(self, start, end):
        """The parts of [start, end) that lie in none."""
        for a, b in self.sorted():
            if b <= start or a >= end:
                continue
            if a > start:
                yield start, a
            start = max(start, b)
        if start < end:
            yield start, end

    def sorted(self):
        self.ranges.sort()
        return self.ranges


class Leaks:
    def __init__(self, heap):
        self.heap = heap
        self.slabs = {}  # frame number: slab
        self.free = {}  # slab address: bitmap of free objects, those in sheaves too
        self.blocks = {}  # frame number: block
        self.areas = sorted(heap.areas())
        self.area_starts = [a[0] for a in self.areas]
        self.content = {}  # slab address: its words
        self.marked = set()
        self.low, self.high = 1 << 64, 0
        for region in heap.regions.values():
            self.take_region(region)
        for start, size in self.areas:
            self.reach(start, start + size)
        self.take_sheaves()

    def reach(self, start, end):
        self.low, self.high = min(self.low, start), max(self.high, end)

    def take_region(self, region):
        heap, pages = self.heap, self.heap.pages(region)
        shift = heap.frame_shift
        self.reach(region[0], region[0] + (1 << heap.region_shift))
        for index, kind, n in heap.blocks(region, pages):
            frame = (region[0] >> shift) + index
            if kind == "slab":
                slab = heap.slab(region, pages, index)
                if not slab:
                    continue
                self.free[slab.address] = slab.free
                for i in range(n):
                    self.slabs[frame + i] = slab
            elif kind in ("large", "alloc"):
                block = Block(frame << shift, n << shift, kind)
                for i in range(n):
                    self.blocks[frame + i] = block

    def take_sheaves(self):
        for _, _, _, objects, _ in self.heap.sheaves():
            for p in objects:
                slab = self.slabs.get(p >> self.heap.frame_shift)
                if slab:
                    self.free[slab.address] |= 1 << (p - slab.start) // slab.cache.size

    # Who points where

    def block_at(self, p):
        """(start, size) of the live block that p points into, or None."""
        frame = p >> self.heap.frame_shift
        slab = self.slabs.get(frame)
        if slab:
            size, offset = slab.cache.size, p - slab.start
            index = offset // size
            if offset < 0 or index >= slab.cache.objects or self.free[slab.address] >> index & 1:
                return None
            return slab.start + index * size, size
        block = self.blocks.get(frame)
        if block:
            return block.start, block.size
        i = bisect.bisect_right(self.area_starts, p) - 1
        if i >= 0 and p < self.areas[i][0] + self.areas[i][1]:
            return self.areas[i]
        return None

    def words_of(self, start, size):
        slab = self.slabs.get(start >> self.heap.frame_shift)
        if not slab:
            return self.read(start, size)
        if slab.address not in self.content:
            length = slab.cache.frames << self.heap.frame_shift
            self.content[slab.address] = self.read(slab.address, length)
        raw, at = self.content[slab.address], (start - slab.address) // 8
        return raw[at:at + size // 8]

    def read(self, start, size):
        try:
            return array("Q", self.heap.memory.bytes(start, size & ~7))
        except HeapError:
            return array("Q")

    def pointed_to(self, words):
        low, high = self.low, self.high
        for p in [w for w in words if low <= w < high]:
            block = self.block_at(p)
            if block:
                yield block

    def mark(self, words):
        todo = []
        for block in self.pointed_to(words):
            if block[0] not in self.marked:
                self.marked.add(block[0])
                todo.append(block)
        while todo:
            for block in self.pointed_to(self.words_of(*todo.pop())):
                if block[0] not in self.marked:
                    self.marked.add(block[0])
                    todo.append(block)

    # Roots

    def own_memory(self):
        """What is the heap's, or the allocator's."""
        heap, own = self.heap, Ranges()
        number = heap.d.number
        for base, meta, _ in heap.regions.values():
            own.add(base, 1 << heap.region_shift)
            own.add(meta, number("region"))
        mem = heap.d.address("mem")
        for section in {base >> number("SECTION_SHIFT") for base in heap.regions}:
            entry = heap.memory.word(mem + number("mem.root") + 8 * section)
            own.add(mem + number("mem.none") + 2 * entry, number("mem_section"))
        for areas in (self.areas, heap.cached_areas()):
            for start, size in areas:
                own.add(start, size)
        for at, _ in heap.threads():
            own.add(at, number("kmem_percpu"))
        for _, at, size, _, _ in heap.sheaves():
            own.add(at, size)
        self.add_memblocks(own)
        return own

    def add_memblocks(self, own):
        """Free blocks of the allocator's own memory, and the entries of its areas."""
        heap = self.heap
        address, size = heap.d.addresses.get("memblock_free_blocks"), 0
        for shift in range(6, 16) if address else ():
            for at in heap.list(address + 8 * shift, 0, 1 << 22):
                own.add(at, 1 << shift)
        vm, size = heap.d.address("vm"), heap.d.number("vm_struct")
        heads = [vm + heap.d.number("vm.cache")]
        heads += [vm + heap.d.number("vm.table") + 8 * i
                  for i in range(heap.d.number("VM_HASH_SIZE"))]
        for head in heads:
            for at in heap.list(head, heap.d.number("vm_struct.link")):
                own.add(at, size)

    @staticmethod
    def threads():
        """(stack pointer, words of its registers) of each thread."""
        selected = gdb.selected_thread()
        for thread in gdb.selected_inferior().threads():
            thread.switch()
            frame, registers = gdb.newest_frame(), []
            for register in frame.architecture().registers("general"):
                try:
                    registers.append(int(frame.read_register(register)) & ((1 << 64) - 1))
                except (gdb.error, ValueError, TypeError):
                    pass
            yield int(frame.read_register("sp")) & ((1 << 64) - 1), registers
        if selected:
            selected.switch()

    def mark_roots(self):
        own, stacks = self.own_memory(), []
        for sp, registers in self.threads():
            self.mark(registers)
            stacks.append(sp - RED_ZONE)
        for start, end, path in Mappings().ranges:
            if re.search(r"/libslabmalloc[^/]*$", path):
                continue
            used = [sp for sp in stacks if start <= sp < end]
            if used:
                start = min(used) & ~7
            for a, b in own.outside(start, end):
                while a < b:
                    self.mark(self.read(a, min(b - a, CHUNK)))
                    a += CHUNK

    # What is left

    def live(self):
        """(start, size, what, slab or None) of all live blocks."""
        done = set()
        for slab in self.slabs.values():
            if slab.address in done:
                continue
            done.add(slab.address)
            free = self.free[slab.address]
            for i in range(slab.cache.objects):
                if not free >> i & 1:
                    yield slab.start + i * slab.cache.size, slab.cache.size, slab.cache.name, slab
        for block in set(self.blocks.values()):
            yield block.start, block.size, "large block" if block.what == "large" else "pages", None
        for start, size in self.areas:
            yield start, size, "area", None

    def lost(self):
        return [b for b in self.live() if b[0] not in self.marked]


def site(heap, start, slab):
    """The stack that allocated the object, if it was tracked."""
    track = heap.track(slab.cache, start, 0) if slab else None
    return tuple(track.stack) if track else ()


def report(heap, leaks, lost, most, where):
    """The groups, largest first; returns the bytes of all, as asked for where that is known."""
    groups, inner = {}, set()
    for start, size, _, _ in lost:
        inner.update(b[0] for b in leaks.pointed_to(leaks.words_of(start, size)) if b[0] != start)
    for start, size, what, slab in lost:
        if slab and heap.debugged(slab.cache):
            size = heap.tail(slab.cache, start).asked or size
        group = groups.setdefault((what, site(heap, start, slab)), [0, 0, 0, None])
        group[0] += 1
        group[1] += size
        group[2] += start not in inner
        shown = start + slab.cache.red_left_pad if slab else start
        if group[3] is None or start not in inner:
            group[3] = shown
    order = sorted(groups.items(), key=lambda g: -g[1][1])
    for (what, stack), (count, size, heads, example) in order[:most]:
        print(f"{count} lost of {what}: {size} bytes; {heads} that no other lost one points to;"
              f" one at {example:#x}")
        for pc in stack:
            print(f"    {where(pc)}")
    if len(order) > most:
        print(f"... and {len(order) - most} smaller groups")
    return sum(group[1] for group in groups.values())


def find_leaks(heap, most, where):
    leaks = Leaks(heap)
    leaks.mark_roots()
    lost = leaks.lost()
    size = report(heap, leaks, lost, most, where)
    print(f"slab find-leaks: {len(leaks.marked)} blocks reached, {len(lost)} lost ({size} bytes)")
    return len(lost)
