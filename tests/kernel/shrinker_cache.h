/* SPDX-License-Identifier: MIT */
/*
 * shrinker_cache.h - a cache that is only numbers, and remembers what it was asked.
 */
#pragma once

#include "api.h"
#include "slabmalloc/container_of.h"
#include "slabmalloc/shrinker.h"

#define TEST(name) static void name(__attribute__((unused)) void **state)

struct cache {
	struct shrinker shrinker;
	unsigned long objects;
	unsigned long stop_at; /* SHRINK_STOP when no more than these are left */
	int counts, scans;
	unsigned long asked[64];
};

static inline unsigned long count_cache(struct shrinker *s, struct shrink_control *sc)
{
	struct cache *c = container_of(s, struct cache, shrinker);

	check(sc->nid == 0 && !sc->memcg && sc->gfp_mask == GFP_KERNEL);
	c->counts++;
	return c->objects ? c->objects : SHRINK_EMPTY;
}

static inline unsigned long scan_cache(struct shrinker *s, struct shrink_control *sc)
{
	struct cache *c = container_of(s, struct cache, shrinker);
	unsigned long n = sc->nr_to_scan < c->objects ? sc->nr_to_scan : c->objects;

	if (c->scans < (int)ARRAY_SIZE(c->asked))
		c->asked[c->scans] = sc->nr_to_scan;
	c->scans++;
	if (c->objects <= c->stop_at)
		return SHRINK_STOP;
	c->objects -= n;
	return n;
}

#define CACHE(n, cost)                                      \
	{                                                   \
		.shrinker = { .count_objects = count_cache, \
			      .scan_objects = scan_cache,   \
			      .seeks = (cost) },            \
		.objects = (n),                             \
	}

/* Asks it once, alone. */
static inline unsigned long shrink_once(struct cache *c, int priority)
{
	unsigned long freed;

	c->scans = 0;
	check(register_shrinker(&c->shrinker) == 0);
	freed = slabmalloc_shrink(priority);
	unregister_shrinker(&c->shrinker);
	return freed;
}
