// SPDX-License-Identifier: MIT
#include "os/mem.h"
#include "os/pressure.h"
#include "page/large.h"
#include "page/memblock.h"
#include "page/section.h"
#include "page/vmalloc.h"
#include "reclaim/kshrinkd.h"
#include "sheaf/barn.h"
#include "slab/purge.h"
#include "stat/stat.h"

/* Frames that wait in page sets, about. */
static unsigned long all_pcp_frames(void)
{
	unsigned long sum = 0;
	struct kmem_percpu *c;

	for_each_percpu_racy(c)
		sum += pcp_frames(&c->pcp);
	return sum;
}

/*
 * live = large blocks and areas + objects that are neither free in slabs nor in sheaves; large blocks
 * are what is left of the frames in use without slabs and page sets.
 */
void stat_read_fast(struct heap_stats *st)
{
	unsigned long used = 0, slabs = 0, objects = 0;
	struct zone *z;

	*st = (struct heap_stats){ 0 };
	st->vmalloc_bytes = READ_ONCE(vm.used_bytes);
	for_each_zone(z) {
		used += z->nr_present - z->nr_free;
		st->huge_bytes += z->nr_huge * HUGE_SIZE;
		st->dirty_bytes += READ_ONCE(z->nr_dirty) << FRAME_SHIFT;
	}
	st->dirty_bytes += READ_ONCE(vm.cached_bytes);
	for_each_cache(id) {
		const struct kmem_cache *s = cache_of(id);
		unsigned long total = cache_slabs(id), cached;

		if (!total)
			continue;
		slabs += total * s->frames;
		cached = sheaf_objects(id);
		st->sheaf_bytes += cached * s->size;
		cached += cache_free_objects(id);
		objects += (total * s->objects - min(cached, total * s->objects)) * s->size;
	}
	slabs = min(slabs + all_pcp_frames(), used);
	st->live_bytes = ((used - slabs) << FRAME_SHIFT) + objects + st->vmalloc_bytes;
	st->areas = READ_ONCE(vm.nr_used);
	st->slab_given_bytes = slab_bytes().given;
	st->committed_bytes = (used << FRAME_SHIFT) + st->vmalloc_bytes;
	st->committed_bytes -= min(st->slab_given_bytes, st->committed_bytes);
	st->committed_bytes += st->dirty_bytes;
	st->mapped_bytes = counter_read(os_stats.mapped);
	st->mmap_calls = counter_read(os_stats.mmap);
	st->munmap_calls = counter_read(os_stats.munmap);
	st->madvise_calls = counter_read(os_stats.madvise);
	st->mprotect_calls = counter_read(os_stats.mprotect);
	st->mremap_calls = counter_read(os_stats.mremap);
	st->threads = READ_ONCE(nr_threads);
}

static void read_caches(struct heap_stats *st)
{
	for_each_cache(id) {
		struct cache_detail d;

		if (!stat_cache_detail(id, &d))
			continue;
		st->internal_bytes += d.internal_bytes;
		st->external_bytes += d.waste_bytes;
		st->slabs_made += d.slabs_made;
		st->refills += d.refills;
		st->refilled_objs += d.refilled_objs;
		st->flushes += d.flushes;
		st->flushed_objs += d.flushed_objs;
		st->barn_gets += d.barn_gets;
		st->barn_puts += d.barn_puts;
		st->unread += d.changing;
	}
}

static void read_threads(struct heap_stats *st)
{
	const struct sheaf_events *e = &ended_events;
	unsigned long taken = READ_ONCE(e->taken), given = READ_ONCE(e->given);
	struct kmem_percpu *c;

	st->sheaf_swaps = READ_ONCE(e->swaps);
	/* Those that ended are one thread here. */
	st->remote_bytes = given - min(taken, given);
	st->peak_threads = READ_ONCE(nr_threads_most);
	for_each_percpu_racy(c) {
		struct thread_detail d;

		stat_thread_detail(c, &d);
		st->sheaf_swaps += d.swaps;
		st->remote_bytes += d.remote_bytes;
	}
}

static void read_zones(struct heap_stats *st)
{
	struct zone *z;

	for_each_zone(z) {
		size_t bytes = zone_uncommitted(z);

		st->unread += bytes == ~0ul;
		st->retained += bytes == ~0ul ? 0 : bytes;
		st->huge_free_bytes += READ_ONCE(z->nr_huge_free) << FRAME_SHIFT;
		st->peak_frames_bytes += READ_ONCE(z->nr_used_most) << FRAME_SHIFT;
	}
}

/* Of the threads' blocks, which are the largest there are in memblock. */
static size_t untouched(void)
{
	uintptr_t page = os_page_size();
	struct kmem_percpu *c;
	size_t sum = 0;

	for_each_percpu_racy(c) {
		uintptr_t from = ALIGN_DOWN((uintptr_t)c, page);
		uintptr_t end = ALIGN((uintptr_t)c + sizeof(*c), page);
		size_t resident = os_resident_in((void *)from, end - from);

		sum += PERCPU_BLOCK - min(resident, (size_t)PERCPU_BLOCK);
	}
	return sum;
}

/* What the kernel is asked for. */
static void read_resident(struct heap_stats *st)
{
	st->resident_bytes = os_resident();
	st->peak_resident_bytes = max(os_resident_most(), st->resident_bytes);
	st->metadata_bytes = section_resident() + memblock_used();
	st->metadata_bytes -= min(untouched(), (size_t)st->metadata_bytes);
	st->resident = section_frames_resident() + vm_resident() + st->metadata_bytes;
}

void stat_read(struct heap_stats *st)
{
	stat_read_fast(st);
	read_caches(st);
	read_threads(st);
	read_zones(st);
	read_resident(st);
	st->allocated = st->live_bytes;
	st->active = (zones_used() << FRAME_SHIFT) + st->vmalloc_bytes;
	st->metadata = st->metadata_bytes;
	st->retained = min(st->retained, st->mapped_bytes);
	st->mapped = st->mapped_bytes - st->retained;
	st->large_allocs = counter_read(large_stats.allocs);
	st->large_frees = counter_read(large_stats.frees);
	st->large_asked_bytes = counter_read(large_stats.asked);
	st->large_rounded_bytes = counter_read(large_stats.rounded);
	st->purged_bytes = counter_read(os_stats.purged);
	st->unmapped_bytes = counter_read(os_stats.unmapped);
	st->lock_waits = counter_read(os_stats.futex);
	st->mbind_calls = counter_read(numa_calls.mbind);
	st->mbind_refused = counter_read(numa_calls.refused);
	st->pressure_sources = (unsigned long)__builtin_popcount(os_pressure_sources());
	st->pressure_dropped = os_pressure_dropped();
	st->kshrinkd_wakeups = READ_ONCE(kshrinkd_wakeups);
	st->peak_vmalloc_bytes = READ_ONCE(vm.used_most);
	st->peak_mapped_bytes = max(READ_ONCE(os_stats.mapped_most), st->mapped_bytes);
}

struct lines {
	struct seq_file *m;
	enum stat_table table;
};

static void put_line(const struct lines *l, const struct stat_row *row, const struct stat_field *f)
{
	const char *prefix = stat_names(l->table)->prefix;
	unsigned long value = stat_value(row->numbers, f);

	if (!prefix[0])
		seq_printf(l->m, "%-19s %lu\n", f->name, value);
	else if (!row->name)
		seq_printf(l->m, "%s%s %lu\n", prefix, f->name, value);
	else
		seq_printf(l->m, "%s%s_%s %lu\n", prefix, row->name, f->name, value);
}

/* A row that has nothing to tell stays away. */
static void put_lines(const struct stat_row *row, void *arg)
{
	const struct lines *l = arg;
	u32 nr;
	const struct stat_field *fields = stat_fields(l->table, &nr);
	unsigned long any = 0;

	for (u32 i = 0; i < nr; i++)
		any |= stat_value(row->numbers, &fields[i]);
	for (u32 i = 0; i < nr; i++)
		if (any || !row->name)
			put_line(l, row, &fields[i]);
}

void stat_totals(struct seq_file *m)
{
	static const u8 tables[] = { STAT_TOTALS, STAT_PRESSURES, STAT_SHRINKERS, STAT_KFENCE };

	for (u32 i = 0; i < ARRAY_SIZE(tables); i++) {
		struct lines l = { m, tables[i] };

		stat_rows(l.table, put_lines, &l);
	}
}
