/* SPDX-License-Identifier: MIT */
/*
 * slab.h - slab caches: objects of one size, cut from slabs of a few frames.
 *
 * A slab is described by the struct page of its first frame; which of its objects are free, a bitmap there
 * says (a few words more in region->map_ext where objects are many). Nothing of ours is written into an
 * object by this room: a refill reads bits, in address order, and a fresh slab is all ones.
 *
 *	objects of a slab	= inuse + free bits
 *	inuse			= objects in sheaves + objects that the program holds
 *	node->nr_free		= sum of free bits over the node's slabs
 *
 * Slab states, moved under the node's lock by slub.c alone:
 *
 *	full	inuse == objects	on no list
 *	partial	0 < inuse < objects	on slabs[1 + fullness quarter]; the fullest are used first,
 *					so that the others become empty
 *	empty	inuse == 0		on slabs[0]; a few are kept, the others go to the page sets
 *
 * A cache id is node * NR_KMALLOC + class, so caches, slab lists, barns and class ids are per node.
 */
#pragma once

#include "base/bug.h"
#include "base/lock.h"
#include "os/topology.h"
#include "page/page.h"
#include "page/pcp.h"

enum {
	KMALLOC_GRAIN = 16,
	KMALLOC_FINE_MAX = 1024, /* a class every 16 bytes up to here ... */
	KMALLOC_MAX = 256 << 10, /* ... and four a doubling up to here */
	NR_KMALLOC = 97, /* class 0 is no class: "not a slab object" */
	NR_CACHES = MAX_NUMNODES * NR_KMALLOC,

	/* What the class map holds: the offset of the thread's sheaf slot of this cache. */
	CLASS_UNIT = 32,
};

_Static_assert(NR_CACHES *CLASS_UNIT <= UINT16_MAX, "a class map entry is two bytes");

struct kmem_cache {
	char name[16];
	u32 size; /* bytes from object to object */
	u32 inverse; /* ceil(2^32 / size): offset * inverse >> 32 is the object's index */
	u32 quarter; /* ceil(2^18 / objects): inuse * quarter >> 16 is the quarter that it fills */
	u16 objects; /* in a slab */
	u16 frames; /* of a slab */
	u16 colours; /* different starts of the first object (Bonwick 1994, section 4.1) ... */
	u16 colour_unit; /* ... so many bytes apart */
};

/* Objects above 1 KiB are handed out with bit 0 set as long as they read as zero (sheaf/). */
enum { OBJECT_FRESH = 1, FRESH_NONE = 255 };

enum { NR_FULLNESS = 5 };

struct kmem_cache_node {
	struct lock lock;
	u32 nr_slabs;
	u32 nr_empty;
	u32 next_colour;
	unsigned long nr_free; /* objects */
	struct hlist_head slabs[NR_FULLNESS];
} __aligned(64);

extern const struct kmem_cache kmalloc_caches[NR_KMALLOC];
extern struct kmem_cache_node cache_nodes[NR_CACHES];

static __always_inline const struct kmem_cache *cache_of(u32 id)
{
	return &kmalloc_caches[MAX_NUMNODES == 1 ? id : id % NR_KMALLOC];
}

/* The class of a size from 1 to KMALLOC_MAX. */
static __always_inline u32 kmalloc_index(size_t n)
{
	unsigned int lg;

	if (likely(n <= KMALLOC_FINE_MAX))
		return n ? (u32)((n + KMALLOC_GRAIN - 1) / KMALLOC_GRAIN) : 1;
	lg = ilog2(n - 1);
	return 61 + (lg - 10) * 4 + (u32)((n - 1) >> (lg - 2));
}

/* The smallest class of n bytes whose objects all lie on a multiple of align <= FRAME_SIZE, or 0. */
u32 kmalloc_index_aligned(size_t n, size_t align);

/* Where pages come from: this thread's page set (NULL: straight from the zone) and a zone. */
struct page_source {
	struct per_cpu_pages *pcp;
	struct zone *zone;
};

/*
 * Takes up to `want` objects of cache id, from partial slabs or else one new slab, and stores them at
 * end[-1], end[-2], ...: popping from the end gives ascending addresses. Returns how many; 0: no
 * memory.
 */
u32 slab_alloc_batch(u32 id, struct page_source src, void **end, u32 want);

/* Returns n objects. Each is checked: what is no object of the cache in use is reported and skipped. */
void slab_free_batch(u32 id, struct page_source src, void *const *objects, u32 n);

/* Gives back all empty slabs of the cache; returns frames. */
unsigned long slab_shrink(u32 id, struct page_source src);

/* What a pointer into a slab is. */
enum object_state { OBJECT_USED, OBJECT_FREE, OBJECT_INSIDE, OBJECT_NONE };

struct object {
	enum object_state state; /* FREE: in the slab's bitmap (one in a sheaf counts as used) */
	const struct kmem_cache *cache;
	void *start;
	size_t offset; /* of the pointer from start */
};

/* Does an object of cache id that is in use, or in a sheaf, start at p? What slab_object says, sooner. */
bool slab_object_used(u32 id, const void *p);

/* Looks at the slab that p lies in. May race with frees of other objects, not with p's own. */
struct object slab_object(const void *p);

/* The line that tells of a bad pointer into a slab, as slab_object saw it. */
void slab_report(const struct call *call, const struct object *o);
