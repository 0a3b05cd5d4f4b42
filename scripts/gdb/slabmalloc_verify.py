# SPDX-License-Identifier: MIT
"""slab verify: the equations of zone.h, slab.h and page.h, as the library's own check has them."""
from slabmalloc_heap import HeapError

BLOCK_DIRTY = 1


class Found:
    """What a walk over all frames finds."""

    def __init__(self):
        self.slabs, self.empty, self.free, self.given = {}, {}, {}, {}
        self.by_frame = {}  # frame number: its slab
        self.errors = 0

    def check(self, good, message):
        if not good:
            self.errors += 1
            print(f"slab verify: {message}")


def check_slab(heap, found, slab):
    cache, free = slab.cache, bin(slab.free).count("1")
    found.check(slab.inuse + free == cache.objects,
                f"slab {slab.address:#x} of {cache.name}: {slab.inuse} in use and {free} free"
                f" are not {cache.objects}")
    for counts, n in ((found.slabs, 1), (found.empty, slab.inuse == 0), (found.free, free),
                      (found.given, bin(slab.given).count("1"))):
        counts[cache.id] = counts.get(cache.id, 0) + n
    for frame in range(cache.frames):
        found.by_frame[(slab.address >> heap.frame_shift) + frame] = slab
    if not heap.debugged(cache):
        return
    for i in range(cache.objects):
        chunk = slab.start + i * cache.size
        phase, is_free = heap.tail(cache, chunk).phase, slab.free >> i & 1
        found.check(phase and (phase == "moving" or (phase == "free") == bool(is_free)),
                    f"object {chunk + cache.red_left_pad:#x} of {cache.name}: its state is"
                    f" {phase or 'damaged'}, and it is {'free' if is_free else 'in use'}")


def check_region(heap, found, region):
    pages, free, dirty = heap.pages(region), 0, 0
    for index, kind, n in heap.blocks(region, pages):
        address = region[0] + (index << heap.frame_shift)
        if kind == "slab":
            slab = heap.slab(region, pages, index)
            found.check(slab, f"slab {address:#x}: of no cache")
            if slab:
                check_slab(heap, found, slab)
        elif kind == "buddy":
            found.check(index % n == 0, f"free block {address:#x}: not at a multiple of its size")
            free += n
            dirty += n if heap.page_field(pages, index, "kind") == BLOCK_DIRTY else 0
        elif kind == "tail":
            found.check(False, f"frame {address:#x}: a tail without a head")
    return free, dirty


def check_zone(heap, found, zone):
    free = dirty = by_order = 0
    for region in heap.zone_regions(zone):
        f, d = check_region(heap, found, region)
        free += f
        dirty += d
    areas, size = zone + heap.d.number("zone.free_area"), heap.d.number("free_area")
    for order in range(heap.d.number("MAX_ORDER") + 1):
        by_order += heap.get(areas + order * size, "free_area.nr") << order
    if heap.memory.word(zone + heap.d.number("zone.lock"), 4):
        print("slab verify: a zone's lock is held: its counts may be between two states")
        return
    counted = heap.get(zone, "zone.nr_free")
    found.check(counted == free, f"zone: {counted} frames counted free, {free} found")
    found.check(counted == by_order, f"zone: {counted} frames counted free, {by_order} by order")
    counted = heap.get(zone, "zone.nr_dirty")
    found.check(counted == dirty, f"zone: {counted} frames counted dirty, {dirty} found")


def check_node(heap, found, cache):
    node = heap.node(cache.id)
    if node["locked"]:
        print(f"slab verify: {cache.name}: its lock is held: counts may be between two states")
        return
    for name, counts in (("nr_slabs", found.slabs), ("nr_empty", found.empty),
                         ("nr_free", found.free), ("nr_given", found.given)):
        have = counts.get(cache.id, 0)
        found.check(node[name] == have, f"{cache.name}: {name} is {node[name]}, found {have}")


def check_sheaves(heap, found):
    seen = {}
    for cache_id, _, _, objects, owner in heap.sheaves():
        place = f"sheaf of tid {owner}" if owner else "barn"
        cache = heap.caches[cache_id]
        for p in objects:
            slab = found.by_frame.get(p >> heap.frame_shift)
            index, rest = divmod(p - slab.start, cache.size) if slab else (0, 0)
            found.check(slab and slab.cache.id == cache_id and not rest
                        and 0 <= index < cache.objects and not slab.free >> index & 1,
                        f"{place}: {p:#x} is no object of {cache.name} in use")
            found.check(p not in seen, f"{place}: {p:#x} of {cache.name} is in"
                                       f" {seen.get(p)}, too: freed twice")
            seen[p] = f"the {place}"
    return len(seen)


def verify(heap):
    found = Found()
    for zone in heap.zones():
        check_zone(heap, found, zone)
    for cache in heap.caches.values():
        check_node(heap, found, cache)
    try:
        in_sheaves = check_sheaves(heap, found)
    except HeapError as e:
        found.check(False, str(e))
        in_sheaves = 0
    print(f"slab verify: {sum(found.slabs.values())} slabs, {in_sheaves} objects in sheaves,"
          f" {len(heap.regions)} regions: {found.errors or 'no'} error"
          f"{'' if found.errors == 1 else 's'}")
    return found.errors
