/* SPDX-License-Identifier: MIT */
/*
 * elements.h - what a pool's elements are: their memory, and the three kinds that the library itself allocates.
 */
#pragma once

#include "slabmalloc/mempool.h"

/* An element's memory; size 0: unknown. */
struct span {
	char *start;
	size_t size;
};

/* Gives the pool its name, and the size of its elements. */
void element_describe(struct mempool *pool);

/* Are the pool's elements of kmem_cache_alloc, kmalloc or alloc_pages? Then alloc_fn knows all GFP flags. */
bool element_is_known(const struct mempool *pool);

struct span element_span(const struct mempool *pool, void *element);

/* Is all of it resident now? True where it is unknown. A system call. */
bool span_is_resident(struct span span);

/* Writes to each page of it, and changes nothing. */
void span_fault_in(struct span span);
