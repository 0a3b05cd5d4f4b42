/* SPDX-License-Identifier: MIT */
/*
 * memcheck.h - other tools that watch memory: valgrind's memcheck, and AddressSanitizer in the program.
 *
 * By default valgrind puts its own malloc in place of ours, and nothing here happens. With
 * --soname-synonyms=somalloc=nouserintercepts, or where the archive is linked, the program keeps our malloc, and
 * memcheck is told of each block by client requests. Then kmalloc's classes are diverted as for option debug (letter Z), so
 * that every malloc and free comes by here and that there are bytes between objects which nobody may touch.
 *
 * No cost when off, nor under other tools of valgrind, which are to see malloc as it is: memcheck is asked for when a thread
 * gets its sheaves, by six instructions that do nothing elsewhere.
 */
#pragma once

#include "base/compiler.h"

/* The program runs under memcheck, and malloc is ours. */
extern bool memcheck_on;

/* Before the first block of a thread: looks for memcheck. */
bool memcheck_running(void);

/* At start: a program with AddressSanitizer is told in one line, and nothing is changed. */
void asan_warn(void);

/* A block of n bytes begins at p, with `zone` bytes before and behind it that are nobody's. */
void memcheck_allocated_slow(void *p, size_t n, size_t zone, bool zero);

/* It ended. Of what has no zone the pages may become anything next: they may be touched. */
void memcheck_freed_slow(void *p, size_t n, size_t zone);

/* What lies there is the allocator's again, and known to it: memory that was objects, or a value read from behind one. */
void memcheck_reused_slow(void *p, size_t n);

/* Between begin and end this thread may touch what is nobody's: the checks of the allocator do. */
void memcheck_hush_slow(bool begin);

static inline void memcheck_allocated(void *p, size_t n, size_t zone, bool zero)
{
	if (unlikely(memcheck_on))
		memcheck_allocated_slow(p, n, zone, zero);
}

static inline void memcheck_freed(void *p, size_t n, size_t zone)
{
	if (unlikely(memcheck_on))
		memcheck_freed_slow(p, n, zone);
}

static inline void memcheck_reused(void *p, size_t n)
{
	if (unlikely(memcheck_on))
		memcheck_reused_slow(p, n);
}

static inline void memcheck_hush(bool begin)
{
	if (unlikely(memcheck_on))
		memcheck_hush_slow(begin);
}
