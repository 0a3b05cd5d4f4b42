// SPDX-License-Identifier: MIT
/*
 * mallinfo.c - glibc's reports about a heap, in its own shapes: one arena, which is all of this heap but what has a
 * mapping of its own.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "page/vmalloc.h"
#include "preload/entry.h"
#include "preload/glibc.h"
#include "stat/stat.h"

enum { STDERR = 2 };

/* Free objects in slabs, and free blocks of frames. */
static size_t free_blocks(void)
{
	size_t n = 0;
	struct zone *z;

	for_each_cache(id)
		n += cache_free_objects(id);
	for_each_zone(z)
		for (u32 order = 0; order <= MAX_ORDER; order++)
			n += READ_ONCE(z->free_area[order].nr);
	return n;
}

static size_t free_at_hand(void)
{
	size_t n = 0;

	for_each_cache(id)
		if (cache_slabs(id))
			n += sheaf_objects(id);
	return n;
}

/*
 * What has a mapping of its own is hblkhd, and in no other field; of the rest arena = uordblks + fordblks. Free objects
 * in sheaves are what glibc keeps in fastbins.
 */
static struct mallinfo2 info_of(const struct heap_stats *st)
{
	struct mallinfo2 mi;

	memset(&mi, 0, sizeof(mi));
	mi.arena = st->committed_bytes - min(st->vmalloc_bytes, st->committed_bytes);
	mi.hblks = st->areas;
	mi.hblkhd = st->vmalloc_bytes;
	mi.uordblks = st->live_bytes - min(st->vmalloc_bytes, st->live_bytes);
	mi.uordblks = min(mi.uordblks, mi.arena);
	mi.fordblks = mi.arena - mi.uordblks;
	mi.ordblks = free_blocks();
	mi.smblks = free_at_hand();
	mi.fsmblks = st->sheaf_bytes;
	mi.keepcost = st->dirty_bytes;
	return mi;
}

EXPORT struct mallinfo2 mallinfo2(void)
{
	struct heap_stats st;

	stat_read_fast(&st);
	return info_of(&st);
}

/* int fields: what does not fit says so by being as large as it can. */
static int clip(size_t v)
{
	return v > INT32_MAX ? INT32_MAX : (int)v;
}

EXPORT struct mallinfo mallinfo(void)
{
	struct mallinfo2 wide = mallinfo2();
	struct mallinfo mi;

	memset(&mi, 0, sizeof(mi));
	mi.arena = clip(wide.arena);
	mi.ordblks = clip(wide.ordblks);
	mi.smblks = clip(wide.smblks);
	mi.hblks = clip(wide.hblks);
	mi.hblkhd = clip(wide.hblkhd);
	mi.uordblks = clip(wide.uordblks);
	mi.fordblks = clip(wide.fordblks);
	mi.fsmblks = clip(wide.fsmblks);
	mi.keepcost = clip(wide.keepcost);
	return mi;
}

EXPORT void malloc_stats(void)
{
	struct mallinfo2 mi = mallinfo2();
	struct seq_file m;

	seq_open(&m, STDERR);
	seq_puts(&m, "Arena 0:\n");
	seq_printf(&m, "system bytes     = %10zu\n", mi.arena);
	seq_printf(&m, "in use bytes     = %10zu\n", mi.uordblks);
	seq_puts(&m, "Total (incl. mmap):\n");
	seq_printf(&m, "system bytes     = %10zu\n", mi.arena + mi.hblkhd);
	seq_printf(&m, "in use bytes     = %10zu\n", mi.uordblks + mi.hblkhd);
	seq_printf(&m, "max mmap regions = %10u\n", READ_ONCE(vm.nr_used_most));
	seq_printf(&m, "max mmap bytes   = %10zu\n", READ_ONCE(vm.used_most));
	seq_flush(&m);
}

/* Free objects in the slabs of a cache; its requests are larger than those of the one before. */
static void put_size(FILE *f, u32 id)
{
	struct cache_detail d;
	unsigned long n, before = id > 1 ? cache_of(id - 1)->size : 0;

	if (!stat_cache_detail(id, &d))
		return;
	n = d.num_objs - min(d.active_objs + d.sheaf_objs, d.num_objs);
	if (n)
		fprintf(f, "  <size from=\"%lu\" to=\"%lu\" total=\"%lu\" count=\"%lu\"/>\n",
			before + 1, d.objsize, n * d.objsize, n);
}

static void put_free(FILE *f, const struct mallinfo2 *mi)
{
	fprintf(f, "<total type=\"fast\" count=\"%zu\" size=\"%zu\"/>\n", mi->smblks, mi->fsmblks);
	fprintf(f, "<total type=\"rest\" count=\"%zu\" size=\"%zu\"/>\n", mi->ordblks,
		mi->fordblks - min(mi->fsmblks, mi->fordblks));
}

static void put_system(FILE *f, const struct mallinfo2 *mi, const struct heap_stats *st)
{
	size_t space = st->mapped_bytes - min(st->vmalloc_bytes, st->mapped_bytes);

	fprintf(f, "<system type=\"current\" size=\"%zu\"/>\n", mi->arena);
	fprintf(f, "<system type=\"max\" size=\"%zu\"/>\n", max(st->peak_frames_bytes, mi->arena));
	fprintf(f, "<aspace type=\"total\" size=\"%zu\"/>\n", space);
	fprintf(f, "<aspace type=\"mprotect\" size=\"%zu\"/>\n", space - min(st->retained, space));
}

/* The stream is the program's: stdio may allocate. So what is told was read before. */
EXPORT int malloc_info(int options_, FILE *f)
{
	struct mallinfo2 mi;
	struct heap_stats st;

	if (options_) {
		errno = EINVAL;
		return -1;
	}
	stat_read(&st);
	mi = info_of(&st);
	fputs("<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n", f);
	for (u32 id = 1; id < NR_KMALLOC; id++)
		put_size(f, id);
	fputs("</sizes>\n", f);
	put_free(f, &mi);
	put_system(f, &mi, &st);
	fputs("</heap>\n", f);
	put_free(f, &mi);
	fprintf(f, "<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n", mi.hblks, mi.hblkhd);
	put_system(f, &mi, &st);
	fputs("</malloc>\n", f);
	return 0;
}
