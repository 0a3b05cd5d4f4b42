// SPDX-License-Identifier: MIT
/*
 * sharing.c - small objects of several threads: do they lie in one cache line?
 *
 * Each thread has four objects. It frees the oldest, mallocs another, and counts in it, as a count
 * of references is kept. If the allocator gives parts of one line to two threads (active sharing),
 * each step waits for the other processor.
 *
 * With "passive 1" the first objects come from the main thread, which allocates them side by side
 * and deals them out. An allocator that gives a freed object to the thread that freed it hands the
 * shared line on, though it never divided one between threads itself.
 */
#include <stdatomic.h>

#include "../affinity.h"
#include "workload.h"

enum { OBJECTS = 4 };

static struct knob knobs[] = {
	{ "threads", 2, 2 },
	{ "passive", 0, 0 }, /* 1: the first objects come from the main thread */
	{ "rounds", 2000000, 200 }, /* objects that each thread uses */
	{ "steps", 100, 10 }, /* of the count in each */
	{ NULL, 0, 0 },
};

struct object {
	_Atomic(unsigned long) count;
	struct object **slot; /* where its owner keeps it */
};

struct worker {
	_Alignas(128) struct object *object[OBJECTS]; /* workers themselves share no line */
	unsigned long rounds, steps;
	int number;
};

static pthread_barrier_t start;

static void object_new(struct object **slot)
{
	struct object *o = must_malloc(sizeof(*o));

	atomic_init(&o->count, 0);
	o->slot = slot;
	*slot = o;
}

static void object_free(struct object **slot, unsigned long count)
{
	struct object *o = *slot;

	if (atomic_load(&o->count) != count || o->slot != slot)
		die("an object was overwritten");
	free(o);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	cpu_pin(w->number);
	pthread_barrier_wait(&start);
	for (int i = 0; i < OBJECTS; i++)
		if (!w->object[i])
			object_new(&w->object[i]);
	for (unsigned long i = 0; i < w->rounds; i++) {
		struct object **slot = &w->object[i % OBJECTS];

		object_free(slot, i < OBJECTS ? 0 : w->steps);
		object_new(slot);
		for (unsigned long j = 0; j < w->steps; j++)
			atomic_fetch_add_explicit(&(*slot)->count, 1, memory_order_relaxed);
	}
	for (int i = 0; i < OBJECTS; i++)
		object_free(&w->object[i], (unsigned long)i < w->rounds ? w->steps : 0);
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
	pthread_barrier_init(&start, NULL, (unsigned int)n);
	for (unsigned long i = 0; i < n; i++) {
		workers[i].rounds = knob(knobs, "rounds");
		workers[i].steps = knob(knobs, "steps");
		workers[i].number = (int)i;
	}

	m = measure_begin();
	for (unsigned long i = 0; knob(knobs, "passive") && i < OBJECTS * n; i++)
		object_new(&workers[i % n].object[i / n]);
	threads_start(threads, n, work, workers, sizeof(*workers));
	threads_join(threads, n);
	seconds = measure_end(&m);
	result("operations_per_second", (double)(n * workers[0].rounds) / seconds);
	return 0;
}
