// SPDX-License-Identifier: MIT
/*
 * compat.c - glibc's reports and knobs, and the library's own few names.
 *
 * A preloaded library that left one of these out would let it reach libc's empty heap.
 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "init/boot.h"
#include "preload/entry.h"
#include "reclaim/reclaim.h"
#include "slabmalloc/slabmalloc.h"
#include "stat/check.h"
#include "stat/stat.h"

enum { STDERR = 2 };

/* The pad that glibc leaves at the top of its heap has no meaning here. */
EXPORT int malloc_trim(size_t pad)
{
	int saved = errno;
	size_t gone;

	(void)pad;
	gone = reclaim_all(boot_thread(), true);
	errno = saved;
	return gone != 0;
}

/* Every knob of glibc's is about arenas, fastbins and thresholds that do not exist here. */
EXPORT int mallopt(int param, int value)
{
	(void)param;
	(void)value;
	return 1;
}

EXPORT struct mallinfo2 mallinfo2(void)
{
	struct mallinfo2 mi;
	struct heap_stats st;

	stat_read_fast(&st);
	memset(&mi, 0, sizeof(mi));
	mi.arena = st.committed_bytes - st.vmalloc_bytes;
	mi.hblks = st.areas;
	mi.hblkhd = st.vmalloc_bytes;
	mi.uordblks = st.live_bytes;
	mi.fordblks = st.committed_bytes - min(st.live_bytes, st.committed_bytes);
	mi.fsmblks = st.sheaf_bytes;
	mi.keepcost = st.dirty_bytes;
	return mi;
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
	stat_dump(STDERR);
}

static void xml_cache(FILE *f, u32 id)
{
	struct cache_stats cs;

	if (!stat_cache(id, &cs))
		return;
	fprintf(f,
		"  <cache name=\"%s\" size=\"%u\" active=\"%lu\" total=\"%lu\" slabs=\"%lu\"/>\n",
		cs.name, cs.size, cs.active, cs.objects, cs.slabs);
}

/* glibc's totals under their names, our caches under ours. The stream is the program's: stdio may allocate. */
EXPORT int malloc_info(int options_, FILE *f)
{
	struct heap_stats st;

	if (options_) {
		errno = EINVAL;
		return -1;
	}
	stat_read_fast(&st);
	fputs("<malloc version=\"1\">\n<heap nr=\"0\">\n", f);
	for (u32 id = 1; id < NR_CACHES; id++)
		xml_cache(f, id);
	fputs("</heap>\n", f);
	fprintf(f, "<total type=\"fast\" count=\"0\" size=\"%lu\"/>\n", st.sheaf_bytes);
	fprintf(f, "<total type=\"rest\" count=\"0\" size=\"%lu\"/>\n",
		st.committed_bytes - min(st.live_bytes, st.committed_bytes));
	fprintf(f, "<total type=\"mmap\" count=\"%lu\" size=\"%lu\"/>\n", st.areas,
		st.vmalloc_bytes);
	fprintf(f, "<system type=\"current\" size=\"%lu\"/>\n", st.committed_bytes);
	fprintf(f, "<aspace type=\"total\" size=\"%lu\"/>\n", st.mapped_bytes);
	fputs("</malloc>\n", f);
	return 0;
}

EXPORT const char *slabmalloc_version(void)
{
	return SLABMALLOC_VERSION;
}

EXPORT int slabmalloc_check(void)
{
	return (int)check_all();
}

EXPORT int slabmalloc_stats_write(int fd)
{
	if (fd < 0) {
		errno = EBADF;
		return -1;
	}
	if (!stat_dump(fd)) {
		errno = EIO;
		return -1;
	}
	return 0;
}
