# SPDX-License-Identifier: MIT
"""The heap of the program that gdb looks at: read only, by numbers of the library's descriptor.

The descriptor (src/stat/descriptor.h) tells addresses and layout, so neither the library's debug
information nor its symbols are needed. A library without one is read by its debug information.
"""
import struct
import sys
from collections import namedtuple

import gdb

MAGIC = b"slabmalloc heap\0"
VERSION = 1
OBJECT_FRESH = 1

Cache = namedtuple(
    "Cache",
    "id name size objects frames colour_unit object_size flags red_left_pad inuse track class_",
)
Slab = namedtuple("Slab", "address cache inuse colour given start free")
Block = namedtuple("Block", "start size what")  # what: "large", "alloc", "vmalloc"
Tail = namedtuple("Tail", "asked phase")
Track = namedtuple("Track", "tid when_ms addr stack")


class HeapError(Exception):
    """It cannot be read: why, in a line."""


class Memory:
    """Words and bytes of the inferior."""

    def __init__(self):
        self.inferior = gdb.selected_inferior()

    def bytes(self, address, size):
        try:
            return self.inferior.read_memory(address, size).tobytes()
        except (gdb.MemoryError, OverflowError, gdb.error):
            raise HeapError(f"no memory can be read at {address:#x}") from None

    def word(self, address, size=8):
        return int.from_bytes(self.bytes(address, size), sys.byteorder)


class Descriptor:
    """Numbers and addresses by name."""

    def __init__(self, memory):
        self.memory = memory
        self.fields, self.addresses, self.library = {}, {}, "?"
        at = self.find()
        if at:
            self.read(at)
        elif not self.has_debug_info():
            raise HeapError("no libslabmalloc here, or one without a descriptor")

    def is_at(self, at):
        try:
            return self.memory.bytes(at, len(MAGIC)) == MAGIC
        except HeapError:
            return False

    def find(self):
        try:
            at = int(gdb.parse_and_eval("(unsigned long)&slabmalloc_descriptor"))
            if self.is_at(at):
                return at
        except gdb.error:
            pass
        for line in gdb.execute("info files", to_string=True).splitlines():
            words = line.split()
            if len(words) < 5 or words[1] != "-" or not words[4].startswith((".rodata", "load")):
                continue
            start, end = int(words[0], 16), int(words[2], 16)
            while start < end:
                at = self.memory.inferior.search_memory(start, end - start, MAGIC)
                if at is None:
                    break
                if at % 32 == 0:
                    return at
                start = at + 1
        return None

    @staticmethod
    def has_debug_info():
        try:
            gdb.lookup_type("struct kmem_cache_node")
            return bool(int(gdb.parse_and_eval("sizeof(kmalloc_caches)")))
        except gdb.error:
            return False

    def read(self, at):
        version, nr, layout, library = struct.unpack("<IIq32s", self.memory.bytes(at + 16, 48))
        if version != VERSION:
            raise HeapError(f"descriptor version {version}, this script knows {VERSION}")
        self.library = text(library)
        for i in range(nr):
            distance, name = struct.unpack("<q24s", self.memory.bytes(at + 64 + 32 * i, 32))
            self.addresses[text(name)] = at + distance
        at += layout
        while True:
            name, value, size = struct.unpack("<40sII", self.memory.bytes(at, 48))
            if not text(name):
                return
            self.fields[text(name)] = (value, size)
            at += 48

    def number(self, name):
        """The size of a struct, a field's offset, or a constant."""
        if not self.fields:
            return self.from_debug_info(name)[0]
        if name not in self.fields:
            raise HeapError(f"the library does not say what {name} is")
        return self.fields[name][0]

    def field(self, name):
        """Offset and size."""
        return self.fields[name] if self.fields else self.from_debug_info(name)

    def address(self, name):
        if self.addresses:
            return self.addresses[name]
        return int(gdb.parse_and_eval(f"(unsigned long)&{name}"))

    @staticmethod
    def from_debug_info(name):
        try:
            if "." in name:
                kind, field = name.split(".")
                member = gdb.parse_and_eval(f"((struct {kind} *)0)->{field}")
                return int(member.address), member.type.sizeof
            if name.islower():
                return gdb.lookup_type(f"struct {name}").sizeof, 0
            return int(gdb.parse_and_eval(name)), 0
        except gdb.error as e:
            raise HeapError(f"no descriptor, and {name}: {e}") from None


def text(raw):
    return raw.split(b"\0")[0].decode("ascii", "replace")


class Heap:
    def __init__(self):
        self.memory = Memory()
        self.d = Descriptor(self.memory)
        number = self.d.number
        self.frame_shift = number("FRAME_SHIFT")
        self.frame = 1 << self.frame_shift
        self.region_shift = number("REGION_SHIFT")
        self.region_frames = 1 << (self.region_shift - self.frame_shift)
        self.page_size = number("page")
        self.types = {
            number("PAGE_" + n.upper()): n for n in
            ("buddy", "pcp", "slab", "tail", "large", "kept", "alloc")
        }
        self.caches = self.read_caches()
        self.regions = {r[0]: r for z in self.zones() for r in self.zone_regions(z)}

    # The library's variables

    def get(self, struct_address, name):
        offset, size = self.d.field(name)
        return self.memory.word(struct_address + offset, size)

    def variable(self, name, size=8):
        return self.memory.word(self.d.address(name), size)

    def read_caches(self):
        size, end = self.d.number("kmem_cache"), self.variable("cache_end", 4)
        first_typed = self.d.number("TYPED_FIRST")
        caches = {}
        if end > self.d.number("NR_CACHES"):
            raise HeapError("the table of caches is damaged")
        for i in range(1, end):
            if i < self.d.number("NR_KMALLOC"):
                at = self.d.address("kmalloc_caches") + i * size
            elif i >= first_typed:
                at = self.d.address("typed_caches") + (i - first_typed) * size
            else:
                continue
            raw = self.memory.bytes(at, size)

            def get(name):
                offset, n = self.d.field(f"kmem_cache.{name}")
                return int.from_bytes(raw[offset:offset + n], sys.byteorder)

            if i >= first_typed and not get("refcount") and not self.node(i)["nr_slabs"]:
                continue
            offset, n = self.d.field("kmem_cache.name")
            caches[i] = Cache(
                i, text(raw[offset:offset + n]), get("size"), get("objects"), get("frames"),
                get("colour_unit"), get("object_size") or get("size"), get("flags"),
                get("red_left_pad"), get("inuse"), get("track"), get("class"),
            )
        return caches

    def per_node(self, first, others):
        """What a variable is for node 0, and a table of pointers for the other nodes."""
        at = self.d.address("numa")
        yield self.d.address(first)
        if self.get(at, "numa.state") == self.d.number("NUMA_MANY"):
            nids = at + self.d.number("numa.nid")
            for i in range(1, self.get(at, "numa.nr")):
                nid = self.memory.word(nids + 2 * i, 2)
                yield self.memory.word(self.d.address(others) + 8 * nid)

    def node(self, cache_id):
        """A cache's counts, of all nodes together."""
        names = "nr_slabs", "nr_empty", "nr_free", "nr_given"
        counts = dict.fromkeys(names, 0) | {"locked": False}
        for table in self.per_node("cache_nodes", "node_caches"):
            at = table + cache_id * self.d.number("kmem_cache_node")
            for name in names:
                counts[name] += self.get(at, f"kmem_cache_node.{name}")
            lock = at + self.d.number("kmem_cache_node.lock")
            counts["locked"] |= self.memory.word(lock, 4) != 0
        return counts

    def zones(self):
        yield from self.per_node("zones", "node_zones")
        for i in range(self.d.number("NR_ZONES") - 1):
            yield self.d.address("low_zones") + i * self.d.number("zone")

    def list(self, head, link_offset, most=1 << 20):
        """The structures of an hlist."""
        at = self.memory.word(head)
        while at:
            if not most:
                raise HeapError(f"the list at {head:#x} has no end")
            most -= 1
            yield at - link_offset
            at = self.memory.word(at)

    def zone_regions(self, zone):
        for at in self.list(zone + self.d.number("zone.regions"), self.d.number("region.link")):
            yield self.get(at, "region.base"), at, self.get(at, "region.frames")

    def threads(self):
        """(address, tid) of each thread that has sheaves."""
        for at in self.list(self.d.address("threads"), self.d.number("kmem_percpu.link")):
            yield at, self.get(at, "kmem_percpu.tid")

    # Frames

    def region_at(self, address):
        return self.regions.get(address >> self.region_shift << self.region_shift)

    def pages(self, region):
        """The struct pages of a region, as bytes."""
        return self.memory.bytes(
            region[1] + self.d.number("region.page"), self.region_frames * self.page_size
        )

    def page_field(self, pages, index, name):
        offset, size = self.d.field(f"page.{name}")
        at = index * self.page_size + offset
        return int.from_bytes(pages[at:at + size], sys.byteorder)

    def blocks(self, region, pages=None):
        """(index, type, frames) of every block in a region; None: frames that are nobody's."""
        pages = pages or self.pages(region)
        type_offset = self.d.number("page.type")
        types, i = pages[type_offset::self.page_size], 0
        while i < self.region_frames:
            kind, n = self.types.get(types[i]), 1
            if kind in ("buddy", "pcp"):
                n = 1 << min(self.page_field(pages, i, "order"), self.d.number("MAX_ORDER"))
            elif kind in ("large", "kept", "alloc"):
                n = max(self.page_field(pages, i, "frames"), 1)
            elif kind == "slab":
                cache = self.caches.get(self.page_field(pages, i, "cache"))
                n = max(cache.frames, 1) if cache else 1
            yield i, kind, n
            i += n

    def slab(self, region, pages, index):
        """The slab whose first frame this is, or None: its cache is none."""
        cache = self.caches.get(self.page_field(pages, index, "cache"))
        if not cache:
            return None
        free = self.page_field(pages, index, "map")
        if cache.objects > 64:
            free |= self.more_map(region, pages, index, cache) << 64
        address = region[0] + (index << self.frame_shift)
        colour = self.page_field(pages, index, "colour")
        given = self.page_field(pages, index + 1, "given") if cache.frames > 1 else 0
        return Slab(
            address, cache, self.page_field(pages, index, "inuse"), colour, given,
            address + colour * cache.colour_unit, free & ((1 << cache.objects) - 1),
        )

    def more_map(self, region, pages, index, cache):
        words = self.d.number("MAP_WORDS") - 1
        if cache.frames > 1:
            at = (index + 1) * self.page_size + self.d.number("page.more_map")
            return int.from_bytes(pages[at:at + 8 * words], sys.byteorder)
        at = region[1] + self.d.number("region.map_ext") + index * 8 * words
        return self.memory.word(at, 8 * words)

    def areas(self):
        """vmalloc's areas in use: (start, size)."""
        table = self.d.address("vm") + self.d.number("vm.table")
        heads = self.memory.bytes(table, 8 * self.d.number("VM_HASH_SIZE"))
        for i, head in enumerate(words(heads)):
            if head:
                yield from self.area_list(table + 8 * i)

    def area_list(self, head):
        for at in self.list(head, self.d.number("vm_struct.link")):
            yield self.get(at, "vm_struct.addr"), self.get(at, "vm_struct.size")

    def cached_areas(self):
        yield from self.area_list(self.d.address("vm") + self.d.number("vm.cache"))

    # Sheaves

    def sheaves(self, c=None, cache_ids=None):
        """(cache id, address, bytes of its memory, pointers, owner) of each; owner 0: a barn."""
        for at, tid in [c] if c else list(self.threads()):
            for i in cache_ids or self.caches:
                for slot in self.slots_of(at, i):
                    yield from self.slot_sheaves(i, slot, tid)
        if c:
            return
        size = self.d.number("barn")
        for barns in self.per_node("barns", "node_barns"):
            for i in cache_ids or self.caches:
                at = self.get(barns + i * size, "barn.full")
                for _ in range(64):
                    if not at:
                        break
                    yield (i, *self.sheaf(at), 0)
                    at = self.get(at, "slab_sheaf.next")

    def slots_of(self, thread, cache_id):
        """
        A cache's slots in a thread: malloc's caches have one for each node, and while allocations are counted
        malloc's own is beside it.
        """
        unit, numa = self.d.number("CLASS_UNIT"), self.d.address("numa")
        yield thread + cache_id * unit
        if cache_id >= self.d.number("NR_KMALLOC"):
            return
        shift = self.variable("kmalloc_shift", 4)
        if shift:
            yield thread + (cache_id + shift) * unit
        if self.get(numa, "numa.state") == self.d.number("NUMA_MANY"):
            panels = min(self.get(numa, "numa.nr"), self.d.number("NR_PANELS"))
            for i in range(panels - 1):
                slot = i * self.d.number("PANEL") + cache_id
                yield thread + self.d.number("kmem_percpu.panels") + slot * unit

    def slot_sheaves(self, cache_id, slot, tid):
        offset = self.d.number
        raw = words(self.memory.bytes(slot, offset("sheaf_slot")))
        top, base, limit, spare = (
            raw[offset(f"sheaf_slot.{n}") // 8] for n in ("top", "base", "limit", "spare")
        )
        head = offset("slab_sheaf")
        if base and limit == base:  # malloc's own slot, while allocations are counted
            limit = base + 8 * self.get(base - head, "slab_sheaf.capacity")
        if base and base <= top <= limit <= base + (1 << 16):
            objects = [p & ~OBJECT_FRESH for p in words(self.memory.bytes(base, top - base))]
            yield cache_id, base - head, head + limit - base, objects, tid
        if spare:
            yield (cache_id, *self.sheaf(spare), tid)

    def sheaf(self, at):
        size, capacity = self.get(at, "slab_sheaf.size"), self.get(at, "slab_sheaf.capacity")
        if size > capacity or capacity > 1 << 16:
            raise HeapError(f"the sheaf at {at:#x} is damaged")
        head = self.d.number("slab_sheaf")
        objects = words(self.memory.bytes(at + head, 8 * size))
        return at, head + 8 * capacity, [p & ~OBJECT_FRESH for p in objects]

    # Objects with debugging

    def debugged(self, cache):
        return bool(cache.flags & self.d.number("SLAB_DEBUG_FLAGS"))

    def tracks_at(self, cache, chunk):
        return chunk + cache.red_left_pad + cache.track

    def tail(self, cache, chunk):
        at = chunk + cache.red_left_pad + cache.inuse
        if cache.track:
            at += 2 * self.d.number("track")
        state = self.get(at, "tail.state")
        if state >> 16 != self.d.number("STATE_MAGIC"):
            return Tail(0, None)
        mask = self.d.number("PHASE_MASK")
        phase = {self.d.number(n): n[6:].lower() for n in
                 ("PHASE_FREE", "PHASE_MOVING", "PHASE_USED")}.get(state & mask)
        return Tail(self.get(at, "tail.orig_size"), phase)

    def track(self, cache, chunk, which):
        """Who allocated (0) or freed (1) the object last, or None."""
        if not cache.track:
            return None
        at = self.tracks_at(cache, chunk) + which * self.d.number("track")
        addr = self.get(at, "track.addr")
        if not addr:
            return None
        return Track(
            self.get(at, "track.pid"), self.get(at, "track.when_ms"), addr,
            self.depot(self.get(at, "track.handle")) or [addr],
        )

    def depot(self, handle):
        depot = self.variable("stack_depot")
        if not depot or not handle:
            return []
        nr = self.memory.word(depot + 8 * handle + 8)
        if nr > self.d.number("STACK_DEPTH"):
            return []
        return list(words(self.memory.bytes(depot + 8 * handle + 16, 8 * nr)))


def words(raw):
    return struct.unpack(f"<{len(raw) // 8}Q", raw)
