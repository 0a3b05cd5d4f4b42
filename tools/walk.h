/* SPDX-License-Identifier: MIT */
/*
 * walk.h - one reading of everything: what snapshot.c computes its numbers from.
 */
#pragma once

#include "heap.h"

#include "debug/kfence_pool.h"
#include "page/large.h"
#include "page/vmalloc.h"

struct reading {
	struct zone *zone; /* the normal ones of all nodes, those of low addresses, highmem */
	u32 nr_zones; /* without highmem */
	struct numa numa;
	struct kmem_cache cache[NR_CACHES]; /* by number */
	struct kmem_cache_node node[NR_CACHES]; /* its counts: of all nodes together */
	unsigned long debug_asked[NR_TYPED];
	/* Node by node, cache_end of each; NULL: there is one node. */
	struct kmem_cache_node *by_node;
	struct cache_events *events;
	size_t cached[NR_CACHES]; /* objects in sheaves and barns */
	struct vm vm; /* without cache and table */
	struct activity did;
	struct large_stats large;
	struct sheaf_events ended; /* of threads that are no more */
	unsigned long barn_gets[NR_CACHES], barn_puts[NR_CACHES];
	size_t memblock_bytes, pcp_frames;
	struct kfence_gate gate;
	struct kfence_pool kfence;
	u32 cache_end, kmalloc_shift, nr_threads, nr_threads_most;
	struct thread_row *thread;
	u32 nr_rows;
	bool failed; /* not even the library's own variables can be read */
	bool broken; /* a pointer led nowhere, or a list has no end */
};

/* Reads all; reading_free gives the rows back. */
struct reading *reading_take(const struct heap *h);
void reading_free(struct reading *g);

/* activity.c */
bool activity_read(const struct heap *h, struct activity *did);

/* The nodes' rows, and the caches' on them: behind those of the caches. (rows.c) */
void add_nodes(const struct reading *g, struct snapshot *s);

/* Nodes that the library knows. */
static inline u32 reading_nodes(const struct reading *g)
{
	return g->numa.state == NUMA_MANY ? min(g->numa.nr, (u32)MAX_NUMNODES) : 1;
}

/* Of the process, now and at the most, and of the allocator's own structures. */
struct resident {
	size_t now, most, metadata;
};

/* False: the system does not tell. */
bool resident_read(const struct heap *h, struct reading *g, struct resident *r);
