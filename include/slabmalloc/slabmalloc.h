/* SPDX-License-Identifier: MIT */
/*
 * slabmalloc.h - what the library offers beside malloc and its kin, which are declared in <stdlib.h>.
 *
 * A program that is to run with and without the library preloaded declares these weak, or looks them up
 * with dlsym(RTLD_DEFAULT, ...).
 */
#ifndef SLABMALLOC_SLABMALLOC_H
#define SLABMALLOC_SLABMALLOC_H

#ifdef __cplusplus
extern "C" {
#endif

/**
 * slabmalloc_version - the version of the library that runs
 *
 * Return: a constant string, such as "0.1.0".
 */
const char *slabmalloc_version(void);

/**
 * slabmalloc_check - walk all structures of the heap and compare them with each other
 *
 * Other threads should be quiet meanwhile: counts that change during the walk look like inconsistencies.
 * It takes time in proportion to the size of the heap. Each inconsistency is printed on stderr in one
 * line; it is a sign of memory that was overwritten, or of an error in the library.
 *
 * Return: the number of inconsistencies, 0 for a sound heap.
 */
int slabmalloc_check(void);

/** enum slabmalloc_stats_format - how statistics are written, as option stats_format has it */
enum slabmalloc_stats_format {
	SLABMALLOC_STATS_SLABINFO, /* text: slabinfo, buddyinfo, zoneinfo, totals */
	SLABMALLOC_STATS_JSON, /* one line; share/slabmalloc/stats.schema.json */
	SLABMALLOC_STATS_PROMETHEUS, /* text format 0.0.4 */
	SLABMALLOC_STATS_HTML /* one page that needs nothing else */
};

/**
 * slabmalloc_stats_write - write the statistics as they are now
 * @fd: an open file descriptor
 * @format: in which format
 *
 * The same that SLABMALLOC_STATS writes at exit; slabmalloc_stats(3) and (5) tell what it means. Neither allocates nor waits for
 * a lock: it may be called in a signal handler, and while other threads allocate.
 *
 * Return: 0, or -1 with errno EBADF for a negative @fd, EINVAL for a @format that there is not, EIO when not all
 * could be written.
 */
int slabmalloc_stats_write(int fd, enum slabmalloc_stats_format format);

#ifdef __cplusplus
}
#endif

#endif
