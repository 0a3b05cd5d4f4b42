/* SPDX-License-Identifier: MIT */
/* What lies free between objects that live is memory of the system again, and comes back as it should. */
#define _GNU_SOURCE
#include "api.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { OBJECTS = 120000, LEAST = 600, MOST = 1024, ONE_STAYS_OF = 20 };

static struct object {
	char *p;
	size_t size;
} objects[OBJECTS];

static struct rng rng = { 21 };

/* Resident before anything is measured. */
static int setup(void **state)
{
	(void)state;
	memset(objects, 1, sizeof(objects));
	memset(objects, 0, sizeof(objects));
	return 0;
}

static void take(size_t i, size_t size, void *p)
{
	assert_non_null(p);
	pattern_fill(p, size, i);
	objects[i] = (struct object){ p, size };
}

static void allocate_missing(void)
{
	for (size_t i = 0; i < OBJECTS; i++) {
		size_t size = LEAST + rng_below(&rng, MOST - LEAST + 1);

		if (!objects[i].p)
			take(i, size, malloc(size));
	}
}

static void release(size_t i)
{
	assert_true(pattern_holds(objects[i].p, objects[i].size, i));
	free(objects[i].p);
	objects[i].p = NULL;
}

/* One object in ONE_STAYS_OF stays, wherever it lies. */
static void free_most(void)
{
	for (size_t i = 0; i < OBJECTS; i++)
		if (objects[i].p && rng_below(&rng, ONE_STAYS_OF))
			release(i);
}

static void assert_all_hold(void)
{
	for (size_t i = 0; i < OBJECTS; i++)
		if (objects[i].p)
			assert_true(pattern_holds(objects[i].p, objects[i].size, i));
	assert_int_equal(heap_inconsistencies(), 0);
}

/* A frame that six objects touch has none in use with a chance of 0.95^6: three quarters. */
static void trim_leaves_little_more_than_the_frames_of_what_lives(void **state)
{
	size_t start = rss_bytes(), full;

	(void)state;
	allocate_missing();
	full = rss_bytes() - start;
	free_most();
	malloc_trim(0);
	if (sysconf(_SC_PAGESIZE) == 4096)
		assert_true(rss_bytes() - start < full * 35 / 100);
	assert_all_hold();
}

static void what_was_given_back_serves_again(void **state)
{
	(void)state;
	for (int round = 0; round < 5; round++) {
		allocate_missing();
		assert_all_hold();
		free_most();
		if (round % 2)
			malloc_trim(0);
		assert_all_hold();
	}
	allocate_missing();
}

/* Nobody asks for it: a program that goes on with other things is enough. */
static void it_goes_back_by_itself(void **state)
{
	const struct timespec pause = { .tv_nsec = 20 * 1000000 };
	size_t full = rss_bytes();

	(void)state;
	free_most();
	for (int i = 0; i < 500 && rss_bytes() > full / 2; i++) {
		free(opaque(malloc(MIB)));
		nanosleep(&pause, NULL);
	}
	if (sysconf(_SC_PAGESIZE) == 4096)
		assert_true(rss_bytes() <= full / 2);
	assert_all_hold();
}

static void zeroed_memory_is_zero(void **state)
{
	(void)state;
	malloc_trim(0);
	for (size_t i = 0; i < OBJECTS; i++) {
		size_t size = LEAST + rng_below(&rng, 4ul * MOST);
		char *p;

		if (objects[i].p)
			continue;
		p = opaque(calloc(1, size));
		for (size_t at = 0; at < size; at++)
			assert_false(p[at]);
		take(i, size, p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(trim_leaves_little_more_than_the_frames_of_what_lives),
		cmocka_unit_test(what_was_given_back_serves_again),
		cmocka_unit_test(it_goes_back_by_itself),
		cmocka_unit_test(zeroed_memory_is_zero),
	};

	require_library();
	return cmocka_run_group_tests(tests, setup, NULL);
}
