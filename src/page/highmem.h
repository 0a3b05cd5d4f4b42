/* SPDX-License-Identifier: MIT */
/*
 * highmem.h - ZONE_HIGHMEM: frames of a memory file that are mapped only while somebody looks.
 *
 * A region of them has struct pages, and a base above every address: HIGHMEM_BASE + its offset in the file. So the
 * buddy serves them as it serves others, and a frame's number is its address without one. A freed frame's part of the file
 * is punched out at once: free frames are clean, hold no memory, and are nobody's to purge.
 *
 * Windows (kmap) are system pages of a reserved range, each showing one page of the file:
 *
 *	free		shows nothing, or what was used last: on the list of unused ones, the oldest first to go
 *	used		count > 0
 *
 * A file is shared with a child of fork. So the child does not hand out or give back what its parent's file holds
 * (region->fd is not its own file): it sees those frames, as with MAP_SHARED, and makes a file of its own
 * for new ones.
 *
 * Locks: highmem_zone.lock (RANK_ZONE) for the frames, highmem_lock for windows and views; never both.
 */
#pragma once

#include "page/zone.h"

#define HIGHMEM_BASE (1ul << ADDRESS_BITS)

enum { NR_WINDOWS = 1024 };

extern struct zone highmem_zone;
extern struct lock highmem_lock;

static inline bool is_highmem(const struct page *page)
{
	return region_of(page)->base >= HIGHMEM_BASE;
}

/* 2^order frames, zero; NULL: no memory. highmem_take: not yet a block of page_alloc.h's. */
struct page *highmem_alloc(unsigned int order);
struct page *highmem_take(unsigned int order);
void highmem_give(struct page *page, u32 n);

/* Is a frame of the block mapped by somebody? */
bool highmem_mapped(const struct page *page, u32 n);

/* The frame of a number, or NULL. */
struct page *highmem_frame(unsigned long pfn);

/* A window for the frame, counted; NULL: none is free, or the system refuses. */
void *highmem_map(const struct page *page);

/* False: the frame is not mapped. */
bool highmem_unmap(const struct page *page);

/* Where the frame is mapped now, or NULL. */
void *highmem_address(const struct page *page);

/* The frame that a window or view shows at an address, or NULL. */
struct page *highmem_page_at(const void *addr);

/* The frames side by side; NULL: no memory. */
void *highmem_view(struct page *const *pages, u32 n);

/* False: no view begins there. */
bool highmem_unview(const void *addr);
bool highmem_in_view(const void *addr);

/* In the child. */
void highmem_after_fork(void);
