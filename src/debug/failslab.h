/* SPDX-License-Identifier: MIT */
/*
 * failslab.h - allocations that fail on purpose (letter A), as SLABMALLOC_FAILSLAB says.
 *
 * key:value,... with the names of the kernel's fault_attr:
 *
 *	probability	per cent of the allocations that are asked (0: none; the default)
 *	interval	every so many allocations one is asked (1)
 *	times		how many failures there will be; -1: without end (-1)
 *	space		bytes that are handed out before the first failure (0)
 *	verbose		1: a line for each failure, 2: with its stack (0)
 *	caller		only where this function is among the callers, a symbol's name
 */
#pragma once

#include "slab/slab.h"

void failslab_init(void);

/* Is this allocation of n bytes to fail? Never one with __GFP_NOFAIL. */
bool failslab(const struct kmem_cache *s, size_t n, gfp_t gfp, const void *caller);
