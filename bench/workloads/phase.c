// SPDX-License-Identifier: MIT
/*
 * phase.c - a program's sizes change: can memory freed at random serve other sizes?
 *
 * 1 GiB of 16 to 1024 bytes; nine objects of ten freed at random; then 1.1 to 4 KiB until half of
 * the first amount is live. Resident bytes for each live byte after each step; the table of
 * pointers is not counted.
 */
#include "object.h"

static struct knob knobs[] = {
	{ "mib", 1024, 2 },
	{ NULL, 0, 0 },
};

struct heap {
	struct object **object; /* objects live, NULL between them */
	size_t objects;
	size_t live; /* bytes asked for and not freed */
	size_t table; /* bytes of the table that are resident: all that was written */
	struct rng rng;
};

static void allocate(struct heap *h, size_t target, size_t lo, size_t hi)
{
	while (h->live < target) {
		struct object *o = object_new(rng_between(&h->rng, lo, hi));

		h->object[h->objects++] = o;
		h->live += o->size;
	}
}

static void free_at_random(struct heap *h)
{
	for (size_t i = 0; i < h->objects; i++) {
		struct object *o = h->object[i];

		if (rng_below(&h->rng, 10) == 0)
			continue;
		h->live -= o->size;
		object_free(o);
		h->object[i] = NULL;
	}
}

static void report(const struct heap *h, const char *name)
{
	size_t table = h->objects * sizeof(*h->object);

	result(name, (double)(status_kib("VmRSS:") * 1024 - table) / (double)h->live);
}

int main(int argc, char **argv)
{
	struct heap h = { .rng = rng_seed(0) };
	size_t bytes;
	struct measure m;

	knobs_read(knobs, argc, argv);
	bytes = knob(knobs, "mib") * MIB;
	h.object = table_map(bytes / 64 * sizeof(*h.object));

	m = measure_begin();
	allocate(&h, bytes, 16, 1024);
	report(&h, "rss_over_live_full");
	free_at_random(&h);
	report(&h, "rss_over_live_freed");
	allocate(&h, bytes / 2, 1127, 4096);
	report(&h, "rss_over_live_reused");
	measure_end(&m);
	return 0;
}
