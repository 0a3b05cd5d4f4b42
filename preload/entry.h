/* SPDX-License-Identifier: MIT */
/*
 * entry.h - the semantics of malloc behind all its names: C's, C++'s, glibc's.
 *
 * The hit is inline (sheaf/sheaf.h); everything else is in entry.c. A function that fails for want of
 * memory has run direct reclaim and tried again; it returns NULL with errno ENOMEM. Functions that free
 * keep errno.
 */
#pragma once

#include "sheaf/sheaf.h"

#define EXPORT __attribute__((visibility("default")))

/* For what programs call most: it starts a line of the instruction cache (5 % of a malloc and free pair). */
#define HOT __attribute__((aligned(64)))

/* Any alignment: what fits no class, or is larger than the largest, too. */
void *entry_malloc_slow(size_t n);
void *entry_calloc_slow(size_t n);
void entry_free_slow(void *p, const char *function);
void *entry_realloc(void *p, size_t n);

/* align: a power of two, else EINVAL. */
void *entry_memalign(size_t align, size_t n);

/* Usable bytes of the block at p; 0 after a report: p is none. */
size_t entry_usable_size(void *p, const char *function);

static __always_inline void *entry_malloc(size_t n)
{
	void *p = sheaf_malloc(n);

	return likely(p) ? p : entry_malloc_slow(n);
}

static __always_inline void entry_free(void *p)
{
	if (unlikely(!sheaf_free(p)))
		entry_free_slow(p, "free");
}
