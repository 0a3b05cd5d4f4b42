// SPDX-License-Identifier: MIT
/* aligned_alloc, posix_memalign, memalign, valloc, pvalloc. */
#define _GNU_SOURCE
#include "clause.h"

#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

enum { BITS = 8 * sizeof(size_t), STRIDE = 31 };

/* Address space has 56 bits at most: these alignments cannot be had even for a byte. */
enum { IMPOSSIBLE_SHIFT = sizeof(size_t) == 8 ? 57 : 31 };

/* Each function as a function of alignment and size. */
typedef void *(*aligned_fn)(size_t align, size_t size);

static void *by_posix_memalign(size_t align, size_t size)
{
	void *p = UNTOUCHED;
	int error = posix_memalign(&p, align, size);

	check(error == 0 || p == UNTOUCHED);
	errno = error;
	return error ? NULL : p;
}

/* Three at a time, so that one is in the way of the next. */
static void check_alignments(aligned_fn fn, size_t least)
{
	static const size_t sizes[] = { 0,    1,    17,   63,    64,     100,
					1000, 4096, 5000, 70000, 300000, 3 << 20 };

	for (size_t align = least; align <= 128 * MIB; align *= 2)
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			unsigned char *p[3];

			for (size_t j = 0; j < ARRAY_SIZE(p); j++) {
				p[j] = fn(align, sizes[i]);
				check(p[j] && (uintptr_t)p[j] % align == 0);
				check(malloc_usable_size(p[j]) >= sizes[i]);
				pattern_fill(p[j], sizes[i], align + j);
			}
			for (size_t j = 0; j < ARRAY_SIZE(p); j++) {
				check(pattern_holds(p[j], sizes[i], align + j));
				free(p[j]);
			}
		}
}

/* All sizes at the alignments of a word and of a page, each STRIDE-th at all others. */
static void check_impossible(aligned_fn fn)
{
	for (unsigned int shift = 3; shift < BITS; shift++) {
		size_t step = shift == 4 || shift == 12 ? 1 : STRIDE;

		for_each_impossible(i, shift % step, step)
			refused(fn((size_t)1 << shift, impossible(i)));
		check_heap_works();
	}
	for (unsigned int shift = IMPOSSIBLE_SHIFT; shift < BITS; shift++)
		for (size_t size = 1; size < MIB; size *= 10)
			refused(fn((size_t)1 << shift, size));
	check_heap_works();
}

CLAUSE(aligned_alloc_all, "aligned_alloc", "C17 7.22.3.1",
       "every power of two to 128 MiB is an alignment, for every size")
{
	check_alignments(aligned_alloc, 1);
}

CLAUSE(aligned_alloc_impossible, "aligned_alloc", "POSIX 2024",
       "what cannot be had is NULL and ENOMEM, at all 61 alignments")
{
	check_impossible(aligned_alloc);
}

/* volatile: clang 14 crashes on an alignment of 0 that it can see. */
CLAUSE(aligned_alloc_invalid, "aligned_alloc", "POSIX 2024",
       "an alignment that is no power of two is NULL and EINVAL")
{
	static const volatile size_t wrong[] = { 0, 3, 7, 9, 12, 24, 40, 4095, 4097, SIZE_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		invalid(aligned_alloc(wrong[i], 64));
}

CLAUSE(posix_memalign_all, "posix_memalign", "POSIX 2024",
       "every power of two from a pointer's size to 128 MiB is an alignment, for every size")
{
	check_alignments(by_posix_memalign, sizeof(void *));
}

CLAUSE(posix_memalign_impossible, "posix_memalign", "POSIX 2024",
       "what cannot be had is ENOMEM, at all 61 alignments, and the pointer untouched")
{
	check_impossible(by_posix_memalign);
}

CLAUSE(posix_memalign_invalid, "posix_memalign", "POSIX 2024",
       "another alignment is EINVAL, and the pointer untouched")
{
	static const volatile size_t wrong[] = { 0,    1,       2,  3,  4 * (sizeof(void *) == 8),
						 7,    12,      24, 40, 4095,
						 4097, SIZE_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		invalid(by_posix_memalign(wrong[i], 64));
}

CLAUSE(posix_memalign_errno, "posix_memalign", "Linux manual", "errno is not set")
{
	void *p;

	errno = 4711;
	check(posix_memalign(&p, 3, 64) == EINVAL && errno == 4711);
	check(posix_memalign(&p, 64, (size_t)PTRDIFF_MAX) == ENOMEM && errno == 4711);
	check(posix_memalign(&p, 64, 100) == 0 && errno == 4711);
	free(p);
}

CLAUSE(memalign_all, "memalign", "glibc manual 3.2.3.6",
       "every power of two to 128 MiB is an alignment, for every size")
{
	check_alignments(memalign, 1);
}

CLAUSE(memalign_impossible, "memalign", "glibc manual 3.2.3.6",
       "what cannot be had is NULL and ENOMEM, at all 61 alignments")
{
	check_impossible(memalign);
}

CLAUSE(memalign_rounds, "memalign", "glibc",
       "an alignment that is no power of two is rounded up, or EINVAL above all of them")
{
	static const volatile size_t odd[] = { 3, 17, 24, 33, 100, 4097, 70000 };
	static const volatile size_t above_all[] = { SIZE_MAX, SIZE_MAX / 2 + 2 };

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		size_t align = 1;
		void *p = memalign(odd[i], 64);

		while (align < odd[i])
			align *= 2;
		check(p && (uintptr_t)p % align == 0);
		free(p);
	}
	for (size_t i = 0; i < ARRAY_SIZE(above_all); i++)
		invalid(memalign(above_all[i], 64));
}

static void *by_valloc(size_t align, size_t size)
{
	(void)align;
	return valloc(size);
}

static void *by_pvalloc(size_t align, size_t size)
{
	(void)align;
	return pvalloc(size);
}

static void check_pages(aligned_fn fn, size_t unit)
{
	size_t page = (size_t)getpagesize();

	for (size_t size = 0; size < 3 * MIB; size += 1 + size / 3) {
		unsigned char *p = fn(0, size);

		check(p && (uintptr_t)p % page == 0);
		check(malloc_usable_size(p) >= (size + unit - 1) / unit * unit);
		pattern_fill(p, size, 1);
		free(p);
	}
}

static void check_impossible_sizes(aligned_fn fn)
{
	for_each_impossible(i, 0, 1)
		refused(fn(0, impossible(i)));
	check_heap_works();
}

CLAUSE(valloc_pages, "valloc", "glibc manual 3.2.3.6", "blocks start on a page")
{
	check_pages(by_valloc, 1);
}

CLAUSE(valloc_impossible, "valloc", "glibc manual 3.2.3.6", "what cannot be had is NULL and ENOMEM")
{
	check_impossible_sizes(by_valloc);
}

CLAUSE(pvalloc_pages, "pvalloc", "Linux manual", "blocks start on a page, and are whole pages")
{
	check_pages(by_pvalloc, (size_t)getpagesize());
}

CLAUSE(pvalloc_impossible, "pvalloc", "Linux manual",
       "what cannot be had is NULL and ENOMEM, what wraps when rounded too")
{
	check_impossible_sizes(by_pvalloc);
}
