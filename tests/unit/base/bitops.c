// SPDX-License-Identifier: MIT
#include "base/bitops.h"

#include "unit.h"

enum { BITS = 5 * BITS_PER_LONG, ROUNDS = 3000 };

static u64 rng = 1;
static bool bits[BITS];
static unsigned long map[BITS / BITS_PER_LONG];

/* A random range, and a map that equals bits[]: runs of random lengths, so that long ones occur. */
static void random_map(u32 *from, u32 *n)
{
	*from = random_below(&rng, BITS + 1);
	*n = random_below(&rng, BITS - *from + 1);
	for (u32 i = 0; i < BITS;) {
		u32 end = min(i + 1 + random_below(&rng, 1u << random_below(&rng, 8)), (u32)BITS);
		bool value = random_below(&rng, 2);

		for (; i < end; i++)
			bits[i] = value;
	}
	for (u32 i = 0; i < BITS; i++) {
		unsigned long mask = 1ul << i % BITS_PER_LONG;

		map[i / BITS_PER_LONG] &= ~mask;
		map[i / BITS_PER_LONG] |= bits[i] ? mask : 0;
	}
}

static void assert_map_equals_bits(void)
{
	for (u32 i = 0; i < BITS; i++)
		assert_int_equal(test_bit(map, i), bits[i]);
}

static void assert_range_is_written(void (*write)(unsigned long *, u32, u32), bool value)
{
	for (int round = 0; round < ROUNDS; round++) {
		u32 from, n;

		random_map(&from, &n);
		write(map, from, n);
		for (u32 i = from; i < from + n; i++)
			bits[i] = value;
		assert_map_equals_bits();
	}
}

TEST(set_writes_ones_in_the_range_and_nothing_else)
{
	assert_range_is_written(bitmap_set, true);
}

TEST(clear_writes_zeroes_in_the_range_and_nothing_else)
{
	assert_range_is_written(bitmap_clear, false);
}

TEST(any_tells_whether_the_range_has_a_one)
{
	for (int round = 0; round < ROUNDS; round++) {
		u32 from, n, sum = 0;

		random_map(&from, &n);
		for (u32 i = from; i < from + n; i++)
			sum += bits[i];
		assert_int_equal(bitmap_any(map, from, n), sum > 0);
	}
}

TEST(next_finds_the_first_bit_of_that_value_or_the_end)
{
	for (int round = 0; round < ROUNDS; round++) {
		u32 from, n, i;
		bool value = round & 1;

		random_map(&from, &n);
		for (i = from; i < from + n && bits[i] != value; i++)
			;
		assert_int_equal(bitmap_next(map, from, from + n, value), i);
	}
	assert_int_equal(bitmap_next(map, 9, 3, true), 3);
}

TEST(word_mask_has_the_bits_of_the_range_that_lie_in_the_word)
{
	for (int round = 0; round < ROUNDS; round++) {
		u32 from, n;

		random_map(&from, &n);
		for (u32 w = 0; w < ARRAY_SIZE(map); w++) {
			unsigned long mask = 0;

			for (u32 i = w * BITS_PER_LONG; i < (w + 1) * BITS_PER_LONG; i++)
				if (i >= from && i < from + n)
					mask |= 1ul << i % BITS_PER_LONG;
			assert_int_equal(word_mask(w, from, n), mask);
		}
	}
}

TEST(logarithms_are_exact_around_every_power_of_two)
{
	for (u32 k = 0; k < BITS_PER_LONG; k++) {
		unsigned long p = 1ul << k;

		assert_int_equal(__ffs(p), k);
		assert_int_equal(__ffs(~(p - 1)), k);
		assert_int_equal(ilog2(p), k);
		assert_int_equal(ilog2(p | (p - 1)), k);
		assert_int_equal(order_base_2(p), k);
		assert_true(is_power_of_2(p));
		if (k < 2)
			continue;
		assert_int_equal(order_base_2(p - 1), k);
		assert_int_equal(order_base_2((p >> 1) + 1), k);
		assert_false(is_power_of_2(p + 1));
		assert_false(is_power_of_2(p - 1));
	}
	assert_int_equal(order_base_2(~0ul), BITS_PER_LONG);
	assert_false(is_power_of_2(0));
}

TEST(rounding_goes_to_multiples_and_leaves_them_alone)
{
	for (unsigned long a = 1; a <= 1ul << 40; a <<= 1) {
		for (unsigned long x = 3 * a; x < 3 * a + min(a, 40ul); x++) {
			assert_int_equal(ALIGN_DOWN(x, a), 3 * a);
			assert_int_equal(ALIGN(x, a), x == 3 * a ? x : 4 * a);
			assert_int_equal(DIV_ROUND_UP(x, a), x == 3 * a ? 3 : 4);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_writes_ones_in_the_range_and_nothing_else),
		cmocka_unit_test(clear_writes_zeroes_in_the_range_and_nothing_else),
		cmocka_unit_test(any_tells_whether_the_range_has_a_one),
		cmocka_unit_test(next_finds_the_first_bit_of_that_value_or_the_end),
		cmocka_unit_test(word_mask_has_the_bits_of_the_range_that_lie_in_the_word),
		cmocka_unit_test(logarithms_are_exact_around_every_power_of_two),
		cmocka_unit_test(rounding_goes_to_multiples_and_leaves_them_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
