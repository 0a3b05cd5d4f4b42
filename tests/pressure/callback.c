// SPDX-License-Identifier: MIT
/*
 * callback.c - slabmalloc_on_pressure(), under limit:64M and soft_limit:48M and without kshrinkd.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "slabmalloc/pressure.h"

#define MIB (1ul << 20)

enum { MOST = 64 };

static void *cache[MOST];
static unsigned int cached;
static void *held; /* what the callback cannot give back */

static struct {
	unsigned int calls, failures, soft;
	enum slabmalloc_pressure_level least, worst; /* of the soft limit's */
	int inside, deepest;
} seen;

static void see(const struct slabmalloc_pressure *p, void *arg)
{
	assert_ptr_equal(arg, &seen);
	seen.calls++;
	seen.inside++;
	if (seen.inside > seen.deepest)
		seen.deepest = seen.inside;
	if (!strcmp(p->source, "failure")) {
		seen.failures++;
		assert_int_equal(p->level, SLABMALLOC_PRESSURE_CRITICAL);
		while (cached)
			free(cache[--cached]);
	}
	if (!strcmp(p->source, "soft_limit")) {
		if (!seen.soft++ || p->level < seen.least)
			seen.least = p->level;
		if (p->level > seen.worst)
			seen.worst = p->level;
	}
	free(malloc(100));
	seen.inside--;
}

static void fill(unsigned int blocks, unsigned int pause_us)
{
	for (unsigned int i = 0; i < blocks; i++) {
		cache[cached] = malloc(MIB);
		assert_non_null(cache[cached]);
		memset(cache[cached++], 1, MIB);
		usleep(pause_us);
	}
}

static int begin(void **state)
{
	(void)state;
	memset(&seen, 0, sizeof(seen));
	slabmalloc_on_pressure(see, &seen);
	return 0;
}

static int end(void **state)
{
	(void)state;
	slabmalloc_on_pressure(NULL, NULL);
	while (cached)
		free(cache[--cached]);
	free(held);
	held = NULL;
	return 0;
}

static void is_not_called_while_there_is_room(void **state)
{
	(void)state;
	fill(16, 15000);
	assert_int_equal(seen.calls, 0);
}

static void is_told_of_the_soft_limit_and_more_urgently_as_it_nears(void **state)
{
	(void)state;
	fill(52, 40000);
	assert_true(seen.soft >= 2);
	assert_int_equal(seen.worst, SLABMALLOC_PRESSURE_CRITICAL);
	assert_true(seen.least < seen.worst);
	assert_int_equal(seen.deepest, 1);
}

static void can_make_room_where_malloc_would_have_failed(void **state)
{
	void *p[32];

	(void)state;
	fill(48, 0);
	for (unsigned int i = 0; i < 32; i++) {
		p[i] = malloc(MIB);
		assert_non_null(p[i]);
		memset(p[i], 1, MIB);
	}
	assert_true(seen.failures >= 1);
	assert_int_equal(cached, 0);
	for (unsigned int i = 0; i < 32; i++)
		free(p[i]);
}

/* Two of them fit under the limit one by one, but not together. */
static void hold(void)
{
	held = malloc(40 * MIB);
	assert_non_null(held);
}

static void is_told_of_a_failure_that_it_cannot_help(void **state)
{
	(void)state;
	hold();
	assert_null(malloc(40 * MIB));
	assert_true(seen.failures >= 1);
	assert_int_equal(seen.deepest, 1);
}

static void is_not_called_any_more_once_it_is_taken_back(void **state)
{
	(void)state;
	slabmalloc_on_pressure(NULL, NULL);
	hold();
	assert_null(malloc(40 * MIB));
	assert_int_equal(seen.calls, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(is_not_called_while_there_is_room),
		TEST(is_told_of_the_soft_limit_and_more_urgently_as_it_nears),
		TEST(can_make_room_where_malloc_would_have_failed),
		TEST(is_told_of_a_failure_that_it_cannot_help),
		TEST(is_not_called_any_more_once_it_is_taken_back),
	};

	return cmocka_run_group_tests_name("callback", tests, NULL, NULL);
}
