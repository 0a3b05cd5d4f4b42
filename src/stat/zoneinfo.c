// SPDX-License-Identifier: MIT
#include "base/options.h"
#include "page/highmem.h"
#include "stat/stat.h"

/*
 * The watermarks say what reclaim does: it leaves dirty_min of free memory alone, and never dirty_max. None is set
 * aside (min 0).
 */
static void zone_lines(struct seq_file *m, struct zone *z)
{
	unsigned long present = READ_ONCE(z->nr_present);
	unsigned long free = min(READ_ONCE(z->nr_free), present);

	seq_printf(m, "Node %u, zone %8s\n", z->nid, zone_name(z));
	seq_printf(m, "  pages free     %lu\n", free);
	seq_printf(m, "        min      %lu\n", 0ul);
	seq_printf(m, "        low      %lu\n", options.dirty_min >> FRAME_SHIFT);
	seq_printf(m, "        high     %lu\n", options.dirty_max >> FRAME_SHIFT);
	seq_printf(m, "        spanned  %lu\n", present);
	seq_printf(m, "        present  %lu\n", present);
	seq_printf(m, "        managed  %lu\n", present);
	seq_printf(m, "      nr_free_pages %lu\n", free);
	seq_printf(m, "      nr_dirty     %lu\n", READ_ONCE(z->nr_dirty));
}

void stat_zoneinfo(struct seq_file *m)
{
	struct zone *z;

	for_each_zone(z)
		if (READ_ONCE(z->nr_present))
			zone_lines(m, z);
	if (READ_ONCE(highmem_zone.nr_present))
		zone_lines(m, &highmem_zone);
}
