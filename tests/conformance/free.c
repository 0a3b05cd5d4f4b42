// SPDX-License-Identifier: MIT
/* free, free_sized, free_aligned_sized. */
#define _GNU_SOURCE
#include "clause.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

CLAUSE(free_null, "free", "C17 7.22.3.3", "of NULL it does nothing")
{
	errno = 4711;
	free(NULL);
	check(errno == 4711);
}

CLAUSE(free_errno, "free", "POSIX 2024", "errno stays as it is, for blocks up to 512 MiB")
{
	static void *p[5000];

	for (size_t size = 1; size < 600 * MIB; size *= 3) {
		void *block = malloc(size);

		check(block);
		errno = 4711;
		free(block);
		check(errno == 4711);
	}
	for (size_t size = 16; size < 64 * KIB; size *= 8) {
		for (size_t i = 0; i < ARRAY_SIZE(p); i++)
			p[i] = malloc(size);
		errno = 4711;
		for (size_t i = 0; i < ARRAY_SIZE(p); i++)
			free(p[i]);
		check(errno == 4711);
	}
}

/* Pages of alternating protection, one mapping each, until the kernel permits no more of them. */
static void use_up_all_mappings(void)
{
	size_t page = 4096, count = 80000;
	char *p = mmap(NULL, count * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(p != MAP_FAILED);
	for (size_t i = 0; i < count; i += 2)
		if (mprotect(p + i * page, page, PROT_READ) != 0)
			return;
}

/*
 * Neighbours in one mapping: to unmap the middle one is to split it, which the kernel refuses
 * with ENOMEM when the process has all its mappings.
 */
CLAUSE(free_errno_at_max_map_count, "free", "POSIX 2024",
       "errno stays as it is where munmap fails at max_map_count")
{
	static char *p[24];

	for (size_t i = 0; i < ARRAY_SIZE(p); i++) {
		p[i] = malloc(40 * MIB);
		check(p[i]);
		p[i][0] = 1;
	}
	use_up_all_mappings();
	for (size_t i = 1; i < ARRAY_SIZE(p); i += 2) {
		errno = 4711;
		free(p[i]);
		check(errno == 4711);
	}
	for (size_t i = 0; i < ARRAY_SIZE(p); i += 2) {
		check(p[i][0] == 1);
		errno = 4711;
		free(p[i]);
		check(errno == 4711);
	}
	free(malloc(100));
}

static void *free_list(void *list)
{
	while (list) {
		void *next = *(void **)list;

		free(list);
		list = next;
	}
	return NULL;
}

CLAUSE(free_anywhere, "free", "C17 7.22.3",
       "a block of one thread can be freed by any other, also after that has ended")
{
	pthread_t thread;
	void *list = NULL;

	for (size_t i = 0; i < 20000; i++) {
		void **p = malloc(8 + i % 3000);

		*p = list;
		list = p;
	}
	check(!pthread_create(&thread, NULL, free_list, list));
	check(!pthread_join(thread, NULL));
}

CLAUSE(free_reuse, "free", "C17 7.22.3.3",
       "what it has taken can be allocated again: 100 GiB pass through a small heap")
{
	size_t before = rss_bytes();

	for (size_t i = 0; i < 100 * KIB; i++) {
		char *p = malloc(MIB + i % 7);

		check(p);
		p[i % MIB] = 1;
		free(p);
	}
	check(rss_bytes() < before + 64 * MIB);
}

CLAUSE(free_sized_all, "free_sized", "C23 7.24.3.4",
       "it frees NULL, and blocks of malloc, calloc and realloc, by their size")
{
	size_t before;

	call_free_sized(NULL, 0);
	call_free_sized(NULL, 100);
	before = rss_bytes();
	for (int round = 0; round < 200; round++)
		for (size_t size = 1; size < 4 * MIB; size *= 5) {
			char *p = malloc(size);

			memset(p, 1, size);
			call_free_sized(p, size);
			call_free_sized(calloc(1, size), size);
			call_free_sized(realloc(malloc(7), size), size);
		}
	check(rss_bytes() < before + rss_room(32 * MIB));
}

CLAUSE(free_aligned_sized_all, "free_aligned_sized", "C23 7.24.3.5",
       "it frees NULL, and blocks of aligned_alloc, by their alignment and size")
{
	size_t before;

	call_free_aligned_sized(NULL, 64, 100);
	before = rss_bytes();
	for (int round = 0; round < 200; round++)
		for (size_t align = 16; align <= 64 * KIB; align *= 4)
			for (size_t size = align; size < MIB; size *= 9) {
				char *p = aligned_alloc(align, size);

				memset(p, 1, size);
				call_free_aligned_sized(p, align, size);
			}
	check(rss_bytes() < before + rss_room(32 * MIB));
}
