// SPDX-License-Identifier: MIT
/*
 * churn.c - a server: connections replace their objects, and objects change hands.
 *
 * Each lane has a table of live objects. A thread serves a lane for one generation and ends; in the
 * next generation a new thread takes over the table of another lane, so that most objects are freed
 * by a thread that did not allocate them, and often by one born after their allocator died. Now and
 * then a thread leaves an object in a mailbox that all share, and takes what lies there.
 */
#include <stdatomic.h>

#include "workload.h"

enum {
	MAILBOXES = 256,
	MARK = 0xc5,
	HAND_OVER = 16, /* one operation in so many goes through a mailbox */
};

static struct knob knobs[] = {
	{ "threads", 2, 2 },
	{ "slots", 5000, 50 }, /* live objects of a lane */
	{ "generations", 50, 3 },
	{ "operations", 200000, 500 }, /* of one thread in one generation */
	{ NULL, 0, 0 },
};

struct lane {
	void **slot;
	unsigned long slots, operations;
	struct rng rng;
};

static _Atomic(void *) mailbox[MAILBOXES];

/* Marked, and looked at before free: a block that was given to two would lose its mark. */
static void *object_new(struct rng *rng)
{
	size_t size = rng_between(rng, 16, 512);
	unsigned char *p = must_malloc(size);

	p[0] = MARK;
	p[size - 1] = 0;
	return p;
}

static void object_free(void *object)
{
	unsigned char *p = object;

	if (p && p[0] != MARK)
		die("an object was overwritten");
	if (p)
		p[0] = 0;
	free(p);
}

static void *serve(void *arg)
{
	struct lane *lane = arg;

	for (unsigned long i = 0; i < lane->operations; i++) {
		void **slot = &lane->slot[rng_below(&lane->rng, (uint32_t)lane->slots)];
		void *old = *slot;

		if (i % HAND_OVER == 0)
			old = atomic_exchange(&mailbox[rng_below(&lane->rng, MAILBOXES)], old);
		object_free(old);
		*slot = object_new(&lane->rng);
	}
	return NULL;
}

static void generation(struct lane *lanes, unsigned long n, unsigned long shift)
{
	pthread_t threads[MAX_THREADS];

	for (unsigned long i = 0; i < n; i++)
		threads[i] = thread_start(serve, &lanes[(i + shift) % n]);
	threads_join(threads, n);
}

int main(int argc, char **argv)
{
	static struct lane lanes[MAX_THREADS];
	struct measure m;
	unsigned long n, generations;
	double seconds;

	knobs_read(knobs, argc, argv);
	n = knob_threads(knobs);
	generations = knob(knobs, "generations");
	for (unsigned long i = 0; i < n; i++) {
		lanes[i].slots = knob(knobs, "slots");
		lanes[i].operations = knob(knobs, "operations");
		lanes[i].slot = table_map(lanes[i].slots * sizeof(void *));
		lanes[i].rng = rng_seed(i);
	}

	m = measure_begin();
	for (unsigned long g = 0; g < generations; g++)
		generation(lanes, n, g);
	seconds = measure_end(&m);
	result("operations_per_second", (double)(n * generations * lanes[0].operations) / seconds);
	return 0;
}
