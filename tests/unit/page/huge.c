// SPDX-License-Identifier: MIT
#include "page/huge.h"

#include "base/options.h"
#include "unit.h"

static u64 word = 1;

static void touch(u64 ns)
{
	weather.touch_ns = ns;
	huge_touch(&word);
}

static int setup(__attribute__((unused)) void **state)
{
	options.thp = THP_AUTO;
	weather.now_ms = max(weather.now_ms, (u64)1000);
	weather.small_ns = 0;
	huge_after_fork();
	touch(0);
	return 0;
}

TEST(the_first_touch_writes_a_zero)
{
	word = 5;
	touch(0);
	assert_int_equal(word, 0);
}

TEST(while_touches_are_cheap_every_block_is_huge)
{
	for (int i = 0; i < 100; i++) {
		touch(200000);
		assert_true(huge_pays());
	}
}

/* Of all 17 seconds since the process began. */
TEST(dear_touches_take_a_64th_of_the_time)
{
	u32 dear = 0;

	for (u32 ms = 0; ms < 16000; ms++) {
		weather.now_ms++;
		if (huge_pays()) {
			touch(4000000);
			dear++;
		}
	}
	assert_in_range(dear, 64, 70);
	touch(200000);
	assert_false(huge_pays());
}

TEST(it_tells_a_dear_touch_from_a_cheap_one)
{
	weather.touch_ns = 4000000;
	assert_false(huge_touch(&word));
	weather.touch_ns = 200000;
	assert_true(huge_touch(&word));
	options.thp = THP_ALWAYS;
	weather.touch_ns = 4000000;
	assert_true(huge_touch(&word));
}

/* 512 of 10 us are 5 ms. */
TEST(no_touch_is_dear_that_costs_no_more_than_small_pages)
{
	weather.small_ns = 10000;
	for (int i = 0; i < 1000; i++) {
		weather.touch_ns = 5000000;
		assert_true(huge_touch(&word));
		assert_true(huge_pays());
	}
	weather.touch_ns = 6000000;
	assert_false(huge_touch(&word));
}

TEST(only_what_small_pages_would_not_have_cost_is_a_loss)
{
	u64 touches = 0;

	weather.small_ns = 10000;
	for (; huge_pays(); touches++)
		touch(6120000);
	assert_int_equal(touches, weather.now_ms / 64 + 1);
}

TEST(a_heap_wants_huge_pages_from_thp_start_on)
{
	assert_false(huge_wanted(options.thp_start - 1));
	assert_true(huge_wanted(options.thp_start));
	options.thp = THP_NEVER;
	assert_false(huge_wanted(options.thp_start));
	options.thp = THP_ALWAYS;
	assert_true(huge_wanted(0));
}

TEST(and_sooner_where_small_pages_are_dear)
{
	assert_false(huge_wanted(options.thp_start / 2));
	huge_after_fork();
	weather.small_ns = 10000;
	assert_true(huge_wanted(options.thp_start / 2));
	assert_true(huge_wanted(options.thp_start / 4));
	assert_false(huge_wanted(options.thp_start / 4 - 1));
}

/* Its processor time begins at 0. */
TEST(a_child_of_fork_owes_nothing)
{
	touch(400000000);
	assert_false(huge_pays());
	huge_after_fork();
	assert_true(huge_pays());
}

TEST(who_asks_for_always_gets_it)
{
	options.thp = THP_ALWAYS;
	for (int i = 0; i < 10; i++) {
		touch(4000000);
		assert_true(huge_pays());
	}
}

int main(void)
{
#define HUGE_TEST(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		HUGE_TEST(the_first_touch_writes_a_zero),
		HUGE_TEST(while_touches_are_cheap_every_block_is_huge),
		HUGE_TEST(dear_touches_take_a_64th_of_the_time),
		HUGE_TEST(it_tells_a_dear_touch_from_a_cheap_one),
		HUGE_TEST(no_touch_is_dear_that_costs_no_more_than_small_pages),
		HUGE_TEST(only_what_small_pages_would_not_have_cost_is_a_loss),
		HUGE_TEST(a_heap_wants_huge_pages_from_thp_start_on),
		HUGE_TEST(and_sooner_where_small_pages_are_dear),
		HUGE_TEST(a_child_of_fork_owes_nothing),
		HUGE_TEST(who_asks_for_always_gets_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
