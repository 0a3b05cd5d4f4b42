// SPDX-License-Identifier: MIT
/*
 * refill.c - what happens when a sheaf is empty or full.
 *
 *	empty	the spare if it is full; else a full sheaf from the node's barn; else half a sheaf from the
 *		node's slabs, a batch under one lock
 *	full	the spare if it is empty; else the spare goes to its node's barn, or its objects to the slabs
 *
 * Large objects have no spare (has_spare): where the sheaf is full, half of it goes to the slabs.
 *
 * (A sheaf from the barn may be larger than what this thread would make: bounds are kept when it leaves the thread again.) Capacity
 * starts at what fits a frame and doubles with every trip beyond the spare, up to 510 objects or 64 KiB (128 without a spare), as
 * long as all sheaves of the thread stay under their bound in bytes, which grows with the heap (sheaf_allow); it halves where a while
 * passes without a miss (sheaf_age).
 *
 * While a slot is being changed c->busy names it: a child of fork leaves that slot of this thread alone.
 */
#include <string.h>

#include "base/options.h"
#include "base/probe.h"
#include "os/latency.h"
#include "sheaf/barn.h"
#include "sheaf/sheaf.h"

enum {
	SHEAF_START = 30,
	SHEAF_BYTES = 64 << 10,
	START_BYTES = 4 << 10,
	ALWAYS_BYTES = 4 << 10, /* a cache's sheaves may have these in any case */
	FLOOR_BYTES = 256 << 10, /* a thread that has fewer is not asked to shrink */
	AGE_MS = 250,
	OWN_SHARE = 8, /* one thread's sheaves: this part of the heap, but at least FLOOR_BYTES */
	SHARE = 4, /* all threads' together: this part ... */
	THREADS = 2, /* ... but at least what so many may have in a large heap */
};

u32 sheaf_first = 16;

static const struct kmem_cache *cache_in(u32 slot)
{
	return cache_of(slot_cache(slot));
}

static u32 clamp_capacity(u32 bytes, u32 size, u32 most)
{
	return min(max(bytes / size, 1u), most);
}

static u32 start_capacity(u32 id)
{
	u32 fixed = cache_of(id)->sheaf_capacity;

	if (unlikely(fixed))
		return min(fixed, (u32)SHEAF_MAX);
	return clamp_capacity(START_BYTES, cache_of(id)->size, SHEAF_START);
}

static u32 max_capacity(u32 id)
{
	u32 fixed = cache_of(id)->sheaf_capacity, most;

	if (unlikely(fixed))
		return min(fixed, (u32)SHEAF_MAX);
	most = has_spare(cache_of(id)) ? SHEAF_BYTES : 2 * SHEAF_BYTES;
	return max(clamp_capacity(most, cache_of(id)->size, SHEAF_MAX), 2u);
}

/* What one thread's sheaves may hold: as it was when somebody counted last. */
static u32 allowed;

void sheaf_allow(void)
{
	size_t most = min(options.sheaf_bytes, (size_t)UINT32_MAX / 4);
	size_t heap = zones_used() << FRAME_SHIFT;
	u32 nr = max(READ_ONCE(nr_threads), 1u);
	size_t together = max(heap / SHARE, THREADS * most);
	size_t own = max(heap / OWN_SHARE, (size_t)FLOOR_BYTES);

	own = min(own, most);
	WRITE_ONCE(allowed, (u32)min(together / nr, own));
}

/* Sets a cache's capacity if the thread's bound lets it. */
static bool set_capacity(struct kmem_percpu *c, u32 nr, u32 capacity)
{
	struct sheaf_meta *m = meta_of(c, nr);
	u32 bytes = sheaf_cost(cache_in(nr), capacity);
	u32 more = bytes - sheaf_cost(cache_in(nr), m->capacity);

	if (capacity > m->capacity &&
	    counter_read(*sheaf_bytes_at(c, cache_in(nr))) + more > READ_ONCE(allowed) &&
	    bytes > ALWAYS_BYTES)
		return false;
	/* Atomic: sheaf_close subtracts, too. */
	counter_add(*sheaf_bytes_at(c, cache_in(nr)), more);
	m->capacity = capacity & CAPACITY_MAX;
	return true;
}

static void grow(struct kmem_percpu *c, u32 nr)
{
	struct sheaf_meta *m = meta_of(c, nr);
	u32 most = max_capacity(slot_cache(nr)), want = 2u * m->capacity + 2;

	m->misses = min(m->misses + 1u, (u32)MISSES_MAX) & MISSES_MAX;
	if (m->capacity < most)
		set_capacity(c, nr, min(want, most));
}

static struct slab_sheaf *main_sheaf(struct sheaf_slot *slot)
{
	struct slab_sheaf *sheaf = container_of(slot->base, struct slab_sheaf, objects);

	WRITE_ONCE(sheaf->size, (u32)(slot->top - slot->base));
	return sheaf;
}

static void set_main(struct sheaf_slot *slot, struct slab_sheaf *sheaf)
{
	WRITE_ONCE(slot->base, sheaf->objects);
	WRITE_ONCE(slot->top, sheaf->objects + sheaf->size);
	WRITE_ONCE(slot->limit, sheaf->objects + sheaf->capacity);
}

static bool open_slot(struct kmem_percpu *c, u32 nr)
{
	u32 capacity = start_capacity(slot_cache(nr));
	struct slab_sheaf *sheaf;

	if (!set_capacity(c, nr, capacity)) {
		capacity = clamp_capacity(ALWAYS_BYTES / 2, cache_in(nr)->size, capacity);
		if (!set_capacity(c, nr, capacity))
			return false;
	}
	sheaf = sheaf_new(capacity);
	if (!sheaf) {
		set_capacity(c, nr, 0);
		return false;
	}
	set_main(slot_of(c, nr), sheaf);
	return true;
}

/* The main sheaf becomes the spare, the spare (there is one) the main sheaf. */
static void swap_spare(struct kmem_percpu *c, struct sheaf_slot *slot)
{
	struct slab_sheaf *spare = slot->spare;

	WRITE_ONCE(slot->spare, main_sheaf(slot));
	set_main(slot, spare);
	ADD_ONCE(c->events.swaps, 1);
}

/* The main sheaf is empty, and there is no spare: another takes its place, and it becomes the spare, where there may be one. */
static void replace_empty_main(struct kmem_percpu *c, u32 nr, struct slab_sheaf *sheaf)
{
	struct sheaf_slot *slot = slot_of(c, nr);
	struct slab_sheaf *empty = main_sheaf(slot);

	set_main(slot, sheaf);
	if (has_spare(cache_in(nr)))
		WRITE_ONCE(slot->spare, empty);
	else
		sheaf_delete(empty);
}

/* Gives the empty main sheaf the capacity that the cache has grown to. */
static void enlarge_main(struct kmem_percpu *c, u32 nr)
{
	struct sheaf_slot *slot = slot_of(c, nr);
	struct slab_sheaf *old = main_sheaf(slot), *sheaf;
	u32 capacity = meta_of(c, nr)->capacity;

	if (capacity == old->capacity || !(sheaf = sheaf_new(capacity)))
		return;
	set_main(slot, sheaf);
	sheaf_delete(old);
}

/* The page sets hold frames of the node that the thread's memory comes from. */
static struct page_source pages_on(struct kmem_percpu *c, u32 id, u32 nid)
{
	struct page_source src = cache_pages(c, id);

	if (unlikely(src.zone->nid != nid) && !src.zone->limit)
		src = (struct page_source){ .zone = node_zone(nid) };
	return src;
}

static void refill_from_slabs(struct kmem_percpu *c, u32 nr, u32 nid)
{
	struct sheaf_slot *slot = slot_of(c, nr);
	u32 want = (u32)(slot->limit - slot->base) / 2 + 1;
	void (*shuffle)(void **objects, u32 n) = cache_in(nr)->shuffle;
	u32 got;

	want = min(want, (u32)(slot->limit - slot->base));
	got = slab_alloc_batch(slot_cache(nr), pages_on(c, slot_cache(nr), nid), slot->base + want,
			       want);
	if (got < want)
		for (u32 i = 0; i < got; i++)
			slot->base[i] = slot->base[want - got + i];
	if (unlikely(shuffle) && got)
		shuffle(slot->base, got);
	WRITE_ONCE(slot->top, slot->base + got);
	ADD_ONCE(c->events.refills, 1);
	ADD_ONCE(c->events.taken, (u64)got * cache_in(nr)->size);
	numa_count(c, slot_cache(nr), nid, nid, got);
}

/* opened: the first time for this thread, which says nothing about its appetite yet. */
static void fill(struct kmem_percpu *c, u32 nr, u32 nid, bool opened)
{
	struct sheaf_slot *slot = slot_of(c, nr);
	struct slab_sheaf *full, *empty = slot->spare;

	if (empty && empty->size) {
		swap_spare(c, slot);
		return;
	}
	if (!opened)
		grow(c, nr);
	WRITE_ONCE(slot->spare, NULL);
	full = barn_replace_empty(slot_cache(nr), nid, &empty);
	if (full) {
		if (empty)
			sheaf_delete(empty);
		numa_count(c, slot_cache(nr), nid, nid, full->size);
		ADD_ONCE(c->events.barn_gets, 1);
		ADD_ONCE(c->events.taken, (u64)full->size * cache_in(nr)->size);
		replace_empty_main(c, nr, full);
		return;
	}
	WRITE_ONCE(slot->spare, empty);
	enlarge_main(c, nr);
	refill_from_slabs(c, nr, nid);
}

/* Where objects of a cache of the node are that the thread is on. */
static u32 near_slot(const struct kmem_percpu *c, u32 id)
{
	return likely(id < NR_KMALLOC) ? c->panel + id : id;
}

/* What a new thread frees first came from another thread, and its cache line did so too: a sheaf would give it out again here. */
static bool is_one_of_the_first(struct kmem_percpu *c, u32 nr)
{
	struct sheaf_meta *m = meta_of(c, nr);

	if (READ_ONCE(nr_threads) <= 1 || m->misses >= sheaf_first)
		return false;
	m->misses++;
	return true;
}

void *sheaf_swap_alloc(u32 id)
{
	struct kmem_percpu *c = this_cpu;
	u32 nr = near_slot(c, id);
	struct sheaf_slot *slot = slot_of(c, nr);
	void *object;

	if (slot->top != slot->base || !slot->spare || !slot->spare->size)
		return NULL;
	busy_begin(c, nr);
	swap_spare(c, slot);
	object = sheaf_pop(slot, slot->top);
	busy_end(c);
	return object;
}

noinline void *sheaf_alloc_slow(struct kmem_percpu *c, u32 id)
{
	u64 start = latency_sample(&c->slow_calls);
	struct sheaf_slot *slot;
	void *object = NULL;
	bool opened;
	u32 nr;

	if (unlikely(READ_ONCE(orphans.first)))
		sheaf_adopt();
	this_node(c);
	nr = near_slot(c, id);
	slot = slot_of(c, nr);
	opened = !slot->base;
	if (opened && is_one_of_the_first(c, nr) && (object = sheaf_alloc_one(id)))
		return object;
	busy_begin(c, nr);
	if (opened && !open_slot(c, nr)) {
		busy_end(c);
		return sheaf_alloc_one(id);
	}
	if (slot->top == slot->base)
		fill(c, nr, c->nid, opened);
	if (slot->top > slot->base)
		object = sheaf_pop(slot, slot->top);
	busy_end(c);
	latency_end(SLOW_ALLOC, start);
	return object;
}

/* From the panel's slot of the node, if it is its own. NULL: not from there. */
static void *alloc_from_panel(struct kmem_percpu *c, u32 id, u32 nid, bool atomic)
{
	u32 nr = node_panel(nid) + id;
	struct sheaf_slot *slot = slot_of(c, nr);
	bool opened = !slot->base;
	void *object = NULL;

	if (numa.nr > NR_PANELS || id >= NR_KMALLOC || kmalloc_shift)
		return NULL;
	busy_begin(c, nr);
	if (slot->top == slot->base && !atomic && (!opened || open_slot(c, nr)))
		fill(c, nr, nid, opened);
	if (slot->top != slot->base)
		object = sheaf_pop(slot, slot->top);
	busy_end(c);
	return object;
}

void *sheaf_alloc_node(struct kmem_percpu *c, u32 id, u32 nid, bool atomic)
{
	void *from_panel = c ? alloc_from_panel(c, id, nid, atomic) : NULL, *object[1];
	struct page_source src = pages_on(NULL, id, nid);

	if (from_panel)
		return from_panel;
	src.atomic = atomic;
	if (!slab_alloc_batch(id, src, object + 1, 1))
		return NULL;
	numa_count(c, id, nid, src.zone->nid, 1);
	return object[0];
}

/* The spare and the slabs that can be had at once; a slot is not opened for it. */
void *sheaf_alloc_atomic(struct kmem_percpu *c, u32 id)
{
	u32 nr = c ? near_slot(c, id) : id;
	struct sheaf_slot *slot = c ? slot_of(c, nr) : NULL;
	struct page_source src = cache_pages(c, id);
	void *object[1];

	src.atomic = true;
	if (!slot || !slot->base) {
		src.pcp = NULL;
		return slab_alloc_batch(id, src, object + 1, 1) ? object[0] : NULL;
	}
	busy_begin(c, nr);
	if (slot->top == slot->base && slot->spare && slot->spare->size)
		swap_spare(c, slot);
	if (slot->top == slot->base)
		WRITE_ONCE(slot->top, slot->top + slab_alloc_batch(id, src, slot->base + 1, 1));
	object[0] = slot->top > slot->base ? sheaf_pop(slot, slot->top) : NULL;
	busy_end(c);
	return object[0];
}

static void flush(struct kmem_percpu *c, u32 nr, void **objects, u32 n)
{
	for (u32 i = 0; unlikely(numa_many()) && i < n; i++)
		numa_count_freed(c, slot_cache(nr), object_nid(objects[i]), 1);
	ADD_ONCE(c->events.flushes, 1);
	ADD_ONCE(c->events.given, (u64)n * cache_in(nr)->size);
	slab_free_batch(slot_cache(nr), cache_pages(c, slot_cache(nr)), objects, n);
}

/* An empty sheaf to go on with: the spare, emptied if need be, or a new one; NULL: no memory. */
static struct slab_sheaf *make_empty(struct kmem_percpu *c, u32 nr)
{
	struct sheaf_slot *slot = slot_of(c, nr);
	struct slab_sheaf *spare = slot->spare, *empty;

	WRITE_ONCE(slot->spare, NULL);
	if (spare && spare->size) {
		int nid = objects_nid(nr, spare->objects, spare->size);
		u32 n = spare->size;

		PROBE2(slabmalloc, remote_free, cache_in(nr)->name, spare->size);
		/* Another node's objects are gathered in small sheaves: they are not for this thread. */
		if (slot_cache(nr) >= TYPED_FIRST || nr - slot_cache(nr) == c->panel)
			grow(c, nr);
		if (nid >= 0 && barn_replace_full(slot_cache(nr), (u32)nid, spare, &empty)) {
			numa_count_freed(c, slot_cache(nr), (u32)nid, n);
			ADD_ONCE(c->events.barn_puts, 1);
			ADD_ONCE(c->events.given, (u64)n * cache_in(nr)->size);
			spare = empty;
		} else {
			flush(c, nr, spare->objects, spare->size);
			spare->size = 0;
		}
	}
	if (spare && spare->capacity != meta_of(c, nr)->capacity) {
		sheaf_delete(spare);
		spare = NULL;
	}
	return spare ? spare : sheaf_new(meta_of(c, nr)->capacity);
}

/* A sheaf without a spare: larger, or half as full. What lies at the bottom was not used for the longest time. */
static void make_room_alone(struct kmem_percpu *c, u32 nr)
{
	struct sheaf_slot *slot = slot_of(c, nr);
	u32 n = (u32)(slot->top - slot->base), out = (n + 1) / 2;
	struct slab_sheaf *old = main_sheaf(slot), *sheaf;

	grow(c, nr);
	if (meta_of(c, nr)->capacity > old->capacity &&
	    (sheaf = sheaf_new(meta_of(c, nr)->capacity))) {
		memcpy(sheaf->objects, old->objects, n * sizeof(*slot->base));
		sheaf->size = n;
		set_main(slot, sheaf);
		sheaf_delete(old);
		return;
	}
	flush(c, nr, slot->base, out);
	memmove(slot->base, slot->base + out, (n - out) * sizeof(*slot->base));
	WRITE_ONCE(slot->top, slot->base + n - out);
}

static void make_room(struct kmem_percpu *c, u32 nr)
{
	struct sheaf_slot *slot = slot_of(c, nr);
	struct slab_sheaf *empty;

	if (!has_spare(cache_in(nr))) {
		make_room_alone(c, nr);
		return;
	}
	empty = make_empty(c, nr);
	if (empty) {
		WRITE_ONCE(slot->spare, empty);
		swap_spare(c, slot);
		return;
	}
	flush(c, nr, slot->base, (u32)(slot->top - slot->base));
	WRITE_ONCE(slot->top, slot->base);
}

/* Where free puts the object. */
static u32 home_slot(u32 id, const void *object)
{
	return likely(id >= NR_KMALLOC || !numa_many()) ? id : node_panel(object_nid(object)) + id;
}

bool sheaf_swap_free(u32 id, void *object)
{
	struct kmem_percpu *c = this_cpu;
	u32 nr = home_slot(id, object);
	struct sheaf_slot *slot = slot_of(c, nr);

	if (slot->top != slot->limit || !slot->spare || slot->spare->size || object_keyed(object))
		return false;
	busy_begin(c, nr);
	swap_spare(c, slot);
	((uintptr_t *)object)[1] = object_key();
	sheaf_push(slot, slot->top, object);
	busy_end(c);
	return true;
}

noinline void sheaf_free_slow(struct kmem_percpu *c, u32 id, void *object)
{
	u64 start = latency_sample(&c->slow_calls);
	u32 nr = home_slot(id, object);
	struct sheaf_slot *slot = slot_of(c, nr);

	if (unlikely(READ_ONCE(orphans.first)))
		sheaf_adopt();
	this_node(c);
	if (!slot->base && is_one_of_the_first(c, nr)) {
		sheaf_free_one(id, object);
		return;
	}
	busy_begin(c, nr);
	if (!slot->base && !open_slot(c, nr)) {
		busy_end(c);
		sheaf_free_one(id, object);
		return;
	}
	if (slot->top == slot->limit)
		make_room(c, nr);
	sheaf_push(slot, slot->top, object);
	busy_end(c);
	latency_end(SLOW_FREE, start);
}

void *sheaf_alloc_one(u32 id)
{
	void *object[1];

	return slab_alloc_batch(id, cache_pages(NULL, id), object + 1, 1) ? object[0] : NULL;
}

void sheaf_free_one(u32 id, void *object)
{
	slab_free_batch(id, cache_pages(NULL, id), &object, 1);
}

static void flush_slot(struct kmem_percpu *c, u32 nr)
{
	struct sheaf_slot *slot = slot_of(c, nr);
	struct slab_sheaf *spare = slot->spare;
	u32 n = (u32)(slot->top - slot->base);

	busy_begin(c, nr);
	counted_end_run(c, nr, cache_pages(c, slot_cache(nr)));
	if (n)
		flush(c, nr, slot->base, n);
	WRITE_ONCE(slot->top, slot->base);
	if (spare) {
		WRITE_ONCE(slot->spare, NULL);
		if (spare->size)
			flush(c, nr, spare->objects, spare->size);
		sheaf_delete(spare);
	}
	busy_end(c);
}

/* Not while a cache is being closed: what its sheaves held is on its way to the slabs already. */
static bool may_take(u32 id)
{
	return id < TYPED_FIRST || lock_try(&slots_lock, RANK_SLOTS);
}

static void taken(u32 id)
{
	if (id >= TYPED_FIRST)
		unlock(&slots_lock, RANK_SLOTS);
}

void sheaf_flush(struct kmem_percpu *c, u32 id)
{
	for_each_slot_of(id, nr) {
		if (!slot_of(c, nr)->base || !may_take(id))
			continue;
		flush_slot(c, nr);
		taken(id);
	}
}

void sheaf_flush_all(struct kmem_percpu *c)
{
	for_each_cache(id)
		sheaf_flush(c, id);
	percpu_drain_pages(c);
}

/* Half the capacity, no spare, and in the end no sheaf, for a cache that this thread left alone. */
static void shrink_slot(struct kmem_percpu *c, u32 nr)
{
	struct sheaf_slot *slot = slot_of(c, nr);
	u32 capacity = meta_of(c, nr)->capacity / 2u;
	struct slab_sheaf *smaller = NULL;

	if (capacity && !(smaller = sheaf_new(capacity)))
		return;
	flush_slot(c, nr);
	busy_begin(c, nr);
	sheaf_delete(main_sheaf(slot));
	if (smaller)
		set_main(slot, smaller);
	else
		slot_set(slot, (struct sheaf_slot){ .spare = slot->spare });
	set_capacity(c, nr, capacity);
	busy_end(c);
}

void sheaf_age(struct kmem_percpu *c, u64 now_ms)
{
	bool all;

	sheaf_allow();
	all = counter_read(c->bytes[0]) / 2 > max(READ_ONCE(allowed), (u32)FLOOR_BYTES);

	if (!all && now_ms - c->aged_ms < AGE_MS)
		return;
	WRITE_ONCE(c->aged_ms, now_ms);
	busy_begin(c, BUSY_PCP);
	pcp_age(&c->pcp);
	busy_end(c);
	for_each_slot(nr) {
		struct sheaf_meta *m = meta_of(c, nr);

		if (slot_of(c, nr)->base && (all || !m->misses) && may_take(slot_cache(nr))) {
			shrink_slot(c, nr);
			taken(slot_cache(nr));
		}
		/* Written only where it is not 0: a typed cache's page may not be there. */
		if (m->misses)
			m->misses = 0;
	}
}

void percpu_drain_pages(struct kmem_percpu *c)
{
	busy_begin(c, BUSY_PCP);
	pcp_drain(&c->pcp);
	busy_end(c);
}
