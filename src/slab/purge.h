/* SPDX-License-Identifier: MIT */
/*
 * purge.h - giving back the memory of frames inside slabs that hold no object in use.
 */
#pragma once

#include "page/zone.h"
#include "slab/slab.h"

enum { SLAB_GIVEN_MAX = 16 }; /* frames of a slab; larger ones stay whole, and those of one frame */

/*
 * Gives back what holds no object in slabs of the zone that are filled up to `quarters` of four. A huge page is
 * torn where at least `tear` of its frames would come free; 0: none is. Returns frames. One caller at a time.
 */
unsigned long slab_purge(struct zone *z, u32 quarters, u32 tear);

/* Frames that the head of a block or slab speaks for; 1 for any other frame. A guess where it is changing. */
u32 frames_at(const struct page *page);

/* The slab's frames that hold no memory, a bit each. */
static inline u32 slab_given(const struct page *slab)
{
	return slab->tails ? slab[1].given : 0;
}

/* Between purge.c and slub.c, under the node's lock. */

/* Frames none of whose objects is in use, a bit each; of at most SLAB_GIVEN_MAX. */
u32 slab_idle_frames(const struct kmem_cache *s, struct page *slab);

/* These frames, and no others, hold no memory. */
void slab_set_given(const struct kmem_cache *s, struct page *slab, u32 given);

/* Off its list, where it was, so that nothing is taken from it; frees go on. And on its list again. */
void slab_isolate(struct page *slab);
void slab_putback(const struct kmem_cache *s, struct page *slab);
