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
	touch(0);
	return 0;
}

/* How many blocks stay small before the next one is tried. */
static u32 small_blocks(void)
{
	u32 n = 0;

	while (!huge_pays())
		n++;
	return n;
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

TEST(after_dear_touches_ever_more_blocks_stay_small)
{
	static const u32 expected[] = { 1, 3, 7, 15, 31, 63, 63, 63 };

	for (u32 i = 0; i < ARRAY_SIZE(expected); i++) {
		touch(4000000);
		assert_int_equal(small_blocks(), expected[i]);
	}
	touch(200000);
	assert_int_equal(small_blocks(), 0);
	touch(4000000);
	assert_int_equal(small_blocks(), 1);
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
		HUGE_TEST(after_dear_touches_ever_more_blocks_stay_small),
		HUGE_TEST(who_asks_for_always_gets_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
