/* SPDX-License-Identifier: MIT */
/*
 * barn.h - full sheaves of one cache and node, between threads (Linux 6.18's node_barn, Bonwick's depot).
 *
 * A thread that frees what another allocates fills sheaves and puts them here; the other takes them. They
 * change hands whole: nobody walks their objects.
 *
 *	sheaves in a barn <= BARN_SHEAVES, and their bytes <= BARN_BYTES or there is one sheaf
 *	bytes in all barns <= bytes_allowed() + one sheaf for each thread that just puts one
 *
 * A thread alone keeps less in each (BARN_BYTES_ALONE): there is nobody to hand anything to. A barn that
 * nobody came to between two calls of barn_age gives its objects back; all of them do where the heap has become small.
 */
#pragma once

#include "sheaf/sheaf.h"

enum { BARN_SHEAVES = 10, BARN_BYTES = 512 << 10, BARN_BYTES_ALONE = 96 << 10 };

struct barn {
	struct lock lock;
	u32 nr;
	bool idle; /* since the last barn_age */
	struct slab_sheaf *full;
} __aligned(64);

extern struct barn barns[NR_CACHES];

/* A sheaf with objects, or NULL. */
struct slab_sheaf *barn_get(u32 id);

/* False: there is no room. */
bool barn_put(u32 id, struct slab_sheaf *sheaf);

/* Returns all objects to their slabs. */
void barn_drain(u32 id, struct page_source src);

/* Drains the barn if it was left alone since the last call. */
void barn_age(u32 id, struct page_source src);

/* Reports bad pointers (sheaf_verify). */
u32 barn_verify(u32 id);

bool barn_holds(u32 id, const void *p);
unsigned long barn_objects(u32 id);
