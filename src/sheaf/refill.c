// SPDX-License-Identifier: MIT
/*
 * refill.c - what happens when a sheaf is empty or full.
 *
 *	empty	the spare if it is full; else a full sheaf from the barn; else half a sheaf from the
 *		slabs, a batch under one lock
 *	full	the spare if it is empty; else the spare goes to the barn, or its objects to the slabs
 *
 * (A sheaf from the barn may be larger than what this thread would make: bounds are kept when it
 * leaves the thread again.) Capacity starts at what fits a frame and doubles with every trip beyond the spare, up to 254 objects
 * or 64 KiB, as long as all sheaves of the thread stay under their bound in bytes; it halves
 * where a while passes without a miss (sheaf_age).
 *
 * While a slot is being changed c->busy names it: a child of fork leaves that slot of this thread alone.
 */
#include "base/options.h"
#include "sheaf/barn.h"
#include "sheaf/sheaf.h"

enum {
	SHEAF_MAX = 254, /* objects: 2 KiB with the header */
	SHEAF_START = 30,
	SHEAF_BYTES = 64 << 10,
	START_BYTES = 4 << 10,
	ALWAYS_BYTES = 4 << 10, /* a cache's sheaves may have these in any case */
	FLOOR_BYTES = 256 << 10, /* a thread that has fewer is not asked to shrink */
	AGE_MS = 250,
	SHARE = 4, /* all threads' sheaves together: this part of the heap ... */
	THREADS = 2, /* ... but at least what so many may have */
};

static u32 clamp_capacity(u32 bytes, u32 size, u32 most)
{
	return min(max(bytes / size, 1u), most);
}

static u32 start_capacity(u32 id)
{
	return clamp_capacity(START_BYTES, cache_of(id)->size, SHEAF_START);
}

static u32 max_capacity(u32 id)
{
	return max(clamp_capacity(SHEAF_BYTES, cache_of(id)->size, SHEAF_MAX), 2u);
}

static u32 bytes_allowed(void)
{
	size_t most = min(options.sheaf_bytes, (size_t)UINT32_MAX / 4);
	size_t heap = zones_used() << FRAME_SHIFT;
	u32 nr = max(READ_ONCE(nr_threads), 1u);
	size_t together = max(heap / SHARE, THREADS * most);

	return (u32)min(together / nr, most);
}

/* Sets a cache's capacity if the thread's bound lets it. */
static bool set_capacity(struct kmem_percpu *c, u32 id, u32 capacity)
{
	u32 size = cache_of(id)->size;
	u32 bytes = c->bytes - 2 * c->capacity[id] * size + 2 * capacity * size;

	if (capacity > c->capacity[id] && bytes > bytes_allowed() &&
	    2 * capacity * size > ALWAYS_BYTES)
		return false;
	c->bytes = bytes;
	c->capacity[id] = (u16)capacity;
	return true;
}

static void grow(struct kmem_percpu *c, u32 id)
{
	u32 most = max_capacity(id), want = 2u * c->capacity[id] + 2;

	c->misses[id] = (u8)min(c->misses[id] + 1, 255);
	if (c->capacity[id] < most)
		set_capacity(c, id, min(want, most));
}

static struct slab_sheaf *main_sheaf(struct sheaf_slot *slot)
{
	struct slab_sheaf *sheaf = container_of(slot->base, struct slab_sheaf, objects);

	sheaf->size = (u32)(slot->top - slot->base);
	return sheaf;
}

static void set_main(struct sheaf_slot *slot, struct slab_sheaf *sheaf)
{
	slot->base = sheaf->objects;
	slot->top = sheaf->objects + sheaf->size;
	slot->limit = sheaf->objects + sheaf->capacity;
}

static bool open_slot(struct kmem_percpu *c, u32 id)
{
	u32 capacity = start_capacity(id);
	struct slab_sheaf *sheaf;

	if (!set_capacity(c, id, capacity)) {
		capacity = clamp_capacity(ALWAYS_BYTES / 2, cache_of(id)->size, capacity);
		if (!set_capacity(c, id, capacity))
			return false;
	}
	sheaf = sheaf_new(capacity);
	if (!sheaf) {
		set_capacity(c, id, 0);
		return false;
	}
	set_main(&c->slot[id], sheaf);
	return true;
}

/* The main sheaf becomes the spare, the spare (there is one) the main sheaf. */
static void swap_spare(struct sheaf_slot *slot)
{
	struct slab_sheaf *spare = slot->spare;

	slot->spare = main_sheaf(slot);
	set_main(slot, spare);
}

/* The main sheaf is empty: another takes its place, and it becomes the spare where there is none. */
static void replace_empty_main(struct sheaf_slot *slot, struct slab_sheaf *sheaf)
{
	struct slab_sheaf *empty = main_sheaf(slot);

	set_main(slot, sheaf);
	if (slot->spare)
		sheaf_delete(empty);
	else
		slot->spare = empty;
}

/* Gives the empty main sheaf the capacity that the cache has grown to. */
static void enlarge_main(struct kmem_percpu *c, u32 id)
{
	struct sheaf_slot *slot = &c->slot[id];
	struct slab_sheaf *old = main_sheaf(slot), *sheaf;

	if (c->capacity[id] == old->capacity || !(sheaf = sheaf_new(c->capacity[id])))
		return;
	set_main(slot, sheaf);
	sheaf_delete(old);
}

static void refill_from_slabs(struct kmem_percpu *c, u32 id)
{
	struct sheaf_slot *slot = &c->slot[id];
	u32 want = (u32)(slot->limit - slot->base) / 2 + 1;
	u32 got;

	want = min(want, (u32)(slot->limit - slot->base));
	got = slab_alloc_batch(id, percpu_pages(c), slot->base + want, want);
	if (got < want)
		for (u32 i = 0; i < got; i++)
			slot->base[i] = slot->base[want - got + i];
	slot->top = slot->base + got;
}

/* opened: the first time for this thread, which says nothing about its appetite yet. */
static void fill(struct kmem_percpu *c, u32 id, bool opened)
{
	struct sheaf_slot *slot = &c->slot[id];
	struct slab_sheaf *full;

	if (slot->spare && slot->spare->size) {
		swap_spare(slot);
		return;
	}
	if (!opened)
		grow(c, id);
	full = barn_get(id);
	if (full) {
		replace_empty_main(slot, full);
		return;
	}
	enlarge_main(c, id);
	refill_from_slabs(c, id);
}

noinline void *sheaf_alloc_slow(struct kmem_percpu *c, u32 id)
{
	struct sheaf_slot *slot = &c->slot[id];
	void *object = NULL;
	bool opened = !slot->base;

	if (unlikely(READ_ONCE(orphans.first)))
		sheaf_adopt();
	busy_begin(c, id);
	if (opened && !open_slot(c, id)) {
		busy_end(c);
		return sheaf_alloc_one(id);
	}
	if (slot->top == slot->base)
		fill(c, id, opened);
	if (slot->top > slot->base)
		object = *--slot->top;
	busy_end(c);
	return object;
}

/* An empty sheaf to go on with: the spare, emptied if need be, or a new one; NULL: no memory. */
static struct slab_sheaf *make_empty(struct kmem_percpu *c, u32 id)
{
	struct sheaf_slot *slot = &c->slot[id];
	struct slab_sheaf *spare = slot->spare;

	slot->spare = NULL;
	if (spare && spare->size) {
		grow(c, id);
		if (barn_put(id, spare)) {
			spare = NULL;
		} else {
			slab_free_batch(id, percpu_pages(c), spare->objects, spare->size);
			spare->size = 0;
		}
	}
	if (spare && spare->capacity != c->capacity[id]) {
		sheaf_delete(spare);
		spare = NULL;
	}
	return spare ? spare : sheaf_new(c->capacity[id]);
}

static void make_room(struct kmem_percpu *c, u32 id)
{
	struct sheaf_slot *slot = &c->slot[id];
	struct slab_sheaf *empty = make_empty(c, id);

	if (empty) {
		slot->spare = main_sheaf(slot);
		set_main(slot, empty);
		return;
	}
	slab_free_batch(id, percpu_pages(c), slot->base, (u32)(slot->top - slot->base));
	slot->top = slot->base;
}

noinline void sheaf_free_slow(struct kmem_percpu *c, u32 id, void *object)
{
	struct sheaf_slot *slot = &c->slot[id];

	if (unlikely(READ_ONCE(orphans.first)))
		sheaf_adopt();
	busy_begin(c, id);
	if (!slot->base && !open_slot(c, id)) {
		busy_end(c);
		sheaf_free_one(id, object);
		return;
	}
	if (slot->top == slot->limit)
		make_room(c, id);
	sheaf_push(slot, slot->top, object);
	busy_end(c);
}

void *sheaf_alloc_one(u32 id)
{
	void *object[1];

	return slab_alloc_batch(id, percpu_pages(NULL), object + 1, 1) ? object[0] : NULL;
}

void sheaf_free_one(u32 id, void *object)
{
	slab_free_batch(id, percpu_pages(NULL), &object, 1);
}

static void flush_slot(struct kmem_percpu *c, u32 id)
{
	struct sheaf_slot *slot = &c->slot[id];
	struct slab_sheaf *spare = slot->spare;
	u32 n = (u32)(slot->top - slot->base);

	busy_begin(c, id);
	if (n)
		slab_free_batch(id, percpu_pages(c), slot->base, n);
	slot->top = slot->base;
	if (spare) {
		slot->spare = NULL;
		if (spare->size)
			slab_free_batch(id, percpu_pages(c), spare->objects, spare->size);
		sheaf_delete(spare);
	}
	busy_end(c);
}

void sheaf_flush_all(struct kmem_percpu *c)
{
	for (u32 id = 1; id < NR_CACHES; id++)
		if (c->slot[id].base)
			flush_slot(c, id);
	percpu_drain_pages(c);
}

/* Half the capacity, no spare, and in the end no sheaf, for a cache that this thread left alone. */
static void shrink_slot(struct kmem_percpu *c, u32 id)
{
	struct sheaf_slot *slot = &c->slot[id];
	u32 capacity = c->capacity[id] / 2u;
	struct slab_sheaf *smaller = NULL;

	if (capacity && !(smaller = sheaf_new(capacity)))
		return;
	flush_slot(c, id);
	busy_begin(c, id);
	sheaf_delete(main_sheaf(slot));
	if (smaller)
		set_main(slot, smaller);
	else
		slot->base = slot->top = slot->limit = NULL;
	set_capacity(c, id, capacity);
	busy_end(c);
}

void sheaf_age(struct kmem_percpu *c, u64 now_ms)
{
	bool all = c->bytes / 2 > max(bytes_allowed(), (u32)FLOOR_BYTES);

	if (!all && now_ms - c->aged_ms < AGE_MS)
		return;
	c->aged_ms = now_ms;
	for (u32 id = 1; id < NR_CACHES; id++) {
		if (c->slot[id].base && (all || !c->misses[id]))
			shrink_slot(c, id);
		c->misses[id] = 0;
	}
}

void percpu_drain_pages(struct kmem_percpu *c)
{
	busy_begin(c, BUSY_PCP);
	pcp_drain(&c->pcp);
	busy_end(c);
}
