/* SPDX-License-Identifier: MIT */
/*
 * stat.h - what memory does, as text. Nothing here allocates, waits for a lock or needs one: all of it can be done
 * in a signal handler that interrupted malloc.
 *
 * What holds of a running program: every number is one word, read once. The numbers of one cache belong together
 * (they are read until nothing changed meanwhile; `changing` if that never was). Different caches, zones and
 * threads, and the totals, are read one after the other: what was allocated or freed in between is in one and not in
 * the other. Where nobody allocates they all agree to the byte.
 */
#pragma once

#include "base/printk.h"

/* As it is counted; bytes where the name or totals.c does not say otherwise. fields.c tells each one's meaning. */
struct heap_stats {
	unsigned long live_bytes; /* held by the program */
	unsigned long
		committed_bytes; /* frames and areas in use or kept, sheaves' objects included */
	unsigned long resident_bytes; /* of the whole process, as the kernel counts */
	unsigned long mapped_bytes; /* address space */
	unsigned long metadata_bytes; /* resident memory of the allocator's own structures */
	unsigned long dirty_bytes; /* free and resident */
	unsigned long slab_given_bytes; /* free in slabs, and not resident */
	unsigned long sheaf_bytes; /* free objects in sheaves and barns */
	unsigned long vmalloc_bytes; /* areas in use */
	unsigned long huge_bytes; /* asked for as huge pages */
	unsigned long mmap_calls, munmap_calls, madvise_calls, mprotect_calls, mremap_calls;
	unsigned long threads;
	unsigned long areas; /* malloc_info's count */

	/* jemalloc's six. */
	unsigned long allocated, active, metadata, resident, mapped, retained;

	unsigned long internal_bytes; /* rounding, as sampled */
	unsigned long external_bytes; /* free in slabs and sheaves, and not given back */
	unsigned long huge_free_bytes;
	unsigned long slabs_made, refills, refilled_objs, flushes, flushed_objs;
	unsigned long sheaf_swaps, barn_gets, barn_puts;
	unsigned long remote_bytes;
	unsigned long large_allocs, large_frees, large_asked_bytes, large_rounded_bytes;
	unsigned long purged_bytes, unmapped_bytes;
	unsigned long lock_waits;
	unsigned long mbind_calls, mbind_refused;
	unsigned long pressure_sources, pressure_dropped, kshrinkd_wakeups;
	unsigned long peak_frames_bytes, peak_vmalloc_bytes, peak_mapped_bytes, peak_resident_bytes;
	unsigned long peak_threads;
	unsigned long unread; /* parts that somebody was changing all the time: estimated */
};

void stat_read(struct heap_stats *st);

/* The part up to `areas`, without resident_bytes and metadata_bytes, which cost system calls. */
void stat_read_fast(struct heap_stats *st);

/* Objects, but for size (bytes). */
struct cache_stats {
	const char *name;
	u32 size, per_slab, frames;
	unsigned long active; /* held by the program */
	unsigned long objects;
	unsigned long slabs, empty_slabs;
};

/* False: a kmalloc cache without slabs, or no cache. */
bool stat_cache(u32 id, struct cache_stats *cs);

/* The same and all the rest. */
struct cache_detail {
	unsigned long active_objs, num_objs, objsize, objperslab, pagesperslab;
	unsigned long active_slabs, num_slabs, sheaf_objs;
	unsigned long slab_bytes, given_bytes, waste_bytes, internal_bytes;
	unsigned long slabs_made, refills, refilled_objs, flushes, flushed_objs;
	unsigned long barn_gets, barn_puts;
	unsigned long changing;
	const char *name;
};

/* Has it a row? */
bool stat_cache_shown(u32 id);
bool stat_cache_detail(u32 id, struct cache_detail *d);

struct zone;
struct kmem_percpu;

/* Frames, but for the regions. */
struct zone_detail {
	unsigned long node, present, free, dirty, huge, huge_free, taken, peak_used, regions;
	const char *name;
};

void stat_zone_detail(const struct zone *z, struct zone_detail *d);

/* What became of requests of one node of several, in numastat's words: bytes. */
struct node_detail {
	unsigned long numa_hit, numa_miss, numa_foreign, interleave_hit, local_node, other_node;
	unsigned long remote_free, fallback;
};

void stat_node_detail(u32 nid, struct node_detail *d);

/* A cache on one of several nodes: objects. */
struct cache_node_detail {
	unsigned long active_objs, num_objs, num_slabs;
	unsigned long numa_hit, numa_miss, numa_foreign, interleave_hit, local_node, other_node;
	unsigned long remote_free;
};

void stat_cache_node_detail(u32 id, u32 nid, struct cache_node_detail *d);

struct thread_detail {
	unsigned long tid, sheaf_objs, sheaf_bytes, pcp_pages;
	unsigned long swaps, barn_gets, barn_puts, refills, flushes;
	unsigned long taken_bytes, given_bytes, remote_bytes;
};

void stat_thread_detail(const struct kmem_percpu *c, struct thread_detail *d);

/* System calls of one kind. */
struct call_detail {
	unsigned long made, ns, most_ns;
};

enum { NR_CALLS = 6 };

struct os_stats;

void stat_call_detail(const struct os_stats *os, u32 i, struct call_detail *d);
const char *stat_call_name(u32 i);

/* In Prometheus' text a fixed set of buckets, 64 ns to 17 s: series must not come and go. */
enum { STAT_FIRST_BUCKET = 6, STAT_LAST_BUCKET = 34 };

/* Calls of a slow path. */
struct path_detail {
	unsigned long every, timed, ns, most_ns;
};

/* What tells of pressure, and a shrinker of the heap's own. */
struct pressure_detail {
	unsigned long listening, events, answers, bytes, ns, most_ns;
};

struct shrinker_detail {
	unsigned long calls, bytes, ns, most_ns;
};

struct pool_detail {
	unsigned long element_size, min_nr, curr_nr, out;
};

/*
 * Every number above by its name and meaning: fields.c. Without pointers, which would have to be relocated
 * when a process starts. Names that end in "ns" are nanoseconds.
 */
struct stat_field {
	char name[24];
	char help[96];
	u16 offset;
	bool counter; /* only ever grows; else it is as it is now */
};

extern const struct stat_field heap_fields[], cache_fields[], zone_fields[], thread_fields[],
	kfence_fields[];
extern const u32 nr_heap_fields, nr_cache_fields, nr_zone_fields, nr_thread_fields,
	nr_kfence_fields;

/* The tables of a dump, in its order. Their rows have numbers, and all but the single ones a name. */
enum stat_table {
	STAT_TOTALS,
	STAT_KFENCE, /* no row: it is off */
	STAT_CACHES,
	STAT_ZONES,
	STAT_NODES, /* no rows: there is one */
	STAT_CACHE_NODES,
	STAT_THREADS,
	STAT_CALLS,
	STAT_SLOW_PATHS,
	STAT_PRESSURES,
	STAT_SHRINKERS,
	STAT_MEMPOOLS,
	NR_STAT_TABLES
};

/* How the formats call a table and its rows; fields.c. */
struct stat_names {
	char table[12]; /* JSON's member */
	char prefix[16]; /* what Prometheus and the text put before the names of fields */
	char number[8]; /* the row's number; empty: none */
	char name[8]; /* the row's name in JSON; empty: none */
	char label[12]; /* ... as a label of Prometheus */
	char node[8]; /* its node's number; empty: there is none, or it is the row's */
};

const struct stat_names *stat_names(enum stat_table table);
const struct stat_field *stat_fields(enum stat_table table, u32 *nr);

/* One row, at the most, that has no name. */
static inline bool stat_is_single(enum stat_table table)
{
	return table == STAT_TOTALS || table == STAT_KFENCE;
}

struct latency;

struct stat_row {
	const void *numbers; /* fields.c says what lies in there */
	const char *name;
	unsigned long number, node;
	const struct zone *zone; /* of a zone's row: its free lists */
	const struct latency *latency; /* of a slow path's: its histogram */
};

/* fn for each row of a table. The row lives as long as the call. */
void stat_rows(enum stat_table table, void (*fn)(const struct stat_row *row, void *arg), void *arg);

static inline unsigned long stat_value(const void *row, const struct stat_field *f)
{
	return *(const unsigned long *)((const char *)row + f->offset);
}

/* The kernel's slabinfo 2.1 (mm/slab_common.c prints it so). */
void stat_slabinfo(struct seq_file *m);

/* The kernel's buddyinfo, with orders 0 to 14. */
void stat_buddyinfo(struct seq_file *m);

/* The kernel's zoneinfo, of the zones that have frames. */
void stat_zoneinfo(struct seq_file *m);

/* Everything that has a name and a number, a line each. Tables with rows: those rows that are not all zero. */
void stat_totals(struct seq_file *m);

/* Node by node, on a machine of several. */
void stat_numa(struct seq_file *m);

/* Whole documents: json.c (preload/stats.schema.json), prometheus.c (text format 0.0.4), html.c. */
void stat_json(struct seq_file *m);
void stat_prometheus(struct seq_file *m);
void stat_html(struct seq_file *m);

/* escape.c: text as a string of a format may hold it; other bytes become '?'. */
void seq_json(struct seq_file *m, const char *text);
void seq_label(struct seq_file *m, const char *text);

/* Nanoseconds as seconds: "0.000001024". */
void seq_seconds(struct seq_file *m, u64 ns);

/* Which zones are worth telling of. */
bool stat_zone_shown(const struct zone *z);

/* In the order of options.c's names, and of slabmalloc_stats_format. */
enum stats_format { STATS_SLABINFO, STATS_JSON, STATS_PROMETHEUS, STATS_HTML };

/* A document to a descriptor. False: not all could be written. */
bool stat_write(int fd, enum stats_format format);

/*
 * when.c: dumps by themselves. At start, if any is wanted: many programs close stderr before they end. Takes the signal,
 * if one is chosen.
 */
void stat_prepare(void);

/* To "stderr" or a file, in the format chosen; %p in the path is the process id, %n the number of the dump. */
void stat_dump_to(const char *path);

/*
 * For who passes by without a lock, on slow paths: writes the dump that is due (option stats_interval, unless kshrinkd
 * runs, which does it too), or that a signal asked for in vain. Only if one of the options is set.
 */
void stat_tick(void);

/* The last one, when the process ends. */
void stat_exit(void);

/* In the child: nobody is writing. */
void stat_after_fork(void);
