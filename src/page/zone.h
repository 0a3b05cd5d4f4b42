/* SPDX-License-Identifier: MIT */
/*
 * zone.h - the page frames of one node: buddy, regions, what is resident.
 *
 * Free blocks of 2^order frames lie on free_area[order], in a list for each kind (enum block_kind).
 * Allocation takes blocks that hold memory first, of whatever order, so that the heap touches new memory
 * last; giving back takes dirty blocks alone.
 *
 *	nr_free  = sum over orders of nr(order) * 2^order
 *	nr_dirty = the same sum over blocks on BLOCK_DIRTY lists
 *	a frame's dirty bit is 0 and the frame is free  =>  it reads as zero
 *	two free buddies of one order and kind do not exist: they are one block of the next
 *
 * Dirty and clean buddies are not merged: what was used last is found whole again, and no memory is
 * counted frame by frame. Giving back makes dirty blocks clean, and then they merge.
 *
 * A buddy system leaves 3 frames of 8 where 5 are wanted, and its lists know no addresses: in time a few frames in use
 * lie everywhere. So requests are served by the first run of free frames by address, across blocks and kinds, of those
 * that hold memory if there is one (buddy_find_run). Blocks are what is given back, and what serves where runs are not
 * found soon:
 *
 *	region->map[RUN_FREE] = the frames of its free blocks
 *	region->map[RUN_HELD] = those of its BLOCK_DIRTY and BLOCK_HUGE blocks
 *	a run that begins in block h of 2 MiB is no longer than region->contig[][h] <= runs[region->index].longest[]
 *
 * A region's frames are committed (made writable) by blocks of 2 MiB as they are needed, so that a process
 * without overcommit is charged for what it uses, nearly; of the first block half, as long as that is enough.
 *
 * Each node with memory has a normal zone. Its regions, their metadata and the zone itself are bound to the node once there
 * are several (os_bind), before anything of them is touched. The zones below a limit are node 0's alone: addresses that low are
 * too few to be divided.
 *
 * Lock: zone->lock guards all of it, and the struct pages and dirty bits of free frames. It is held
 * for mmap and mprotect of a new region (once for 64 MiB), never for giving memory back.
 */
#pragma once

#include "base/lock.h"
#include "os/topology.h"
#include "page/page.h"
#include "slabmalloc/gfp_types.h"

enum block_kind {
	BLOCK_CLEAN, /* holds no memory */
	BLOCK_DIRTY, /* holds memory that can be given back */
	BLOCK_HUGE, /* part of a populated huge page, whose memory comes back with the whole */
	NR_KINDS
};

struct free_area {
	struct hlist_head list[NR_KINDS];
	unsigned long nr;
};

/* What became of requests, as numastat tells it. Of frames in a zone, of objects in a cache. */
enum numa_event {
	NUMA_HIT, /* from here, as intended */
	NUMA_MISS, /* from here, intended to be another node's */
	NUMA_FOREIGN, /* intended to be from here, and are another node's */
	NUMA_INTERLEAVE_HIT, /* from here, as the policy of interleaving intended */
	NUMA_LOCAL, /* from here, for a thread that runs here */
	NUMA_OTHER, /* from here, for a thread that runs on another node */
	NR_NUMA_EVENTS
};

enum { NR_INDEXED = 1024 }; /* regions: 64 GiB */
enum { BEGAN_MIN = 64 }; /* frames of a block whose begin is kept in mind (region->began) */

/* A region, and how long its runs are at most. */
struct region_runs {
	struct region *region;
	u16 longest[NR_RUNS];
};

/* Below which address all frames of a zone lie, as a power of two. Zones begin as all zero. */
enum zone_limit { LIMIT_NONE, LIMIT_DMA = 24, LIMIT_DMA32 = 32, LIMIT_HIGHMEM = 63 };

struct zone {
	struct lock lock;
	u32 nid;
	enum zone_limit limit;
	u32 nr_regions;
	struct free_area free_area[MAX_ORDER + 1];
	struct hlist_head regions;
	unsigned long nr_present; /* frames of all regions */
	unsigned long nr_free;
	unsigned long nr_dirty;
	unsigned long nr_huge_free; /* frames of BLOCK_HUGE blocks */
	unsigned long nr_taken; /* frames handed out, ever */
	unsigned long nr_used_most; /* the most frames in use at once */
	unsigned long nr_huge; /* 2 MiB blocks asked for as huge pages, now */
	/* With several nodes: what became of requests, and frames that the system took from elsewhere, as sampled. */
	unsigned long numa[NR_NUMA_EVENTS], nr_fallback;
	/* The oldest regions first; 0 is no region's: those beyond NR_INDEXED, and of highmem, are not searched for runs. */
	u32 nr_runs;
	struct region_runs runs[NR_INDEXED];
} __aligned(64);

/* The normal zone, which malloc uses, of node 0; those of the others, by number; and those below a limit. */
extern struct zone zones[1], *node_zones[MAX_NUMNODES], low_zones[ZONE_NORMAL];

enum { NR_ZONES = 1 + ZONE_NORMAL }; /* of node 0 */

/* Of a node in the list of nodes. */
static inline struct zone *node_zone(u32 nid)
{
	return likely(!nid) ? &zones[0] : node_zones[nid];
}

/*
 * Frames of empty slabs that their caches would rather keep, and what gives them back: slab/empty.c. A zone asks for
 * them before it hands out frames that hold no memory.
 */
extern unsigned long zone_surplus;
void zone_take_surplus(void);

/* Makes the zones of all nodes but node 0, and binds what node 0 has so far if `bind`; false: no memory. */
bool zones_divide(const struct numa *n, bool bind);

/* ZONE_DMA or ZONE_DMA32. */
struct zone *low_zone(enum zone_type type);

/* The zone of a type; ZONE_HIGHMEM's frames are no struct zone's (page/highmem.h). */
static inline struct zone *zone_of(u32 nid, enum zone_type type)
{
	return unlikely(type < ZONE_NORMAL) ? low_zone(type) : node_zone(nid);
}

static inline struct zone *nth_zone(u32 i)
{
	u32 nodes = numa_nodes();

	if (i < nodes)
		return node_zone(numa.nid[i]);
	return i - nodes < ZONE_NORMAL ? &low_zones[i - nodes] : NULL;
}

static inline enum zone_type zone_type_of(const struct zone *z)
{
	switch (z->limit) {
	case LIMIT_DMA:
		return ZONE_DMA;
	case LIMIT_DMA32:
		return ZONE_DMA32;
	case LIMIT_HIGHMEM:
		return ZONE_HIGHMEM;
	default:
		return ZONE_NORMAL;
	}
}

static inline const char *zone_name(const struct zone *z)
{
	static const char *const names[] = { "DMA", "DMA32", "Normal", "HighMem" };

	return names[zone_type_of(z)];
}

/* Every zone of every node, the normal ones first. */
#define for_each_zone(z) for (u32 zone_i = 0; ((z) = nth_zone(zone_i)); zone_i++)

/* Frames in use on all nodes, about: the size of the heap, areas apart. */
static inline unsigned long zones_used(void)
{
	unsigned long frames = 0;
	struct zone *z;

	for_each_zone(z)
		frames += READ_ONCE(z->nr_present) - READ_ONCE(z->nr_free);
	return frames;
}

/*
 * A block of exactly n frames whose first is a multiple of 2^align_order; its head's type is
 * PAGE_NONE and the caller owns it. *clean: every byte reads as zero. NULL: no memory.
 */
struct page *zone_alloc(struct zone *z, u32 n, unsigned int align_order, bool *clean);

/* Up to `want` blocks of 2^order frames under one lock, from what the zone has; returns how many. */
u32 zone_alloc_bulk(struct zone *z, unsigned int order, u32 want, struct page **pages, bool *clean);

/* The same from committed memory at hand, or NULL: no system call, no waiting for the lock. */
struct page *zone_alloc_atomic(struct zone *z, u32 n, unsigned int align_order, bool *clean);

/* Frees n frames. clean: they read as zero. */
void zone_free(struct zone *z, struct page *page, u32 n, bool clean);

/* Takes the n frames behind a block if all of them are free: growth in place. */
bool zone_extend(struct zone *z, struct page *end, u32 n, bool *clean);

/*
 * Gives memory of dirty blocks back until `target` frames are gone, largest blocks first. Returns the
 * frames given back.
 */
unsigned long zone_purge(struct zone *z, unsigned long target);

/*
 * Gives back 2 MiB blocks that are free as a whole, and the right to write to them, which counts against
 * RLIMIT_DATA and the commit limit. Returns bytes.
 */
size_t zone_decommit(struct zone *z);

/* Bytes of regions that are neither readable nor writable; ~0: the lock cannot be had soon (lock_peek). */
size_t zone_uncommitted(struct zone *z);

/*
 * Ends huge pages of which at least min_free frames are free: those become dirty blocks, to be purged.
 * Returns how many huge pages.
 */
u32 zone_tear(struct zone *z, u32 min_free);

/* Ends the huge page in block h of 2 MiB, if there is one. False: it stays. */
bool zone_tear_block(struct zone *z, struct region *r, u32 h);

/* The buddy alone (page/buddy.c), under the zone lock. */
struct page *buddy_peek(struct zone *z, unsigned int order);
struct page *buddy_find(struct zone *z, unsigned int order, unsigned int *found);
struct page *buddy_find_committed(struct zone *z, unsigned int order, unsigned int *found);
void buddy_expand(struct zone *z, struct page *page, unsigned int found, unsigned int order);
struct page *buddy_free(struct zone *z, struct region *r, u32 index, unsigned int order,
			bool dirty);
void buddy_free_range(struct zone *z, struct region *r, u32 index, u32 n, bool dirty);
bool buddy_range_free(const struct region *r, u32 index, u32 n);
bool buddy_take_range(struct zone *z, struct region *r, u32 index, u32 n);
struct page *buddy_find_run(struct zone *z, enum run run, u32 n, unsigned int align_order);
void buddy_isolate(struct zone *z, struct page *page);

/* Of the runs of n free frames one that holds the most memory (page/fit.c), or NULL. Takes nothing. Zone lock held. */
struct page *buddy_find_most_held(struct zone *z, u32 n, unsigned int align_order);
