// SPDX-License-Identifier: MIT
/*
 * churn.c - a server: connections replace their objects, and objects change hands.
 *
 * Each lane has a table of live objects. A thread serves a lane for one generation and ends; in the
 * next generation a new thread takes over the table of another lane, so that most objects are freed
 * by a thread that did not allocate them, on another processor, and often by one born after their
 * allocator died. Now and then a thread leaves an object in a mailbox that all share, and takes
 * what lies there.
 */
#include <stdatomic.h>

#include "../affinity.h"
#include "object.h"

enum {
	MAILBOXES = 256,
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
	_Alignas(128) struct object **slot; /* lanes themselves share no line */
	unsigned long slots, operations;
	struct rng rng;
};

static _Atomic(struct object *) mailbox[MAILBOXES];

struct server {
	struct lane *lane;
	int number;
};

static void *serve(void *arg)
{
	const struct server *server = arg;
	struct lane *lane = server->lane;

	cpu_pin(server->number);
	for (unsigned long i = 0; i < lane->operations; i++) {
		struct object **slot = &lane->slot[rng_below(&lane->rng, (uint32_t)lane->slots)];
		struct object *old = *slot;

		if (i % HAND_OVER == 0)
			old = atomic_exchange(&mailbox[rng_below(&lane->rng, MAILBOXES)], old);
		object_free(old);
		*slot = object_new(rng_between(&lane->rng, 16, 512));
	}
	return NULL;
}

static void generation(struct lane *lanes, unsigned long n, unsigned long shift)
{
	struct server servers[MAX_THREADS];
	pthread_t threads[MAX_THREADS];

	for (unsigned long i = 0; i < n; i++)
		servers[i] = (struct server){ &lanes[(i + shift) % n], (int)i };
	threads_start(threads, n, serve, servers, sizeof(*servers));
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
		lanes[i].slot = table_map(lanes[i].slots * sizeof(*lanes[i].slot));
		lanes[i].rng = rng_seed(i);
	}

	m = measure_begin();
	for (unsigned long g = 0; g < generations; g++)
		generation(lanes, n, g);
	seconds = measure_end(&m);
	result("operations_per_second", (double)(n * generations * lanes[0].operations) / seconds);
	return 0;
}
