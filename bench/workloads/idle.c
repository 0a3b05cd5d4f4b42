// SPDX-License-Identifier: MIT
/*
 * idle.c - a program frees much and then does nothing: what does it keep?
 *
 * Threads allocate 2 GiB together and free it all; then they end ("ended 1") or sleep. One second
 * later, in which nobody called the allocator, resident memory is read again, above what the
 * process had before. What is timed is allocating and freeing.
 */
#include "object.h"

static struct knob knobs[] = {
	{ "mib", 2048, 4 },      { "threads", 1, 2 },
	{ "ended", 0, 0 }, /* 1: the threads end after their frees */
	{ "wait_ms", 1000, 10 }, { NULL, 0, 0 },
};

struct worker {
	size_t bytes;
	unsigned int number;
	bool ends;
};

static pthread_barrier_t freed, rested;

static struct object *allocate(const struct worker *w)
{
	struct rng rng = rng_seed(w->number);
	struct object *list = NULL;

	for (size_t live = 0; live < w->bytes;) {
		struct object *o =
			object_new(rng_below(&rng, 256) ? rng_between(&rng, 16, 1024)
							: rng_between(&rng, 4096, 65536));

		o->next = list;
		list = o;
		live += o->size;
	}
	return list;
}

static void *work(void *arg)
{
	const struct worker *w = arg;

	object_free_list(allocate(w));
	if (w->ends)
		return NULL;
	pthread_barrier_wait(&freed);
	pthread_barrier_wait(&rested);
	return NULL;
}

int main(int argc, char **argv)
{
	static struct worker workers[MAX_THREADS];
	pthread_t threads[MAX_THREADS];
	unsigned long n, start_kib;
	bool ended;
	struct measure m;

	knobs_read(knobs, argc, argv);
	n = knob_threads(knobs);
	ended = knob(knobs, "ended") != 0;
	pthread_barrier_init(&freed, NULL, (unsigned int)n + 1);
	pthread_barrier_init(&rested, NULL, (unsigned int)n + 1);
	for (unsigned long i = 0; i < n; i++) {
		workers[i].bytes = knob(knobs, "mib") * MIB / n;
		workers[i].number = (unsigned int)i;
		workers[i].ends = ended;
	}
	start_kib = status_kib("VmRSS:");

	m = measure_begin();
	threads_start(threads, n, work, workers, sizeof(*workers));
	if (ended)
		threads_join(threads, n);
	else
		pthread_barrier_wait(&freed);
	measure_end(&m);

	usleep((useconds_t)knob(knobs, "wait_ms") * 1000);
	result("idle_kib_above_start", (double)status_kib("VmRSS:") - (double)start_kib);
	if (ended)
		return 0;
	pthread_barrier_wait(&rested);
	threads_join(threads, n);
	return 0;
}
