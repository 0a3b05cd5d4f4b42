# SPDX-License-Identifier: MIT
"""A model of the heap: what a trace's calls would need in frames, under given settings.

What it has of the library: size classes, slabs that are filled the fullest first and given back
when more than a few are empty, each thread's sheaves and how they grow, what realloc leaves in
place, frames for large blocks, the bounds of free memory that stays resident and how it goes with
time (src/reclaim/).

What it does not have: that free frames may lie in the wrong places (the buddy, regions, huge
pages), page sets, barns, empty slabs that stay until their memory is wanted, pages given back
inside slabs, the memory of the allocator's own structures, and of the program beside its heap.
"""

import dataclasses

from . import trace
from .kmalloc import FRAME, MOST, Classes

KEEP_FRAMES = 16
SHEAF_MOST, SHEAF_START, SHEAF_BYTES, START_BYTES, ALWAYS_BYTES = 510, 30, 64 << 10, 4096, 4096
THREAD_BYTES = 2 << 20
STEP_US = 50000
DIRTY_MIN, DIRTY_MAX, LEAST = 4 << 20, 256 << 20, 512 << 10
QUARTERS = 4


@dataclasses.dataclass(frozen=True)
class Settings:
    name: str
    steps: int = None  # classes a doubling; None: the library's
    order: int = None  # of slabs; None: the library's
    decay_ms: int = 500


class Cache:
    """One class: its slabs by how full they are. An object is known by its slab's number alone."""

    def __init__(self, kind):
        self.size, self.frames, self.objects = kind.size, kind.frames, kind.objects
        self.partial = [{} for _ in range(QUARTERS)]  # dicts: sets that keep their order
        self.empty = []
        self.keep = max(KEEP_FRAMES // kind.frames, 1)
        self.inuse = []
        self.unused = []  # numbers of slabs that were given back
        self.capacity = min(max(START_BYTES // kind.size, 1), SHEAF_START)
        self.most = max(min(SHEAF_BYTES // kind.size, SHEAF_MOST), 2)

    def quarter(self, inuse):
        return min(inuse * QUARTERS // self.objects, QUARTERS - 1)

    def new_slab(self):
        if self.unused:
            slab = self.unused.pop()
            self.inuse[slab] = 0
        else:
            slab = len(self.inuse)
            self.inuse.append(0)
        return slab

    def take(self, want, heap):
        """Objects of the fullest slabs; of a new one only if there is no other."""
        found = []
        while len(found) < want:
            for bucket in reversed(self.partial):
                if bucket:
                    slab, _ = bucket.popitem()
                    break
            else:
                if self.empty:
                    slab = self.empty.pop()
                elif found:
                    break
                else:
                    slab = self.new_slab()
                    heap.use(self.frames)
            inuse = self.inuse[slab]
            n = min(want - len(found), self.objects - inuse)
            found += [slab] * n
            self.inuse[slab] = inuse + n
            if inuse + n < self.objects:
                self.partial[self.quarter(inuse + n)][slab] = None
        return found

    def give(self, objects, heap):
        for slab in objects:
            inuse = self.inuse[slab]
            self.inuse[slab] = inuse - 1
            before = self.quarter(inuse)
            if inuse == self.objects:
                self.partial[self.quarter(inuse - 1)][slab] = None
            elif inuse == 1:
                del self.partial[before][slab]
            elif self.quarter(inuse - 1) != before:
                del self.partial[before][slab]
                self.partial[self.quarter(inuse - 1)][slab] = None
            if inuse == 1:
                self.partial[0].pop(slab, None)
                if len(self.empty) < self.keep:
                    self.empty.append(slab)
                else:
                    self.unused.append(slab)
                    heap.unuse(self.frames)


class Thread:
    """Sheaves of one thread: for each class a stack, and how many objects a sheaf has."""

    def __init__(self, caches):
        self.stack = [[] for _ in caches]
        self.capacity = [0] * len(caches)
        self.bytes = 0

    def grow(self, i, cache):
        old = self.capacity[i]
        new = min(2 * old + 2, cache.most) if old else cache.capacity
        more = 2 * (new - old) * cache.size
        if self.bytes + more <= THREAD_BYTES or 2 * new * cache.size <= ALWAYS_BYTES:
            self.capacity[i] = new
            self.bytes += more

    def alloc(self, i, cache, heap):
        stack = self.stack[i]
        if not stack:
            self.grow(i, cache)
            stack += cache.take(self.capacity[i] // 2 + 1, heap)
        return stack.pop()

    def free(self, i, cache, slab, heap):
        stack, most = self.stack[i], 2 * self.capacity[i]
        if len(stack) >= most:
            if most:
                cut = most // 2
                cache.give(stack[:cut], heap)
                del stack[:cut]
            self.grow(i, cache)
        stack.append(slab)

    def end(self, caches, heap):
        for cache, stack in zip(caches, self.stack):
            cache.give(stack, heap)
        self.__init__(caches)


class Decay:
    """Free frames that stay resident: the law of src/reclaim/decay.c, looked at every 50 ms."""

    def __init__(self, decay_ms):
        self.us = decay_ms * 1000
        self.demand = self.moved = self.taken = self.used = self.peak = self.last_peak = 0
        self.window = self.us

    def look(self, heap, now):
        """What may stay, in bytes."""
        used, live = heap.frames * FRAME, heap.live
        taken = heap.taken * FRAME - self.taken
        churn = max(taken - max(used - self.used, 0), 0)
        self.taken, self.used = heap.taken * FRAME, used
        if churn:
            self.moved = now
        self.demand = max(churn, self.demand - self.demand // 4)
        quiet = now - self.moved >= self.us
        if quiet:
            self.demand = 0
        if now >= self.window:
            self.last_peak, self.peak, self.window = self.peak, 0, now + self.us
        self.peak = max(self.peak, used)
        peak = max(self.peak, self.last_peak)
        least = min(DIRTY_MIN, max(peak // 4, LEAST))
        if quiet:
            return 0
        return min(least + live // 8 + self.demand, DIRTY_MAX, peak + peak // 8 + least - used)


class Heap:
    """Runs the events of a trace; afterwards it has the numbers."""

    def __init__(self, settings):
        self.classes = Classes(settings.steps, settings.order)
        self.caches = [Cache(c) for c in self.classes.table]
        self.threads = {}
        self.decay = Decay(settings.decay_ms)
        self.frames = self.taken = self.dirty = 0  # in use; handed out, ever; free and resident
        self.live = 0  # bytes of blocks, as they were rounded
        self.asked = 0
        self.peak = dict.fromkeys(("asked", "live", "used", "resident"), 0)
        self.series = []  # (us, asked, live, used, resident)
        self.moved = 0  # of the latest free

    def use(self, n):
        self.frames += n
        self.taken += n
        self.dirty = max(self.dirty - n, 0)
        if self.frames * FRAME > self.peak["used"]:
            self.peak["used"] = self.frames * FRAME
        resident = (self.frames + self.dirty) * FRAME
        if resident > self.peak["resident"]:
            self.peak["resident"] = resident

    def unuse(self, n):
        self.frames -= n
        self.dirty += n

    def tick(self, now):
        may = self.decay.look(self, now)
        dirty = self.dirty * FRAME
        if dirty > self.moved:
            self.decay.moved = now
        if dirty > may:
            self.dirty = may * 3 // 4 // FRAME
        self.moved = self.dirty * FRAME
        for name, value in zip(("asked", "live"), (self.asked, self.live)):
            self.peak[name] = max(self.peak[name], value)
        self.series.append((now, self.asked, self.live, self.frames * FRAME,
                            (self.frames + self.dirty) * FRAME))

    def run(self, events):
        place = {}  # block: (class or None, slab or frames, asked)
        sizes, aligns = events.size, events.align
        threads, caches = self.threads, self.caches
        next_tick = 0
        for kind, thread, born, died, now in events.events():
            while now >= next_tick:
                self.tick(next_tick)
                next_tick += STEP_US if now < next_tick + 1000 * STEP_US else 100 * STEP_US
            t = threads.get(thread)
            if t is None:
                t = threads[thread] = Thread(caches)
            if kind == trace.BIRTH:
                place[born] = self.birth(t, sizes[born], aligns[born])
            elif kind == trace.DEATH:
                self.death(t, *place.pop(died))
            elif kind == trace.CHANGE:
                place[born] = self.change(t, sizes[born], *place.pop(died))
            else:
                t.end(caches, self)
            if self.asked > self.peak["asked"]:
                self.peak["asked"] = self.asked
                self.peak["live"] = max(self.peak["live"], self.live)
        self.tick(next_tick)
        return self

    def birth(self, t, size, align, room=0):
        i = self.classes.index(size + room, align)
        if size + room > MOST:
            i = self.classes.index(size, align)
        self.asked += size
        if i is None:
            n = max(-(-size // FRAME), 1)
            self.use(n)
            self.live += n * FRAME
            return None, n, size
        cache = self.caches[i]
        self.live += cache.size
        return i, t.alloc(i, cache, self), size

    def death(self, t, i, where, size):
        self.asked -= size
        if i is None:
            self.unuse(where)
            self.live -= where * FRAME
            return
        self.live -= self.caches[i].size
        t.free(i, self.caches[i], where, self)

    def change(self, t, size, i, where, old):
        """realloc: in place, or with an eighth of room for a block that grows by less."""
        if i is not None:
            room = self.caches[i].size
            if size <= room and (size > room // 2 or self.classes.index(size) == i):
                self.asked += size - old
                return i, where, size
        elif size > MOST:
            n = -(-size // FRAME)
            self.unuse(max(where - n, 0))
            self.use(max(n - where, 0))
            self.live += (n - where) * FRAME
            self.asked += size - old
            return None, n, size
        grown = size - self.caches[i].size if i is not None else 0
        made = self.birth(t, size, 0, size // 8 if 0 < grown < size // 8 else 0)
        self.death(t, i, where, old)
        return made
