/* SPDX-License-Identifier: MIT */
/*
 * Shrinkers: how much they are asked for, what they may do in their callbacks, and what is said about mistakes.
 * (shrinker_threads.c: several threads, and fork.)
 */
#include "slabmalloc/shrinker.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "shrinker_cache.h"

TEST(what_is_asked_follows_from_priority_and_seeks)
{
	struct cache a = CACHE(100000, DEFAULT_SEEKS), b = CACHE(100000, 8), c = CACHE(100000, 0);

	/* (100000 >> 4) * 4 / 2 = 12500: 97 batches of 128; the other 84 are deferred. */
	assert_int_equal(shrink_once(&a, 4), 97 * 128);
	assert_int_equal(a.scans, 97);
	/* (100000 >> 4) * 4 / 8 = 3125: 24 batches. */
	assert_int_equal(shrink_once(&b, 4), 24 * 128);
	/* Cheap ones: half of them at any priority. */
	assert_int_equal(shrink_once(&c, 12), 50000 / 128 * 128);
}

TEST(priority_0_asks_for_all)
{
	struct cache c = CACHE(1000, DEFAULT_SEEKS);

	assert_int_equal(shrink_once(&c, 0), 1000);
	assert_int_equal(c.objects, 0);
	/* 8 batches, of which the last finds 104; twice as many are due, and the next one says stop. */
	assert_int_equal(c.scans, 9);
	assert_int_equal(c.asked[7], 128);
	assert_int_equal(shrink_once(&c, 0), 0);
	assert_int_equal(c.scans, 0);
}

TEST(twice_what_there_is_is_the_most)
{
	struct cache c = CACHE(1000, 1);

	c.stop_at = 1000;
	/* 4000 by the formula. Stopped at once, so all is deferred: 2000 and no more. */
	assert_int_equal(register_shrinker(&c.shrinker), 0);
	assert_int_equal(slabmalloc_shrink(0), 0);
	assert_int_equal(c.scans, 1);
	c.stop_at = 0;
	c.objects = 100000;
	c.scans = 0;
	c.shrinker.seeks = 1000000;
	/* Nothing is due by itself: what is asked for is what was deferred. */
	assert_int_equal(slabmalloc_shrink(0), 2000 / 128 * 128);
	unregister_shrinker(&c.shrinker);
}

TEST(small_shares_come_together_until_they_are_a_batch)
{
	struct cache c = CACHE(1000, DEFAULT_SEEKS);

	assert_int_equal(register_shrinker(&c.shrinker), 0);
	/* (1000 >> 4) * 4 / 2 = 124 a time, less than a batch; then 124 + (124 >> 4) = 131. */
	assert_int_equal(slabmalloc_shrink(4), 0);
	assert_int_equal(c.scans, 0);
	assert_int_equal(slabmalloc_shrink(4), 128);
	/* 124 + 124 - 128 = 120 were left over: (872 >> 4) * 2 + (120 >> 4) = 115. */
	assert_int_equal(slabmalloc_shrink(4), 0);
	unregister_shrinker(&c.shrinker);
}

TEST(a_cache_smaller_than_a_batch_is_asked_when_all_of_it_is_due)
{
	struct cache c = CACHE(10, DEFAULT_SEEKS);

	assert_int_equal(shrink_once(&c, 1), 10);
	assert_int_equal(c.asked[0], 10);
}

TEST(batches_are_as_large_as_the_shrinker_says)
{
	struct cache c = CACHE(1000, DEFAULT_SEEKS);

	c.shrinker.batch = 10;
	assert_int_equal(shrink_once(&c, 4), 62 * 2 / 10 * 10);
	assert_int_equal(c.asked[0], 10);
}

TEST(a_shrinker_that_says_stop_is_not_asked_again)
{
	struct cache c = CACHE(1000, DEFAULT_SEEKS);

	c.stop_at = 500;
	assert_int_equal(shrink_once(&c, 0), 512);
	assert_int_equal(c.scans, 5);
}

static unsigned long scan_nothing(struct shrinker *s, struct shrink_control *sc)
{
	struct cache *c = container_of(s, struct cache, shrinker);

	c->scans++;
	sc->nr_scanned = 0;
	return 0;
}

static unsigned long scan_a_lot(struct shrinker *s, struct shrink_control *sc)
{
	struct cache *c = container_of(s, struct cache, shrinker);

	c->scans++;
	sc->nr_scanned = 10 * sc->nr_to_scan;
	return 1;
}

TEST(what_was_scanned_is_what_the_callback_says)
{
	struct cache c = CACHE(10000, DEFAULT_SEEKS), d = CACHE(10000, DEFAULT_SEEKS);

	c.shrinker.scan_objects = scan_nothing;
	assert_int_equal(shrink_once(&c, 0), 0);
	assert_int_equal(c.scans, 1);
	d.shrinker.scan_objects = scan_a_lot;
	/* 20000 are due, 1280 a call. */
	assert_int_equal(shrink_once(&d, 0), 16);
}

TEST(huge_counts_and_strange_priorities_do_no_harm)
{
	struct cache c = CACHE(SHRINK_EMPTY - 1, 1);

	c.stop_at = SHRINK_EMPTY - 1;
	assert_int_equal(shrink_once(&c, 0), 0);
	assert_int_equal(shrink_once(&c, 1000), 0);
	c = (struct cache)CACHE(100, DEFAULT_SEEKS);
	assert_int_equal(shrink_once(&c, 1000), 0);
	assert_int_equal(shrink_once(&c, -5), 100);
}

static unsigned long count_private(struct shrinker *s, struct shrink_control *sc)
{
	(void)sc;
	return *(unsigned long *)s->private_data;
}

static unsigned long scan_private(struct shrinker *s, struct shrink_control *sc)
{
	unsigned long *objects = s->private_data;
	unsigned long n = sc->nr_to_scan < *objects ? sc->nr_to_scan : *objects;

	*objects -= n;
	return n ? n : SHRINK_STOP;
}

TEST(todays_registration)
{
	unsigned long objects = 256;
	struct shrinker *s =
		shrinker_alloc(SHRINKER_NUMA_AWARE | SHRINKER_MEMCG_AWARE, "test-%d", 7);

	assert_non_null(s);
	assert_int_equal(s->seeks, DEFAULT_SEEKS);
	s->count_objects = count_private;
	s->scan_objects = scan_private;
	s->private_data = &objects;
	assert_int_equal(slabmalloc_shrink(0), 0);
	shrinker_register(s);
	assert_int_equal(slabmalloc_shrink(0), 256);
	objects = 100;
	shrinker_free(s);
	assert_int_equal(slabmalloc_shrink(0), 0);
	shrinker_free(shrinker_alloc(0, "never registered"));
	shrinker_free(NULL);
}

TEST(classic_registration_with_and_without_a_name)
{
	struct cache c = CACHE(128, DEFAULT_SEEKS);

	assert_int_equal(register_shrinker(&c.shrinker, "cache-%s-%d", "x", 3), 0);
	assert_int_equal(slabmalloc_shrink(0), 128);
	unregister_shrinker(&c.shrinker);
	c.objects = 128;
	assert_int_equal(slabmalloc_shrink(0), 0);
	unregister_shrinker(&c.shrinker);
	assert_int_equal(shrink_once(&c, 0), 128);
}

/* Callbacks that do more than they should need to. */
static struct cache late = CACHE(1000, DEFAULT_SEEKS);

static unsigned long scan_and_register(struct shrinker *s, struct shrink_control *sc)
{
	if (!late.shrinker.entry)
		check(register_shrinker(&late.shrinker) == 0);
	return scan_cache(s, sc);
}

TEST(a_shrinker_registered_during_a_walk_is_asked_in_the_next)
{
	struct cache c = CACHE(1000, DEFAULT_SEEKS);

	c.shrinker.scan_objects = scan_and_register;
	assert_int_equal(shrink_once(&c, 0), 1000);
	assert_int_equal(late.counts, 0);
	assert_int_equal(slabmalloc_shrink(0), 1000);
	assert_int_equal(late.counts, 1);
	unregister_shrinker(&late.shrinker);
}

static int freed_itself;

static unsigned long scan_and_free_itself(struct shrinker *s, struct shrink_control *sc)
{
	(void)sc;
	freed_itself++;
	shrinker_free(s);
	return 1;
}

static unsigned long count_and_free_itself(struct shrinker *s, struct shrink_control *sc)
{
	(void)sc;
	freed_itself++;
	shrinker_free(s);
	return 1000;
}

TEST(a_shrinker_may_free_itself_in_its_callbacks)
{
	unsigned long objects = 1000;
	struct cache before = CACHE(100, DEFAULT_SEEKS), after = CACHE(100, DEFAULT_SEEKS);
	struct shrinker *s = shrinker_alloc(0, "s"), *t = shrinker_alloc(0, "t");

	s->count_objects = count_private;
	s->private_data = &objects;
	s->scan_objects = scan_and_free_itself;
	t->count_objects = count_and_free_itself;
	t->scan_objects = scan_private;
	freed_itself = 0;
	register_shrinker(&before.shrinker);
	shrinker_register(s);
	shrinker_register(t);
	register_shrinker(&after.shrinker);
	assert_int_equal(slabmalloc_shrink(0), 100 + 1 + 100);
	assert_int_equal(freed_itself, 2);
	assert_int_equal(slabmalloc_shrink(0), 0);
	assert_int_equal(freed_itself, 2);
	unregister_shrinker(&before.shrinker);
	unregister_shrinker(&after.shrinker);
	assert_int_equal(heap_inconsistencies(), 0);
}

static struct cache neighbour = CACHE(1000, DEFAULT_SEEKS);

static unsigned long scan_and_unregister_neighbour(struct shrinker *s, struct shrink_control *sc)
{
	unregister_shrinker(&neighbour.shrinker);
	return scan_cache(s, sc);
}

TEST(a_shrinker_may_unregister_others)
{
	struct cache c = CACHE(1000, DEFAULT_SEEKS);

	c.shrinker.scan_objects = scan_and_unregister_neighbour;
	register_shrinker(&c.shrinker);
	register_shrinker(&neighbour.shrinker);
	assert_int_equal(slabmalloc_shrink(0), 1000);
	assert_int_equal(neighbour.counts, 0);
	unregister_shrinker(&c.shrinker);
}

static unsigned long scan_and_allocate(struct shrinker *s, struct shrink_control *sc)
{
	for (size_t size = 16; size < 4 * MIB; size *= 2)
		free(malloc(size));
	check(slabmalloc_shrink(0) == 0);
	return scan_cache(s, sc);
}

TEST(a_callback_may_allocate_and_never_begins_another_walk)
{
	struct cache c = CACHE(1000, DEFAULT_SEEKS);

	c.shrinker.scan_objects = scan_and_allocate;
	assert_int_equal(shrink_once(&c, 0), 1000);
	assert_int_equal(c.counts, 1);
}

/* What is said about mistakes. */
static struct cache bad = CACHE(1, DEFAULT_SEEKS);

static void register_twice(void *arg)
{
	(void)arg;
	check(register_shrinker(&bad.shrinker) == 0);
	check(register_shrinker(&bad.shrinker) == -EINVAL);
	check(slabmalloc_shrink(0) == 1);
	unregister_shrinker(&bad.shrinker);
}

static void register_without_callback(void *arg)
{
	(void)arg;
	bad.shrinker.scan_objects = NULL;
	check(register_shrinker(&bad.shrinker) == -EINVAL);
	slabmalloc_shrink(0);
}

static void register_a_classic_one_as_new(void *arg)
{
	(void)arg;
	shrinker_register(&bad.shrinker);
}

static void free_a_classic_one(void *arg)
{
	(void)arg;
	shrinker_free(&bad.shrinker);
}

static void assert_says(void (*fn)(void *), bool aborts, const char *function, const char *what)
{
	struct child c;
	char line[200];

	snprintf(line, sizeof(line), "slabmalloc: %s(%p): %s\n", function, (void *)&bad.shrinker,
		 what);
	child_run(&c, fn, NULL, 20);
	assert_string_equal(c.err, line);
	assert_int_equal(WIFSIGNALED(c.status), aborts);
}

TEST(mistakes_are_named)
{
	assert_says(register_twice, false, "register_shrinker", "registered already");
	assert_says(register_without_callback, false, "register_shrinker",
		    "count_objects or scan_objects is missing");
	assert_says(register_a_classic_one_as_new, false, "shrinker_register",
		    "not of shrinker_alloc()");
	assert_says(free_a_classic_one, true, "shrinker_free", "not of shrinker_alloc()");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_asked_follows_from_priority_and_seeks),
		cmocka_unit_test(priority_0_asks_for_all),
		cmocka_unit_test(twice_what_there_is_is_the_most),
		cmocka_unit_test(small_shares_come_together_until_they_are_a_batch),
		cmocka_unit_test(a_cache_smaller_than_a_batch_is_asked_when_all_of_it_is_due),
		cmocka_unit_test(batches_are_as_large_as_the_shrinker_says),
		cmocka_unit_test(a_shrinker_that_says_stop_is_not_asked_again),
		cmocka_unit_test(what_was_scanned_is_what_the_callback_says),
		cmocka_unit_test(huge_counts_and_strange_priorities_do_no_harm),
		cmocka_unit_test(todays_registration),
		cmocka_unit_test(classic_registration_with_and_without_a_name),
		cmocka_unit_test(a_shrinker_registered_during_a_walk_is_asked_in_the_next),
		cmocka_unit_test(a_shrinker_may_free_itself_in_its_callbacks),
		cmocka_unit_test(a_shrinker_may_unregister_others),
		cmocka_unit_test(a_callback_may_allocate_and_never_begins_another_walk),
		cmocka_unit_test(mistakes_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
