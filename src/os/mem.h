/* SPDX-License-Identifier: MIT */
/*
 * mem.h - the address space: this room alone makes system calls.
 *
 * Every function counts its calls (os_stats) and keeps errno unless it fails. Sizes and addresses
 * are multiples of the system's page size, which is read at run time.
 */
#pragma once

#include "base/compiler.h"

struct os_stats {
	unsigned long mmap, munmap, mprotect, madvise, mremap;
	unsigned long mapped; /* bytes of address space held, reservations included */
	unsigned long mapped_most; /* the most of that there was */
	unsigned long purged; /* bytes given back, the space kept (madvise), since the start */
	unsigned long unmapped; /* bytes given back with their space, since the start */
	/* Nanoseconds of all calls of a kind, and of the longest. */
	struct os_time {
		u64 ns, most_ns;
	} mmap_time, munmap_time, mprotect_time, madvise_time, mremap_time; /* in this order */
	unsigned long futex; /* waits for a lock */
	struct os_time futex_time;
};

extern struct os_stats os_stats;

/* A call of this kind began at `start` (os_now_ns) and is over now. */
void os_timed(struct os_time *t, u64 start);

size_t os_page_size(void);

/* Readable, writable, zero memory at any address; NULL when there is none. */
void *os_map(size_t size);

/* The same at a multiple of align (a power of two). */
void *os_map_aligned(size_t size, size_t align);

/* Address space only, aligned: neither readable nor charged until os_commit. */
void *os_reserve_aligned(size_t size, size_t align);

/* The same, with `guard` bytes more in front of it that the caller leaves as they are. */
void *os_reserve_guarded(size_t size, size_t align, size_t guard);

/* Zeroed memory at this address if nothing is there; false: something is, or there is no memory. */
bool os_map_at(void *addr, size_t size);

/* Makes reserved space readable and writable; false: no memory (errno ENOMEM). */
bool os_commit(void *addr, size_t size);

/* Undoes os_commit: the space stays reserved, its memory and charge go. False: as it was. */
bool os_decommit(void *addr, size_t size);

/* Whether a range may be touched at all; its memory stays. False: as it was (max_map_count). */
bool os_protect(void *addr, size_t size, bool accessible);

/* Gives memory and address space back. False where the kernel cannot (max_map_count). */
bool os_unmap(void *addr, size_t size);

/* Gives memory back, keeps the space: it reads as zero again. */
bool os_purge(void *addr, size_t size);

enum { OS_RANGES = 128 };

struct os_range {
	void *addr;
	size_t size;
};

/* The same for n <= OS_RANGES ranges, in few calls. kept[i]: the system would not take range i. */
void os_purge_ranges(const struct os_range *range, u32 n, bool *kept);

/* The same for the whole pages of the system in [from, end), if there are any. */
void os_purge_inside(const void *from, const void *end);

/* Asks for huge pages in a range, or (false) forbids them. */
bool os_hugepage(void *addr, size_t size, bool yes);

/* Writes a zero word to p; returns the nanoseconds that it took. */
u64 os_touch(void *p);

/* Nanoseconds of the first touch of a page that is not huge, now: the mean of some. 0: no memory. */
u64 os_small_touch(void);

/* Resizes a mapping, moving it where needed; NULL: left as it was. */
void *os_remap(void *addr, size_t old_size, size_t new_size);

/*
 * Moves the pages of [src, src + size) to a new mapping of new_size bytes without copying; src stays
 * mapped and reads as zero. NULL where the kernel cannot (before 5.7, or across mappings).
 */
void *os_move_out(void *src, size_t size, size_t new_size);

/* Resident bytes of this process as the kernel counts them, or 0. */
size_t os_resident(void);

/* The most that there ever were, or 0. */
size_t os_resident_most(void);

/* Resident bytes of a range, page by page: for dumps. */
size_t os_resident_in(void *addr, size_t size);

/* A file's bytes, to be read; NULL: there is no such file. os_unmap gives them back. */
const void *os_map_file(const char *path, size_t *size);
