/* SPDX-License-Identifier: MIT */
/*
 * harden.h - caches that are harder to attack, by option: SLABMALLOC_HARDEN=NAME[,NAME...], the kernel's names.
 *
 *	init_on_alloc		every object reads as zero, up to its class's size
 *	init_on_free		every object is zeroed when it is freed
 *	slab_freelist_random	a refill hands its objects out in random order
 *	slab_freelist_hardened	each free is looked up in the thread's sheaves: who wrote over a free object has not
 *				hidden a second free by it
 *	random_kmalloc_caches	each class of kmalloc has several caches (:N, 2 to 16; 4), and call sites are dealt
 *				out among them at random in each process
 *	zero_size_ptr		malloc(0) returns an address that cannot be touched (zero_size.h)
 *	all, or 1		all of them
 *
 * No cost when off: where any but the last is on, kmalloc's classes are diverted to typed caches behind the gate
 * (slab/slab.h), which every malloc and free of them reaches by the slow path. Named caches get all but the last. Caches
 * with debugging have none of it, since poison is more than zeroes. Blocks above 256 KiB have pages of
 * their own, and get the first two.
 *
 * What the kernel encodes, the pointers from one free object to the next, does not exist here: nothing of the allocator
 * lies in free memory but the key by which a second free is noticed, and sheaves and bitmaps have mappings of their own. So
 * slab_freelist_hardened is about that key: frees are checked without it, too.
 */
#pragma once

#include "slab/kmem_cache.h"

struct harden {
	bool init_on_alloc, init_on_free;
	bool freelist_random, freelist_hardened;
	bool zero_size_ptr;
	u32 copies; /* of each class of kmalloc; 0: one */
};

extern struct harden harden;

/* From debug_boot, once. */
void harden_boot(void);

/* What is added to the flags of a cache that is to be made. */
slab_flags_t harden_flags(const struct cache_shape *shape);

/* Its part of debug_layout. */
void harden_layout(struct kmem_cache *s);

/* The cache for this call site, of those that stand in for class id; `first` is kmalloc_divert[id]. */
struct kmem_cache *harden_pick(u32 id, struct kmem_cache *first, const void *caller);
