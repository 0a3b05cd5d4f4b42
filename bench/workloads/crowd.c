// SPDX-License-Identifier: MIT
/*
 * crowd.c - a thousand threads, of which a few work and the others mostly sleep.
 *
 * Each has its own objects from its start on. The main thread wakes one at a time: nine of ten
 * times one of the sixteen busy ones, else any. Who wakes replaces objects of its own, and sleeps
 * again. In the end all sleep for half a second, and resident memory above the start is shown: it
 * is mostly what each thread's objects and the allocator's caches for a thread take.
 */
#include <semaphore.h>

#include "object.h"

enum {
	OBJECTS = 50, /* live, of each thread */
	BUSY = 16,
	MOST = 10000, /* threads */
};

static struct knob knobs[] = {
	{ "sleepers", 1000, 50 },  { "requests", 20000, 200 },
	{ "operations", 250, 20 }, /* of a request */
	{ "wait_ms", 500, 10 },    { NULL, 0, 0 },
};

struct sleeper {
	pthread_t thread;
	sem_t wake;
	bool end; /* set by the main thread before it wakes for the last time */
	struct object *object[OBJECTS];
	struct rng rng;
};

static unsigned long operations;
static sem_t done;

static void serve(struct sleeper *s, unsigned long n)
{
	for (unsigned long i = 0; i < n; i++) {
		struct object **slot = &s->object[rng_below(&s->rng, OBJECTS)];

		object_free(*slot);
		*slot = object_new(rng_size(&s->rng, 16, 1024));
	}
}

static void wait_for(sem_t *sem)
{
	while (sem_wait(sem) != 0)
		;
}

static void *work(void *arg)
{
	struct sleeper *s = arg;

	serve(s, OBJECTS);
	for (;;) {
		sem_post(&done);
		wait_for(&s->wake);
		if (s->end)
			break;
		serve(s, operations);
	}
	for (int i = 0; i < OBJECTS; i++)
		object_free(s->object[i]);
	return NULL;
}

static void crowd_start(struct sleeper *sleeper, unsigned long n)
{
	for (unsigned long i = 0; i < n; i++) {
		sem_init(&sleeper[i].wake, 0, 0);
		sleeper[i].rng = rng_seed(i);
		sleeper[i].thread = thread_start(work, &sleeper[i]);
		wait_for(&done);
	}
}

static void crowd_end(struct sleeper *sleeper, unsigned long n)
{
	for (unsigned long i = 0; i < n; i++) {
		sleeper[i].end = true;
		sem_post(&sleeper[i].wake);
		pthread_join(sleeper[i].thread, NULL);
	}
}

int main(int argc, char **argv)
{
	struct rng rng = rng_seed(MOST);
	struct sleeper *sleeper;
	unsigned long n, requests, start_kib, idle_kib;
	struct measure m;
	double seconds;

	knobs_read(knobs, argc, argv);
	n = knob(knobs, "sleepers");
	requests = knob(knobs, "requests");
	operations = knob(knobs, "operations");
	if (n < BUSY || n > MOST)
		die("sleepers: 16 to 10000");
	sleeper = table_map(n * sizeof(*sleeper));
	sem_init(&done, 0, 0);
	start_kib = status_kib("VmRSS:");

	m = measure_begin();
	crowd_start(sleeper, n);
	for (unsigned long i = 0; i < requests; i++) {
		uint32_t of = rng_below(&rng, 10) ? BUSY : (uint32_t)n;

		sem_post(&sleeper[rng_below(&rng, of)].wake);
		wait_for(&done);
	}
	measure_sleep(&m, knob(knobs, "wait_ms"));
	idle_kib = status_kib("VmRSS:") - start_kib;
	crowd_end(sleeper, n);
	seconds = measure_end(&m);
	result("operations_per_second", (double)(requests * operations) / seconds);
	result("idle_kib_above_start", (double)idle_kib);
	return 0;
}
