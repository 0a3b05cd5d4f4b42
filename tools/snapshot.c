// SPDX-License-Identifier: MIT
/*
 * snapshot.c - numbers from readings, by the library's own equations (stat/totals.c, stat/slabinfo.c).
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "walk.h"

static size_t node_objects(const struct reading *g, u32 id)
{
	return (size_t)g->node[id].nr_slabs * g->cache[id].objects;
}

/* Objects that are free, in the slabs or before them. */
static size_t free_objects(const struct reading *g, u32 id)
{
	return min(g->node[id].nr_free + g->cached[id], node_objects(g, id));
}

static size_t dirty_bytes(const struct reading *g)
{
	size_t frames = 0;

	for (u32 i = 0; i < g->nr_zones; i++)
		frames += g->zone[i].nr_dirty;
	return (frames << FRAME_SHIFT) + g->vm.cached_bytes;
}

/* A total that can be told. */
#define TELL(s, name, value)               \
	do {                               \
		(s)->total.name = (value); \
		(s)->known.name = 1;       \
	} while (0)

static void add_bytes(const struct reading *g, struct snapshot *s)
{
	size_t used = 0, slabs = 0, objects = 0, given = 0, sheaves = 0, huge = 0;

	for (u32 i = 0; i < g->nr_zones; i++) {
		used += g->zone[i].nr_present - min(g->zone[i].nr_free, g->zone[i].nr_present);
		huge += g->zone[i].nr_huge * HUGE_SIZE;
		s->taken_bytes += g->zone[i].nr_taken << FRAME_SHIFT;
	}
	for (u32 id = 1; id < g->cache_end; id++) {
		slabs += (size_t)g->node[id].nr_slabs * g->cache[id].frames;
		given += g->node[id].nr_given << FRAME_SHIFT;
		if (g->node[id].nr_slabs)
			sheaves += g->cached[id] * g->cache[id].size;
		objects += (node_objects(g, id) - free_objects(g, id)) * g->cache[id].size;
	}
	s->slab_bytes = slabs << FRAME_SHIFT;
	s->large_bytes = (used - min(slabs + g->pcp_frames, used)) << FRAME_SHIFT;
	used <<= FRAME_SHIFT;
	TELL(s, live_bytes, s->large_bytes + objects + g->vm.used_bytes);
	TELL(s, allocated, s->total.live_bytes);
	TELL(s, active, used + g->vm.used_bytes);
	TELL(s, dirty_bytes, dirty_bytes(g));
	TELL(s, committed_bytes,
	     s->total.active - min(given, s->total.active) + s->total.dirty_bytes);
	TELL(s, slab_given_bytes, given);
	TELL(s, sheaf_bytes, sheaves);
	TELL(s, huge_bytes, huge);
	TELL(s, vmalloc_bytes, g->vm.used_bytes);
	TELL(s, mapped_bytes, g->did.os.mapped);
	TELL(s, threads, g->nr_threads);
	TELL(s, areas, g->vm.nr_used);
}

static void add_counts(const struct reading *g, struct snapshot *s)
{
	size_t huge_free = 0, peak = 0;

	TELL(s, mmap_calls, g->did.os.mmap);
	TELL(s, munmap_calls, g->did.os.munmap);
	TELL(s, madvise_calls, g->did.os.madvise);
	TELL(s, mprotect_calls, g->did.os.mprotect);
	TELL(s, mremap_calls, g->did.os.mremap);
	TELL(s, purged_bytes, g->did.os.purged);
	TELL(s, unmapped_bytes, g->did.os.unmapped);
	TELL(s, lock_waits, g->did.os.futex);
	TELL(s, mbind_calls, g->did.numa.mbind);
	TELL(s, mbind_refused, g->did.numa.refused);
	TELL(s, pressure_sources, (unsigned long)__builtin_popcount(g->did.listening.sources));
	TELL(s, pressure_dropped, g->did.listening.dropped);
	TELL(s, kshrinkd_wakeups, g->did.kshrinkd_wakeups);
	TELL(s, large_allocs, g->large.allocs);
	TELL(s, large_frees, g->large.frees);
	TELL(s, large_asked_bytes, g->large.asked);
	TELL(s, large_rounded_bytes, g->large.rounded);
	for (u32 i = 0; i < g->nr_zones; i++) {
		huge_free += g->zone[i].nr_huge_free << FRAME_SHIFT;
		peak += g->zone[i].nr_used_most << FRAME_SHIFT;
	}
	TELL(s, huge_free_bytes, huge_free);
	TELL(s, peak_frames_bytes, peak);
	TELL(s, peak_vmalloc_bytes, g->vm.used_most);
	TELL(s, peak_mapped_bytes, max(g->did.os.mapped_most, g->did.os.mapped));
	TELL(s, peak_threads, g->nr_threads_most);
}

static void add_threads(const struct reading *g, struct snapshot *s)
{
	size_t swaps = g->ended.swaps, remote = g->ended.given;

	remote -= min((size_t)g->ended.taken, remote);
	for (u32 i = 0; i < g->nr_rows; i++) {
		swaps += g->thread[i].d.swaps;
		remote += g->thread[i].d.remote_bytes;
	}
	TELL(s, sheaf_swaps, swaps);
	TELL(s, remote_bytes, remote);
}

static bool is_cache(const struct reading *g, u32 id)
{
	return g->node[id].nr_slabs || (id >= TYPED_FIRST && g->cache[id].refcount);
}

static struct cache_row row_of(const struct reading *g, u32 id)
{
	const struct kmem_cache *c = &g->cache[id];
	const struct kmem_cache_node *n = &g->node[id];
	struct cache_row row = { .id = id };
	struct cache_detail *d = &row.d;

	memcpy(row.name, c->name, sizeof(row.name));
	row.name[sizeof(row.name) - 1] = 0;
	d->objsize = c->size;
	d->objperslab = c->objects;
	d->pagesperslab = c->frames;
	d->num_slabs = n->nr_slabs;
	d->active_slabs = n->nr_slabs - min(n->nr_empty, n->nr_slabs);
	d->num_objs = node_objects(g, id);
	d->active_objs = d->num_objs - free_objects(g, id);
	d->sheaf_objs = g->cached[id];
	d->slab_bytes = (d->num_slabs * c->frames) << FRAME_SHIFT;
	d->given_bytes = min(n->nr_given << FRAME_SHIFT, d->slab_bytes);
	d->waste_bytes = d->slab_bytes - d->given_bytes;
	d->waste_bytes -= min(d->active_objs * c->size, d->waste_bytes);
	d->internal_bytes =
		slab_unasked(c, n->asked, id < TYPED_FIRST ? 0 : g->debug_asked[id - TYPED_FIRST],
			     d->active_objs);
	d->slabs_made = n->nr_made;
	d->refills = n->nr_refills;
	d->refilled_objs = n->nr_refilled;
	d->flushes = n->nr_flushes;
	d->flushed_objs = n->nr_flushed;
	d->barn_gets = g->barn_gets[id];
	d->barn_puts = g->barn_puts[id];
	return row;
}

static void add_row(struct snapshot *s, const struct cache_row *row)
{
	struct heap_stats *t = &s->total;
	const struct cache_detail *d = &row->d;

	s->cache[s->nr_caches] = *row;
	s->cache[s->nr_caches].d.name = s->cache[s->nr_caches].name;
	s->nr_caches++;
	TELL(s, internal_bytes, t->internal_bytes + d->internal_bytes);
	TELL(s, external_bytes, t->external_bytes + d->waste_bytes);
	TELL(s, slabs_made, t->slabs_made + d->slabs_made);
	TELL(s, refills, t->refills + d->refills);
	TELL(s, refilled_objs, t->refilled_objs + d->refilled_objs);
	TELL(s, flushes, t->flushes + d->flushes);
	TELL(s, flushed_objs, t->flushed_objs + d->flushed_objs);
	TELL(s, barn_gets, t->barn_gets + d->barn_gets);
	TELL(s, barn_puts, t->barn_puts + d->barn_puts);
}

static void add_rows(const struct reading *g, const struct reading *before, struct snapshot *s)
{
	s->cache = calloc(g->cache_end, sizeof(*s->cache));
	for (u32 id = 1; s->cache && id < g->cache_end; id = next_cache(id)) {
		struct cache_row row, old;

		if (!is_cache(g, id))
			continue;
		row = row_of(g, id);
		old = row_of(before, id);
		row.d.changing = memcmp(&row.d, &old.d, sizeof(row.d)) != 0;
		add_row(s, &row);
	}
}

static void add_zones(const struct reading *g, struct snapshot *s)
{
	u32 nodes = g->nr_zones - ZONE_NORMAL;

	s->zone = calloc(g->nr_zones + 1, sizeof(*s->zone));
	for (u32 i = 0; s->zone && i <= g->nr_zones; i++)
		if (g->zone[i].nr_present || (i < nodes && (i || !g->numa.near[0])))
			s->zone[s->nr_zones++] = g->zone[i];
}

static void add_kfence(const struct reading *g, struct snapshot *s)
{
	const struct kfence_pool *k = &g->kfence;

	s->has_kfence = g->gate.size;
	s->kfence = (struct kfence_counts){
		.allocated = k->set.num_objects + k->set.num_large - k->queued,
		.allocations = k->allocations,
		.frees = k->frees,
		.bugs = k->bugs,
		.skipped_unfit = k->skipped_other,
		.skipped_full = k->skipped_full,
		.skipped_covered = k->skipped_covered,
	};
}

static void mark_moved(const struct snapshot *before, struct snapshot *s)
{
	for (u32 i = 0; i < nr_heap_fields; i++) {
		const struct stat_field *f = &heap_fields[i];

		*(unsigned long *)((char *)&s->moved + f->offset) =
			stat_value(&before->total, f) != stat_value(&s->total, f);
	}
}

/* What the kernel says. */
static void add_resident(const struct heap *h, struct reading *g, struct snapshot *s)
{
	struct resident r;

	if (!resident_read(h, g, &r))
		return;
	TELL(s, resident_bytes, r.now);
	TELL(s, peak_resident_bytes, r.most);
	TELL(s, metadata_bytes, r.metadata);
	TELL(s, metadata, r.metadata);
}

static void add_all(const struct heap *h, struct reading *g, const struct reading *before,
		    struct snapshot *s)
{
	add_bytes(g, s);
	add_counts(g, s);
	add_threads(g, s);
	add_rows(g, before, s);
	add_resident(h, g, s);
	s->broken |= g->broken;
}

bool snapshot_take(const struct heap *h, struct snapshot *s)
{
	enum process_state state = reader_state(h->r);
	struct reading *before = reading_take(h), *g = reading_take(h);
	struct snapshot earlier = { 0 };
	struct timespec now;

	*s = (struct snapshot){ .running = state == PROCESS_RUNNING };
	if (state == PROCESS_GONE || !before || !g) {
		if (before)
			reading_free(before);
		if (g)
			reading_free(g);
		return false;
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	s->ns = (u64)now.tv_sec * 1000000000 + (u64)now.tv_nsec;
	add_all(h, before, before, &earlier);
	add_all(h, g, before, s);
	mark_moved(&earlier, s);
	s->broken |= earlier.broken;
	snapshot_free(&earlier);
	add_zones(g, s);
	add_kfence(g, s);
	add_nodes(g, s);
	s->did = g->did;
	g->did.pool = NULL;
	s->thread = g->thread;
	s->nr_threads = g->nr_rows;
	g->thread = NULL;
	reading_free(before);
	reading_free(g);
	return true;
}

void snapshot_free(struct snapshot *s)
{
	free(s->cache);
	free(s->zone);
	free(s->thread);
	free(s->node);
	free(s->cache_node);
	free(s->did.pool);
	*s = (struct snapshot){ 0 };
}
