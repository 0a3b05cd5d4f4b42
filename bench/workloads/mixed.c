// SPDX-License-Identifier: MIT
/*
 * mixed.c - threads that mind their own objects, of mixed sizes, without order.
 *
 * Nineteen requests of twenty are small, 16 to 1024 bytes, the rest up to 64 KiB, as heap
 * profiles of programs show. Operations and live objects are the same in total for any number of
 * threads.
 */
#include "object.h"

static struct knob knobs[] = {
	{ "threads", 1, 2 },
	{ "slots", 20000, 100 }, /* live objects of all threads together */
	{ "operations", 20000000, 2000 },
	{ NULL, 0, 0 },
};

struct worker {
	unsigned long slots, operations;
	unsigned int number;
};

static struct object *draw(struct rng *rng)
{
	bool small = rng_below(rng, 20) != 0;

	return object_new(small ? rng_size(rng, 16, 1024) : rng_size(rng, 1024, 65536));
}

static void *work(void *arg)
{
	const struct worker *w = arg;
	struct object **slot = table_map(w->slots * sizeof(*slot));
	struct rng rng = rng_seed(w->number);

	for (unsigned long i = 0; i < w->operations; i++) {
		struct object **at = &slot[rng_below(&rng, (uint32_t)w->slots)];

		object_free(*at);
		*at = draw(&rng);
	}
	for (unsigned long i = 0; i < w->slots; i++)
		object_free(slot[i]);
	return NULL;
}

int main(int argc, char **argv)
{
	static struct worker workers[MAX_THREADS];
	pthread_t threads[MAX_THREADS];
	struct measure m;
	unsigned long n;
	double seconds;

	knobs_read(knobs, argc, argv);
	n = knob_threads(knobs);
	for (unsigned long i = 0; i < n; i++) {
		workers[i].slots = knob(knobs, "slots") / n + 1;
		workers[i].operations = knob(knobs, "operations") / n;
		workers[i].number = (unsigned int)i;
	}

	m = measure_begin();
	threads_start(threads, n, work, workers, sizeof(*workers));
	threads_join(threads, n);
	seconds = measure_end(&m);
	result("operations_per_second", (double)knob(knobs, "operations") / seconds);
	return 0;
}
