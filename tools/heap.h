/* SPDX-License-Identifier: MIT */
/*
 * heap.h - the allocator in somebody else's memory: where its descriptor is, and what it holds now.
 *
 * The structures are those of src/, read as they are: the layout list of the descriptor says that this program and
 * that library mean the same by them. No lock is taken. So a pointer may lead nowhere, a list into a circle,
 * and a count may be of another moment than its neighbour. All walks are bounded, and every number is read twice, a walk over
 * all of them between: what changed is marked.
 */
#pragma once

#include "debug/kfence.h"
#include "os/latency.h"
#include "os/mem.h"
#include "page/zone.h"
#include "pool/mempool.h"
#include "reader.h"
#include "reclaim/pressure.h"
#include "reclaim/vmscan.h"
#include "sheaf/barn.h"
#include "stat/descriptor.h"
#include "stat/stat.h"

enum heap_address {
#define HEAP_ADDRESS(name) AT_##name,
	DESCRIPTOR_ADDRESSES(HEAP_ADDRESS)
#undef HEAP_ADDRESS
		NR_ADDRESSES
};

struct heap {
	const struct reader *r;
	uintptr_t at[NR_ADDRESSES];
	char library[32]; /* its version */
	bool linked; /* it is part of the program itself */
};

/* False: *error says why: no library, or one of another layout. */
bool heap_find(struct heap *h, const struct reader *r, char **error);

/* Where a file of the process has a symbol, as the file sees it; 0: nowhere. (symbol.c) */
uintptr_t symbol_find(const char *path, const char *name);

/* The rows of the library's dump (stat/stat.h), and what is known from outside alone. */
struct cache_row {
	struct cache_detail d; /* d.changing: it changed while it was read */
	u32 id;
	char name[CACHE_NAME_MAX];
	double rate; /* of active objects, a second: view.c's */
};

struct thread_row {
	struct thread_detail d;
	uintptr_t at; /* its struct kmem_percpu */
	char name[32];
};

/* A node of several, and a cache on it. Its active objects are not told: they lie in threads' sheaves with other nodes'. */
struct node_row {
	u32 nid;
	struct node_detail d;
};

struct cache_node_row {
	u32 id, nid;
	const char *name;
	struct cache_node_detail d;
};

/* What the library did, and who asked it for memory. */
struct activity {
	struct os_stats os;
	struct latency path[NR_SLOW_PATHS];
	struct os_pressure_state listening;
	struct pressure_stat pressure[NR_PRESSURE_SOURCES];
	struct shrink_stat shrink[NR_OWN_SHRINKERS];
	struct numa_calls numa;
	unsigned long kshrinkd_wakeups;
	struct mempool *pool; /* the newest first */
	u32 nr_pools;
};

/* What the library's dump prints; and what it knows beside it. */
struct snapshot {
	struct heap_stats total;
	struct heap_stats known; /* 1 where a total can be told: a core has no resident memory */
	struct heap_stats moved; /* 1 where a total changed while it was read */
	size_t large_bytes; /* blocks of frames, without areas */
	size_t slab_bytes, taken_bytes; /* frames of slabs; handed out by zones, ever */
	struct kfence_counts kfence;
	bool has_kfence;
	struct cache_row *cache;
	u32 nr_caches;
	struct zone *zone;
	u32 nr_zones;
	struct thread_row *thread;
	u32 nr_threads;
	struct node_row *node; /* none: there is one node */
	u32 nr_nodes;
	struct cache_node_row *cache_node;
	u32 nr_cache_nodes;
	struct activity did;
	bool broken; /* something led nowhere: counts may be too low */
	bool running;
	u64 ns; /* of a clock, when it was taken */
	const struct region_map *regions; /* regions.h; NULL: nobody asked for it */
};

/* False: the process is gone, or cannot be read any more. */
bool snapshot_take(const struct heap *h, struct snapshot *s);
void snapshot_free(struct snapshot *s);

/* Tables of the dump that are printed as they are, in its order: all but totals, KFENCE, caches, zones and threads. */
enum { NR_ROW_TABLES = 7 };

extern const enum stat_table row_tables[NR_ROW_TABLES];

/* fn for each row of one of these. (rows.c) */
void snapshot_rows(const struct snapshot *s, enum stat_table table,
		   void (*fn)(const struct stat_row *row, void *arg), void *arg);

/* False: it cannot be told from outside. */
bool row_tells(enum stat_table table, const struct stat_field *field);
