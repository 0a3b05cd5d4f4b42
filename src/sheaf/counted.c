// SPDX-License-Identifier: MIT
/*
 * counted.c - malloc meets the slow path after a known number of objects, while free does not.
 *
 * malloc looks for its sheaf where the size says, free where the class map says (sheaf.h). Off, that is one
 * slot. While allocations are counted the class map, and slot_of, name another (kmalloc_shift): all frees
 * go there, and nothing comes to malloc's slot by itself. The slow path puts a run of objects into it, from the top of the
 * real sheaf (where that has too few, as when the program uses one object over and over, with some of the slabs' below
 * them), and knows that malloc will be back after exactly so many: whether the program frees its objects at
 * once or keeps them makes no difference. Neither of the two fast paths has an instruction more; what is on costs a trip into the
 * slow path for each run, and the cache lines of a run instead of one object's.
 *
 * A run ends early where the thread's sheaves are given up: as they shrink, at its end, or by reclaim while it sleeps
 * (asleep.c). What malloc did not find then was not handed out, and is counted again later (counted_return).
 *
 *	c->slot[id]	a run: taken from, never put into
 *	slot_of(c, id)	the main sheaf and the spare, as ever
 */
#include <string.h>

#include "page/zone.h"
#include "sheaf/sheaf.h"

/* What slabs there are already send their frees to the other slot. */
static void shift_classes(void)
{
	struct zone *z;

	for_each_zone(z) {
		struct region *r;

		hlist_for_each_entry(r, &z->regions, link) {
			u16 *classes = class_of(r->base);

			for (u32 i = 0; i < r->frames; i++)
				if (classes[i] && classes[i] < NR_KMALLOC * CLASS_UNIT)
					classes[i] = (u16)(classes[i] + COUNTED_SHIFT * CLASS_UNIT);
		}
	}
}

bool counted_begin(void)
{
	struct kmem_percpu *c = percpu_get();

	if (READ_ONCE(nr_threads) > (c ? 1u : 0u) || cache_end > COUNTED_SHIFT || numa_many()) {
		percpu_put(c);
		return false;
	}
	for (u32 id = 1; c && id < NR_KMALLOC; id++) {
		busy_begin(c, id);
		*slot_of(c, id + COUNTED_SHIFT) = c->slot[id];
		c->slot[id] = (struct sheaf_slot){ 0 };
		busy_end(c);
	}
	shift_classes();
	kmalloc_shift = COUNTED_SHIFT;
	percpu_put(c);
	return true;
}

static struct slab_sheaf *sheaf_of(const struct sheaf_slot *run)
{
	return container_of(run->base, struct slab_sheaf, objects);
}

static bool open_run(struct sheaf_slot *run)
{
	struct slab_sheaf *sheaf = run->base ? NULL : sheaf_new(RUN_MAX);

	if (sheaf)
		run->top = run->base = run->limit = sheaf->objects;
	return run->base;
}

/* Up to n objects of the slabs, at base[0] and what follows. */
static u32 take_new(struct kmem_percpu *c, u32 id, void **base, u32 n)
{
	u32 got = slab_alloc_batch(id, cache_pages(c, id), base + n, n);

	c->events.refills++;
	c->events.taken += (u64)got * cache_of(id)->size;
	numa_count(c, id, c->nid, c->nid, got);
	if (got < n)
		for (u32 i = 0; i < got; i++)
			base[i] = base[n - got + i];
	return got;
}

u32 counted_run(struct kmem_percpu *c, u32 id, u32 n)
{
	struct sheaf_slot *run = &c->slot[id], *slot = slot_of(c, id);
	u32 hot = min(n, (u32)(slot->top - slot->base)), cold = 0;

	VM_BUG_ON(n > RUN_MAX || run->top != run->base);
	if (unlikely(!slot->base))
		return 0;
	busy_begin(c, id);
	if (unlikely(!open_run(run))) {
		busy_end(c);
		return 0;
	}
	if (unlikely(hot < n / 4))
		cold = take_new(c, id, run->base, n - hot);
	memcpy(run->base + cold, slot->top - hot, hot * sizeof(*run->base));
	slot->top -= hot;
	run->top = run->base + cold + hot;
	busy_end(c);
	return cold + hot;
}

void counted_end_run(struct kmem_percpu *c, u32 id, struct page_source src)
{
	struct sheaf_slot *run = &c->slot[id];
	u32 n = (u32)(run->top - run->base);

	if (likely(!kmalloc_shift) || id >= NR_KMALLOC || !run->base)
		return;
	if (n) {
		counted_return(c, id, n);
		c->events.flushes++;
		c->events.given += (u64)n * cache_of(id)->size;
		slab_free_batch(id, src, run->base, n);
	}
	sheaf_delete(sheaf_of(run));
	*run = (struct sheaf_slot){ 0 };
}
