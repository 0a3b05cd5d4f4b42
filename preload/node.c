// SPDX-License-Identifier: MIT
/*
 * node.c - requests for memory of a node by its number.
 *
 * Who names another node than node 0 makes the library look at the machine. NUMA_NO_NODE, numbers of no node, and nodes
 * without memory are no errors: the memory is the nearest to be had, unless __GFP_THISNODE says otherwise.
 */
#include "init/boot.h"
#include "preload/entry.h"
#include "slabmalloc/slab.h"

u32 entry_node(gfp_t gfp)
{
	struct kmem_percpu *c = percpu_attached(this_cpu) ? percpu_get() : NULL;
	/* To look may take system calls. */
	u32 nid = c && gfp & __GFP_DIRECT_RECLAIM ? this_node(c) : percpu_nid(c);

	percpu_put(c);
	return nid;
}

void entry_count_frames(u32 wanted, u32 nid, size_t frames)
{
	struct kmem_percpu *c;

	if (likely(!numa_many()))
		return;
	c = percpu_attached(this_cpu) ? percpu_get() : NULL;
	numa_count(c, 0, wanted, nid, (u32)frames);
	percpu_put(c);
}

bool entry_node_named(int node, gfp_t gfp, u32 *nid)
{
	if (node > 0 && gfp & __GFP_DIRECT_RECLAIM) {
		percpu_put(boot_thread());
		numa_turn_on();
	}
	if (node >= 0 && numa_has_memory((u32)node)) {
		*nid = (u32)node;
		return true;
	}
	if (node != NUMA_NO_NODE && gfp & __GFP_THISNODE)
		return false;
	if (numa_many() && node >= 0 && (u32)node < numa.nr_ids)
		*nid = numa.near[node];
	else
		*nid = entry_node(gfp);
	return true;
}

void *entry_take_node(u32 id, gfp_t gfp, u32 nid)
{
	bool atomic = !(gfp & __GFP_DIRECT_RECLAIM);
	struct kmem_percpu *c;
	unsigned int tries = 0;
	void *object;

	if (likely(!numa_many()))
		return entry_take(id, gfp);
	if (atomic)
		c = percpu_attached(this_cpu) ? percpu_get() : NULL;
	else
		c = boot_thread();
	do
		object = sheaf_alloc_node(c, id, nid, atomic);
	while (unlikely(!object) && entry_retry(gfp, &tries));
	if (unlikely(!object) && !atomic && !(gfp & __GFP_THISNODE))
		object = sheaf_alloc_fallback(c, id, nid);
	percpu_put(c);
	if (unlikely(!object))
		return entry_no_memory();
	if (!atomic)
		entry_tick();
	return object;
}
