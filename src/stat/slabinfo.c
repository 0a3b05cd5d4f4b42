// SPDX-License-Identifier: MIT
#include "page/highmem.h"
#include "pool/mempool.h"
#include "sheaf/sheaf.h"
#include "stat/stat.h"

static void slabinfo_line(struct seq_file *m, const struct cache_stats *cs)
{
	seq_printf(m, "%-17s %6lu %6lu %6u %4u %4d", cs->name, cs->active, cs->objects, cs->size,
		   cs->per_slab, (int)cs->frames);
	seq_printf(m, " : tunables %4u %4u %4u", 0u, 0u, 0u);
	seq_printf(m, " : slabdata %6lu %6lu %6lu\n", cs->slabs - cs->empty_slabs, cs->slabs, 0ul);
}

/* Elements out and in reserve, as objects of a slab of one. */
static void mempool_line(const struct mempool_info *info, void *m)
{
	struct cache_stats cs = {
		.size = (u32)info->element_size,
		.per_slab = 1,
		.frames = (u32)DIV_ROUND_UP(info->element_size, FRAME_SIZE),
		.active = (unsigned long)max(info->out, 0l),
	};
	char name[CACHE_NAME_MAX] = "mempool-";

	for (u32 i = 0; info->name[i] && i + 9 < sizeof(name); i++)
		name[i + 8] = info->name[i];
	cs.name = name;
	cs.slabs = cs.objects = cs.active + (unsigned long)info->curr_nr;
	cs.empty_slabs = (unsigned long)info->curr_nr;
	slabinfo_line(m, &cs);
}

void stat_slabinfo(struct seq_file *m)
{
	seq_puts(m, "slabinfo - version: 2.1\n");
	seq_puts(
		m,
		"# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>");
	seq_puts(m, " : tunables <limit> <batchcount> <sharedfactor>");
	seq_puts(m, " : slabdata <active_slabs> <num_slabs> <sharedavail>\n");
	for_each_cache(id) {
		struct cache_stats cs;

		if (stat_cache(id, &cs))
			slabinfo_line(m, &cs);
	}
	mempool_for_each(mempool_line, m);
}

static void buddyinfo_line(struct seq_file *m, struct zone *z)
{
	seq_printf(m, "Node %u, zone %8s ", z->nid, zone_name(z));
	for (u32 order = 0; order <= MAX_ORDER; order++)
		seq_printf(m, "%6lu ", READ_ONCE(z->free_area[order].nr));
	seq_putc(m, '\n');
}

void stat_buddyinfo(struct seq_file *m)
{
	struct zone *z;

	for_each_zone(z)
		if (stat_zone_shown(z))
			buddyinfo_line(m, z);
	if (highmem_zone.nr_present)
		buddyinfo_line(m, &highmem_zone);
}
