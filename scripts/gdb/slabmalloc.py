# SPDX-License-Identifier: MIT
"""gdb commands that know libslabmalloc's heap, in live processes and in cores.

    (gdb) source scripts/gdb/slabmalloc.py
    (gdb) slab whatis ADDRESS     what lies there: cache, object, free or live, whose
    (gdb) slab caches             a line for each cache
    (gdb) slab verify             do the structures agree with each other?
    (gdb) slab find-leaks [N]     blocks that nothing points to; the N largest groups (20)

Nothing is written, and no function of the program is called.
"""
import os
import sys

import gdb

sys.path.insert(0, os.path.dirname(os.path.abspath(os.path.expanduser(__file__))))
# Sourcing the script again takes the files as they are now.
for module in ("slabmalloc_leaks", "slabmalloc_verify", "slabmalloc_heap"):
    sys.modules.pop(module, None)
# pylint: disable=wrong-import-position
from slabmalloc_heap import Heap, HeapError  # noqa: E402
from slabmalloc_leaks import find_leaks  # noqa: E402
from slabmalloc_verify import verify  # noqa: E402


def where(pc):
    """A code address as a person reads it."""
    line = gdb.find_pc_line(pc - 1)
    symbol = gdb.execute(f"info symbol {pc - 1:#x}", to_string=True).strip()
    name = symbol.split(" in section")[0] if " in section" in symbol else "?"
    source = f" at {line.symtab.filename}:{line.line}" if line.symtab else ""
    if not source and " of /" in symbol:
        source = f" ({symbol.rsplit(' of ', 1)[1]})"
    library = gdb.solib_name(pc - 1)
    if not source and library:
        source = f" ({library})"
    return f"{pc:#x} {name}{source}"


def thread_name(tid):
    for thread in gdb.selected_inferior().threads():
        if tid in (thread.ptid[1], thread.ptid[2]):
            name = f' "{thread.name}"' if thread.name else ""
            return f"thread {thread.num}{name} (tid {tid})"
    return f"tid {tid}, which is no more"


def show_track(what, track):
    if not track:
        return
    print(f"  {what} by {thread_name(track.tid)}, at {track.when_ms / 1000:.3f} s:")
    for pc in track.stack:
        print(f"    {where(pc)}")


def object_of(slab, address):
    """(index, chunk, offset of the address from the program's pointer), or None: in no object."""
    index = (address - slab.start) // slab.cache.size
    if address < slab.start or index >= slab.cache.objects:
        return None
    chunk = slab.start + index * slab.cache.size
    return index, chunk, address - chunk - slab.cache.red_left_pad


def sheaf_of(heap, cache, chunk):
    """The thread whose sheaf holds the object, 0 for the barn, None: in no sheaf."""
    for _, _, _, objects, owner in heap.sheaves(cache_ids=[cache.id]):
        if chunk in objects:
            return owner
    return None


def state_of(heap, slab, index, chunk):
    """(live?, in words)."""
    if slab.free >> index & 1:
        return False, "free, in its slab"
    owner = sheaf_of(heap, slab.cache, chunk)
    if owner is not None:
        place = f"in a sheaf of {thread_name(owner)}" if owner else "in the barn"
        return False, f"free, {place}"
    if heap.debugged(slab.cache) and heap.tail(slab.cache, chunk).phase == "free":
        return False, "free, on its way"
    return True, "live"


def whatis_slab(heap, slab, address):
    cache = slab.cache
    found = object_of(slab, address)
    print(f"{address:#x}: cache {cache.name}, slab {slab.address:#x}"
          f" ({slab.inuse} of {cache.objects} objects in use)")
    if not found:
        print("  in no object: before the first, or behind the last")
        return
    index, chunk, offset = found
    live, state = state_of(heap, slab, index, chunk)
    start = chunk + cache.red_left_pad
    inside = f", {offset} bytes inside" if offset > 0 else ", at its start"
    if offset < 0:
        inside = f", in the red zone {-offset} bytes before it"
    elif offset >= cache.object_size:
        inside = f", {offset - cache.object_size} bytes behind its end"
    print(f"  object {index} at {start:#x} of {cache.object_size} bytes: {state}{inside}")
    if heap.debugged(cache):
        asked = heap.tail(cache, chunk).asked
        if live and asked:
            print(f"  asked for: {asked} bytes")
        show_track("allocated", heap.track(cache, chunk, 0))
        show_track("freed", heap.track(cache, chunk, 1))


def whatis_frame(heap, region, address):
    pages, wanted = heap.pages(region), (address - region[0]) >> heap.frame_shift
    for index, kind, n in heap.blocks(region, pages):
        if index + n <= wanted:
            continue
        start = region[0] + (index << heap.frame_shift)
        size = n << heap.frame_shift
        if kind == "slab":
            whatis_slab(heap, heap.slab(region, pages, index), address)
        elif kind in ("large", "alloc"):
            what = "large block" if kind == "large" else "block of alloc_pages"
            print(f"{address:#x}: {what} of {size} bytes at {start:#x}: live,"
                  f" {address - start} bytes inside")
        elif kind == "buddy":
            print(f"{address:#x}: free block of {size} bytes at {start:#x}")
        elif kind in ("pcp", "kept"):
            print(f"{address:#x}: free block of {size} bytes at {start:#x}, in a thread's page set")
        else:
            print(f"{address:#x}: in the heap's region {region[0]:#x}, in no block")
        return


def whatis_kfence(heap, address):
    gate = heap.d.address("kfence_gate")
    pool, size = heap.get(gate, "kfence_gate.pool"), heap.get(gate, "kfence_gate.size")
    if not size or not pool <= address < pool + size:
        return False
    kfence = heap.d.address("kfence")
    objects = heap.get(kfence, "kfence_pool.object")
    settings = kfence + heap.d.number("kfence_pool.set")
    number = sum(heap.get(settings, f"kfence_settings.num_{which}") for which in ("objects", "large"))
    best = None
    for i in range(number):
        m = objects + i * heap.d.number("kfence_metadata")
        start = heap.get(m, "kfence_metadata.address")
        size = heap.get(m, "kfence_metadata.size")
        if start and start - heap.frame <= address < start + size + heap.frame:
            distance = max(start - address, address - start - size, 0)
            if best is None or distance < best[0]:
                best = distance, i, m, start
    if not best:
        print(f"{address:#x}: in KFENCE's pool, near no object")
        return True
    _, i, m, start = best
    asked, state = heap.get(m, "kfence_metadata.size"), heap.get(m, "kfence_metadata.state")
    states = ("unused", "live", "being freed", "freed", "live")
    print(f"{address:#x}: KFENCE's object {i} at {start:#x} of {asked} bytes:"
          f" {states[state] if state < 5 else 'damaged'}")
    for what in ("alloc", "free")[:1 if state in (1, 4) else 2]:
        track = m + heap.d.number(f"kfence_metadata.{what}")
        stack = track + heap.d.number("kfence_track.stack")
        nr = min(heap.get(stack, "stack.nr"), heap.d.number("STACK_DEPTH"))
        print(f"  {'allocated' if what == 'alloc' else 'freed'} by"
              f" {thread_name(heap.get(track, 'kfence_track.thread'))}:")
        for n in range(nr):
            print(f"    {where(heap.memory.word(stack + heap.d.number('stack.pc') + 8 * n))}")
    return True


def whatis(heap, address):
    region = heap.region_at(address)
    if region:
        whatis_frame(heap, region, address)
        return
    if whatis_kfence(heap, address):
        return
    for state, areas in (("live", heap.areas()), ("free, kept for reuse", heap.cached_areas())):
        for start, size in areas:
            if start <= address < start + size:
                print(f"{address:#x}: area of {size} bytes at {start:#x}: {state},"
                      f" {address - start} bytes inside")
                return
    symbol = gdb.execute(f"info symbol {address:#x}", to_string=True).strip()
    known = "" if symbol.startswith("No symbol") else f" ({symbol})"
    print(f"{address:#x}: not of this heap{known}")


def show_caches(heap):
    cached = {}
    for i, _, _, objects, _ in heap.sheaves():
        cached[i] = cached.get(i, 0) + len(objects)
    print(f"{'NAME':<24}{'ACTIVE':>10}{'OBJECTS':>10}{'SIZE':>8}{'USE':>6}{'SLABS':>8}"
          f"{'BYTES':>12}{'WASTE':>12}")
    for cache in heap.caches.values():
        node = heap.node(cache.id)
        total = node["nr_slabs"] * cache.objects
        if not node["nr_slabs"]:
            continue
        active = max(total - node["nr_free"] - cached.get(cache.id, 0), 0)
        size = node["nr_slabs"] * cache.frames << heap.frame_shift
        waste = size - (node["nr_given"] << heap.frame_shift) - active * cache.size
        print(f"{cache.name:<24}{active:>10}{total:>10}{cache.size:>8}{active / total:>6.0%}"
              f"{node['nr_slabs']:>8}{size:>12}{waste:>12}")


class Slab(gdb.Command):
    """What libslabmalloc's heap holds: slab whatis, caches, verify, find-leaks."""

    def __init__(self):
        super().__init__("slab", gdb.COMMAND_DATA, prefix=True)


class SlabCommand(gdb.Command):
    def invoke(self, argument, _from_tty):
        self.dont_repeat()
        try:
            self.run(Heap(), argument)
        except HeapError as e:
            raise gdb.GdbError(f"slab: {e}") from None


class Whatis(SlabCommand):
    """slab whatis ADDRESS: the cache and object that it lies in, free or live, and whose it is."""

    def __init__(self):
        super().__init__("slab whatis", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def run(self, heap, argument):
        if not argument:
            raise gdb.GdbError("slab whatis ADDRESS")
        value = gdb.parse_and_eval(argument)
        if value.type.strip_typedefs().code in (gdb.TYPE_CODE_ARRAY, gdb.TYPE_CODE_FUNC):
            value = value.address
        whatis(heap, int(value) & ((1 << 64) - 1))


class Caches(SlabCommand):
    """slab caches: objects, slabs and waste of each cache, as the library's dump counts them."""

    def __init__(self):
        super().__init__("slab caches", gdb.COMMAND_DATA)

    def run(self, heap, _argument):
        show_caches(heap)


class Verify(SlabCommand):
    """slab verify: walks all structures; each disagreement is a line. Sets $slab_errors."""

    def __init__(self):
        super().__init__("slab verify", gdb.COMMAND_DATA)

    def run(self, heap, _argument):
        gdb.set_convenience_variable("slab_errors", verify(heap))


class FindLeaks(SlabCommand):
    """slab find-leaks [N]: live blocks that no pointer leads to, in N groups (20).

Roots are registers, stacks, and all writable memory that is not the heap's. Any word that points
into a block keeps it: what is shown is lost, but not all that is lost is shown.
Sets $slab_leaks."""

    def __init__(self):
        super().__init__("slab find-leaks", gdb.COMMAND_DATA)

    def run(self, heap, argument):
        if argument and not argument.isdigit():
            raise gdb.GdbError("slab find-leaks [N]")
        leaks = find_leaks(heap, int(argument or 20), where)
        gdb.set_convenience_variable("slab_leaks", leaks)


Slab()
Whatis()
Caches()
Verify()
FindLeaks()
