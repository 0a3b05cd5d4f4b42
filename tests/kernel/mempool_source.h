/* SPDX-License-Identifier: MIT */
/*
 * mempool_source.h - an alloc_fn that fails when told to, and remembers how it was asked.
 */
#pragma once

#include <stdlib.h>

#include "api.h"
#include "slabmalloc/mempool.h"

#define TEST(name) static void name(__attribute__((unused)) void **state)

struct source {
	int left; /* elements that it still gives; negative: any number */
	int given, taken_back;
	int calls;
	gfp_t gfp[64]; /* of the first calls */
};

static inline void *source_alloc(gfp_t gfp, void *data)
{
	struct source *s = data;
	int call = __atomic_fetch_add(&s->calls, 1, __ATOMIC_RELAXED);

	if (call < (int)ARRAY_SIZE(s->gfp))
		s->gfp[call] = gfp;
	if (__atomic_load_n(&s->left, __ATOMIC_RELAXED) == 0)
		return NULL;
	if (s->left > 0)
		s->left--;
	__atomic_fetch_add(&s->given, 1, __ATOMIC_RELAXED);
	return malloc(100);
}

static inline void source_free(void *element, void *data)
{
	struct source *s = data;

	__atomic_fetch_add(&s->taken_back, 1, __ATOMIC_RELAXED);
	free(element);
}

static inline mempool_t *pool_of(struct source *s, int min_nr)
{
	mempool_t *pool = mempool_create(min_nr, source_alloc, source_free, s);

	check(pool);
	return pool;
}
