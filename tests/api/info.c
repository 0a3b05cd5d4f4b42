/* SPDX-License-Identifier: MIT */
/* glibc's reports and knobs: what programs conclude from them must be true of our heap. */
#define _GNU_SOURCE
#include "api.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void mallinfo2_counts_what_is_allocated(void **state)
{
	static void *p[10000];
	struct mallinfo2 before = mallinfo2(), with, after;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		p[i] = malloc(1000);
	with = mallinfo2();
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		free(p[i]);
	after = mallinfo2();
	assert_true(with.uordblks >= before.uordblks + ARRAY_SIZE(p) * 1000);
	assert_true(with.uordblks <= before.uordblks + ARRAY_SIZE(p) * 1100 + MIB);
	assert_true(after.uordblks < before.uordblks + MIB);
	/* glibc's identity: its arena is what is used and what is free in it. */
	assert_int_equal(with.arena, with.uordblks + with.fordblks);
	assert_true(after.smblks > 0 && after.fsmblks >= 16 * after.smblks);
}

static void mallinfo2_counts_large_blocks(void **state)
{
	struct mallinfo2 before = mallinfo2(), with;
	void *p = malloc(100 * MIB);

	(void)state;
	with = mallinfo2();
	free(p);
	assert_true(with.hblkhd >= before.hblkhd + 100 * MIB);
	assert_int_equal(with.hblks, before.hblks + 1);
	assert_int_equal(with.uordblks, before.uordblks);
}

/* The thread keeps it for its next one: to the program it is free all the same. */
static void a_large_block_that_is_kept_counts_as_free(void **state)
{
	struct mallinfo2 before = mallinfo2(), with, after;
	char *p = malloc(MIB);

	(void)state;
	memset(p, 1, MIB);
	with = mallinfo2();
	free(p);
	after = mallinfo2();
	assert_true(with.uordblks >= before.uordblks + MIB);
	assert_true(after.uordblks < before.uordblks + MIB / 2);
	assert_int_equal(after.arena, after.uordblks + after.fordblks);
}

static void a_large_block_grows_into_the_one_freed_before(void **state)
{
	enum { BLOCKS = 8 };
	char *p[BLOCKS];
	int grown = 0;

	(void)state;
	for (int i = 0; i < BLOCKS; i++) {
		p[i] = malloc(MIB);
		pattern_fill(p[i], MIB, (size_t)i);
	}
	for (int i = 0; i + 1 < BLOCKS; i += 2) {
		bool neighbours = p[i + 1] == p[i] + MIB;
		char *old = p[i];

		free(p[i + 1]);
		p[i] = realloc(p[i], 2 * MIB);
		grown += neighbours && p[i] == old;
		assert_true(pattern_holds(p[i], MIB, (size_t)i));
		assert_true(grown || !neighbours);
	}
	for (int i = 0; i < BLOCKS; i += 2)
		free(p[i]);
	assert_true(grown);
}

/* The old one has ints: what does not fit must not come out negative or be a trap. */
static void mallinfo_agrees_where_it_can(void **state)
{
	struct mallinfo2 wide = mallinfo2();
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
	struct mallinfo narrow = mallinfo();
#pragma GCC diagnostic pop

	(void)state;
	assert_true(narrow.uordblks >= 0 && narrow.arena >= 0);
	if (wide.uordblks < INT32_MAX)
		assert_true((size_t)narrow.uordblks / 2 <= wide.uordblks);
}

static void mallopt_takes_glibcs_knobs(void **state)
{
	static const int knobs[] = { M_MMAP_THRESHOLD, M_MMAP_MAX,     M_TRIM_THRESHOLD,
				     M_TOP_PAD,        M_ARENA_MAX,    M_ARENA_TEST,
				     M_PERTURB,        M_CHECK_ACTION, M_MXFAST };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(knobs); i++)
		assert_int_equal(mallopt(knobs[i], 64), 1);
	free(malloc(100));
}

static void *make_list(size_t bytes, size_t size)
{
	void *list = NULL;

	for (size_t sum = 0; sum < bytes; sum += size) {
		void **p = malloc(size);

		check(p);
		for (size_t i = 0; i < size; i += 4096)
			((char *)p)[i] = 1;
		*p = list;
		list = p;
	}
	return list;
}

static void free_list(void *list)
{
	while (list) {
		void *next = *(void **)list;

		free(list);
		list = next;
	}
}

static void check_trim_gives_back(size_t size)
{
	size_t before, freed, trimmed;
	int gave_back;
	void *list;

	malloc_trim(0);
	before = rss_bytes();
	list = make_list(256 * MIB, size);
	check(rss_bytes() > before + 250 * MIB);
	free_list(list);
	freed = rss_bytes();
	gave_back = malloc_trim(0);
	trimmed = rss_bytes();
	check(trimmed < before + 12 * MIB);
	/* Much may have gone back at once; if anything was left to be given, 1 says so. */
	check(gave_back == 1 || freed < trimmed + MIB);
	check(heap_inconsistencies() == 0);
}

static void trim_after_small(void *arg)
{
	(void)arg;
	check_trim_gives_back(64);
}

static void trim_after_middle(void *arg)
{
	(void)arg;
	check_trim_gives_back(3000);
}

static void trim_after_large(void *arg)
{
	(void)arg;
	check_trim_gives_back(700000);
	check_trim_gives_back(48 * MIB);
}

static void malloc_trim_gives_small_objects_back(void **state)
{
	(void)state;
	assert_true(succeeds_in_child(trim_after_small, NULL, 300));
}

static void malloc_trim_gives_middle_objects_back(void **state)
{
	(void)state;
	assert_true(succeeds_in_child(trim_after_middle, NULL, 300));
}

static void malloc_trim_gives_large_blocks_back(void **state)
{
	(void)state;
	assert_true(succeeds_in_child(trim_after_large, NULL, 300));
}

/* One object in a hundred stays, at random: whole slabs come free, and their pages must go. */
static void trim_of_a_fragmented_heap(void *arg)
{
	static void *p[1000000];
	struct rng rng = { 5 };
	size_t full, left = 0;

	(void)arg;
	for (size_t i = 0; i < ARRAY_SIZE(p); i++) {
		p[i] = malloc(200);
		memset(p[i], 1, 200);
	}
	full = rss_bytes();
	for (size_t i = 0; i < ARRAY_SIZE(p); i++) {
		/* Every eighth run of 8,000 keeps one in a hundred, the others keep nothing. */
		if (i / 8000 % 8 == 0 && rng_below(&rng, 100) == 0) {
			left++;
			continue;
		}
		free(p[i]);
		p[i] = NULL;
	}
	malloc_trim(0);
	check(left > 100);
	check(rss_bytes() < full / 3);
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		free(p[i]);
}

static void malloc_trim_gives_back_what_is_whole_in_a_fragmented_heap(void **state)
{
	(void)state;
	assert_true(succeeds_in_child(trim_of_a_fragmented_heap, NULL, 300));
}

/* No reclaim could make it possible, so the heap keeps what it has for the requests that can be. */
static void beyond_all_addresses(void *arg)
{
	const volatile size_t n = (size_t)1 << 50;
	size_t full;

	(void)arg;
	free_list(make_list(64 * MIB, 3000));
	full = rss_bytes();
	for (int i = 0; i < 10; i++) {
		check(!malloc(n) && errno == ENOMEM);
		check(!calloc(n, 2) && errno == ENOMEM);
		check(!aligned_alloc(n, 1) && errno == ENOMEM);
	}
	check(rss_bytes() > full - 16 * MIB);
}

static void a_request_beyond_all_addresses_gives_nothing_back(void **state)
{
	(void)state;
	assert_true(succeeds_in_child(beyond_all_addresses, NULL, 300));
}

/* Without a call of malloc_trim: dirty memory is bounded, and old dirty memory goes. */
static void freed_memory_goes_back_with_time(void *arg)
{
	size_t before = rss_bytes();

	(void)arg;
	free_list(make_list(256 * MIB, 3000));
	for (int i = 0; i < 200 && rss_bytes() > before + 64 * MIB; i++) {
		struct timespec tick = { .tv_nsec = 50000000 };

		nanosleep(&tick, NULL);
		/* Life goes on meanwhile, and passes the slow paths that do the work. */
		free_list(make_list(MIB, 100));
	}
	check(rss_bytes() < before + 64 * MIB);
}

static void memory_that_nobody_uses_goes_back_with_time(void **state)
{
	(void)state;
	assert_true(succeeds_in_child(freed_memory_goes_back_with_time, NULL, 300));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mallinfo2_counts_what_is_allocated),
		cmocka_unit_test(mallinfo2_counts_large_blocks),
		cmocka_unit_test(a_large_block_that_is_kept_counts_as_free),
		cmocka_unit_test(a_large_block_grows_into_the_one_freed_before),
		cmocka_unit_test(mallinfo_agrees_where_it_can),
		cmocka_unit_test(mallopt_takes_glibcs_knobs),
		cmocka_unit_test(malloc_trim_gives_small_objects_back),
		cmocka_unit_test(malloc_trim_gives_middle_objects_back),
		cmocka_unit_test(malloc_trim_gives_large_blocks_back),
		cmocka_unit_test(malloc_trim_gives_back_what_is_whole_in_a_fragmented_heap),
		cmocka_unit_test(a_request_beyond_all_addresses_gives_nothing_back),
		cmocka_unit_test(memory_that_nobody_uses_goes_back_with_time),
	};

	require_library();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
