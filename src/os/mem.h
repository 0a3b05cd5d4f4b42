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
};

extern struct os_stats os_stats;

size_t os_page_size(void);

/* Readable, writable, zero memory at any address; NULL when there is none. */
void *os_map(size_t size);

/* The same at a multiple of align (a power of two). */
void *os_map_aligned(size_t size, size_t align);

/* Address space only, aligned: neither readable nor charged until os_commit. */
void *os_reserve_aligned(size_t size, size_t align);

/* Makes reserved space readable and writable; false: no memory (errno ENOMEM). */
bool os_commit(void *addr, size_t size);

/* Undoes os_commit: the space stays reserved, its memory and charge go. False: as it was. */
bool os_decommit(void *addr, size_t size);

/* Gives memory and address space back. False where the kernel cannot (max_map_count). */
bool os_unmap(void *addr, size_t size);

/* Gives memory back, keeps the space: it reads as zero again. */
bool os_purge(void *addr, size_t size);

/* Asks for huge pages in a range, or (false) forbids them. */
bool os_hugepage(void *addr, size_t size, bool yes);

/* Writes a zero word to p; returns the nanoseconds that it took. */
u64 os_touch(void *p);

/* Resizes a mapping, moving it where needed; NULL: left as it was. */
void *os_remap(void *addr, size_t old_size, size_t new_size);

/*
 * Moves the pages of [src, src + size) to a new mapping of new_size bytes without copying; src stays
 * mapped and reads as zero. NULL where the kernel cannot (before 5.7, or across mappings).
 */
void *os_move_out(void *src, size_t size, size_t new_size);

/* Resident bytes of this process as the kernel counts them, or 0. */
size_t os_resident(void);

/* Resident bytes of a range, page by page: for dumps. */
size_t os_resident_in(void *addr, size_t size);
