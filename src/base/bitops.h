/* SPDX-License-Identifier: MIT */
/*
 * bitops.h - bits of a word and runs of bits in an array of words.
 *
 * Writers of one array hold a lock; a reader without it sees each word whole.
 */
#pragma once

#include "base/compiler.h"

enum { BITS_PER_LONG = 8 * sizeof(unsigned long) };

#define BITS_TO_LONGS(n) DIV_ROUND_UP(n, BITS_PER_LONG)

static inline unsigned int __ffs(unsigned long x)
{
	return (unsigned int)__builtin_ctzl(x);
}

/* Index of the highest set bit; x must not be 0. */
static inline unsigned int ilog2(unsigned long x)
{
	return BITS_PER_LONG - 1 - (unsigned int)__builtin_clzl(x);
}

/* The smallest k with 2^k >= x; x must not be 0. */
static inline unsigned int order_base_2(unsigned long x)
{
	return x <= 1 ? 0 : ilog2(x - 1) + 1;
}

static inline bool is_power_of_2(unsigned long x)
{
	return x && !(x & (x - 1));
}

/* The bits of word w that lie in [from, from + n). */
static inline unsigned long word_mask(unsigned int w, unsigned int from, unsigned int n)
{
	unsigned int lo = w * BITS_PER_LONG, hi = lo + BITS_PER_LONG;
	unsigned int a = max(from, lo), b = min(from + n, hi);

	if (a >= b)
		return 0;
	return (~0ul >> (BITS_PER_LONG - (b - a))) << (a - lo);
}

#define for_each_word(w, from, n) \
	for (unsigned int w = (from) / BITS_PER_LONG; w * BITS_PER_LONG < (from) + (n); w++)

static inline void bitmap_assign(unsigned long *map, unsigned int from, unsigned int n, bool value)
{
	unsigned int end = from + n, w = from / BITS_PER_LONG;
	unsigned long ones = value ? ~0ul : 0, mask;

	if (!n)
		return;
	if (from % BITS_PER_LONG || n < BITS_PER_LONG) {
		mask = word_mask(w, from, n);
		WRITE_ONCE(map[w], (map[w] & ~mask) | (ones & mask));
		w++;
	}
	for (; (w + 1) * BITS_PER_LONG <= end; w++)
		WRITE_ONCE(map[w], ones);
	if (w * BITS_PER_LONG < end) {
		mask = word_mask(w, from, n);
		WRITE_ONCE(map[w], (map[w] & ~mask) | (ones & mask));
	}
}

static inline void bitmap_set(unsigned long *map, unsigned int from, unsigned int n)
{
	bitmap_assign(map, from, n, true);
}

static inline void bitmap_clear(unsigned long *map, unsigned int from, unsigned int n)
{
	bitmap_assign(map, from, n, false);
}

static inline bool bitmap_any(const unsigned long *map, unsigned int from, unsigned int n)
{
	for_each_word(w, from, n)
		if (READ_ONCE(map[w]) & word_mask(w, from, n))
			return true;
	return false;
}

/* First bit in [from, end) whose value is `value`, else end. */
static inline unsigned int bitmap_next(const unsigned long *map, unsigned int from,
				       unsigned int end, bool value)
{
	while (from < end) {
		unsigned long word = READ_ONCE(map[from / BITS_PER_LONG]);

		word = (value ? word : ~word) >> (from % BITS_PER_LONG);
		if (word)
			return min(from + __ffs(word), end);
		from = (from / BITS_PER_LONG + 1) * BITS_PER_LONG;
	}
	return end;
}

static inline bool test_bit(const unsigned long *map, unsigned int i)
{
	return map[i / BITS_PER_LONG] >> (i % BITS_PER_LONG) & 1;
}
