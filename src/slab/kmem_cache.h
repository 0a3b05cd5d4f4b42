/* SPDX-License-Identifier: MIT */
/*
 * kmem_cache.h - caches that programs make: numbers, shapes of slabs, aliases.
 *
 * A cache is an entry of typed_caches[]; its number (slab.h) is what class map and struct page know.
 *
 *	refcount > 0	in use: the cache and its aliases
 *	refcount == 0	free, its number is given out again: it has no slab
 *
 * Lock: caches_lock guards the entries' refcount and cache_end. What a cache is does not change while
 * it is in use, but for limit and the attributes of its node.
 */
#pragma once

#include "slab/slab.h"

extern struct lock caches_lock;

/* What a cache is to be, checked by kmem_cache_new. */
struct cache_shape {
	const char *name;
	size_t size;
	size_t align; /* 0: as the size says */
	slab_flags_t flags;
	u32 sheaf_capacity;
	void (*ctor)(void *object);
};

enum {
	CACHE_OBJECT_MAX = 1 << 20, /* bytes of an object, with what debugging puts around it */
	CACHE_OBJECT_MIN = 16,
};

/*
 * An existing cache that serves as well, or NULL: same size and alignment, no constructor, nothing that asks for
 * its own memory. It counts one more user.
 */
struct kmem_cache *kmem_cache_find_alias(const struct cache_shape *shape);

/*
 * Takes a number and fills the entry in; `layout` (or NULL) may then change size, setup and the debugging
 * fields, before the slabs' geometry is computed. NULL: no number is left, or no such size.
 */
struct kmem_cache *kmem_cache_new(const struct cache_shape *shape,
				  void (*layout)(struct kmem_cache *s));

/* One user less; true: that was the last, and the caller now ends the cache (kmem_cache_forget) or keeps it. */
bool kmem_cache_drop(struct kmem_cache *s);

/* After kmem_cache_drop: objects are still out. */
void kmem_cache_keep(struct kmem_cache *s);

/* The number of a cache without slabs, and its sheaves in no thread, is free again. */
void kmem_cache_forget(struct kmem_cache *s);

/* Frames, objects, colours and the inverses of s->size. False: no slab of at most 4 MiB holds one. */
bool kmem_cache_geometry(struct kmem_cache *s);
