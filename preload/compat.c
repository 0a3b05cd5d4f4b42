// SPDX-License-Identifier: MIT
/*
 * compat.c - glibc's knobs, and the library's own few names. (Its reports: mallinfo.c.)
 *
 * A preloaded library that left one of these out would let it reach libc's empty heap.
 */
#include <errno.h>

#include "preload/entry.h"
#include "preload/glibc.h"
#include "slabmalloc/slabmalloc.h"
#include "stat/check.h"
#include "stat/stat.h"

/* The pad that glibc leaves at the top of its heap has no meaning here. */
EXPORT int malloc_trim(size_t pad)
{
	int saved = errno;
	size_t gone;

	(void)pad;
	gone = entry_trim(true);
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

EXPORT const char *slabmalloc_version(void)
{
	return SLABMALLOC_VERSION;
}

EXPORT int slabmalloc_check(void)
{
	return (int)check_all();
}

_Static_assert((int)SLABMALLOC_STATS_SLABINFO == STATS_SLABINFO &&
		       (int)SLABMALLOC_STATS_JSON == STATS_JSON &&
		       (int)SLABMALLOC_STATS_PROMETHEUS == STATS_PROMETHEUS &&
		       (int)SLABMALLOC_STATS_HTML == STATS_HTML,
	       "one is handed on as the other");

EXPORT int slabmalloc_stats_write(int fd, enum slabmalloc_stats_format format)
{
	if (fd < 0) {
		errno = EBADF;
		return -1;
	}
	if ((unsigned int)format > SLABMALLOC_STATS_HTML) {
		errno = EINVAL;
		return -1;
	}
	if (!stat_write(fd, (enum stats_format)format)) {
		errno = EIO;
		return -1;
	}
	return 0;
}
