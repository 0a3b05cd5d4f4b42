// SPDX-License-Identifier: MIT
#include "page/huge.h"

#include "base/options.h"
#include "unit.h"

static u64 word = 1;

static void touch(u64 ns)
{
	weather.touch_ns = ns;
	huge_touch(&word, 1);
}

/* Milliseconds until another is asked for. */
static u64 wait_for_next(void)
{
	u64 began = weather.now_ms;

	while (!huge_pays())
		weather.now_ms++;
	return weather.now_ms - began;
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

/* Each waits for a sixteenth of the time that the last one took. */
TEST(dear_touches_take_a_sixteenth_of_the_time)
{
	u32 dear = 0;

	for (u32 ms = 0; ms < 16000; ms++) {
		weather.now_ms++;
		if (huge_pays()) {
			touch(4000000);
			dear++;
		}
	}
	assert_in_range(dear, 250, 260);
	touch(200000);
	assert_false(huge_pays());
}

/* The other pages of an area are touched where nobody sees it. */
TEST(a_dear_touch_of_an_area_counts_for_all_its_pages)
{
	u64 alone;

	wait_for_next();
	touch(4000000);
	alone = wait_for_next();
	weather.touch_ns = 4000000;
	huge_touch(&word, 12);
	assert_in_range(wait_for_next(), 11 * alone, 13 * alone);
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
		HUGE_TEST(dear_touches_take_a_sixteenth_of_the_time),
		HUGE_TEST(a_dear_touch_of_an_area_counts_for_all_its_pages),
		HUGE_TEST(who_asks_for_always_gets_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
