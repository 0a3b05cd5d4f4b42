// SPDX-License-Identifier: MIT
#include "page/vmalloc.h"
#include "sheaf/barn.h"
#include "stat/stat.h"

bool stat_cache(u32 id, struct cache_stats *cs)
{
	const struct kmem_cache *s = cache_of(id);
	struct kmem_cache_node *n = &cache_nodes[id];
	unsigned long nr_free;

	if (!READ_ONCE(n->nr_slabs))
		return false;
	lock(&n->lock, RANK_NODE);
	cs->slabs = n->nr_slabs;
	cs->empty_slabs = n->nr_empty;
	nr_free = n->nr_free;
	unlock(&n->lock, RANK_NODE);
	cs->name = s->name;
	cs->size = s->size;
	cs->per_slab = s->objects;
	cs->frames = s->frames;
	cs->objects = cs->slabs * s->objects;
	cs->active = cs->objects - min(nr_free + sheaf_objects(id), cs->objects);
	return true;
}

static void slabinfo_line(struct seq_file *m, const struct cache_stats *cs)
{
	seq_printf(m, "%-17s %6lu %6lu %6u %4u %4d", cs->name, cs->active, cs->objects, cs->size,
		   cs->per_slab, (int)cs->frames);
	seq_printf(m, " : tunables %4u %4u %4u", 0u, 0u, 0u);
	seq_printf(m, " : slabdata %6lu %6lu %6lu\n", cs->slabs - cs->empty_slabs, cs->slabs, 0ul);
}

void stat_slabinfo(struct seq_file *m)
{
	seq_puts(m, "slabinfo - version: 2.1\n");
	seq_puts(
		m,
		"# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>");
	seq_puts(m, " : tunables <limit> <batchcount> <sharedfactor>");
	seq_puts(m, " : slabdata <active_slabs> <num_slabs> <sharedavail>\n");
	for (u32 id = 1; id < NR_CACHES; id++) {
		struct cache_stats cs;

		if (stat_cache(id, &cs))
			slabinfo_line(m, &cs);
	}
}

void stat_buddyinfo(struct seq_file *m)
{
	for (u32 nid = 0; nid < MAX_NUMNODES; nid++) {
		struct zone *z = node_zone(nid);

		seq_printf(m, "Node %u, zone %8s ", nid, "Normal");
		for (u32 order = 0; order <= MAX_ORDER; order++)
			seq_printf(m, "%6lu ", READ_ONCE(z->free_area[order].nr));
		seq_putc(m, '\n');
	}
}
