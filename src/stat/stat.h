/* SPDX-License-Identifier: MIT */
/*
 * stat.h - what memory does, as text. Nothing here allocates; counts of a running program are read
 * lock by lock, so they are consistent within a line and not between lines.
 */
#pragma once

#include "base/printk.h"

/* Bytes, but for the last five; the dump prints them by these names. */
struct heap_stats {
	unsigned long live_bytes; /* held by the program */
	unsigned long
		committed_bytes; /* frames and areas in use or kept, sheaves' objects included */
	unsigned long resident_bytes; /* of the whole process, as the kernel counts */
	unsigned long mapped_bytes; /* address space */
	unsigned long metadata_bytes; /* resident memory of the allocator's own structures */
	unsigned long dirty_bytes; /* free and resident */
	unsigned long sheaf_bytes; /* free objects in sheaves and barns */
	unsigned long vmalloc_bytes; /* areas in use */
	unsigned long huge_bytes; /* asked for as huge pages */
	unsigned long mmap_calls, munmap_calls, madvise_calls, mprotect_calls, mremap_calls;
	unsigned long threads;
	unsigned long areas; /* not printed: malloc_info's count */
};

void stat_read(struct heap_stats *st);

/* Without resident_bytes and metadata_bytes, which cost system calls. */
void stat_read_fast(struct heap_stats *st);

/* Objects, but for size (bytes). */
struct cache_stats {
	const char *name;
	u32 size, per_slab, frames;
	unsigned long active; /* held by the program */
	unsigned long objects;
	unsigned long slabs, empty_slabs;
};

/* False: the cache has no slab. */
bool stat_cache(u32 id, struct cache_stats *cs);

/* The kernel's slabinfo 2.1 (mm/slab_common.c prints it so). */
void stat_slabinfo(struct seq_file *m);

/* The kernel's buddyinfo, with orders 0 to 14. */
void stat_buddyinfo(struct seq_file *m);

void stat_totals(struct seq_file *m);

/* All three, an empty line between them. False: not all could be written. */
bool stat_dump(int fd);

/* At start, if a dump will be wanted: many programs close stderr before they end. */
void stat_prepare(const char *path);

/* To "stderr" or a file; %p in the path is the process id. */
void stat_dump_to(const char *path);
