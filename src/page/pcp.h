/* SPDX-License-Identifier: MIT */
/*
 * pcp.h - a thread's page sets (the kernel's per_cpu_pages): a few free blocks of the small orders, so
 * that making a slab does not take the zone lock every time. Only their thread touches them.
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
};

struct page *pcp_alloc(struct per_cpu_pages *pcp, struct zone *z, unsigned int order, bool *clean);

/* A block of the set, or NULL. */
struct page *pcp_alloc_atomic(struct per_cpu_pages *pcp, unsigned int order, bool *clean);

void pcp_free(struct per_cpu_pages *pcp, struct zone *z, struct page *page, unsigned int order,
	      bool clean);

/* Gives every block back to its zone. */
void pcp_drain(struct per_cpu_pages *pcp);
