// SPDX-License-Identifier: MIT
#include "slab/kmem_cache.h"

#include <string.h>

enum {
	CACHE_LINE = 64,
	WORD = 8,
	MIN_OBJECTS = 4,
	MOST_FRAMES = 16, /* of a slab, if its objects are not larger ... */
	FRAMES_MAX = 1024, /* ... and of any */
	WASTE_SHARE = 64, /* of a slab at the most, if that can be had ... */
	LARGE_WASTE_SHARE = 16, /* ... for objects of a frame or more */
};

/* Never merged: what a flag or a constructor gives to one cache's objects, another's must not get. */
static const slab_flags_t OWN_MEMORY = SLAB_DEBUG_FLAGS | SLAB_TYPESAFE_BY_RCU | SLAB_NO_MERGE |
				       SLAB_ACCOUNT | SLAB_INIT_ON_ALLOC | SLAB_INIT_ON_FREE |
				       SLAB_DIVERTED;
static const slab_flags_t SAME_MEMORY = SLAB_CACHE_DMA | SLAB_CACHE_DMA32 | SLAB_RECLAIM_ACCOUNT;

struct kmem_cache typed_caches[NR_TYPED];
struct kmem_cache *kmalloc_divert[NR_KMALLOC];
u32 kmalloc_shift;
struct lock caches_lock;
u32 cache_end = NR_KMALLOC;

/* A cache line for each, or as large a part of one as a small object needs. */
static u32 alignment(const struct cache_shape *shape)
{
	u32 align = max((u32)shape->align, (u32)WORD);

	if (shape->flags & SLAB_HWCACHE_ALIGN) {
		u32 line = CACHE_LINE;

		while (shape->size <= line / 2 && line > WORD)
			line /= 2;
		align = max(align, line);
	}
	return align;
}

static u32 zone_for(slab_flags_t flags)
{
	if (flags & SLAB_CACHE_DMA)
		return ZONE_DMA;
	return flags & SLAB_CACHE_DMA32 ? ZONE_DMA32 : ZONE_NORMAL;
}

static u32 waste(u32 frames, u32 size)
{
	return (u32)((size_t)frames * FRAME_SIZE % size);
}

/* As for the kmalloc caches (kmalloc-table.py), where the reasons are. */
static u32 frames_for_small(u32 size)
{
	u32 most = size <= FRAME_SIZE / 2 ? 8 : MOST_FRAMES, best = 0;

	for (u32 n = 1; n <= most; n = n < 8 ? 2 * n : n + 1) {
		u32 objects = n * (u32)FRAME_SIZE / size;

		if (objects < MIN_OBJECTS || objects > SLAB_OBJECTS_MAX ||
		    (n == 1 && objects > BITS_PER_LONG && objects <= SLAB_OBJECTS_MAX / 2))
			continue;
		if (waste(n, size) * WASTE_SHARE <= n * FRAME_SIZE)
			return n;
		if (!best || waste(n, size) * best < waste(best, size) * n)
			best = n;
	}
	return best;
}

static u32 frames_for_size(u32 size)
{
	u32 least = DIV_ROUND_UP(size, (u32)FRAME_SIZE), best = least;

	if (size < FRAME_SIZE)
		return frames_for_small(size);
	for (u32 n = least; n <= max(least, (u32)MOST_FRAMES); n++) {
		if (waste(n, size) * LARGE_WASTE_SHARE <= n * FRAME_SIZE)
			return n;
		if ((u64)waste(n, size) * best < (u64)waste(best, size) * n)
			best = n;
	}
	return best;
}

bool kmem_cache_geometry(struct kmem_cache *s)
{
	u32 frames = frames_for_size(s->size), objects, unit, left;
	size_t bytes = frames * FRAME_SIZE;

	if (!s->size || frames > FRAMES_MAX)
		return false;
	objects = min((u32)(bytes / s->size), (u32)SLAB_OBJECTS_MAX);
	unit = max((u32)CACHE_LINE, s->align);
	left = (u32)(bytes - (size_t)objects * s->size);
	s->frames = (u16)frames;
	s->objects = (u16)objects;
	s->inverse = (u32)DIV_ROUND_UP(1ull << 32, s->size);
	s->quarter = DIV_ROUND_UP(4u << 16, objects);
	s->colours = (u16)(min(left / unit, 255u) + 1);
	s->colour_unit = s->colours > 1 ? (u16)unit : 0;
	return true;
}

static bool gated(const struct kmem_cache *s)
{
	return s->setup ||
	       s->flags & (SLAB_DEBUG_FLAGS | SLAB_TYPESAFE_BY_RCU | SLAB_DIVERTED |
			   SLAB_INIT_ON_FREE | SLAB_INIT_ON_ALLOC | SLAB_COUNTED | SLAB_SAMPLED);
}

static void fill_in(struct kmem_cache *s, u16 id, const struct cache_shape *shape)
{
	size_t n = strlen(shape->name);

	memset(s, 0, sizeof(*s));
	memcpy(s->name, shape->name, min(n, (size_t)CACHE_NAME_MAX - 1));
	s->id = id;
	s->object_size = (u32)shape->size;
	s->align = alignment(shape);
	s->size = ALIGN(max(s->object_size, (u32)CACHE_OBJECT_MIN), s->align);
	s->inuse = s->size;
	s->flags = shape->flags;
	s->zone = zone_for(shape->flags);
	s->sheaf_capacity = shape->sheaf_capacity;
	s->ctor = shape->ctor;
}

static void construct(const struct kmem_cache *s, void *object)
{
	s->ctor(object);
}

static bool mergeable(const struct cache_shape *shape)
{
	return !shape->ctor && !(shape->flags & OWN_MEMORY) && !shape->sheaf_capacity;
}

struct kmem_cache *kmem_cache_find_alias(const struct cache_shape *shape)
{
	struct kmem_cache wanted, *found = NULL;

	if (!mergeable(shape))
		return NULL;
	fill_in(&wanted, 0, shape);
	lock(&caches_lock, RANK_CACHES);
	for (u32 id = TYPED_FIRST; id < cache_end && !found; id++) {
		struct kmem_cache *s = typed_of(id);

		if (!s->refcount || s->closing || s->setup || s->flags & OWN_MEMORY ||
		    s->sheaf_capacity || s->size != wanted.size || s->align != wanted.align ||
		    (s->flags ^ wanted.flags) & SAME_MEMORY)
			continue;
		s->refcount++;
		/* What both may use: the larger of the two (ksize, and what is zeroed). */
		s->object_size = max(s->object_size, wanted.object_size);
		found = s;
	}
	unlock(&caches_lock, RANK_CACHES);
	return found;
}

/* A free entry, which is in use from now on; NULL: there is none. */
static struct kmem_cache *take_entry(void)
{
	u32 id = TYPED_FIRST, end = kmalloc_shift ? COUNTED_SHIFT : NR_CACHES;
	struct kmem_cache *s = NULL;

	lock(&caches_lock, RANK_CACHES);
	while (id < end && typed_of(id)->refcount)
		id++;
	if (id < end) {
		s = typed_of(id);
		s->refcount = 1;
		s->id = (u16)id;
	}
	unlock(&caches_lock, RANK_CACHES);
	return s;
}

struct kmem_cache *kmem_cache_new(const struct cache_shape *shape,
				  void (*layout)(struct kmem_cache *s))
{
	struct kmem_cache *s, filled;

	if (!shape->size || shape->size > CACHE_OBJECT_MAX || shape->align > FRAME_SIZE)
		return NULL;
	s = take_entry();
	if (!s)
		return NULL;
	fill_in(&filled, s->id, shape);
	if (filled.ctor)
		filled.setup = construct;
	if (layout)
		layout(&filled);
	filled.refcount = kmem_cache_geometry(&filled);
	filled.class = gated(&filled) ? GATE * CLASS_UNIT : (u16)(filled.id * CLASS_UNIT);
	lock(&caches_lock, RANK_CACHES);
	*s = filled;
	if (s->refcount)
		WRITE_ONCE(cache_end, max(cache_end, s->id + 1u));
	unlock(&caches_lock, RANK_CACHES);
	return filled.refcount ? s : NULL;
}

bool kmem_cache_drop(struct kmem_cache *s)
{
	bool last;

	lock(&caches_lock, RANK_CACHES);
	last = s->refcount == 1;
	s->closing = last;
	if (!last)
		s->refcount--;
	unlock(&caches_lock, RANK_CACHES);
	return last;
}

void kmem_cache_keep(struct kmem_cache *s)
{
	lock(&caches_lock, RANK_CACHES);
	s->closing = false;
	unlock(&caches_lock, RANK_CACHES);
}

void kmem_cache_forget(struct kmem_cache *s)
{
	lock(&caches_lock, RANK_CACHES);
	cache_nodes[s->id].min_partial = 0;
	for_each_node(nid)
		cache_node(s->id, nid)->next_colour = 0;
	WRITE_ONCE(s->refcount, 0);
	unlock(&caches_lock, RANK_CACHES);
}
