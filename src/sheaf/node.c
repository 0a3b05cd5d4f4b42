// SPDX-License-Identifier: MIT
/*
 * node.c - memory near the thread.
 *
 * On slow paths a thread looks on which node it runs. The first one to find itself on another node than node 0 looks at the
 * machine (numa_turn_on); so does the first pthread_create, and who asks for a node by its number. Then there are zones,
 * slab lists and barns for each node with memory. What was allocated before is node 0's.
 *
 *	c->nid		the node that the thread's memory comes from. Without a policy of the program's: the one that it
 *			runs on, or the nearest with memory; else what the policy says (mempolicy_slab_node in the kernel).
 *			Changes on slow paths only
 *	c->panel	the slots of c->nid's objects; this_thread.near points there
 *
 * A thread that has moved has the new node's panel from its next slow path on; what it frees of the old one's goes into
 * that one's panel, from there to its barn and slabs, and what lies there unused goes back with age (sheaf_age). A typed
 * cache has one slot for all nodes: its sheaves are sorted when they are flushed (slab_free_batch).
 *
 * While allocations are counted (counted.c) there is one panel, of objects of all nodes.
 *
 * The panel is a matter of where memory lies, not of being right: slab_free_batch looks every object's node up.
 */
#include "base/options.h"
#include "sheaf/barn.h"
#include "sheaf/sheaf.h"

enum {
	LOOK_EVERY = 8, /* slow paths, while nobody knows of another node */
	POLICY_EVERY = 4, /* slow paths between two looks at the policy: a system call */
	TURN_BYTES = 64 << 10, /* of one node in a row, where the program interleaves */
};

struct lock numa_lock;

/* What is on node 0 already is bound to it only where the program has no mind of its own. */
static bool divide(void)
{
	struct policy p;
	bool bind = !os_policy_read(&p) || p.mode == POLICY_LOCAL;

	return zones_divide(&numa, bind) && caches_divide(&numa) && barns_divide(&numa);
}

void numa_turn_on(void)
{
	if (READ_ONCE(numa.state) != NUMA_UNKNOWN)
		return;
	lock(&numa_lock, RANK_NUMA);
	if (numa.state == NUMA_UNKNOWN) {
		u32 fake = options.numa > NUMA_OFF ? options.numa : 0;
		bool many = options.numa != NUMA_OFF && os_topology_read(&numa, fake) && divide();

		if (!many)
			numa.fake = 0;
		__atomic_store_n(&numa.state, many ? NUMA_MANY : NUMA_ONE, __ATOMIC_RELEASE);
	}
	unlock(&numa_lock, RANK_NUMA);
}

static bool in_mask(const struct policy *p, u32 nid)
{
	return p->nodes[nid / 64] >> nid % 64 & 1;
}

/* The nearest to `node` that the policy names and that has memory; nothing fits: as without a policy. */
static u32 nearest_in(const struct policy *p, u32 node)
{
	u32 near = numa.near[node], walk = 0, nid = node;

	if (in_mask(p, node) && near == node)
		return node;
	while (numa_next(node, &walk, &nid))
		if (in_mask(p, nid))
			return nid;
	return near;
}

static u32 next_in(const struct policy *p, u32 last)
{
	for (u32 i = 1; i <= numa.nr_ids; i++) {
		u32 nid = (last + i) % numa.nr_ids;

		if (in_mask(p, nid) && numa.near[nid] == nid)
			return nid;
	}
	return last;
}

/* Turns are of bytes: slow paths are those of frees, too, and refills are of all sizes. */
static u32 whose_turn(struct kmem_percpu *c, const struct policy *p)
{
	if (c->interleaves && in_mask(p, c->nid) && c->events.taken - c->turn < TURN_BYTES)
		return c->nid;
	c->turn = c->events.taken;
	return next_in(p, c->nid);
}

static void settle(struct kmem_percpu *c, u32 nid)
{
	if (nid == c->nid)
		return;
	percpu_drain_pages(c);
	c->nid = (u16)nid;
	WRITE_ONCE(c->panel, (u16)node_panel(nid));
}

static noinline void choose(struct kmem_percpu *c, u32 node)
{
	struct policy p;

	c->runs_on = (u16)node;
	c->looks = POLICY_EVERY;
	if (os_policy_read(&p) && p.mode == POLICY_INTERLEAVE) {
		settle(c, whose_turn(c, &p));
		c->looks = 1;
		c->interleaves = true;
		return;
	}
	c->interleaves = false;
	settle(c, p.mode == POLICY_LOCAL ? numa.near[node] : nearest_in(&p, node));
}

noinline u32 numa_look(struct kmem_percpu *c)
{
	u32 node;

	if (!numa_many()) {
		if (--c->looks)
			return 0;
		c->looks = LOOK_EVERY;
		if (!os_node())
			return 0;
		numa_turn_on();
		c->looks = 1;
		if (!numa_many())
			return 0;
	}
	node = os_node();
	if (!--c->looks || node != c->runs_on)
		choose(c, node);
	/* Always: whoever looked at this thread while it slept may have put back what was so before. */
	if (c == this_cpu && READ_FAST(this_thread.near) != near_panel(c))
		WRITE_ONCE(this_thread.near, near_panel(c));
	return c->nid;
}

static void count_in(unsigned long *numa_of_got, unsigned long *numa_of_wanted, bool interleaved,
		     bool local, u32 n)
{
	if (numa_of_got == numa_of_wanted) {
		counter_add(numa_of_got[NUMA_HIT], n);
		if (interleaved)
			counter_add(numa_of_got[NUMA_INTERLEAVE_HIT], n);
	} else {
		counter_add(numa_of_got[NUMA_MISS], n);
		counter_add(numa_of_wanted[NUMA_FOREIGN], n);
	}
	counter_add(numa_of_got[local ? NUMA_LOCAL : NUMA_OTHER], n);
}

void numa_count(const struct kmem_percpu *c, u32 id, u32 wanted, u32 nid, u32 n)
{
	bool local;

	if (likely(!numa_many()) || !n)
		return;
	local = nid == (c ? c->runs_on : os_node());
	if (id)
		count_in(node_events[nid][id].numa, node_events[wanted][id].numa,
			 c && c->interleaves, local, n);
	else
		count_in(node_zone(nid)->numa, node_zone(wanted)->numa, c && c->interleaves, local,
			 n);
}

int objects_nid(u32 slot, void *const *objects, u32 n)
{
	u32 nid;

	if (likely(!numa_many()))
		return 0;
	if (slot < NR_KMALLOC && !kmalloc_shift)
		return 0;
	if (slot >= PANEL_FIRST && numa.nr <= NR_PANELS)
		return numa.nid[(slot - PANEL_FIRST) / PANEL + 1];
	nid = object_nid(objects[0]);
	for (u32 i = 1; i < n; i++)
		if (object_nid(objects[i]) != nid)
			return -1;
	return (int)nid;
}

void numa_count_freed(const struct kmem_percpu *c, u32 id, u32 nid, u32 n)
{
	if (unlikely(numa_many()) && nid != c->runs_on)
		counter_add(node_events[nid][id].remote, n);
}

void *sheaf_alloc_fallback(struct kmem_percpu *c, u32 id, u32 nid)
{
	void *object[1];
	u32 walk = 0, next;

	/* Low addresses are one zone. */
	if (id >= TYPED_FIRST && typed_of(id)->zone < ZONE_NORMAL)
		return NULL;
	while (numa_next(nid, &walk, &next)) {
		struct page_source src = { .zone = node_zone(next) };

		if (!slab_alloc_batch(id, src, object + 1, 1))
			continue;
		numa_count(c, id, nid, next, 1);
		return object[0];
	}
	return NULL;
}
