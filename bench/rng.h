/* SPDX-License-Identifier: MIT */
/* rng.h - random numbers that are the same in every run, cheap beside an allocation. */
#ifndef BENCH_RNG_H
#define BENCH_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
	uint64_t state; /* never 0 */
};

/* Any seed will do: the multiplication spreads small ones over the word, and + 1 keeps off 0. */
static inline struct rng rng_seed(uint64_t seed)
{
	return (struct rng){ (2 * seed + 1) * 0x9e3779b97f4a7c15ull };
}

/* xorshift* (Marsaglia 2003, Vigna 2016); the upper half is the good one. */
static inline uint32_t rng_next(struct rng *r)
{
	uint64_t x = r->state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	r->state = x;
	return (uint32_t)((x * 0x2545f4914f6cdd1dull) >> 32);
}

/* 0 … n - 1; a multiplication, since a division would cost more than a malloc. */
static inline uint32_t rng_below(struct rng *r, uint32_t n)
{
	return (uint32_t)(((uint64_t)rng_next(r) * n) >> 32);
}

/* lo … hi, every value as likely as the other. */
static inline size_t rng_between(struct rng *r, size_t lo, size_t hi)
{
	return lo + rng_below(r, (uint32_t)(hi - lo + 1));
}

/* lo … hi with every doubling as likely as the other, as sizes in programs are; 0 < lo <= hi. */
static inline size_t rng_size(struct rng *r, size_t lo, size_t hi)
{
	unsigned int doublings = 64u - (unsigned int)__builtin_clzl(((hi - 1) / lo) | 1);
	size_t base = lo << rng_below(r, doublings);

	return rng_between(r, base, 2 * base < hi ? 2 * base : hi);
}

#endif
