// SPDX-License-Identifier: MIT
/*
 * numa.c - what became of requests, node by node: a table like numastat's, in bytes, and the caches' objects.
 */
#include "sheaf/sheaf.h"
#include "slab/slab.h"
#include "stat/cache_attr.h"
#include "stat/stat.h"

static unsigned long bytes_of(u32 nid, u32 event)
{
	unsigned long sum = counter_read(node_zone(nid)->numa[event]) << FRAME_SHIFT;

	for_each_cache(id)
		sum += counter_read(node_events[nid][id].numa[event]) * cache_of(id)->size;
	return sum;
}

void stat_node_detail(u32 nid, struct node_detail *d)
{
	*d = (struct node_detail){
		.numa_hit = bytes_of(nid, NUMA_HIT),
		.numa_miss = bytes_of(nid, NUMA_MISS),
		.numa_foreign = bytes_of(nid, NUMA_FOREIGN),
		.interleave_hit = bytes_of(nid, NUMA_INTERLEAVE_HIT),
		.local_node = bytes_of(nid, NUMA_LOCAL),
		.other_node = bytes_of(nid, NUMA_OTHER),
		.fallback = counter_read(node_zone(nid)->nr_fallback) << FRAME_SHIFT,
	};
	for_each_cache(id)
		d->remote_free += counter_read(node_events[nid][id].remote) * cache_of(id)->size;
}

void stat_cache_node_detail(u32 id, u32 nid, struct cache_node_detail *d)
{
	const struct kmem_cache_node *n = cache_node(id, nid);
	unsigned long idle = READ_ONCE(n->nr_free) + sheaf_objects_on(id, nid);
	const struct cache_events *e = numa_many() ? &node_events[nid][id] : NULL;

	*d = (struct cache_node_detail){ .num_slabs = READ_ONCE(n->nr_slabs) };
	d->num_objs = d->num_slabs * cache_of(id)->objects;
	d->active_objs = d->num_objs - min(idle, d->num_objs);
	if (!e)
		return;
	d->numa_hit = counter_read(e->numa[NUMA_HIT]);
	d->numa_miss = counter_read(e->numa[NUMA_MISS]);
	d->numa_foreign = counter_read(e->numa[NUMA_FOREIGN]);
	d->interleave_hit = counter_read(e->numa[NUMA_INTERLEAVE_HIT]);
	d->local_node = counter_read(e->numa[NUMA_LOCAL]);
	d->other_node = counter_read(e->numa[NUMA_OTHER]);
	d->remote_free = counter_read(e->remote);
}

/* A row for each number, a column for each node. */
static void put_nodes(struct seq_file *m)
{
	u32 nr;
	const struct stat_field *field = stat_fields(STAT_NODES, &nr);

	seq_printf(m, "%-15s", "bytes");
	for_each_node(nid)
		if (numa_has_memory(nid))
			seq_printf(m, " node%-10u", nid);
	seq_putc(m, '\n');
	for (u32 i = 0; i < nr; i++) {
		seq_printf(m, "%-15s", field[i].name);
		for_each_node(nid) {
			struct node_detail d;

			if (!numa_has_memory(nid))
				continue;
			stat_node_detail(nid, &d);
			seq_printf(m, " %14lu", stat_value(&d, &field[i]));
		}
		seq_putc(m, '\n');
	}
}

void stat_numa(struct seq_file *m)
{
	const struct cache_attr *objects = cache_attr_find("objects");

	put_nodes(m);
	seq_putc(m, '\n');
	for_each_cache(id) {
		if (!cache_slabs(id))
			continue;
		seq_printf(m, "%-17s ", cache_of(id)->name);
		objects->show(m, id);
	}
}
