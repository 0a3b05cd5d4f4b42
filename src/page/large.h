/* SPDX-License-Identifier: MIT */
/*
 * large.h - blocks above the slab caches: frames of the buddy up to 32 MiB (exactly as many as needed),
 * an area of their own beyond, each the other's fall-back.
 */
#pragma once

#include "page/pcp.h"

/* Since the start, for reports: calls, and bytes asked for and handed out for them. */
struct large_stats {
	unsigned long allocs, frees, asked, rounded;
	u32 tick; /* which calls are timed */
};

extern struct large_stats large_stats;

/* At least size bytes at a multiple of align (a power of two, any); NULL: no memory. */
void *large_alloc(struct zone *z, size_t size, size_t align, bool zero);

/* The same on the zone's node, whoever touches it; aligned to a frame. */
void *large_alloc_bound(struct zone *z, size_t size, bool zero);

/* Frames of this zone or nothing; atomic: no system call, no waiting for a lock. */
void *large_alloc_frames(struct zone *z, size_t size, bool zero, bool atomic);

/* Frees the large block that starts at p; false: none does. */
bool large_free(void *p);

/*
 * Up to so many bytes a block is frames of the buddy, if they are to be had: where it lay others can lie, and the pages of an
 * area can only be unmapped or moved. Two of them fit into a region. Up to KEPT_MAX bytes it may be kept.
 */
enum { LARGE_FRAMES_MAX = 32 << 20, KEPT_MAX = 4 << 20 };

/*
 * The same two for a thread and the block that it freed last (pcp.h): one of exactly this size that lies there, or NULL.
 * False: it is no block of frames, or not of the zone, and was not freed.
 */
void *large_alloc_kept(struct per_cpu_pages *pcp, const struct zone *z, size_t size, size_t align,
		       bool zero);
bool large_free_kept(struct per_cpu_pages *pcp, const struct zone *z, void *p);

/* Usable bytes of the large block that starts at p, or 0. */
size_t large_size(const void *p);

/*
 * Makes the block at p hold size bytes without copying: in place, by mremap, or by moving its pages.
 * NULL: it cannot be done so, the block is as it was.
 */
void *large_resize(void *p, size_t size);
