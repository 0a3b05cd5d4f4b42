/* SPDX-License-Identifier: MIT */
/*
 * slab.h - slab caches: objects of one size, cut from slabs of a few frames.
 *
 * A slab is described by the struct page of its first frame; which of its objects are free, a bitmap there
 * says (where objects are many, with three words more in the next frame's, or in region->map_ext). Nothing of ours is written into an
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
 *	empty	inuse == 0		on slabs[0], as long as they are kept (empty.h)
 *	isolated			on no list while memory inside is given back (slab/purge.c)
 *
 * Caches are known by small numbers:
 *
 *	1 .. NR_KMALLOC - 1	the kmalloc caches, constant; the number is the class
 *	GATE			no cache: a sheaf slot that is never opened
 *	TYPED_FIRST .. 		what kmem_cache_create made (slab/kmem_cache.c)
 *
 * and a thread's sheaf slots by numbers, too:
 *
 *	0 .. NR_CACHES - 1	of the cache of this number: kmalloc caches' objects of node 0, typed ones' of any
 *	PANEL_FIRST ..		kmalloc caches' objects of the other nodes, PANEL for each node
 *
 * The class map sends a free() to the sheaf slot of the cache: of a kmalloc cache to the slot of the slab's node, so that
 * objects of another node are gathered by themselves. A thread has a panel of slots for each node; nodes beyond NR_PANELS
 * share. Typed caches have one slot. Objects that may not go there unseen (they have a
 * constructor, or debugging, or may be read after their end) are behind the gate: their frames' class is
 * GATE, whose slot misses, and the slow path finds the cache in struct page. So are frames in the middle of a large
 * object.
 */
#pragma once

#include "base/bug.h"
#include "base/lock.h"
#include "os/topology.h"
#include "page/page.h"
#include "page/pcp.h"
#include "page/zone.h"
#include "slabmalloc/slab_types.h"

enum {
	KMALLOC_GRAIN = 16,
	KMALLOC_FINE_MAX = 1024, /* a class every 16 bytes up to here ... */
	KMALLOC_MIDDLE_MAX = 16 << 10, /* ... eight a doubling up to here ... */
	KMALLOC_MAX = 256 << 10, /* ... and four a doubling up to here */
	NR_KMALLOC = 113, /* class 0 is no class: "not a slab object" */

	/* What the class map holds: the offset of the thread's sheaf slot of this cache. */
	CLASS_UNIT = 32,

	GATE = 127,
	TYPED_FIRST = 128, /* slots of typed caches begin on the second page of a thread's */
	NR_CACHES = TYPED_FIRST + 768,
	NR_TYPED = NR_CACHES - TYPED_FIRST,

	PANEL = 128, /* slots: a page */
	NR_PANELS = 9, /* node 0's is the first one */
	PANEL_FIRST = NR_CACHES,
	NR_SLOTS = PANEL_FIRST + (NR_PANELS - 1) * PANEL,

	SLAB_OBJECTS_MAX = 256,
	CACHE_NAME_MAX = 40,
};

_Static_assert(NR_SLOTS *CLASS_UNIT <= UINT16_MAX, "a class map entry is two bytes");
_Static_assert(PANEL_FIRST % PANEL == 0 && NR_KMALLOC < GATE && GATE < PANEL,
	       "a slot's place in its panel is its cache");

struct kmem_cache {
	char name[CACHE_NAME_MAX];
	u32 size; /* bytes from object to object */
	u32 inverse; /* ceil(2^32 / size): offset * inverse >> 32 is the object's index */
	u32 quarter; /* ceil(2^18 / objects): inuse * quarter >> 16 is the quarter that it fills */
	u16 objects; /* in a slab */
	u16 frames; /* of a slab */
	u16 colours; /* different starts of the first object (Bonwick 1994, section 4.1) ... */
	u16 colour_unit; /* ... so many bytes apart */

	/* Of typed caches (slab/kmem_cache.c); 0 in a kmalloc cache. */
	u16 id;
	u16 class; /* what the class map says of its frames: its own slot, or the gate's */
	u32 object_size; /* as it was asked for */
	u32 align;
	slab_flags_t flags;
	u32 zone; /* enum zone_type of its slabs */
	u32 refcount; /* it and its aliases; 0: a free entry. Under caches_lock */
	bool closing; /* its last user ends it: nobody becomes its alias any more. Under caches_lock */
	u32 sheaf_capacity; /* objects in a thread's sheaf; 0: as the sizes say */
	size_t limit; /* bytes of slabs; 0: none */
	void (*ctor)(void *object);
	/* Run on each object when its slab is made, without a lock: the constructor, or debugging's. */
	void (*setup)(const struct kmem_cache *s, void *object);
	/* Puts objects into another order before a sheaf hands them out, or NULL. */
	void (*shuffle)(void **objects, u32 n);

	/* Debugging's (debug/): where the program's object lies within ours, and what surrounds it. */
	u32 red_left_pad; /* bytes in front of the object */
	u32 inuse; /* from the object to the metadata behind it */
	u32 track; /* offset of the tracks from the object; 0: none */
};

/* Bits of kmem_cache.flags that a program cannot set. */
enum {
	SLAB_INIT_ON_ALLOC = 1 << 28,
	SLAB_INIT_ON_FREE = 1 << 29,
	SLAB_CHECK_FREE = 1 << 27, /* each free is looked up in the thread's sheaves */
	SLAB_DIVERTED = 1 << 30, /* it stands in for a kmalloc cache */
	SLAB_COUNTED = 1 << 0, /* allocations are counted, frees looked at (debug/profile.h) */
	SLAB_SAMPLED = 1 << 1, /* it has the sampled objects of a kmalloc cache, and no others */
};

/* Objects above 1 KiB are handed out with bit 0 set as long as they read as zero (sheaf/). */
enum { OBJECT_FRESH = 1, FRESH_NONE = 63 };

enum { NR_FULLNESS = 5 };

struct kmem_cache_node {
	struct lock lock;
	u32 nr_slabs;
	u32 nr_empty;
	u32 nr_surplus; /* of those, as many as need not stay (empty.h) */
	u32 next_colour;
	u32 min_partial; /* empty slabs that stay, plus 1; 0: slab_empty_kept() */
	u32 nr_isolated;
	u32 asked; /* what the program asked for, on the average (slab_note_asked) */
	unsigned long nr_free; /* objects */
	unsigned long nr_given; /* frames inside slabs whose memory was given back */
	/* Since the start, for reports: batches and their objects, and slabs made. */
	unsigned long nr_refills, nr_refilled, nr_flushes, nr_flushed, nr_made;
	struct hlist_head slabs[NR_FULLNESS];
} __aligned(64);

extern const struct kmem_cache kmalloc_caches[NR_KMALLOC];
extern struct kmem_cache typed_caches[NR_TYPED];
/* Node 0's, and the other nodes'. */
extern struct kmem_cache_node cache_nodes[NR_CACHES], *node_caches[MAX_NUMNODES];

/* What became of requests, in objects: of every node, once there are several. */
struct cache_events {
	unsigned long numa[NR_NUMA_EVENTS];
	unsigned long remote; /* freed by threads that ran elsewhere */
} __aligned(64);

extern struct cache_events *node_events[MAX_NUMNODES];

static inline struct kmem_cache_node *cache_node(u32 id, u32 nid)
{
	return likely(!nid) ? &cache_nodes[id] : &node_caches[nid][id];
}

static inline struct kmem_cache_node *slab_node(const struct page *slab)
{
	return cache_node(slab->cache, region_of(slab)->nid);
}

/* Makes the caches' lists on all nodes but node 0; false: no memory. */
bool caches_divide(const struct numa *n);

/* One more than the highest number in use. */
extern u32 cache_end;

static __always_inline const struct kmem_cache *cache_of(u32 id)
{
	return likely(id < NR_KMALLOC) ? &kmalloc_caches[id] : &typed_caches[id - TYPED_FIRST];
}

/* The typed cache of a number, or NULL: it is a kmalloc cache's. */
static inline struct kmem_cache *typed_of(u32 id)
{
	return id < TYPED_FIRST ? NULL : &typed_caches[id - TYPED_FIRST];
}

/*
 * How many slots behind the one where malloc looks the kmalloc caches' real ones are: 0, or COUNTED_SHIFT while
 * allocations are counted (sheaf/counted.c). Then the last slots of typed caches serve, and there are fewer of those.
 */
extern u32 kmalloc_shift;

enum { COUNTED_SHIFT = NR_CACHES - NR_KMALLOC };

/* The first slot of a node's panel. While allocations are counted there is one for all nodes. */
static inline u32 node_panel(u32 nid)
{
	u32 index = unlikely(nid) && !kmalloc_shift ? numa.index[nid] : 0;

	return index ? PANEL_FIRST + (index - 1) % (NR_PANELS - 1) * PANEL : 0;
}

/* The cache of a slot. */
static inline u32 slot_cache(u32 slot)
{
	return slot < PANEL_FIRST ? slot : slot % PANEL;
}

/* The class map's entry for a cache's frames on a node. */
static inline u16 class_on_node(u32 id, u32 nid)
{
	return id < NR_KMALLOC ? (u16)((node_panel(nid) + id + kmalloc_shift) * CLASS_UNIT)
			       : typed_caches[id - TYPED_FIRST].class;
}

static inline u16 class_of_slab(const struct page *slab)
{
	return class_on_node(slab->cache, region_of(slab)->nid);
}

/* In this frame of a slab? */
static inline bool object_begins(const struct kmem_cache *s, u32 colour, u32 frame)
{
	u32 start = colour * s->colour_unit, from = frame << FRAME_SHIFT;
	u32 next = from > start ? DIV_ROUND_UP(from - start, s->size) : 0;

	return next < s->objects && start + next * s->size < from + FRAME_SIZE;
}

/*
 * The same for a frame inside a slab: where no object begins, since all are larger, it is the gate, and free sees at once
 * that a pointer there is none.
 */
static inline u16 class_of_frame(const struct kmem_cache *s, const struct page *slab, u32 frame)
{
	if (s->size > FRAME_SIZE && !object_begins(s, slab->colour, frame))
		return GATE * CLASS_UNIT;
	return class_of_slab(slab);
}

/* The cache's objects are behind the gate. */
static inline bool cache_gated(u32 id)
{
	return id >= NR_KMALLOC && typed_caches[id - TYPED_FIRST].class == GATE * CLASS_UNIT;
}

/* Can it be a cache's number? What a damaged struct page holds may not. */
static inline bool cache_known(u32 id)
{
	return id && id < READ_ONCE(cache_end) && (id < NR_KMALLOC || id >= TYPED_FIRST);
}

static inline u32 next_cache(u32 id)
{
	return id + 1 == NR_KMALLOC ? TYPED_FIRST : id + 1;
}

/* Every number that may have slabs. */
#define for_each_cache(id) for (u32 id = 1; id < READ_ONCE(cache_end); id = next_cache(id))

/*
 * The typed cache that malloc's objects of a class come from instead (debugging and hardening fill
 * this in before the first thread is made), or NULL. Of 0, which is no class: that of any of them.
 */
extern struct kmem_cache *kmalloc_divert[NR_KMALLOC];

/* The class of a size from 1 to KMALLOC_MAX. */
static __always_inline u32 kmalloc_index(size_t n)
{
	unsigned int lg;

	if (likely(n <= KMALLOC_FINE_MAX))
		return n ? (u32)((n + KMALLOC_GRAIN - 1) / KMALLOC_GRAIN) : 1;
	lg = ilog2(n - 1);
	if (n <= KMALLOC_MIDDLE_MAX)
		return 57 + (lg - 10) * 8 + (u32)((n - 1) >> (lg - 3));
	return 93 + (lg - 14) * 4 + (u32)((n - 1) >> (lg - 2));
}

/* The smallest class of n bytes whose objects all lie on a multiple of align <= FRAME_SIZE, or 0. */
u32 kmalloc_index_aligned(size_t n, size_t align);

/* Where pages come from: this thread's page set (NULL: straight from the zone) and a zone. */
struct page_source {
	struct per_cpu_pages *pcp;
	struct zone *zone;
	bool atomic; /* no system call, no waiting for a lock */
};

/*
 * Takes up to `want` objects of cache id, from partial slabs or else one new slab, and stores them at
 * end[-1], end[-2], ...: popping from the end gives ascending addresses. Returns how many; 0: no
 * memory.
 */
u32 slab_alloc_batch(u32 id, struct page_source src, void **end, u32 want);

/* The node that the object lies on; 0 where it is none. */
u32 object_nid(const void *p);

/* Returns n objects, each to its node. Each is checked: what is no object of the cache in use is reported and skipped. */
void slab_free_batch(u32 id, struct page_source src, void *const *objects, u32 n);

/* Slabs of a cache on all nodes, and its free objects in them. */
unsigned long cache_slabs(u32 id);
unsigned long cache_free_objects(u32 id);
unsigned long cache_empty_slabs(u32 id);

/* What is free in all slabs, about. */
struct slab_bytes {
	size_t free; /* objects */
	size_t given; /* frames inside slabs that hold no memory */
};

struct slab_bytes slab_bytes(void);

/* Empty slabs that a cache keeps, if nobody says otherwise (kmem_cache_node.min_partial). */
u32 slab_empty_kept(const struct kmem_cache *s);

/* Gives back all empty slabs of the cache, on all nodes; returns frames. Those of a cache that is read under RCU stay. */
unsigned long slab_shrink(u32 id, struct page_source src);

/* The same for any cache: between taking the slabs and giving them back it calls grace_period. */
unsigned long slab_shrink_after(u32 id, struct page_source src, void (*grace_period)(void));

/*
 * A request for n bytes was served by kmalloc cache id: called for those that miss the thread's sheaf, one in as many as
 * a sheaf has. 19 bits and 7 of fraction are the mean, in which the last 63 weigh most; the low 6 bits count
 * up to there. Threads may overwrite each other's samples.
 */
static inline void slab_note_asked(u32 id, size_t n)
{
	u32 *asked = &cache_nodes[id].asked, v = READ_ONCE(*asked);
	u32 weight = min((v & 63) + 1, 63u);
	int32_t mean = (int32_t)(v >> 6);

	mean += ((int32_t)(n << 7) - mean) / (int32_t)weight;
	WRITE_ONCE(*asked, (u32)mean << 6 | weight);
}

/*
 * Bytes that the program holds in n objects of a cache and did not ask for. Of kmalloc's as the samples say (asked);
 * where debugging watches all, as it knows (watched: bytes asked for); of another typed one its padding.
 */
static inline size_t slab_unasked(const struct kmem_cache *s, u32 asked, unsigned long watched,
				  unsigned long n)
{
	u64 full = (u64)s->size << 7;

	if (s->flags & SLAB_DEBUG_FLAGS)
		return n * s->size - min(watched, n * s->size);
	if (s->id >= NR_KMALLOC)
		return n * (s->size - s->object_size);
	return asked ? (size_t)((full - min((u64)(asked >> 6), full)) * n >> 7) : 0;
}

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

static inline u32 object_index(const struct kmem_cache *s, u32 offset)
{
	return (u32)((u64)offset * s->inverse >> 32);
}

/*
 * Of a pointer into a frame that the class map says is cache id's: does an object start there? Whether it is in use nobody
 * looks; a free one has its key.
 */
static __always_inline bool slab_object_starts(u32 id, const void *p)
{
	const struct kmem_cache *s = cache_of(id);
	const struct page *slab = virt_to_page((uintptr_t)p);
	u32 offset = (u32)((uintptr_t)p % FRAME_SIZE), i;

	if (READ_ONCE(slab->type) == PAGE_TAIL) {
		offset += slab->head << FRAME_SHIFT;
		slab -= slab->head;
	}
	offset -= (u32)slab->colour * s->colour_unit;
	i = object_index(s, offset);
	return i < s->objects && i * s->size == offset;
}

/* Looks at the slab that p lies in. May race with frees of other objects, not with p's own. */
struct object slab_object(const void *p);

/*
 * Ends the cache's slabs: those that are empty go back. Returns how many objects are still out, which keep the
 * others. Nobody may be using the cache, nor purging slabs.
 */
unsigned long slab_close(u32 id, struct page_source src);

/* The line that tells of a bad pointer into a slab, as slab_object saw it. */
void slab_report(const struct call *call, const struct object *o);
