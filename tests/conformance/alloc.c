// SPDX-License-Identifier: MIT
/* malloc, calloc, realloc, reallocarray. */
#define _GNU_SOURCE
#include "clause.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* volatile: the compiler is not to know what comes of it. */
static const volatile size_t factors[][2] = {
	{ SIZE_MAX, 2 },
	{ 2, SIZE_MAX },
	{ SIZE_MAX, SIZE_MAX },
	{ SIZE_MAX / 2 + 1, 2 },
	{ SIZE_MAX / 16 + 1, 16 },
	{ SIZE_MAX / 24 + 1, 24 },
	{ (size_t)1 << (sizeof(size_t) * 4), (size_t)1 << (sizeof(size_t) * 4) },
	{ ((size_t)1 << (sizeof(size_t) * 4)) + 1, ((size_t)1 << (sizeof(size_t) * 4)) + 1 },
	{ PTRDIFF_MAX, 3 },
};

/* --- malloc --- */

CLAUSE(malloc_blocks, "malloc", "C17 7.22.3.4",
       "blocks of 0 B to 32 MiB are apart, and hold what is written")
{
	static unsigned char *p[200];
	size_t size[ARRAY_SIZE(p)], n = 0;

	for (size_t s = 0; s <= 32 * MIB; s += 1 + s / 9, n++) {
		check(n < ARRAY_SIZE(p));
		size[n] = s;
		p[n] = malloc(s);
		check(p[n]);
		pattern_fill(p[n], s, n);
	}
	for (size_t i = 0; i < n; i++) {
		check(pattern_holds(p[i], size[i], i));
		free(p[i]);
	}
}

CLAUSE(malloc_aligned, "malloc", "C17 7.22.3",
       "a block is aligned for any object that fits into it")
{
	static char *p[1000];

	/* So many at a time. */
	for (size_t size = 1; size < 70000; size++) {
		size_t align = _Alignof(max_align_t), i = size % ARRAY_SIZE(p);

		while (align > size)
			align /= 2;
		free(p[i]);
		p[i] = malloc(size);
		check(p[i] && (uintptr_t)p[i] % align == 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		free(p[i]);
}

CLAUSE(malloc_aligned_16, "malloc", "glibc manual 3.2.3.1",
       "every block is aligned to 16, and to 8 where pointers have 32 bits")
{
	for (size_t size = 0; size < 70000; size++) {
		void *p = malloc(size);

		check((uintptr_t)p % (2 * sizeof(void *)) == 0);
		free(p);
	}
}

CLAUSE(malloc_zero, "malloc", "C17 7.22.3",
       "a block of no bytes is NULL, or a pointer of its own that free takes")
{
	void *p[100];

	for (size_t i = 0; i < ARRAY_SIZE(p); i++) {
		p[i] = malloc(0);
		for (size_t j = 0; p[i] && j < i; j++)
			check(p[i] != p[j]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		free(p[i]);
}

CLAUSE(malloc_zero_set, "malloc", "glibc manual 3.2.3.1", "a block of no bytes is no NULL")
{
	void *p = malloc(0);

	check(p);
	free(p);
}

CLAUSE(malloc_impossible, "malloc", "POSIX 2024",
       "what cannot be had is NULL and ENOMEM, and the next block can be had")
{
	for_each_impossible(i, 0, 1) {
		refused(malloc(impossible(i)));
		if (i % 64 == 0)
			check_heap_works();
	}
}

/* --- calloc --- */

CLAUSE(calloc_zero, "calloc", "C17 7.22.3.2", "memory that was used before is zero")
{
	static const size_t sizes[] = {
		8, 64, 1000, 4096, 30000, 250000, 400000, 3 << 20, 90 << 20
	};
	static const unsigned char zero[4096];

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		for (int round = 0; round < (sizes[i] > MIB ? 2 : 50); round++) {
			unsigned char *p = malloc(sizes[i]);

			check(p);
			memset(p, 0xff, sizes[i]);
			free(p);
			p = calloc(sizes[i] / 8, 8);
			check(p);
			for (size_t j = 0; j < sizes[i]; j += sizeof(zero)) {
				size_t rest = sizes[i] - j;

				check(!memcmp(p + j, zero,
					      rest < sizeof(zero) ? rest : sizeof(zero)));
			}
			free(p);
		}
}

CLAUSE(calloc_overflow, "calloc", "C23 7.24.3.2", "a product that is no size is NULL and ENOMEM")
{
	for (size_t i = 0; i < ARRAY_SIZE(factors); i++)
		refused(calloc(factors[i][0], factors[i][1]));
	check_heap_works();
}

CLAUSE(calloc_impossible, "calloc", "POSIX 2024",
       "what cannot be had is NULL and ENOMEM, whichever factor is large")
{
	for_each_impossible(i, 0, 1) {
		refused(calloc(impossible(i), 1));
		refused(calloc(1, impossible(i)));
		if (i % 64 == 0)
			check_heap_works();
	}
}

CLAUSE(calloc_nothing, "calloc", "C17 7.22.3",
       "no objects, or objects of no bytes: NULL, or a pointer of its own")
{
	const volatile size_t most = SIZE_MAX;
	void *p[] = { calloc(0, 8), calloc(8, 0), calloc(0, 0), calloc(most, 0), calloc(0, most) };

	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		for (size_t j = 0; p[i] && j < i; j++)
			check(p[i] != p[j]);
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		free(p[i]);
}

/* --- realloc --- */

CLAUSE(realloc_contents, "realloc", "C17 7.22.3.5",
       "a block keeps its contents as it grows to 512 MiB and shrinks")
{
	size_t size = 1;
	unsigned char *p = malloc(size);

	pattern_fill(p, size, 9);
	while (size < 512 * MIB) {
		size_t larger = size + size / 4 + 1 + (size > MIB) * 4096;

		p = realloc(p, larger);
		check(p && pattern_holds(p, size, 9));
		pattern_fill(p, larger, 9);
		size = larger;
	}
	while (size > 3) {
		p = realloc(p, size / 3);
		check(p && pattern_prefix_holds(p, size, size / 3, 9));
		size /= 3;
		pattern_fill(p, size, 9);
	}
	free(p);
}

CLAUSE(realloc_null, "realloc", "C17 7.22.3.5", "of NULL it is malloc")
{
	unsigned char *p = realloc(NULL, 1000), *q = realloc(NULL, 0);

	check(p && p != q);
	pattern_fill(p, 1000, 1);
	free(p);
	free(q);
}

CLAUSE(realloc_zero, "realloc", "glibc manual 3.2.3.4", "to no bytes it frees, and is NULL")
{
	size_t before;

	free(malloc(MIB));
	before = rss_bytes();
	for (int i = 0; i < 2000; i++) {
		char *p = malloc(MIB);

		check(p);
		memset(p, 1, MIB);
		check(!realloc(opaque(p), 0));
	}
	check(rss_bytes() < before + 64 * MIB);
}

CLAUSE(realloc_refused, "realloc", "C17 7.22.3.5",
       "where it is NULL and ENOMEM the block is as it was")
{
	static const size_t sizes[] = { 1, 64, 5000, 300 * 1024, 8 << 20, 80 << 20 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		unsigned char *p = malloc(sizes[i]);
		size_t usable = malloc_usable_size(p);

		pattern_fill(p, sizes[i], i);
		for_each_impossible(j, i, ARRAY_SIZE(sizes))
			refused(realloc(opaque(p), impossible(j)));
		check(pattern_holds(p, sizes[i], i));
		check(malloc_usable_size(p) == usable);
		free(p);
	}
}

CLAUSE(realloc_origins, "realloc", "POSIX 2024",
       "a block of any function can be given to it, and keeps its contents")
{
	for (size_t size = 10; size < 16 * MIB; size *= 13) {
		for (size_t align = 16; align <= 16 * MIB; align *= 4) {
			unsigned char *p = aligned_alloc(align, size);

			check(p);
			pattern_fill(p, size, align);
			p = realloc(p, 3 * size);
			check(p && pattern_prefix_holds(p, size, size, align));
			p = realloc(p, 1 + size / 2);
			check(p && pattern_prefix_holds(p, size, 1 + size / 2, align));
			free(p);
		}
		free(realloc(calloc(1, size), 2 * size));
		free(realloc(valloc(size), 2 * size));
	}
}

/* --- reallocarray --- */

CLAUSE(reallocarray_is_realloc, "reallocarray", "POSIX 2024",
       "n objects of a size are n times the size, for realloc")
{
	unsigned char *p = reallocarray(NULL, 10, 100);

	check(p && malloc_usable_size(p) >= 1000);
	pattern_fill(p, 1000, 3);
	p = reallocarray(p, 1000, 100);
	check(p && pattern_prefix_holds(p, 1000, 1000, 3) && malloc_usable_size(p) >= 100000);
	free(p);
}

CLAUSE(reallocarray_overflow, "reallocarray", "POSIX 2024",
       "a product that is no size is NULL and ENOMEM, and the block as it was")
{
	unsigned char *p = malloc(100);

	pattern_fill(p, 100, 2);
	for (size_t i = 0; i < ARRAY_SIZE(factors); i++) {
		refused(reallocarray(NULL, factors[i][0], factors[i][1]));
		refused(reallocarray(opaque(p), factors[i][0], factors[i][1]));
	}
	check(pattern_holds(p, 100, 2));
	free(p);
}

CLAUSE(reallocarray_impossible, "reallocarray", "POSIX 2024",
       "what cannot be had is NULL and ENOMEM, and the block as it was")
{
	unsigned char *p = malloc(100);

	pattern_fill(p, 100, 2);
	for_each_impossible(i, 0, 1) {
		refused(reallocarray(NULL, impossible(i), 1));
		refused(reallocarray(opaque(p), 1, impossible(i)));
	}
	check(pattern_holds(p, 100, 2));
	free(p);
	check_heap_works();
}

CLAUSE(reallocarray_zero, "reallocarray", "glibc manual 3.2.3.4",
       "to no bytes it frees, and is NULL")
{
	check(!reallocarray(malloc(100), 0, 8));
	check(!reallocarray(malloc(100), 8, 0));
}
