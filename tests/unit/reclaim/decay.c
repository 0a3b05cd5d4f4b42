// SPDX-License-Identifier: MIT
#include <errno.h>

#include "base/options.h"
#include "page/large.h"
#include "page/vmalloc.h"
#include "reclaim/kshrinkd.h"
#include "reclaim/reclaim.h"
#include "sheaf/barn.h"
#include "sheaf/heap.h"
#include "unit.h"

enum { BLOCK = 256 << 10, MAX_BLOCKS = 256, STEP_MS = 50 };

static struct zone *const z = &zones[0];
static void *block[MAX_BLOCKS];
static u64 clock_ms = 1000000;

static void tick_at(u64 ms)
{
	weather.now_ms = ms;
	reclaim_tick(this_cpu);
}

/* Time passes without use, and the demand and peaks of before are forgotten. */
static int setup(void **state)
{
	heap_setup(state);
	options.dirty_min = 4 * MIB;
	options.dirty_max = 256 * MIB;
	options.decay_ms = 500;
	for (int i = 0; i < 4; i++)
		tick_at(clock_ms += 100000);
	assert_int_equal(reclaim_dirty(), 0);
	return 0;
}

static void alloc_blocks(u32 from, u32 end)
{
	for (u32 i = from; i < end; i++) {
		block[i] = large_alloc(z, BLOCK, FRAME_SIZE, false);
		assert_non_null(block[i]);
		reclaim_tick(this_cpu);
	}
}

static size_t used(void)
{
	return ((z->nr_present - z->nr_free) << FRAME_SHIFT) + vm.used_bytes;
}

static void free_blocks(u32 from, u32 end)
{
	for (u32 i = from; i < end; i++) {
		assert_true(large_free(block[i]));
		block[i] = NULL;
		reclaim_tick(this_cpu);
	}
}

/* What a failed test left. */
static int teardown(void **state)
{
	for (u32 i = 0; i < MAX_BLOCKS; i++)
		if (block[i])
			free_blocks(i, i + 1);
	return heap_teardown(state);
}

TEST(a_program_that_only_frees_keeps_dirty_min_and_an_eighth_of_what_it_has)
{
	alloc_blocks(0, MAX_BLOCKS);
	assert_int_equal(reclaim_dirty(), 0);
	for (u32 i = 0; i < MAX_BLOCKS; i++) {
		free_blocks(i, i + 1);
		tick_at(clock_ms += STEP_MS);
		assert_true(reclaim_dirty() <= options.dirty_min + used() / 8);
	}
	/* It goes in large steps, not as soon as it comes. */
	assert_true(reclaim_dirty() >= 256 * KIB);
}

/* Four MiB beside a heap of one would be most of what it costs. */
TEST(a_small_heap_keeps_little)
{
	alloc_blocks(0, 8);
	free_blocks(0, 8);
	/* What was just taken counts as demand for a while. */
	for (int i = 0; i < 5; i++)
		tick_at(clock_ms += STEP_MS);
	assert_true(reclaim_dirty() <= MIB);
}

TEST(what_is_used_again_and_again_stays)
{
	for (int step = 0; step < 12; step++) {
		for (int round = 0; round < 5; round++) {
			alloc_blocks(0, 128);
			free_blocks(0, 128);
		}
		tick_at(clock_ms += STEP_MS);
	}
	assert_in_range(reclaim_dirty(), 24 * MIB, 32 * MIB);
}

/*
 * Works for a moment, then pauses; how much was kept when the pause ended. Every eighth block stays in use, so
 * that they do not go as one.
 */
static size_t burst_and_pause(u64 pause_ms)
{
	for (u32 i = 0; i < MAX_BLOCKS; i++)
		if (!block[i])
			alloc_blocks(i, i + 1);
	tick_at(clock_ms += STEP_MS);
	for (u32 i = 0; i < MAX_BLOCKS; i++)
		if (i % 8)
			free_blocks(i, i + 1);
	for (u64 ms = 0; ms < pause_ms; ms += STEP_MS)
		tick_at(clock_ms += STEP_MS);
	return reclaim_dirty();
}

TEST(memory_that_is_wanted_again_soon_is_kept_longer)
{
	size_t all = (size_t)MAX_BLOCKS * BLOCK;

	burst_and_pause(30000);
	assert_true(burst_and_pause(500) <= all / 4);
	assert_in_range(burst_and_pause(500), all / 4, all);
	assert_in_range(burst_and_pause(500), all / 2, all);
	/* Not for ever. */
	assert_int_equal(burst_and_pause(12000), 0);
	/* After long pauses it is as before. */
	assert_int_equal(burst_and_pause(12000), 0);
	assert_int_equal(burst_and_pause(12000), 0);
	assert_true(burst_and_pause(500) <= all / 4);
}

TEST(a_loop_that_starts_after_a_long_sleep_finds_its_memory_again)
{
	size_t kept = 0;

	for (int round = 0; round < 20; round++) {
		alloc_blocks(0, 4);
		free_blocks(0, 4);
		tick_at(clock_ms += 2);
		kept += reclaim_dirty();
	}
	assert_true(kept >= 19 * 4 * BLOCK);
}

TEST(dirty_max_holds_whatever_the_demand)
{
	options.dirty_max = 6 * MIB;
	for (int round = 0; round < 12; round++) {
		alloc_blocks(0, 128);
		for (u32 i = 0; i < 128; i++) {
			free_blocks(i, i + 1);
			assert_true(reclaim_dirty() <= 6 * MIB);
		}
		clock_ms += STEP_MS;
	}
	assert_true(reclaim_dirty() >= 4 * MIB);
}

TEST(used_and_dirty_together_stay_near_the_peak_of_what_was_used)
{
	for (int round = 0; round < 12; round++) {
		/* Another size each time: what is free serves in part only. */
		size_t size = BLOCK + (size_t)(round % 4) * 200 * KIB;
		u32 n = (u32)(32 * MIB / size);

		for (u32 i = 0; i < n; i++) {
			block[i] = large_alloc(z, size, FRAME_SIZE, false);
			tick_at(clock_ms += STEP_MS);
			assert_true(used() + reclaim_dirty() <=
				    33 * MIB / 8 * 9 + options.dirty_min);
		}
		free_blocks(0, n);
		tick_at(clock_ms += STEP_MS);
	}
}

TEST(without_demand_everything_goes_after_decay_ms)
{
	alloc_blocks(0, 40);
	free_blocks(0, 12);
	tick_at(clock_ms += STEP_MS);
	assert_int_equal(reclaim_dirty(), 12 * BLOCK);
	tick_at(clock_ms += options.decay_ms - 3 * STEP_MS);
	assert_int_equal(reclaim_dirty(), 12 * BLOCK);
	for (int i = 0; i < 5; i++)
		tick_at(clock_ms += STEP_MS);
	assert_int_equal(reclaim_dirty(), 0);
	free_blocks(12, 40);
}

TEST(demand_postpones_the_decay)
{
	alloc_blocks(0, 10);
	free_blocks(0, 10);
	for (int i = 0; i < 20; i++) {
		tick_at(clock_ms += options.decay_ms / 10);
		alloc_blocks(0, 10);
		free_blocks(0, 10);
		assert_true(reclaim_dirty() >= 8 * BLOCK);
	}
	for (int i = 0; i < 3; i++)
		tick_at(clock_ms += options.decay_ms);
	assert_int_equal(reclaim_dirty(), 0);
}

TEST(cached_areas_count_and_go_first)
{
	void *area = large_alloc(z, LARGE_FRAMES_MAX + BLOCK * 4, FRAME_SIZE, false);
	void *large = large_alloc(z, 40 * MIB, FRAME_SIZE, false);

	assert_true(vsize(large) > 0);
	large_free(area);
	reclaim_tick(this_cpu);
	assert_true(reclaim_dirty() > 0);
	large_free(large);
	assert_true(reclaim_dirty() >= 40 * MIB);
	/* What came and went in one step may come again in the next; then less and less. */
	for (int i = 0; i < 8; i++)
		tick_at(clock_ms += STEP_MS);
	assert_true(vm.cached_bytes <= options.dirty_min + 40 * MIB / 3);
	assert_true(reclaim_dirty() <= options.dirty_min + 40 * MIB / 3);
}

TEST(a_tick_does_not_wait_for_another_reclaimer)
{
	alloc_blocks(0, 40);
	lock(&reclaim_lock, RANK_RECLAIM);
	free_blocks(0, 40);
	assert_int_equal(reclaim_dirty(), 40 * BLOCK);
	unlock(&reclaim_lock, RANK_RECLAIM);
	reclaim_tick(NULL);
	assert_true(reclaim_dirty() <= options.dirty_min);
}

TEST(a_system_that_takes_nothing_back_is_asked_again_after_a_second)
{
	alloc_blocks(0, 40);
	weather.os_purge = 0;
	free_blocks(0, 40);
	assert_int_equal(reclaim_dirty(), 40 * BLOCK);
	weather.os_purge = -1;
	tick_at(clock_ms += 900);
	assert_int_equal(reclaim_dirty(), 40 * BLOCK);
	tick_at(clock_ms += 200);
	tick_at(clock_ms += STEP_MS);
	assert_true(reclaim_dirty() <= options.dirty_min);
}

TEST(huge_pages_that_are_mostly_free_are_torn_and_given_back)
{
	static void *kept[30];
	u32 n = 0;

	options.thp = THP_ALWAYS;
	alloc_blocks(0, 240);
	options.thp = THP_NEVER;
	if (z->nr_huge < 30)
		skip();
	for (u32 i = 0; i < 240; i++) {
		if ((uintptr_t)block[i] % HUGE_SIZE == 0)
			kept[n++] = block[i];
		else
			assert_true(large_free(block[i]));
		block[i] = NULL;
		tick_at(clock_ms += STEP_MS);
	}
	assert_true(z->nr_huge < 30);
	assert_true(z->nr_huge_free << FRAME_SHIFT <= used() + options.dirty_min);
	assert_true(reclaim_dirty() <= options.dirty_min + used() / 8);
	while (n)
		assert_true(large_free(kept[--n]));
}

/* An attempt in vain is remembered: but not for a heap that is half of what it was. */
TEST(huge_pages_that_were_not_worth_tearing_are_when_the_heap_has_shrunk)
{
	options.thp = THP_ALWAYS;
	alloc_blocks(0, 240);
	options.thp = THP_NEVER;
	if (z->nr_huge < 30)
		skip();
	/* Half of each is free: too little to be torn. */
	for (u32 i = 0; i < 240; i++)
		if ((uintptr_t)block[i] % HUGE_SIZE >= HUGE_SIZE / 2)
			free_blocks(i, i + 1);
	tick_at(clock_ms += STEP_MS);
	assert_true(z->nr_huge >= 30);
	/* Of some all is free, of others an eighth is in use. */
	for (u32 i = 0; i < 240; i++)
		if (block[i] && (i < 120 || (uintptr_t)block[i] % HUGE_SIZE))
			free_blocks(i, i + 1);
	for (int i = 0; i < 4; i++)
		tick_at(clock_ms += STEP_MS);
	assert_true(z->nr_huge < 15);
}

TEST(idle_sheaves_shrink_and_idle_barns_empty)
{
	enum { OBJECTS = 1000 };
	static void *object[OBJECTS];
	u32 id = kmalloc_index(64), capacity;

	for (int i = 0; i < OBJECTS; i++)
		object[i] = heap_alloc(this_cpu, id);
	for (int i = 0; i < OBJECTS; i++)
		heap_free(this_cpu, id, object[i]);
	assert_true(barns[id].nr > 0);
	capacity = this_cpu->meta[id].capacity;
	for (int i = 0; i < 11; i++)
		tick_at(clock_ms += STEP_MS);
	assert_int_equal(barns[id].nr, 0);
	assert_true(this_cpu->meta[id].capacity < capacity);
}

TEST(a_tick_keeps_errno)
{
	alloc_blocks(0, 40);
	errno = 1234;
	weather.os_purge = 1;
	free_blocks(0, 40);
	assert_int_equal(errno, 1234);
}

/* A kshrinkd that never looks: the test does. */
static int make_no_thread(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg)
{
	(void)attr, (void)fn, (void)arg;
	*thread = pthread_self();
	return 0;
}

static int setup_with_kshrinkd(void **state)
{
	options.kshrinkd = KSHRINKD_AUTO;
	kshrinkd_start(make_no_thread);
	assert_true(kshrinkd_runs());
	return setup(state);
}

static int teardown_with_kshrinkd(void **state)
{
	kshrinkd_after_fork();
	return teardown(state);
}

TEST(where_kshrinkd_comes_what_was_freed_waits_for_half_of_decay_ms)
{
	alloc_blocks(0, MAX_BLOCKS);
	tick_at(clock_ms += STEP_MS);
	free_blocks(0, MAX_BLOCKS);
	for (u64 ms = 0; ms < options.decay_ms / 2; ms += STEP_MS) {
		assert_int_equal(reclaim_dirty(), MAX_BLOCKS * BLOCK);
		reclaim_age(clock_ms += STEP_MS);
	}
	assert_true(reclaim_dirty() <= options.dirty_min);
	for (u64 ms = 0; ms < 2 * options.decay_ms; ms += STEP_MS)
		reclaim_age(clock_ms += STEP_MS);
	assert_int_equal(reclaim_dirty(), 0);
}

TEST(but_not_beside_a_heap_that_grows)
{
	options.dirty_max = 256 * MIB;
	alloc_blocks(0, MAX_BLOCKS / 2);
	free_blocks(0, MAX_BLOCKS / 2);
	large_free(large_alloc(z, LARGE_FRAMES_MAX + BLOCK, FRAME_SIZE, false));
	reclaim_tick(this_cpu);
	assert_true(reclaim_dirty() <= (LARGE_FRAMES_MAX + BLOCK) / 8 * 9 + options.dirty_min);
}

TEST(when_kshrinkd_leaves_nothing_waits)
{
	alloc_blocks(0, MAX_BLOCKS);
	tick_at(clock_ms += STEP_MS);
	free_blocks(0, MAX_BLOCKS);
	assert_int_equal(reclaim_dirty(), MAX_BLOCKS * BLOCK);
	kshrinkd_after_fork();
	reclaim_leave(clock_ms);
	assert_true(reclaim_dirty() <= options.dirty_min);
}

int main(void)
{
#define DECAY_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define KSHRINKD_TEST(name) \
	cmocka_unit_test_setup_teardown(name, setup_with_kshrinkd, teardown_with_kshrinkd)
	const struct CMUnitTest tests[] = {
		DECAY_TEST(a_program_that_only_frees_keeps_dirty_min_and_an_eighth_of_what_it_has),
		DECAY_TEST(a_small_heap_keeps_little),
		DECAY_TEST(what_is_used_again_and_again_stays),
		DECAY_TEST(memory_that_is_wanted_again_soon_is_kept_longer),
		DECAY_TEST(a_loop_that_starts_after_a_long_sleep_finds_its_memory_again),
		DECAY_TEST(dirty_max_holds_whatever_the_demand),
		DECAY_TEST(used_and_dirty_together_stay_near_the_peak_of_what_was_used),
		DECAY_TEST(without_demand_everything_goes_after_decay_ms),
		DECAY_TEST(demand_postpones_the_decay),
		DECAY_TEST(cached_areas_count_and_go_first),
		DECAY_TEST(a_tick_does_not_wait_for_another_reclaimer),
		DECAY_TEST(a_system_that_takes_nothing_back_is_asked_again_after_a_second),
		DECAY_TEST(huge_pages_that_are_mostly_free_are_torn_and_given_back),
		DECAY_TEST(huge_pages_that_were_not_worth_tearing_are_when_the_heap_has_shrunk),
		DECAY_TEST(idle_sheaves_shrink_and_idle_barns_empty),
		DECAY_TEST(a_tick_keeps_errno),
		KSHRINKD_TEST(where_kshrinkd_comes_what_was_freed_waits_for_half_of_decay_ms),
		KSHRINKD_TEST(but_not_beside_a_heap_that_grows),
		KSHRINKD_TEST(when_kshrinkd_leaves_nothing_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
