// SPDX-License-Identifier: MIT
/*
 * heap_limit.c - options limit and soft_limit, and who is told (tests/api/meson.build sets 64 and 48 MiB).
 */
#define _GNU_SOURCE
#include "api.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "slabmalloc/pressure.h"
#include "slabmalloc/shrinker.h"

#define LIMIT (64 * MIB)

static void *block[100000];
static size_t nr_blocks;

/* Until malloc fails; returns the bytes that it gave. */
static size_t exhaust(size_t size)
{
	size_t bytes = 0;

	while (nr_blocks < ARRAY_SIZE(block) && (block[nr_blocks] = malloc(size))) {
		memset(block[nr_blocks++], 1, size);
		bytes += size;
	}
	return bytes;
}

static void free_all(void)
{
	while (nr_blocks)
		free(block[--nr_blocks]);
}

static void malloc_fails_at_the_limit_and_works_below_it(void **state)
{
	static const size_t sizes[] = { 1000, 20000, 300000, 5 * MIB };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t before = rss_bytes(), bytes;

		errno = 0;
		bytes = exhaust(sizes[i]);
		assert_int_equal(errno, ENOMEM);
		assert_true(bytes <= LIMIT && bytes > LIMIT * 3 / 4);
		assert_true(rss_bytes() < before + LIMIT + 8 * MIB);
		free_all();
		free(malloc(sizes[i]));
	}
	assert_int_equal(heap_inconsistencies(), 0);
}

static void what_is_resized_or_aligned_is_limited_too(void **state)
{
	char *p = malloc(30 * MIB), *q;

	(void)state;
	assert_non_null(p);
	p[0] = 7;
	errno = 0;
	q = opaque(realloc(p, 100 * MIB));
	assert_null(q);
	assert_int_equal(errno, ENOMEM);
	assert_int_equal(p[0], 7);
	assert_null(opaque(calloc(50, MIB)));
	assert_null(opaque(aligned_alloc(4096, 50 * MIB)));
	free(p);
	free(opaque(calloc(50, MIB)));
}

static unsigned int calls;
static enum slabmalloc_pressure_level highest;

static void on_pressure(const struct slabmalloc_pressure *p, void *arg)
{
	calls++;
	highest = p->level > highest ? p->level : highest;
	*(const char **)arg = p->source;
	free(malloc(100));
}

static void the_program_is_told(void **state)
{
	const char *source = NULL;

	(void)state;
	slabmalloc_on_pressure(on_pressure, &source);
	exhaust(1000);
	assert_true(calls > 1);
	assert_int_equal(highest, SLABMALLOC_PRESSURE_CRITICAL);
	assert_string_equal(source, "failure");
	slabmalloc_on_pressure(NULL, NULL);
	free_all();
	calls = 0;
	exhaust(1000);
	free_all();
	assert_int_equal(calls, 0);
}

/* A cache of the program's: blocks that it can do without. */
static void *cached[300];
static size_t nr_cached;

static unsigned long count_cached(struct shrinker *s, struct shrink_control *sc)
{
	(void)s;
	(void)sc;
	return nr_cached;
}

static unsigned long free_cached(struct shrinker *s, struct shrink_control *sc)
{
	unsigned long n = 0;

	(void)s;
	while (nr_cached && n < sc->nr_to_scan) {
		free(cached[--nr_cached]);
		n++;
	}
	return n;
}

static void before_malloc_fails_the_programs_shrinkers_are_asked(void **state)
{
	struct shrinker *s = shrinker_alloc(0, "test-cache");
	void *p;

	(void)state;
	assert_non_null(s);
	s->count_objects = count_cached;
	s->scan_objects = free_cached;
	shrinker_register(s);
	/* Opaque: the shrinker may be called in any malloc, for what the system is short of too. */
	while (nr_cached < ARRAY_SIZE(cached) && (p = opaque(malloc(MIB / 8))))
		cached[nr_cached++] = p;
	p = opaque(malloc(40 * MIB));
	assert_non_null(p);
	assert_true(nr_cached < ARRAY_SIZE(cached));
	free(p);
	free_cached(s, &(struct shrink_control){ .nr_to_scan = ARRAY_SIZE(cached) });
	shrinker_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(malloc_fails_at_the_limit_and_works_below_it),
		cmocka_unit_test(what_is_resized_or_aligned_is_limited_too),
		cmocka_unit_test(the_program_is_told),
		cmocka_unit_test(before_malloc_fails_the_programs_shrinkers_are_asked),
	};

	require_library();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
