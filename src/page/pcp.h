/* SPDX-License-Identifier: MIT */
/*
 * pcp.h - a thread's page sets (the kernel's per_cpu_pages): a few free blocks of the small orders, so
 * that making a slab does not take the zone lock every time; and the large block that it freed last, in case that it wants
 * one of this size next (as the kernel's sets keep huge pages). That one goes back before malloc takes frames for the thread
 * in any other way, so that no heap grows for it: a slab, a block of another size, room to grow. Areas, alloc_pages, kmalloc_node and
 * atomic requests leave it where it is. Only their thread touches them.
 *
 *	count[order] = length of list[order]
 *	kept_frames = kept ? kept->frames : 0		(for who counts without following the pointer)
 */
#pragma once

#include "page/zone.h"

enum {
	PCP_ORDERS = 4, /* 4 to 32 KiB: the slabs of objects up to 4 KiB */
	PCP_BATCH = 8, /* frames that move between a set and the zone at once */
	PCP_HIGH = 16, /* frames of one order that a set keeps */
};

struct per_cpu_pages {
	struct hlist_head list[PCP_ORDERS];
	u16 count[PCP_ORDERS]; /* blocks */
	struct page *kept; /* a large block, or NULL */
	u32 kept_frames;
};

struct page *pcp_alloc(struct per_cpu_pages *pcp, struct zone *z, unsigned int order, bool *clean);

/* A block of the set, or NULL. */
struct page *pcp_alloc_atomic(struct per_cpu_pages *pcp, unsigned int order, bool *clean);

void pcp_free(struct per_cpu_pages *pcp, struct zone *z, struct page *page, unsigned int order,
	      bool clean);

/* Keeps the large block at page, which is in use: false, it is not to be. The one before it goes back. */
bool pcp_keep(struct per_cpu_pages *pcp, struct page *page);

/* The large block that was kept, if it has n frames and is of this zone; else NULL, and it goes back. */
struct page *pcp_take_kept(struct per_cpu_pages *pcp, const struct zone *z, u32 n);

/* Gives it back, if there is one. */
void pcp_drop_kept(struct per_cpu_pages *pcp);

/* Gives it back if it was there at the last call, too. */
void pcp_age(struct per_cpu_pages *pcp);

/* Frames that wait in a thread's sets, about: it may be changing them. */
static inline u32 pcp_frames(const struct per_cpu_pages *pcp)
{
	u32 sum = READ_ONCE(pcp->kept_frames);

	for (unsigned int order = 0; order < PCP_ORDERS; order++)
		sum += (u32)READ_ONCE(pcp->count[order]) << order;
	return sum;
}

/* Gives every block back to its zone. */
void pcp_drain(struct per_cpu_pages *pcp);
