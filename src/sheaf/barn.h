/* SPDX-License-Identifier: MIT */
/*
 * barn.h - full sheaves of one cache and node, between threads (Linux 6.18's node_barn, Bonwick's depot).
 *
 * A thread that frees what another allocates fills sheaves and puts them here; the other takes them. They
 * change hands whole: nobody walks their objects. Empty ones come back the same way, so that no exchange needs memblock's lock.
 *
 *	sheaves in a barn <= BARN_SHEAVES, and their bytes <= BARN_BYTES or there is one sheaf
 *	empty sheaves in a barn <= BARN_EMPTY
 *	bytes in all barns <= bytes_allowed() + one sheaf for each thread that just puts one
 *
 * A thread alone keeps less in each (BARN_BYTES_ALONE): there is nobody to hand anything to, and a sheaf only saves the way of its objects to their slabs. A barn that
 * nobody came to between two calls of barn_age gives its objects back; all of them do where the heap has become small.
 */
#pragma once

#include "sheaf/sheaf.h"

enum { BARN_SHEAVES = 32, BARN_EMPTY = 10, BARN_BYTES = 512 << 10, BARN_BYTES_ALONE = 192 << 10 };

struct barn {
	struct lock lock;
	u32 nr;
	bool idle; /* since the last barn_age */
	u8 nr_empty;
	struct slab_sheaf *full, *empty;
	unsigned long objects; /* in the sheaves */
	unsigned long gets, puts; /* sheaves that changed hands, ever */
} __aligned(64);

/* Node 0's, and the other nodes'. */
extern struct barn barns[NR_CACHES], *node_barns[MAX_NUMNODES];

static inline struct barn *barn_of(u32 id, u32 nid)
{
	return likely(!nid) ? &barns[id] : &node_barns[nid][id];
}

/* Makes those of all nodes but node 0; false: no memory. */
bool barns_divide(const struct numa *n);

/* A sheaf with objects, or NULL. The empty one goes in for it (then it is NULL), if it is one and there is room. */
struct slab_sheaf *barn_replace_empty(u32 id, u32 nid, struct slab_sheaf **empty);

/* The full one's objects lie on nid. False: there is no room. Where empty is not NULL, an empty one of any capacity comes for it, or NULL. */
bool barn_replace_full(u32 id, u32 nid, struct slab_sheaf *full, struct slab_sheaf **empty);

static inline struct slab_sheaf *barn_get(u32 id, u32 nid)
{
	struct slab_sheaf *none = NULL;

	return barn_replace_empty(id, nid, &none);
}

static inline bool barn_put(u32 id, u32 nid, struct slab_sheaf *full)
{
	return barn_replace_full(id, nid, full, NULL);
}

/* Is there a sheaf in one of a cache's barns? */
bool barn_filled(u32 id);

/* Returns all objects to their slabs, on all nodes. */
void barn_drain(u32 id, struct page_source src);

/* Drains each node's barn if it was left alone since the last call. */
void barn_age(u32 id, struct page_source src);

/* Reports bad pointers (sheaf_verify). */
u32 barn_verify(u32 id);

bool barn_holds(u32 id, const void *p);
unsigned long barn_objects(u32 id);
unsigned long barn_objects_on(u32 id, u32 nid);
