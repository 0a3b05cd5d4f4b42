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
 * counted frame by frame. Giving back makes dirty blocks clean, and then they merge. Free neighbours that are no
 * buddies, or not of one kind, serve as a run (buddy_find_run) before a larger block is split.
 *
 * A region's frames are committed (made writable) by blocks of 2 MiB as they are needed, so that a process
 * without overcommit is charged for what it uses, nearly.
 *
 * Lock: zone->lock guards all of it, and the struct pages and dirty bits of free frames. It is held
 * for mmap and mprotect of a new region (once for 64 MiB), never for giving memory back.
 */
#pragma once

#include "base/lock.h"
#include "os/topology.h"
#include "page/page.h"

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

struct zone {
	struct lock lock;
	u32 nid;
	u32 nr_regions;
	struct free_area free_area[MAX_ORDER + 1];
	struct hlist_head regions;
	unsigned long nr_present; /* frames of all regions */
	unsigned long nr_free;
	unsigned long nr_dirty;
	unsigned long nr_huge_free; /* frames of BLOCK_HUGE blocks */
	unsigned long nr_taken; /* frames handed out, ever */
	unsigned long nr_huge; /* 2 MiB blocks asked for as huge pages, now */
} __aligned(64);

extern struct zone zones[MAX_NUMNODES];

static inline struct zone *node_zone(u32 nid)
{
	return &zones[nid];
}

/* Frames in use on all nodes, about: the size of the heap, areas apart. */
static inline unsigned long zones_used(void)
{
	unsigned long frames = 0;

	for (u32 nid = 0; nid < MAX_NUMNODES; nid++)
		frames += READ_ONCE(zones[nid].nr_present) - READ_ONCE(zones[nid].nr_free);
	return frames;
}

/*
 * A block of exactly n frames whose first is a multiple of 2^align_order; its head's type is
 * PAGE_NONE and the caller owns it. *clean: every byte reads as zero. NULL: no memory.
 */
struct page *zone_alloc(struct zone *z, u32 n, unsigned int align_order, bool *clean);

/* Up to `want` blocks of 2^order frames under one lock, from what the zone has; returns how many. */
u32 zone_alloc_bulk(struct zone *z, unsigned int order, u32 want, struct page **pages, bool *clean);

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

/*
 * Ends huge pages of which at least min_free frames are free: those become dirty blocks, to be purged.
 * Returns how many huge pages.
 */
u32 zone_tear(struct zone *z, u32 min_free);

/* The buddy alone (page/buddy.c), under the zone lock. */
struct page *buddy_find(struct zone *z, unsigned int order, unsigned int *found);
void buddy_expand(struct zone *z, struct page *page, unsigned int found, unsigned int order);
struct page *buddy_free(struct zone *z, struct region *r, u32 index, unsigned int order,
			bool dirty);
void buddy_free_range(struct zone *z, struct region *r, u32 index, u32 n, bool dirty);
bool buddy_take_range(struct zone *z, struct region *r, u32 index, u32 n);
struct page *buddy_find_run(struct zone *z, unsigned int order, u32 n);
void buddy_isolate(struct zone *z, struct page *page);
