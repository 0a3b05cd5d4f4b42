// SPDX-License-Identifier: MIT
/*
 * zone_detail.c - the rows of zones and system calls, for the library and for those who read another process.
 */
#include "os/mem.h"
#include "page/zone.h"
#include "stat/stat.h"

void stat_zone_detail(const struct zone *z, struct zone_detail *d)
{
	*d = (struct zone_detail){
		.node = z->nid,
		.present = READ_ONCE(z->nr_present),
		.free = READ_ONCE(z->nr_free),
		.dirty = READ_ONCE(z->nr_dirty),
		.huge = READ_ONCE(z->nr_huge) << HUGE_ORDER,
		.huge_free = READ_ONCE(z->nr_huge_free),
		.taken = READ_ONCE(z->nr_taken),
		.peak_used = READ_ONCE(z->nr_used_most),
		.regions = READ_ONCE(z->nr_regions),
		.name = zone_name(z),
	};
}

void stat_call_detail(const struct os_stats *os, u32 i, struct call_detail *d)
{
	const unsigned long *made[NR_CALLS] = { &os->mmap,    &os->munmap, &os->mprotect,
						&os->madvise, &os->mremap, &os->futex };
	const struct os_time *t = i < NR_CALLS - 1 ? &(&os->mmap_time)[i] : &os->futex_time;

	*d = (struct call_detail){
		.made = counter_read(*made[i]),
		.ns = counter_read(t->ns),
		.most_ns = counter_read(t->most_ns),
	};
}
