/* SPDX-License-Identifier: MIT */
/* Requests at and beyond the limits: what C, POSIX and glibc's manual say of each function. */
#define _GNU_SOURCE
#include "api.h"

#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

/* No machine has half of these; each is near some border of an allocator's arithmetic. */
static const size_t impossible[] = {
	PTRDIFF_MAX,
	(size_t)PTRDIFF_MAX - 1,
	(size_t)PTRDIFF_MAX - 15,
	(size_t)PTRDIFF_MAX - 4095,
	(size_t)PTRDIFF_MAX - 4096,
	(size_t)PTRDIFF_MAX - (2u << 20),
	(size_t)PTRDIFF_MAX - (64u << 20),
	(size_t)PTRDIFF_MAX + 1,
	(size_t)PTRDIFF_MAX + 2,
	(size_t)PTRDIFF_MAX + 4096,
	SIZE_MAX,
	SIZE_MAX - 1,
	SIZE_MAX - 7,
	SIZE_MAX - 15,
	SIZE_MAX - 16,
	SIZE_MAX - 31,
	SIZE_MAX - 4094,
	SIZE_MAX - 4095,
	SIZE_MAX - 4096,
	SIZE_MAX - 8191,
	SIZE_MAX - (2u << 20),
	SIZE_MAX - (64u << 20),
	SIZE_MAX - (1ul << 30),
	SIZE_MAX / 2 + SIZE_MAX / 4,
	(size_t)1 << 62,
	(size_t)1 << 58,
};

/* What posix_memalign's pointer holds before, and must still hold after it has failed. */
static void *const untouched = (void *)0x1234;

#define refused(call)                            \
	do {                                     \
		errno = 0;                       \
		assert_null(opaque(call));       \
		assert_int_equal(errno, ENOMEM); \
	} while (0)

#define invalid(call)                            \
	do {                                     \
		errno = 0;                       \
		assert_null(opaque(call));       \
		assert_int_equal(errno, EINVAL); \
	} while (0)

static void assert_heap_works(void)
{
	unsigned char *p = malloc(100);

	assert_non_null(p);
	pattern_fill(p, 100, 1);
	free(p);
}

static void impossible_sizes_give_null_and_enomem(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(impossible); i++) {
		size_t size = impossible[i];

		refused(malloc(size));
		refused(calloc(size, 1));
		refused(calloc(1, size));
		refused(realloc(NULL, size));
		refused(reallocarray(NULL, size, 1));
		refused(reallocarray(NULL, 1, size));
		refused(valloc(size));
		refused(pvalloc(size));
		assert_heap_works();
	}
}

static void impossible_sizes_are_refused_at_every_alignment(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(impossible); i++)
		for (unsigned int shift = 3; shift < 64; shift++) {
			size_t align = (size_t)1 << shift;
			void *p = untouched;

			refused(aligned_alloc(align, impossible[i]));
			refused(memalign(align, impossible[i]));
			assert_int_equal(posix_memalign(&p, align, impossible[i]), ENOMEM);
			assert_ptr_equal(p, untouched);
		}
	assert_heap_works();
}

/* Address space has 47 bits, 56 at most: these alignments cannot be had even for a byte. */
static void impossible_alignments_are_refused(void **state)
{
	(void)state;
	for (unsigned int shift = 57; shift < 64; shift++) {
		size_t align = (size_t)1 << shift;
		void *p = untouched;

		refused(aligned_alloc(align, 1));
		refused(memalign(align, 1));
		assert_int_equal(posix_memalign(&p, align, 1), ENOMEM);
		assert_ptr_equal(p, untouched);
	}
	assert_heap_works();
}

static void products_that_overflow_are_refused(void **state)
{
	static const size_t factors[][2] = {
		{ SIZE_MAX, 2 },
		{ 2, SIZE_MAX },
		{ SIZE_MAX, SIZE_MAX },
		{ SIZE_MAX / 2 + 1, 2 },
		{ SIZE_MAX / 16 + 1, 16 },
		{ SIZE_MAX / 24 + 1, 24 },
		{ (size_t)1 << 32, (size_t)1 << 32 },
		{ ((size_t)1 << 32) + 1, ((size_t)1 << 32) + 1 },
		{ PTRDIFF_MAX, 3 },
	};
	unsigned char *p = malloc(100);

	(void)state;
	pattern_fill(p, 100, 2);
	for (size_t i = 0; i < ARRAY_SIZE(factors); i++) {
		size_t n = factors[i][0], size = factors[i][1];

		refused(calloc(n, size));
		refused(reallocarray(NULL, n, size));
		refused(reallocarray(opaque(p), n, size));
		assert_true(pattern_holds(p, 100, 2));
	}
	free(p);
}

static void refused_realloc_leaves_the_block_as_it_was(void **state)
{
	static const size_t sizes[] = { 1, 64, 5000, 300 * 1024, 8 << 20, 80 << 20 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		unsigned char *p = malloc(sizes[i]);
		size_t usable = malloc_usable_size(p);

		pattern_fill(p, sizes[i], i);
		for (size_t j = 0; j < ARRAY_SIZE(impossible); j++) {
			refused(realloc(opaque(p), impossible[j]));
			refused(reallocarray(opaque(p), impossible[j], 1));
		}
		assert_true(pattern_holds(p, sizes[i], i));
		assert_int_equal(malloc_usable_size(p), usable);
		free(p);
	}
}

/* volatile: clang 14 crashes on an alignment of 0 that it can see. */
static void posix_memalign_refuses_what_posix_says(void **state)
{
	static const volatile size_t wrong[] = { 0,  1,  2,  3,    4,    7,       9,
						 12, 24, 40, 4095, 4097, SIZE_MAX };
	void *p = untouched;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_int_equal(posix_memalign(&p, wrong[i], 64), EINVAL);
		assert_ptr_equal(p, untouched);
	}
}

static void aligned_alloc_refuses_what_is_no_power_of_two(void **state)
{
	static const volatile size_t wrong[] = { 0, 3, 7, 9, 12, 24, 40, 4095, 4097, SIZE_MAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		invalid(aligned_alloc(wrong[i], 64));
}

static void memalign_rounds_the_alignment_up_as_glibc_does(void **state)
{
	static const volatile size_t odd[] = { 3, 17, 24, 33, 100, 4097, 70000 };
	static const volatile size_t above_all[] = { SIZE_MAX, SIZE_MAX / 2 + 2 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		size_t align = 1;
		void *p = memalign(odd[i], 64);

		while (align < odd[i])
			align *= 2;
		assert_non_null(p);
		assert_int_equal((uintptr_t)p % align, 0);
		free(p);
	}
	for (size_t i = 0; i < ARRAY_SIZE(above_all); i++)
		invalid(memalign(above_all[i], 64));
}

static void every_power_of_two_alignment_is_honoured_at_every_size(void **state)
{
	static const size_t sizes[] = { 0,    1,    17,   63,    64,     100,
					1000, 4096, 5000, 70000, 300000, 3 << 20 };

	(void)state;
	for (size_t align = 1; align <= (size_t)128 << 20; align *= 2)
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			unsigned char *p[3];

			for (size_t j = 0; j < ARRAY_SIZE(p); j++) {
				p[j] = aligned_alloc(align, sizes[i]);
				assert_non_null(p[j]);
				assert_int_equal((uintptr_t)p[j] % align, 0);
				assert_int_equal((uintptr_t)p[j] % 16, 0);
				assert_true(malloc_usable_size(p[j]) >= sizes[i]);
				pattern_fill(p[j], sizes[i], align + j);
			}
			for (size_t j = 0; j < ARRAY_SIZE(p); j++) {
				assert_true(pattern_holds(p[j], sizes[i], align + j));
				free(p[j]);
			}
		}
}

static void an_aligned_block_can_be_reallocated(void **state)
{
	(void)state;
	for (size_t align = 32; align <= (size_t)16 << 20; align *= 4)
		for (size_t size = 10; size < (size_t)16 << 20; size *= 13) {
			unsigned char *p = aligned_alloc(align, size);

			pattern_fill(p, size, align);
			p = realloc(p, 3 * size);
			assert_true(pattern_prefix_holds(p, size, size, align));
			p = realloc(p, 1 + size / 2);
			assert_true(pattern_prefix_holds(p, size, 1 + size / 2, align));
			free(p);
		}
}

static void objects_of_zero_bytes_are_distinct(void **state)
{
	void *p[] = { malloc(0),
		      malloc(0),
		      calloc(0, 8),
		      calloc(8, 0),
		      realloc(NULL, 0),
		      valloc(0),
		      memalign(64, 0),
		      aligned_alloc(16, 0),
		      reallocarray(NULL, 0, 8),
		      malloc(0) };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(p); i++) {
		assert_non_null(p[i]);
		for (size_t j = 0; j < i; j++)
			assert_ptr_not_equal(p[i], p[j]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		free(p[i]);
}

static void realloc_to_zero_frees(void **state)
{
	size_t before;

	(void)state;
	free(malloc(MIB));
	before = rss_bytes();
	for (int i = 0; i < 2000; i++) {
		char *p = malloc(MIB);

		memset(p, 1, MIB);
		assert_null(i % 2 ? realloc(p, 0) : reallocarray(p, 0, 8));
	}
	assert_true(rss_bytes() < before + 64 * MIB);
}

static void usable_size_is_writable_and_constant(void **state)
{
	(void)state;
	for (size_t size = 0; size < 600000; size += 1 + size / 7) {
		unsigned char *p = malloc(size), *q = malloc(size);
		size_t usable = malloc_usable_size(p);

		assert_true(usable >= size);
		pattern_fill(q, malloc_usable_size(q), 3);
		memset(p, 0xee, usable);
		assert_true(pattern_holds(q, malloc_usable_size(q), 3));
		assert_int_equal(malloc_usable_size(p), usable);
		free(p);
		free(q);
	}
	assert_int_equal(malloc_usable_size(NULL), 0);
}

static void calloc_is_zero_on_used_memory(void **state)
{
	static const size_t sizes[] = {
		8, 64, 1000, 4096, 30000, 250000, 400000, 3 << 20, 90 << 20
	};
	static const unsigned char zero[4096];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		for (int round = 0; round < (sizes[i] > MIB ? 2 : 50); round++) {
			unsigned char *p = malloc(sizes[i]);

			memset(p, 0xff, sizes[i]);
			free(p);
			p = calloc(1, sizes[i]);
			for (size_t j = 0; j < sizes[i]; j += sizeof(zero)) {
				size_t n =
					sizes[i] - j < sizeof(zero) ? sizes[i] - j : sizeof(zero);

				assert_memory_equal(p + j, zero, n);
			}
			free(p);
		}
}

static void a_large_block_grows_in_steps_and_keeps_its_contents(void **state)
{
	size_t size = MIB;
	unsigned char *p = malloc(size);

	(void)state;
	pattern_fill(p, size, 9);
	while (size < 512 * MIB) {
		size_t larger = size + size / 4 + 4097;

		p = realloc(p, larger);
		assert_non_null(p);
		assert_true(pattern_holds(p, size, 9));
		pattern_fill(p, larger, 9);
		size = larger;
	}
	while (size > MIB) {
		p = realloc(p, size / 3);
		assert_true(pattern_prefix_holds(p, size, size / 3, 9));
		size /= 3;
		pattern_fill(p, size, 9);
	}
	free(p);
}

static void assert_free_keeps_errno(size_t size)
{
	void *p = malloc(size);

	assert_non_null(p);
	errno = 4711;
	free(p);
	assert_int_equal(errno, 4711);
}

static void free_keeps_errno(void **state)
{
	(void)state;
	for (size_t size = 1; size < 600 * MIB; size *= 3)
		assert_free_keeps_errno(size);
	errno = 4711;
	free(NULL);
	assert_int_equal(errno, 4711);
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
static void free_with_no_mapping_to_be_had(void *arg)
{
	static char *p[24];

	(void)arg;
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
	check(heap_inconsistencies() == 0);
}

static void free_keeps_errno_when_munmap_fails_at_max_map_count(void **state)
{
	(void)state;
	assert_true(succeeds_in_child(free_with_no_mapping_to_be_had, NULL, 30));
}

static void the_heap_is_consistent_after_all_this(void **state)
{
	(void)state;
	assert_int_equal(heap_inconsistencies(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(impossible_sizes_give_null_and_enomem),
		cmocka_unit_test(impossible_sizes_are_refused_at_every_alignment),
		cmocka_unit_test(impossible_alignments_are_refused),
		cmocka_unit_test(products_that_overflow_are_refused),
		cmocka_unit_test(refused_realloc_leaves_the_block_as_it_was),
		cmocka_unit_test(posix_memalign_refuses_what_posix_says),
		cmocka_unit_test(aligned_alloc_refuses_what_is_no_power_of_two),
		cmocka_unit_test(memalign_rounds_the_alignment_up_as_glibc_does),
		cmocka_unit_test(every_power_of_two_alignment_is_honoured_at_every_size),
		cmocka_unit_test(an_aligned_block_can_be_reallocated),
		cmocka_unit_test(objects_of_zero_bytes_are_distinct),
		cmocka_unit_test(realloc_to_zero_frees),
		cmocka_unit_test(usable_size_is_writable_and_constant),
		cmocka_unit_test(calloc_is_zero_on_used_memory),
		cmocka_unit_test(a_large_block_grows_in_steps_and_keeps_its_contents),
		cmocka_unit_test(free_keeps_errno),
		cmocka_unit_test(free_keeps_errno_when_munmap_fails_at_max_map_count),
		cmocka_unit_test(the_heap_is_consistent_after_all_this),
	};

	require_library();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
