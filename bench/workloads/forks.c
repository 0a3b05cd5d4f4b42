// SPDX-License-Identifier: MIT
/*
 * forks.c - a program with a heap that forks in storms.
 *
 * Eight children at a time inherit a heap of 32 MiB. Each frees a few of the inherited objects,
 * allocates and frees some thousand of its own, and ends. The parent replaces objects meanwhile,
 * and so does another thread of it, at any moment of a fork. The more pages the allocator writes
 * to, in the child or in the parent, the more are copied; the more it has mapped, the dearer fork.
 * CPU time and faults are those of the children too.
 */
#include <stdatomic.h>
#include <sys/wait.h>

#include "object.h"

enum {
	STORM = 8, /* children at a time */
	INHERITED = 50, /* objects of the parent that a child frees */
	OWN = 500, /* objects of a child that live at a time */
};

static struct knob knobs[] = {
	{ "mib", 32, 1 },
	{ "storms", 40, 2 },
	{ "operations", 5000, 200 }, /* of each child */
	{ "meanwhile", 100, 20 }, /* operations of the parent after each fork */
	{ NULL, 0, 0 },
};

struct heap {
	struct object **slot;
	uint32_t slots;
	struct rng rng;
};

static atomic_bool over;

static void replace(struct heap *h, unsigned long n)
{
	for (unsigned long i = 0; i < n; i++) {
		struct object **slot = &h->slot[rng_below(&h->rng, h->slots)];

		object_free(*slot);
		*slot = object_new(rng_size(&h->rng, 16, 1024));
	}
}

static void empty(struct heap *h)
{
	for (uint32_t i = 0; i < h->slots; i++)
		object_free(h->slot[i]);
}

/* Small work and a rest: what is to be seen is a fork in the middle of it, not its speed. */
static void *bystander(void *arg)
{
	struct object *slot[100] = { NULL };
	struct heap h = { slot, 100, rng_seed(1) };

	while (!atomic_load(&over)) {
		replace(&h, 100);
		usleep(200);
	}
	empty(&h);
	return arg;
}

static void child(struct heap *inherited, unsigned long operations, unsigned long number)
{
	struct object *slot[OWN] = { NULL };
	struct heap own = { slot, OWN, rng_seed(number) };

	for (int i = 0; i < INHERITED; i++) {
		struct object **at = &inherited->slot[rng_below(&own.rng, inherited->slots)];

		object_free(*at);
		*at = NULL;
	}
	replace(&own, operations);
	empty(&own);
	_exit(0);
}

static void storm(struct heap *h, unsigned long number)
{
	unsigned long operations = knob(knobs, "operations"), meanwhile = knob(knobs, "meanwhile");
	pid_t children[STORM];
	int status;

	for (unsigned long i = 0; i < STORM; i++) {
		children[i] = fork();
		if (children[i] == 0)
			child(h, operations, STORM * number + i);
		if (children[i] < 0)
			die("no child");
		replace(h, meanwhile);
	}
	for (int i = 0; i < STORM; i++)
		if (waitpid(children[i], &status, 0) != children[i] || status != 0)
			die("a child failed");
}

int main(int argc, char **argv)
{
	struct heap h = { .rng = rng_seed(0) };
	unsigned long storms;
	pthread_t thread;
	struct measure m;
	double seconds;

	knobs_read(knobs, argc, argv);
	storms = knob(knobs, "storms");
	h.slots = (uint32_t)(knob(knobs, "mib") * MIB / 256); /* the mean of sizes, and a bit */
	h.slot = table_map(h.slots * sizeof(*h.slot));

	m = measure_begin();
	for (uint32_t i = 0; i < h.slots; i++)
		h.slot[i] = object_new(rng_size(&h.rng, 16, 1024));
	thread = thread_start(bystander, NULL);
	for (unsigned long i = 0; i < storms; i++)
		storm(&h, i);
	atomic_store(&over, true);
	pthread_join(thread, NULL);
	empty(&h);
	seconds = measure_end(&m);
	result("operations_per_second",
	       (double)(storms * STORM * knob(knobs, "operations")) / seconds);
	return 0;
}
