/* SPDX-License-Identifier: MIT */
/*
 * mismatch.h - blocks that are given back as what they are not: new[] by delete, a size that is not the block's.
 *
 * It does no harm here, where all of them are malloc's, but to other allocators, and it tells of a wrong type. So only
 * who asked to be told is: sizes under debugging and hardening, origins where debugging has the call stacks (letter U).
 * Otherwise each operator asks one word of memory.
 */
#pragma once

#include "debug/slub_debug.h"
#include "preload/entry.h"

/* Is any class of malloc's debugged or hardened? */
static __always_inline bool mismatch_watched(void)
{
	return unlikely(kmalloc_divert[0]);
}

/* The block at p, or NULL, came of this. Returns p. */
void *mismatch_allocated(void *p, enum origin origin);

/* Did the block come of this? False: it was reported, and is not to be freed. What is no block is true. */
bool mismatch_origin(const struct call *call, enum origin origin, const void *caller);

/* Has the block n bytes? aligned: it was asked for with an alignment. As above. */
bool mismatch_size(const struct call *call, size_t n, bool aligned);
