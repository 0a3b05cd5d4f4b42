// SPDX-License-Identifier: MIT
#include "base/probe.h"
#include "os/latency.h"
#include "page/vmalloc.h"
#include "reclaim/reclaim.h"
#include "sheaf/barn.h"
#include "slab/purge.h"

/* From the top down: what one layer gives back, the next can give on. */
size_t reclaim_all(struct kmem_percpu *c, bool tear)
{
	struct page_source src = percpu_pages(c);
	struct zone *z;
	u64 began = os_now_ns();
	size_t gone;

	PROBE1(slabmalloc, reclaim_start, SIZE_MAX);
	sheaf_empty_asleep(0);
	lock(&reclaim_lock, RANK_RECLAIM);
	if (c)
		sheaf_flush_all(c);
	for_each_cache(id) {
		barn_drain(id, src);
		slab_shrink(id, src);
	}
	if (c)
		percpu_drain_pages(c);
	gone = vm_purge(SIZE_MAX, UINT64_MAX);
	for_each_zone(z) {
		if (tear)
			zone_tear(z, 1);
		gone += slab_purge(z, 4, tear) << FRAME_SHIFT;
		gone += zone_purge(z, ~0ul) << FRAME_SHIFT;
		zone_decommit(z);
	}
	unlock(&reclaim_lock, RANK_RECLAIM);
	PROBE1(slabmalloc, reclaim_end, gone);
	latency_end(SLOW_RECLAIM, began);
	return gone;
}

unsigned long reclaim_cache(u32 id)
{
	struct page_source src = cache_pages(NULL, id);
	unsigned long out;

	sheaf_close(id);
	lock(&reclaim_lock, RANK_RECLAIM);
	barn_drain(id, src);
	out = slab_close(id, src);
	unlock(&reclaim_lock, RANK_RECLAIM);
	return out;
}
