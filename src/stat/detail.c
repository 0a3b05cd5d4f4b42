// SPDX-License-Identifier: MIT
/*
 * detail.c - the rows of a dump: caches, zones, threads, system calls.
 */
#include <string.h>

#include "debug/slub_debug.h"
#include "sheaf/barn.h"
#include "slab/purge.h"
#include "stat/stat.h"

enum { TRIES = 8 };

/* What belongs together of a cache. Reads of counts that others change under their locks. */
struct counts {
	unsigned long slabs, empty, free, given, refills, refilled, flushes, flushed, made, gets,
		puts;
};

static struct counts counts_of(u32 id)
{
	struct counts k = { 0 };

	for_each_node(nid) {
		struct kmem_cache_node *n = cache_node(id, nid);
		struct barn *b = barn_of(id, nid);

		k.slabs += READ_ONCE(n->nr_slabs);
		k.empty += READ_ONCE(n->nr_empty);
		k.free += READ_ONCE(n->nr_free);
		k.given += READ_ONCE(n->nr_given);
		k.refills += READ_ONCE(n->nr_refills);
		k.refilled += READ_ONCE(n->nr_refilled);
		k.flushes += READ_ONCE(n->nr_flushes);
		k.flushed += READ_ONCE(n->nr_flushed);
		k.made += READ_ONCE(n->nr_made);
		k.gets += READ_ONCE(b->gets);
		k.puts += READ_ONCE(b->puts);
	}
	return k;
}

/* Is a batch on its way: in somebody's hands, where neither his sheaves nor barns and slabs have it? */
static bool is_moving(u32 id)
{
	struct kmem_percpu *c;
	u32 moving = 0;

	for_each_node(nid)
		moving |= READ_ONCE(cache_node(id, nid)->lock.word) |
			  READ_ONCE(barn_of(id, nid)->lock.word);
	for_each_percpu_racy(c)
		moving |= slot_cache(READ_ONCE(c->busy)) == id;
	return moving;
}

/*
 * The objects in sheaves are counted while no batch moves from or to them. True: none did. One that has arrived before
 * the first look is counted where it is, one that leaves after the second changes the counts.
 */
static bool read_counts(u32 id, struct counts *k, unsigned long *sheaf_objs)
{
	for (u32 tries = 0; tries < TRIES; tries++) {
		struct counts again;
		bool moving;

		*k = counts_of(id);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		moving = is_moving(id);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		*sheaf_objs = sheaf_objects(id);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		moving |= is_moving(id);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		again = counts_of(id);
		if (!moving && memcmp(k, &again, sizeof(again)) == 0)
			return true;
	}
	return false;
}

bool stat_cache_shown(u32 id)
{
	return cache_slabs(id) || (id >= TYPED_FIRST && READ_ONCE(typed_of(id)->refcount));
}

bool stat_cache_detail(u32 id, struct cache_detail *d)
{
	const struct kmem_cache *s = cache_of(id);
	struct counts k;

	if (!stat_cache_shown(id))
		return false;
	d->changing = !read_counts(id, &k, &d->sheaf_objs);
	d->name = s->name;
	d->objsize = s->size;
	d->objperslab = s->objects;
	d->pagesperslab = s->frames;
	d->num_slabs = k.slabs;
	d->active_slabs = k.slabs - min(k.empty, k.slabs);
	d->num_objs = k.slabs * s->objects;
	d->active_objs = d->num_objs - min(k.free + d->sheaf_objs, d->num_objs);
	d->slab_bytes = (k.slabs * s->frames) << FRAME_SHIFT;
	d->given_bytes = min(k.given << FRAME_SHIFT, d->slab_bytes);
	d->waste_bytes = d->slab_bytes - d->given_bytes;
	d->waste_bytes -= min(d->active_objs * s->size, d->waste_bytes);
	d->internal_bytes =
		slab_unasked(s, READ_ONCE(cache_nodes[id].asked), debug_asked(s), d->active_objs);
	d->slabs_made = k.made;
	d->refills = k.refills;
	d->refilled_objs = k.refilled;
	d->flushes = k.flushes;
	d->flushed_objs = k.flushed;
	d->barn_gets = k.gets;
	d->barn_puts = k.puts;
	return true;
}

bool stat_cache(u32 id, struct cache_stats *cs)
{
	struct cache_detail d;

	if (!stat_cache_detail(id, &d))
		return false;
	*cs = (struct cache_stats){
		.name = d.name,
		.size = (u32)d.objsize,
		.per_slab = (u32)d.objperslab,
		.frames = (u32)d.pagesperslab,
		.active = d.active_objs,
		.objects = d.num_objs,
		.slabs = d.num_slabs,
		.empty_slabs = d.num_slabs - d.active_slabs,
	};
	return true;
}

bool stat_zone_shown(const struct zone *z)
{
	return READ_ONCE(z->nr_present) || (z == node_zone(z->nid) && numa_has_memory(z->nid));
}

/*
 * A thread's objects came from slabs and barns, or are what other threads allocated: where it gave back and holds more
 * than it took, it freed so much that was not its own. It may have freed more, and let others free as much of its.
 */
void stat_thread_detail(const struct kmem_percpu *c, struct thread_detail *d)
{
	const struct sheaf_events *e = &c->events;
	unsigned long back;

	*d = (struct thread_detail){
		.tid = READ_ONCE(c->tid),
		.swaps = READ_ONCE(e->swaps),
		.barn_gets = READ_ONCE(e->barn_gets),
		.barn_puts = READ_ONCE(e->barn_puts),
		.refills = READ_ONCE(e->refills),
		.flushes = READ_ONCE(e->flushes),
		.taken_bytes = READ_ONCE(e->taken),
		.given_bytes = READ_ONCE(e->given),
	};
	for_each_cache(id) {
		unsigned long n;

		if (!cache_slabs(id))
			continue;
		n = percpu_objects(c, id);
		d->sheaf_objs += n;
		d->sheaf_bytes += n * cache_of(id)->size;
	}
	d->pcp_pages = pcp_frames(&c->pcp);
	back = d->given_bytes + d->sheaf_bytes;
	d->remote_bytes = back - min(d->taken_bytes, back);
}
