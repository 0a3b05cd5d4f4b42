// SPDX-License-Identifier: MIT
#include <string.h>

#include "base/options.h"
#include "os/mem.h"
#include "reclaim/reclaim.h"
#include "reclaim/slack.h"
#include "sheaf/heap.h"
#include "slab/purge.h"
#include "unit.h"

enum { OBJECTS = 40000, STEP_MS = 50 };

static char *object[OBJECTS];
static u32 id, per_slab;
static u64 clock_ms = 1000000, rng;

/* As often as the decay looks. */
static void pass_time(u64 ms)
{
	for (u64 end = clock_ms + ms; clock_ms < end;) {
		weather.now_ms = clock_ms += min((u64)STEP_MS, end - clock_ms);
		reclaim_tick(this_cpu);
	}
}

static int setup(void **state)
{
	heap_setup(state);
	options.dirty_min = MIB;
	options.decay_ms = 500;
	weather.now_ms = clock_ms += 100000;
	id = kmalloc_index(640);
	per_slab = cache_of(id)->objects;
	rng = 16;
	pass_time(1000);
	return 0;
}

static void take_missing(void)
{
	for (u32 i = 0; i < OBJECTS; i++)
		if (!object[i])
			object[i] = memset(heap_alloc(this_cpu, id), 1, 640);
}

static void give(u32 i)
{
	assert_true(all_bytes_are(object[i] + 16, 640 - 16, 1));
	heap_free(this_cpu, id, object[i]);
	object[i] = NULL;
}

/* All but one of twenty: most of the memory lies in slabs that hold an object or two. */
static void free_most(void)
{
	for (u32 i = 0; i < OBJECTS; i++)
		if (random_below(&rng, 20))
			give(i);
	sheaf_flush_all(this_cpu);
}

/* Three fifths of each slab in three fifths of all slabs: a third, and it lies together. */
static void free_a_third(void)
{
	for (u32 i = 0; i < OBJECTS; i++)
		if (i / per_slab % 5 < 3 && i % per_slab * 5 >= per_slab * 2)
			give(i);
	sheaf_flush_all(this_cpu);
}

static int teardown(void **state)
{
	for (u32 i = 0; i < OBJECTS; i++)
		if (object[i])
			give(i);
	return heap_teardown(state);
}

TEST(a_heap_that_collapses_is_given_back_at_once)
{
	size_t bytes;

	if (os_page_size() != FRAME_SIZE)
		skip();
	take_missing();
	pass_time(STEP_MS);
	free_most();
	bytes = slab_bytes().free;
	pass_time(STEP_MS);
	assert_true(slab_bytes().given >= bytes / 3);
	assert_int_equal(slab_bytes().free, bytes);
}

TEST(what_is_less_than_lives_goes_when_it_has_stayed)
{
	if (os_page_size() != FRAME_SIZE)
		skip();
	take_missing();
	pass_time(STEP_MS);
	free_a_third();
	pass_time(options.decay_ms);
	assert_int_equal(slab_bytes().given, 0);
	pass_time(2ul * STEP_MS);
	assert_true(slab_bytes().given >= OBJECTS * 640ul / 5);
}

TEST(what_is_soon_taken_again_stays)
{
	take_missing();
	for (int round = 0; round < 10; round++) {
		free_a_third();
		pass_time(options.decay_ms / 2);
		assert_int_equal(slab_bytes().given, 0);
		take_missing();
		pass_time(STEP_MS);
	}
}

TEST(a_heap_that_collapses_again_and_again_keeps_what_it_wants_back)
{
	size_t given;

	if (os_page_size() != FRAME_SIZE)
		skip();
	take_missing();
	pass_time(STEP_MS);
	free_most();
	pass_time(STEP_MS);
	given = slab_bytes().given;
	assert_true(given > 0);
	for (int round = 0; round < 5; round++) {
		take_missing();
		assert_int_equal(slab_bytes().given, 0);
		pass_time(2ul * STEP_MS);
		free_most();
		pass_time(2ul * STEP_MS);
		assert_true(slab_bytes().given < given / 2);
	}
	/* And not for ever. */
	pass_time(10000);
	assert_true(slab_bytes().given >= given / 2);
}

TEST(a_heap_that_does_not_change_costs_no_call)
{
	unsigned long calls;

	take_missing();
	free_most();
	pass_time(5000);
	calls = os_stats.madvise;
	pass_time(20000);
	assert_int_equal(os_stats.madvise, calls);
}

int main(void)
{
#define SLACK_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		SLACK_TEST(a_heap_that_collapses_is_given_back_at_once),
		SLACK_TEST(what_is_less_than_lives_goes_when_it_has_stayed),
		SLACK_TEST(what_is_soon_taken_again_stays),
		SLACK_TEST(a_heap_that_collapses_again_and_again_keeps_what_it_wants_back),
		SLACK_TEST(a_heap_that_does_not_change_costs_no_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
