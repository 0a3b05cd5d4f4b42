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
		HUGE_TEST(a_child_of_fork_owes_nothing),
		HUGE_TEST(who_asks_for_always_gets_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
