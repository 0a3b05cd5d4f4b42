/* SPDX-License-Identifier: MIT */
/*
 * Out of memory is an answer, not an end. Each scenario runs as a process of its own under
 * RLIMIT_AS or RLIMIT_DATA, set before it starts: it takes all there is, through every function, is
 * told ENOMEM, gives all back, and must get as much again.
 */
#define _GNU_SOURCE
#include "api.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#define LIMIT (200 * MIB)
#define ROUNDS 4
#define THREADS 8

/* The blocks are chained through themselves: there is no memory to keep a list in. */
struct block {
	struct block *next;
	size_t size;
	struct block *self;
};

struct hoard {
	struct block *first;
	size_t bytes;
	struct rng rng;
	const size_t *sizes; /* one is drawn each time */
	size_t nr_sizes;
	bool plain; /* only by functions that take no alignment: size and class say all */
};

#define PLAIN_WAYS 4
#define WAYS 9

static void *obtain(uint64_t way, size_t size)
{
	void *p = NULL;
	int err;

	switch (way) {
	case 0:
		return malloc(size);
	case 1:
		return calloc(1, size);
	case 2:
		return realloc(NULL, size);
	case 3:
		return reallocarray(NULL, 1, size);
	case 4:
		return aligned_alloc(64, size);
	case 5:
		return memalign(256, size);
	case 6:
		err = posix_memalign(&p, 32, size);
		check(err == 0 || err == ENOMEM);
		errno = err;
		return p;
	case 7:
		return size >= 4096 ? valloc(size) : malloc(size);
	default:
		/* Grown: if the second step fails, the first must still be there to be freed. */
		p = malloc(size / 2 + sizeof(struct block));
		if (p) {
			void *q = realloc(p, size);

			if (!q)
				free(p);
			return q;
		}
		return NULL;
	}
}

static bool hoard_one(struct hoard *h, size_t size)
{
	struct block *b;

	errno = 0;
	b = obtain(rng_next(&h->rng) % (h->plain ? PLAIN_WAYS : WAYS), size);
	if (!b) {
		check(errno == ENOMEM);
		return false;
	}
	b->next = h->first;
	b->size = size;
	b->self = b;
	memset((char *)b + size - 8, 0xaa, 8);
	h->first = b;
	h->bytes += size;
	return true;
}

/* All there is: until not even the smallest is to be had. */
static void hoard_all(struct hoard *h)
{
	size_t largest = SIZE_MAX;

	for (;;) {
		size_t size = h->sizes[rng_below(&h->rng, h->nr_sizes)];

		if (size > largest)
			size = largest;
		if (hoard_one(h, size))
			continue;
		if (size <= 32)
			return;
		largest = h->nr_sizes == 1 ? 32 : size / 2 < 32 ? 32 : size / 2;
	}
}

static void give_back(struct hoard *h)
{
	while (h->first) {
		struct block *b = h->first;

		check(b->self == b);
		check(b->size <= 64 || ((unsigned char *)b)[b->size - 1] == 0xaa);
		h->first = b->next;
		free(b);
	}
	h->bytes = 0;
}

static const size_t mixed[] = { 32,   48,    64,    100,    200,    1000,           3000,
				9000, 33000, 70000, 200000, 700000, 2 * 1024 * 1024 };

static void print_round(const char *what, int round, size_t bytes)
{
	fprintf(stderr, "%s, round %d: %zu MiB\n", what, round, bytes / MIB);
}

/* The first round must get most of the limit; the later ones nearly what the first one got. */
static void judge(const char *what, int round, size_t bytes, size_t *first)
{
	print_round(what, round, bytes);
	if (round == 0) {
		*first = bytes;
		check(bytes > LIMIT / 2);
	}
	check(bytes >= *first / 10 * 9);
}

static void exhaust_mixed(void)
{
	struct hoard h = { .sizes = mixed, .nr_sizes = ARRAY_SIZE(mixed) };
	size_t first = 0;

	for (int round = 0; round < ROUNDS; round++) {
		hoard_all(&h);
		judge("mixed sizes", round, h.bytes, &first);
		give_back(&h);
	}
}

/*
 * What one size leaves behind must be there for another, and for the first again. Exact sizes of
 * classes and of frames, so that rounding takes nothing.
 */
static void exhaust_one_size_after_the_other(void)
{
	static const size_t sizes[] = { 64, 1024 * 1024, 3072, 98304, 409600, 16384 };
	size_t first[ARRAY_SIZE(sizes)], most = 0;

	for (size_t i = 0; i < 3 * ARRAY_SIZE(sizes); i++) {
		size_t which = i % ARRAY_SIZE(sizes);
		struct hoard h = { .sizes = &sizes[which], .nr_sizes = 1, .plain = true };

		hoard_all(&h);
		fprintf(stderr, "%zu bytes: %zu MiB\n", sizes[which], h.bytes / MIB);
		most = h.bytes > most ? h.bytes : most;
		if (i < ARRAY_SIZE(sizes))
			first[which] = h.bytes;
		check(h.bytes >= most / 10 * 8);
		check(h.bytes >= first[which] / 10 * 9);
		give_back(&h);
	}
}

static struct {
	pthread_barrier_t full, empty;
	struct hoard hoard[THREADS];
} shared;

static void *exhaust_thread(void *arg)
{
	struct hoard *h = arg;

	/* Nobody takes what the next thread's stack needs. */
	pthread_barrier_wait(&shared.empty);
	for (int round = 0; round < ROUNDS; round++) {
		hoard_all(h);
		pthread_barrier_wait(&shared.full);
		pthread_barrier_wait(&shared.full);
		give_back(h);
		pthread_barrier_wait(&shared.empty);
	}
	return NULL;
}

static void exhaust_by_threads(void)
{
	pthread_t threads[THREADS];
	pthread_attr_t attr;
	size_t first = 0;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 * KIB);
	pthread_barrier_init(&shared.full, NULL, THREADS + 1);
	pthread_barrier_init(&shared.empty, NULL, THREADS + 1);
	for (size_t i = 0; i < THREADS; i++) {
		shared.hoard[i] = (struct hoard){ .sizes = mixed,
						  .nr_sizes = ARRAY_SIZE(mixed),
						  .rng.state = i };
		check(!pthread_create(&threads[i], &attr, exhaust_thread, &shared.hoard[i]));
	}
	pthread_barrier_wait(&shared.empty);
	for (int round = 0; round < ROUNDS; round++) {
		size_t sum = 0;

		pthread_barrier_wait(&shared.full);
		for (size_t i = 0; i < THREADS; i++)
			sum += shared.hoard[i].bytes;
		judge("8 threads", round, sum, &first);
		pthread_barrier_wait(&shared.full);
		pthread_barrier_wait(&shared.empty);
	}
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void realloc_when_exhausted(void)
{
	static const size_t sizes[] = { 64, 5000, 100000, 1024 * 1024 };
	struct hoard h = { .sizes = mixed, .nr_sizes = ARRAY_SIZE(mixed) };
	void *p[ARRAY_SIZE(sizes)];

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		p[i] = malloc(sizes[i]);
		pattern_fill(p[i], sizes[i], i);
	}
	hoard_all(&h);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		errno = 0;
		check(realloc(p[i], LIMIT) == NULL && errno == ENOMEM);
		check(realloc(p[i], LIMIT / 2) == NULL && errno == ENOMEM);
		check(pattern_holds(p[i], sizes[i], i));
	}
	give_back(&h);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		p[i] = realloc(p[i], 8 * MIB);
		check(p[i] && pattern_prefix_holds(p[i], sizes[i], sizes[i], i));
		free(p[i]);
	}
}

/* Not even the smallest is to be had, and what is freed then is had again at once. */
static void swap_when_exhausted(void)
{
	struct hoard h = { .sizes = mixed, .nr_sizes = ARRAY_SIZE(mixed), .plain = true };

	hoard_all(&h);
	for (int i = 0; i < 100000 && h.first; i++) {
		struct block *b = h.first;
		size_t size = b->size;

		h.first = b->next;
		h.bytes -= size;
		free(b);
		b = malloc(size);
		check(b);
		free(b);
	}
	give_back(&h);
}

static void exhaust_data_limit(void)
{
	struct rlimit limit = { LIMIT, LIMIT };

	check(setrlimit(RLIMIT_DATA, &limit) == 0);
	exhaust_mixed();
}

static const struct {
	const char *name;
	void (*run)(void);
	size_t limit_as;
} scenarios[] = {
	{ "mixed", exhaust_mixed, LIMIT },
	{ "sizes", exhaust_one_size_after_the_other, LIMIT },
	{ "threads", exhaust_by_threads, LIMIT },
	{ "realloc", realloc_when_exhausted, LIMIT },
	{ "swap", swap_when_exhausted, LIMIT },
	{ "data", exhaust_data_limit, 0 },
};

static int run_scenario(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++)
		if (strcmp(name, scenarios[i].name) == 0) {
			scenarios[i].run();
			check(heap_inconsistencies() == 0);
			return 0;
		}
	return 2;
}

static bool scenario_succeeds(const char *name)
{
	char *argv[] = { (char *)(uintptr_t) "/proc/self/exe", (char *)(uintptr_t)name, NULL };
	struct child c;

	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++)
		if (strcmp(name, scenarios[i].name) == 0) {
			child_exec(&c, argv, scenarios[i].limit_as, 60);
			return child_succeeded(&c);
		}
	return false;
}

static void as_much_as_before_is_to_be_had_after_exhaustion(void **state)
{
	(void)state;
	assert_true(scenario_succeeds("mixed"));
}

static void what_one_size_gave_back_is_to_be_had_in_another(void **state)
{
	(void)state;
	assert_true(scenario_succeeds("sizes"));
}

static void as_much_as_before_is_to_be_had_by_8_threads(void **state)
{
	(void)state;
	assert_true(scenario_succeeds("threads"));
}

static void failed_realloc_leaves_the_old_block(void **state)
{
	(void)state;
	assert_true(scenario_succeeds("realloc"));
}

static void what_is_freed_at_the_limit_is_to_be_had_at_once(void **state)
{
	(void)state;
	assert_true(scenario_succeeds("swap"));
}

static void a_limit_of_data_is_met_as_well(void **state)
{
	(void)state;
	assert_true(scenario_succeeds("data"));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_much_as_before_is_to_be_had_after_exhaustion),
		cmocka_unit_test(what_one_size_gave_back_is_to_be_had_in_another),
		cmocka_unit_test(as_much_as_before_is_to_be_had_by_8_threads),
		cmocka_unit_test(failed_realloc_leaves_the_old_block),
		cmocka_unit_test(what_is_freed_at_the_limit_is_to_be_had_at_once),
		cmocka_unit_test(a_limit_of_data_is_met_as_well),
	};

	require_library();
	if (argc == 2)
		return run_scenario(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
