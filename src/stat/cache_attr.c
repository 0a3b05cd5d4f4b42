// SPDX-License-Identifier: MIT
#include "stat/cache_attr.h"

#include <errno.h>
#include <string.h>

#include "debug/slub_debug.h"
#include "sheaf/barn.h"
#include "slab/kmem_cache.h"
#include "stat/stat.h"

/* What the lists of a cache on a node say, counted under their lock. */
struct partial {
	unsigned long slabs, objects;
};

static struct partial count_partial(u32 id, u32 nid)
{
	struct kmem_cache_node *n = cache_node(id, nid);
	struct partial p = { 0, 0 };
	struct page *slab;

	lock(&n->lock, RANK_NODE);
	for (u32 f = 1; f < NR_FULLNESS; f++) {
		hlist_for_each_entry(slab, &n->slabs[f], link) {
			p.slabs++;
			p.objects += slab->inuse;
		}
	}
	unlock(&n->lock, RANK_NODE);
	return p;
}

static unsigned long partial_slabs(u32 id, u32 nid)
{
	return count_partial(id, nid).slabs;
}

static unsigned long partial_objects(u32 id, u32 nid)
{
	return count_partial(id, nid).objects;
}

/* "12 N0=5 N1=7", as sysfs writes what it counts by node. */
static void by_node(struct seq_file *m, u32 id, unsigned long (*count)(u32 id, u32 nid))
{
	unsigned long sum = 0;

	for_each_node(nid)
		sum += count(id, nid);
	seq_printf(m, "%lu", sum);
	for_each_node(nid)
		if (numa_has_memory(nid) || count(id, nid))
			seq_printf(m, " N%u=%lu", nid, count(id, nid));
	seq_putc(m, '\n');
}

#define ON_NODE(name, field)                         \
	static unsigned long name(u32 id, u32 nid)   \
	{                                            \
		struct cache_node_detail d;          \
                                                     \
		stat_cache_node_detail(id, nid, &d); \
		return d.field;                      \
	}

ON_NODE(active_objects, active_objs)
ON_NODE(total_objects, num_objs)
ON_NODE(nr_slabs, num_slabs)
ON_NODE(event_hit, numa_hit)
ON_NODE(event_miss, numa_miss)
ON_NODE(event_foreign, numa_foreign)
ON_NODE(event_interleave, interleave_hit)
ON_NODE(event_local, local_node)
ON_NODE(event_other, other_node)
ON_NODE(event_remote, remote_free)

static void number(struct seq_file *m, unsigned long v)
{
	seq_printf(m, "%lu\n", v);
}

#define SHOW(name, text)                                    \
	static void show_##name(struct seq_file *m, u32 id) \
	{                                                   \
		const struct kmem_cache *s = cache_of(id);  \
                                                            \
		(void)s;                                    \
		text;                                       \
	}
#define SHOW_FLAG(name, flag) SHOW(name, number(m, !!(s->flags & (flag))))

static u32 object_size(const struct kmem_cache *s)
{
	return s->object_size ? s->object_size : s->size;
}

static u32 empty_kept(u32 id)
{
	u32 set = cache_nodes[id].min_partial;

	return set ? set - 1 : slab_empty_kept(cache_of(id));
}

SHOW(object_size, number(m, object_size(s)))
SHOW(slab_size, number(m, s->size))
SHOW(objs_per_slab, number(m, s->objects))
SHOW(order, number(m, order_base_2(s->frames)))
SHOW(align, number(m, s->align ? s->align : s->size & -s->size))
SHOW(objects, by_node(m, id, active_objects))
SHOW(total_objects, by_node(m, id, total_objects))
SHOW(slabs, by_node(m, id, nr_slabs))
SHOW(partial, by_node(m, id, partial_slabs))
SHOW(objects_partial, by_node(m, id, partial_objects))
SHOW(min_partial, number(m, empty_kept(id)))
SHOW(aliases, number(m, s->refcount ? s->refcount - 1 : 0))
SHOW(ctor, s->ctor ? seq_printf(m, "%p\n", (void *)(uintptr_t)s->ctor) : seq_puts(m, "\n"))
SHOW(usersize, number(m, 0))
SHOW(sheaf_capacity, number(m, s->sheaf_capacity))
SHOW(sheaf_objects, number(m, sheaf_objects(id)))
SHOW(limit, number(m, READ_ONCE(s->limit)))
SHOW(numa_hit, by_node(m, id, event_hit))
SHOW(numa_miss, by_node(m, id, event_miss))
SHOW(numa_foreign, by_node(m, id, event_foreign))
SHOW(interleave_hit, by_node(m, id, event_interleave))
SHOW(local_node, by_node(m, id, event_local))
SHOW(other_node, by_node(m, id, event_other))
SHOW(remote_free, by_node(m, id, event_remote))
SHOW_FLAG(hwcache_align, SLAB_HWCACHE_ALIGN)
SHOW_FLAG(cache_dma, SLAB_CACHE_DMA)
SHOW_FLAG(cache_dma32, SLAB_CACHE_DMA32)
SHOW_FLAG(destroy_by_rcu, SLAB_TYPESAFE_BY_RCU)
SHOW_FLAG(reclaim_account, SLAB_RECLAIM_ACCOUNT)
SHOW_FLAG(sanity_checks, SLAB_CONSISTENCY_CHECKS)
SHOW_FLAG(red_zone, SLAB_RED_ZONE)
SHOW_FLAG(poison, SLAB_POISON)
SHOW_FLAG(store_user, SLAB_STORE_USER)
SHOW_FLAG(trace, SLAB_TRACE)
SHOW_FLAG(failslab, SLAB_FAILSLAB)

static void list_users(struct seq_file *m, u32 id, bool alloc)
{
	if (cache_of(id)->flags & SLAB_STORE_USER)
		debug_list_users(typed_of(id), m, alloc);
	else
		seq_puts(m, "No data\n");
}

SHOW(alloc_traces, list_users(m, id, true))
SHOW(free_traces, list_users(m, id, false))

static int store_min_partial(u32 id, unsigned long v)
{
	struct kmem_cache_node *n = &cache_nodes[id];

	if (v > UINT32_MAX - 2)
		return EINVAL;
	lock(&n->lock, RANK_NODE);
	n->min_partial = (u32)v + 1;
	unlock(&n->lock, RANK_NODE);
	return 0;
}

static int store_limit(u32 id, unsigned long v)
{
	struct kmem_cache *s = typed_of(id);

	if (!s || !(s->flags & SLAB_ACCOUNT))
		return EINVAL;
	WRITE_ONCE(s->limit, v);
	return 0;
}

static int store_shrink(u32 id, unsigned long v)
{
	struct kmem_percpu *c;

	if (v != 1)
		return EINVAL;
	c = percpu_get();
	if (c)
		sheaf_flush(c, id);
	barn_drain(id, cache_pages(c, id));
	slab_shrink(id, cache_pages(c, id));
	percpu_put(c);
	return 0;
}

static int store_validate(u32 id, unsigned long v)
{
	struct kmem_cache *s = typed_of(id);

	if (v != 1 || !s || !(s->flags & SLAB_DEBUG_FLAGS))
		return EINVAL;
	debug_validate(s);
	return 0;
}

#define READ_ONLY(name)                  \
	{                                \
#name, show_##name, NULL \
	}
#define READ_WRITE(name)                         \
	{                                        \
#name, show_##name, store_##name \
	}
#define WRITE_ONLY(name)                  \
	{                                 \
#name, NULL, store_##name \
	}

static const struct cache_attr attrs[] = {
	READ_ONLY(object_size),
	READ_ONLY(slab_size),
	READ_ONLY(objs_per_slab),
	READ_ONLY(order),
	READ_ONLY(align),
	READ_ONLY(objects),
	READ_ONLY(objects_partial),
	READ_ONLY(total_objects),
	READ_ONLY(slabs),
	READ_ONLY(partial),
	READ_WRITE(min_partial),
	READ_ONLY(aliases),
	READ_ONLY(ctor),
	READ_ONLY(hwcache_align),
	READ_ONLY(cache_dma),
	READ_ONLY(cache_dma32),
	READ_ONLY(destroy_by_rcu),
	READ_ONLY(reclaim_account),
	READ_ONLY(sanity_checks),
	READ_ONLY(red_zone),
	READ_ONLY(poison),
	READ_ONLY(store_user),
	READ_ONLY(trace),
	READ_ONLY(failslab),
	READ_ONLY(usersize),
	READ_ONLY(sheaf_capacity),
	READ_ONLY(sheaf_objects),
	READ_WRITE(limit),
	READ_ONLY(numa_hit),
	READ_ONLY(numa_miss),
	READ_ONLY(numa_foreign),
	READ_ONLY(interleave_hit),
	READ_ONLY(local_node),
	READ_ONLY(other_node),
	READ_ONLY(remote_free),
	READ_ONLY(alloc_traces),
	READ_ONLY(free_traces),
	WRITE_ONLY(shrink),
	WRITE_ONLY(validate),
};

const struct cache_attr *cache_attr_find(const char *name)
{
	for (u32 i = 0; i < ARRAY_SIZE(attrs); i++)
		if (strcmp(attrs[i].name, name) == 0)
			return &attrs[i];
	return NULL;
}

u32 cache_find(const char *name)
{
	u32 found = 0;

	for_each_cache(id)
		if ((id < NR_KMALLOC || READ_ONCE(typed_of(id)->refcount)) &&
		    strcmp(cache_of(id)->name, name) == 0)
			found = id;
	return found;
}
