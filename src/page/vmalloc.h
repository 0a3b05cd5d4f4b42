/* SPDX-License-Identifier: MIT */
/*
 * vmalloc.h - areas: requests above what a region serves well get a mapping of their own.
 *
 * An area grows and shrinks with mremap, which moves page tables and not bytes. A freed one is kept for
 * a while (bounded by reclaim/ in bytes and age, here in number), so that a loop of malloc and free does not
 * fault it all again. Of a larger one the front is taken, and parts of one mapping become one again; parts of
 * several do not: mremap works on one mapping only.
 *
 *	vm.used_bytes	= sum of size over areas in use
 *	vm.cached_bytes	= sum of size over cached areas
 *
 * Lock: vm.lock guards the table of areas and the cache. An area in use belongs to its caller, so the
 * mapping itself is changed without the lock, but for its entry in the table.
 */
#pragma once

#include "base/list.h"
#include "base/lock.h"

enum { VM_HASH_SIZE = 1024 };

struct vm_struct {
	struct hlist_node link; /* in the table, or in the cache */
	char *addr;
	size_t size; /* bytes mapped, a multiple of the system page */
	size_t dirty; /* bytes from addr on that may not read as zero */
	u64 freed_ms; /* cached: since when */
	u32 nid; /* the node of who asked for it: cached, it serves that node's threads */
	u64 mapping; /* the same in all parts of what the system mapped at once */
};

struct vm {
	struct lock lock;
	u32 nr_used, nr_cached;
	size_t used_bytes, cached_bytes;
	unsigned long taken_bytes; /* handed out, ever */
	size_t used_most; /* the most used_bytes there were */
	u32 nr_used_most;
	struct hlist_head cache; /* the last freed first */
	struct hlist_head table[VM_HASH_SIZE];
};

extern struct vm vm;

/*
 * At least size bytes at a multiple of align, for a thread of node nid; zero: all bytes 0. huge: ask for huge pages.
 * The memory lies where it is touched first: a large array is often filled by the threads that will use it.
 */
void *vmalloc(u32 nid, size_t size, size_t align, bool zero, bool huge);

/* The same on node nid, whoever touches it. */
void *vmalloc_bound(u32 nid, size_t size, bool zero);

/* Frees the area that starts at p; false: no area does. */
bool vfree(void *p);

/* Bytes of the area in use that starts at p, or 0. */
size_t vsize(const void *p);

/* Resizes the area at p; NULL: left as it was. */
void *vrealloc(void *p, size_t new_size);

/* An area of new_size bytes made of [src, src + size)'s pages without copying; NULL: cannot. */
void *vmalloc_from(void *src, size_t size, size_t new_size);

/* The area in use that p points into, for reports; false: none. */
bool vm_find(const void *p, void **addr, size_t *size);

/* Does p point into a cached (freed) area? For reports. */
bool vm_cached(const void *p);

/*
 * Unmaps cached areas that were freed before `before_ms`, oldest first, until `target` bytes are gone: of the last
 * one the end, by units of 2 MiB.
 */
size_t vm_purge(size_t target, u64 before_ms);

/* What areas in use and cached ones have resident; about; without those that cannot be looked at soon (lock_peek). */
size_t vm_resident(void);
