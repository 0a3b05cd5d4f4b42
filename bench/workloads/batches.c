// SPDX-License-Identifier: MIT
/*
 * batches.c - requests that free nearly all they allocated, and leave a little behind.
 *
 * A batch is the objects of one request. They die together, in the order of their birth, but one
 * of fifty lives on, in a cache whose entries replace each other at random. So what lives long
 * lies scattered among what lived short, and the peak shows how far apart.
 */
#include "object.h"

enum { BATCH_MAX = 2000 };

static struct knob knobs[] = {
	{ "batches", 15000, 20 },
	{ "survivors", 100000, 100 }, /* the cache has room for so many */
	{ "one_in", 50, 50 }, /* one of so many objects survives */
	{ NULL, 0, 0 },
};

struct cache {
	struct object **slot;
	uint32_t slots;
};

static unsigned long request(struct cache *cache, uint32_t one_in, struct rng *rng)
{
	struct object *object[BATCH_MAX];
	unsigned long n = rng_between(rng, 100, BATCH_MAX);

	for (unsigned long i = 0; i < n; i++)
		object[i] = object_new(rng_size(rng, 16, 2048));
	for (unsigned long i = 0; i < n; i++) {
		struct object **slot = &cache->slot[rng_below(rng, cache->slots)];

		if (rng_below(rng, one_in) == 0) {
			struct object *old = *slot;

			*slot = object[i];
			object[i] = old;
		}
		object_free(object[i]);
	}
	return n;
}

int main(int argc, char **argv)
{
	struct rng rng = rng_seed(0);
	unsigned long batches, objects = 0;
	struct cache cache;
	struct measure m;
	double seconds;

	knobs_read(knobs, argc, argv);
	batches = knob(knobs, "batches");
	cache.slots = (uint32_t)knob(knobs, "survivors");
	cache.slot = table_map(cache.slots * sizeof(*cache.slot));

	m = measure_begin();
	for (unsigned long i = 0; i < batches; i++)
		objects += request(&cache, (uint32_t)knob(knobs, "one_in"), &rng);
	seconds = measure_end(&m);
	for (uint32_t i = 0; i < cache.slots; i++)
		object_free(cache.slot[i]);
	result("objects_per_second", (double)objects / seconds);
	return 0;
}
