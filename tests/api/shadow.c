/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "shadow.h"
#include "shadow_map.h"

#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MAX_THREADS 256
#define SLOTS 16384 /* objects that one thread may hold */
#define MAILBOXES 64
#define LIVE_LIMIT (256 * MIB) /* for all threads together */
/* A thread's heap grows for so many operations, then shrinks for as many: slabs come and go. */
#define TIDE 65536

static struct {
	unsigned int threads;
	uint64_t ops; /* of each thread */
	uint64_t seed;
	const char *program;
} config = { .threads = 1, .ops = 1000000 };

/* Where threads leave objects for each other, so that most are freed by a stranger sometimes. */
static struct {
	pthread_mutex_t lock;
	struct object object;
} mailbox[MAILBOXES];

void shadow_fail(const struct actor *a, const struct object *o, const char *what)
{
	char text[512];
	int n = snprintf(
		text, sizeof(text),
		"shadow: %s: %s: object %p of %zu bytes (align %zu, usable %zu)\n"
		"shadow: thread %u, operation %llu; again with: %s --threads %u --ops %llu "
		"--seed %llu\n",
		a->call ? a->call : "start", what, (void *)o->p, o->size, o->align, o->usable,
		a->thread, (unsigned long long)a->operation, config.program, config.threads,
		(unsigned long long)config.ops, (unsigned long long)config.seed);

	if (write(STDERR_FILENO, text, (size_t)n) < 0)
		_exit(2);
	_exit(1);
}

static void exchange(struct actor *a, struct object *slot)
{
	uint64_t i = rng_below(&a->rng, MAILBOXES);
	struct object mine = *slot;

	pthread_mutex_lock(&mailbox[i].lock);
	*slot = mailbox[i].object;
	mailbox[i].object = mine;
	pthread_mutex_unlock(&mailbox[i].lock);

	a->live_bytes -= mine.usable < a->live_bytes ? mine.usable : a->live_bytes;
	if (slot->p) {
		a->live_bytes += slot->usable;
		object_verify(a, slot);
	}
}

static void operate(struct actor *a, struct object *slot)
{
	uint64_t roll = rng_below(&a->rng, 100);
	bool ebb = (a->operation / TIDE) % 2;

	if (!slot->p) {
		if (!ebb || roll < 40)
			object_create(a, slot);
	} else if (roll < 8) {
		exchange(a, slot);
	} else if (roll < 18) {
		object_resize(a, slot);
	} else if (roll < 22) {
		object_verify(a, slot);
	} else if (ebb || roll < 60 || a->live_bytes > a->live_limit) {
		object_destroy(a, slot);
	}
}

static void *actor_main(void *arg)
{
	struct actor a = {
		.thread = (unsigned int)(uintptr_t)arg,
		.live_limit = LIVE_LIMIT / config.threads,
	};
	struct object *slots = mmap(NULL, SLOTS * sizeof(*slots), PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(slots != MAP_FAILED);
	a.rng.state = config.seed * MAX_THREADS + a.thread;
	for (a.operation = 0; a.operation < config.ops; a.operation++)
		operate(&a, &slots[rng_below(&a.rng, SLOTS)]);
	for (size_t i = 0; i < SLOTS; i++)
		if (slots[i].p)
			object_destroy(&a, &slots[i]);
	munmap(slots, SLOTS * sizeof(*slots));
	return NULL;
}

static void run(void)
{
	static const struct object nothing;
	struct actor a = { .thread = MAX_THREADS, .operation = config.ops };
	pthread_t threads[MAX_THREADS];

	for (size_t i = 0; i < MAILBOXES; i++)
		pthread_mutex_init(&mailbox[i].lock, NULL);
	for (uintptr_t i = 1; i < config.threads; i++)
		check(pthread_create(&threads[i], NULL, actor_main, (void *)i) == 0);
	actor_main((void *)0);
	for (size_t i = 1; i < config.threads; i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < MAILBOXES; i++)
		if (mailbox[i].object.p)
			object_destroy(&a, &mailbox[i].object);
	if (shadow_claimed() != 0)
		shadow_fail(&a, &nothing, "granules are still claimed: a fault of this test");
	if (heap_inconsistencies() != 0)
		shadow_fail(&a, &nothing, "slabmalloc_check found inconsistencies");
}

static void read_arguments(int argc, char **argv)
{
	static const struct option options[] = {
		{ "threads", required_argument, NULL, 't' },
		{ "ops", required_argument, NULL, 'o' },
		{ "seed", required_argument, NULL, 's' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	config.program = argv[0];
	config.seed = (uint64_t)time(NULL) * 1000 + (uint64_t)getpid() % 1000;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 't')
			config.threads = (unsigned int)strtoul(optarg, NULL, 10);
		else if (c == 'o')
			config.ops = strtoull(optarg, NULL, 10);
		else if (c == 's')
			config.seed = strtoull(optarg, NULL, 10);
		else
			exit(2);
	}
	check(config.threads >= 1 && config.threads <= MAX_THREADS);
}

int main(int argc, char **argv)
{
	require_library();
	read_arguments(argc, argv);
	run();
	printf("shadow: %u threads x %llu operations, seed %llu: all well\n", config.threads,
	       (unsigned long long)config.ops, (unsigned long long)config.seed);
	return 0;
}
