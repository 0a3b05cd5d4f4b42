/* SPDX-License-Identifier: MIT */
/*
 * slab_types.h - how a slab cache is made: its flags.
 */
#pragma once

#include "slabmalloc/gfp_types.h"

/* Debugging of this cache, whatever SLABMALLOC_DEBUG says. */
#define SLAB_CONSISTENCY_CHECKS 0x00000100u /* F: look at the object on every free */
#define SLAB_RED_ZONE 0x00000400u /* Z: guard bytes on both sides of it */
#define SLAB_POISON 0x00000800u /* P: fill it while it is free */
#define SLAB_STORE_USER 0x00010000u /* U: who allocated and who freed it */
#define SLAB_TRACE 0x00200000u /* T: a line for each allocation and free */
#define SLAB_FAILSLAB 0x02000000u /* A: allocations fail as SLABMALLOC_FAILSLAB says */
#define SLAB_DEBUG_FLAGS                                                                        \
	(SLAB_CONSISTENCY_CHECKS | SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER | SLAB_TRACE | \
	 SLAB_FAILSLAB)

#define SLAB_HWCACHE_ALIGN \
	0x00002000u /* objects begin on a cache line (small ones: on a part of it) */
#define SLAB_CACHE_DMA 0x00004000u /* slabs below 16 MiB */
#define SLAB_CACHE_DMA32 0x00008000u /* slabs below 4 GiB */
#define SLAB_RECLAIM_ACCOUNT \
	0x00020000u /* a shrinker can free the objects: shown by slabinfo's attribute */
#define SLAB_TEMPORARY SLAB_RECLAIM_ACCOUNT
#define SLAB_PANIC 0x00040000u /* kmem_cache_create that fails ends the program */
#define SLAB_TYPESAFE_BY_RCU 0x00080000u /* slabs stay of this type until kmem_cache_synchronize */
#define SLAB_NO_MERGE 0x01000000u /* a cache of its own, whatever others are like it */
#define SLAB_ACCOUNT 0x04000000u /* the bytes of its slabs have a bound: kmem_cache_set_limit */
