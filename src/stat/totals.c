// SPDX-License-Identifier: MIT
#include "os/mem.h"
#include "page/memblock.h"
#include "page/section.h"
#include "page/vmalloc.h"
#include "reclaim/reclaim.h"
#include "sheaf/barn.h"
#include "stat/stat.h"

/* Frames that wait in page sets, about. */
static unsigned long pcp_frames(void)
{
	unsigned long sum = 0;
	struct kmem_percpu *c;

	lock(&threads_lock, RANK_THREADS);
	for_each_percpu(c)
		for (u32 order = 0; order < PCP_ORDERS; order++)
			sum += (unsigned long)READ_ONCE(c->pcp.count[order]) << order;
	unlock(&threads_lock, RANK_THREADS);
	return sum;
}

/*
 * live = large blocks and areas + objects that are neither free in slabs nor in sheaves; large blocks
 * are what is left of the frames in use without slabs and page sets.
 */
void stat_read_fast(struct heap_stats *st)
{
	unsigned long used = 0, slabs = 0, objects = 0;

	*st = (struct heap_stats){ 0 };
	st->vmalloc_bytes = READ_ONCE(vm.used_bytes);
	for (u32 nid = 0; nid < MAX_NUMNODES; nid++) {
		struct zone *z = node_zone(nid);

		used += z->nr_present - z->nr_free;
		st->huge_bytes += z->nr_huge * HUGE_SIZE;
	}
	for (u32 id = 1; id < NR_CACHES; id++) {
		const struct kmem_cache *s = cache_of(id);
		unsigned long total = READ_ONCE(cache_nodes[id].nr_slabs), cached;

		if (!total)
			continue;
		slabs += total * s->frames;
		cached = sheaf_objects(id);
		st->sheaf_bytes += cached * s->size;
		cached += READ_ONCE(cache_nodes[id].nr_free);
		objects += (total * s->objects - min(cached, total * s->objects)) * s->size;
	}
	slabs = min(slabs + pcp_frames(), used);
	st->live_bytes = ((used - slabs) << FRAME_SHIFT) + objects + st->vmalloc_bytes;
	st->areas = READ_ONCE(vm.nr_used);
	st->committed_bytes = (used << FRAME_SHIFT) + st->vmalloc_bytes;
	st->dirty_bytes = reclaim_dirty();
	st->committed_bytes += st->dirty_bytes;
	st->mapped_bytes = counter_read(os_stats.mapped);
	st->mmap_calls = counter_read(os_stats.mmap);
	st->munmap_calls = counter_read(os_stats.munmap);
	st->madvise_calls = counter_read(os_stats.madvise);
	st->mprotect_calls = counter_read(os_stats.mprotect);
	st->mremap_calls = counter_read(os_stats.mremap);
	st->threads = READ_ONCE(nr_threads);
}

void stat_read(struct heap_stats *st)
{
	stat_read_fast(st);
	st->resident_bytes = os_resident();
	st->metadata_bytes = section_resident() + memblock_used();
}

void stat_totals(struct seq_file *m)
{
	struct heap_stats st;

	stat_read(&st);
#define TOTAL(name) seq_printf(m, "%-16s %lu\n", #name, st.name)
	TOTAL(live_bytes);
	TOTAL(committed_bytes);
	TOTAL(resident_bytes);
	TOTAL(mapped_bytes);
	TOTAL(metadata_bytes);
	TOTAL(dirty_bytes);
	TOTAL(sheaf_bytes);
	TOTAL(vmalloc_bytes);
	TOTAL(huge_bytes);
	TOTAL(mmap_calls);
	TOTAL(munmap_calls);
	TOTAL(madvise_calls);
	TOTAL(mprotect_calls);
	TOTAL(mremap_calls);
	TOTAL(threads);
#undef TOTAL
}
