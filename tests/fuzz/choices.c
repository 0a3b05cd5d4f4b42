/* SPDX-License-Identifier: MIT */
#include "choices.h"
#include "api.h"

static const uint8_t *next, *end;

void choices_begin(const uint8_t *data, size_t size)
{
	next = data;
	end = data + size;
}

bool choices_left(void)
{
	return next < end;
}

uint64_t rng_next(struct rng *r)
{
	return r->state += 0x9e3779b97f4a7c15;
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
	uint64_t v = 0;

	(void)r;
	for (uint64_t left = n - 1; left && next < end; left >>= 8)
		v = v << 8 | *next++;
	return v % n;
}
