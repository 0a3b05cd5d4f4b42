// SPDX-License-Identifier: MIT
/*
 * micro_batch.c - many blocks live at a time, freed in one order or another.
 *
 * An operation is a malloc and a free, though not of the same block. Blocks are not written: what
 * is measured are the calls, and page faults where the allocator keeps its own words in blocks.
 */
#include "micro.h"
#include "rng.h"

enum { LIVE = 1000000 };

/* Of large blocks a few, or the batch would not fit into memory. */
static int blocks(size_t size)
{
	size_t fit = ((size_t)64 << 20) / size;

	return fit < BATCH ? (int)fit : BATCH;
}

/* n mallocs, then n frees, in the order that free_order[] says. */
static void batch(struct gbench *b, const int *free_order, int n)
{
	size_t size = (size_t)gbench_arg(b);
	void *p[BATCH];

	while (gbench_batch(b, n)) {
		for (int i = 0; i < n; i++)
			p[i] = use(malloc(size));
		for (int i = 0; i < n; i++)
			free(p[free_order[i]]);
	}
}

void batch_fifo(struct gbench *b)
{
	int n = blocks((size_t)gbench_arg(b));
	int order[BATCH];

	for (int i = 0; i < n; i++)
		order[i] = i;
	batch(b, order, n);
}

void batch_lifo(struct gbench *b)
{
	int n = blocks((size_t)gbench_arg(b));
	int order[BATCH];

	for (int i = 0; i < n; i++)
		order[i] = n - 1 - i;
	batch(b, order, n);
}

void batch_random(struct gbench *b)
{
	int n = blocks((size_t)gbench_arg(b));
	struct rng r = rng_seed(1);
	int order[BATCH];

	for (int i = 0; i < n; i++) {
		int j = (int)rng_below(&r, (uint32_t)i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	batch(b, order, n);
}

/* One of a million live objects dies, another is born: no list of free objects stays in cache. */
void live_million(struct gbench *b)
{
	size_t size = (size_t)gbench_arg(b);
	struct rng r = rng_seed(2);
	void **live = malloc(LIVE * sizeof(*live));

	if (!live)
		return gbench_fail(b, "out of memory");
	for (long i = 0; i < LIVE; i++)
		live[i] = use(malloc(size));
	while (gbench_batch(b, BATCH))
		for (long i = 0; i < BATCH; i++) {
			void **slot = &live[rng_below(&r, LIVE)];

			free(*slot);
			*slot = use(malloc(size));
		}
	for (long i = 0; i < LIVE; i++)
		free(live[i]);
	free(live);
}
