// SPDX-License-Identifier: MIT
#include "page/vmalloc.h"
#include "reclaim/reclaim.h"
#include "sheaf/barn.h"

/* From the top down: what one layer gives back, the next can give on. */
size_t reclaim_all(struct kmem_percpu *c, bool tear)
{
	struct page_source src = percpu_pages(c);
	size_t gone;

	lock(&reclaim_lock, RANK_RECLAIM);
	if (c)
		sheaf_flush_all(c);
	for (u32 id = 1; id < NR_CACHES; id++) {
		barn_drain(id, src);
		slab_shrink(id, src);
	}
	if (c)
		percpu_drain_pages(c);
	gone = vm_purge(SIZE_MAX, UINT64_MAX);
	for (u32 nid = 0; nid < MAX_NUMNODES; nid++) {
		if (tear)
			zone_tear(node_zone(nid), 1);
		gone += zone_purge(node_zone(nid), ~0ul) << FRAME_SHIFT;
		zone_decommit(node_zone(nid));
	}
	unlock(&reclaim_lock, RANK_RECLAIM);
	return gone;
}
