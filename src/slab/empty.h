/* SPDX-License-Identifier: MIT */
/*
 * empty.h - slabs without an object in use: which of them stay with their cache, and how the others go.
 *
 * To make a slab and to end it costs some hundred times what an object costs, so those that a batch of frees leaves empty stay for
 * the next batch. What they hold is missing elsewhere, so there are two kinds of them:
 *
 *	a few of each cache and node	(slab_empty_kept, or min_partial) stay
 *	the surplus, which is the rest	stays until somebody wants its memory: the zone, before it hands out frames that hold
 *					none (zone_take_surplus); decay, to which it is free memory like the zone's
 *					own; and any shrinker
 *
 *	node->nr_surplus = max(nr_empty - those that stay, 0)
 *	zone_surplus	 = sum over caches and nodes of nr_surplus * frames
 *			<= a part of the zone + one batch for each thread that just frees one
 *
 * So a heap that grows by n frames had a surplus of fewer. (SLUB's min_partial is a number alone; this is the
 * page cache's way, which has what nobody needs now.)
 *
 * Lock: the cache node's, held for all that takes a kmem_cache_node; frames go back without it.
 */
#pragma once

#include "slab/slab.h"

/* The node has one empty slab more, or less. */
void empty_count(struct kmem_cache_node *n, u32 id, int change);

/* How many it may have now. */
u32 empty_kept(const struct kmem_cache_node *n, u32 id, const struct zone *z);

/* Those beyond `keep` leave the node for the list. */
void empty_trim(struct kmem_cache_node *n, u32 id, u32 keep, struct hlist_head *out);

/* Gives the frames of the list's slabs back; returns how many. */
unsigned long empty_free(u32 id, struct hlist_head *list, struct page_source src);

/* slub.c: */

/* The slab is on no list and none of its objects is out. Node lock held. */
void slab_unmake(const struct kmem_cache *s, struct page *slab);

/* given: a bit for each frame that holds no memory. */
void slab_free_frames(struct page_source src, struct page *page, u32 n, u32 given);
