/* SPDX-License-Identifier: MIT */
/*
 * Memory pools: who is asked for an element and in which order, and what is said about mistakes.
 * (mempool_wait.c: who waits for whom; mempool_limits.c: under real limits.)
 */
#include "slabmalloc/mempool.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "mempool_source.h"
#include "slabmalloc/gfp.h"
#include "slabmalloc/slab.h"

TEST(the_reserve_is_full_from_the_start)
{
	struct source s = { .left = -1 };
	mempool_t *pool = pool_of(&s, 4);

	assert_int_equal(s.given, 4);
	assert_int_equal(pool->curr_nr, 4);
	assert_int_equal(pool->min_nr, 4);
	assert_true(mempool_is_saturated(pool));
	mempool_destroy(pool);
	assert_int_equal(s.taken_back, 4);
}

TEST(a_pool_whose_reserve_cannot_be_had_is_not_made)
{
	struct source s = { .left = 3 };
	mempool_t pool;

	errno = 0;
	assert_null(mempool_create(4, source_alloc, source_free, &s));
	assert_int_equal(errno, ENOMEM);
	assert_int_equal(s.taken_back, 3);
	s.left = 3;
	assert_int_equal(mempool_init(&pool, 4, source_alloc, source_free, &s), -ENOMEM);
	assert_int_equal(s.taken_back, 6);
	mempool_exit(&pool);
	assert_int_equal(s.taken_back, 6);
}

TEST(alloc_fn_comes_first_then_the_reserve)
{
	struct source s = { .left = -1 };
	mempool_t *pool = pool_of(&s, 2);
	void *a, *b;

	s.calls = 0;
	a = mempool_alloc(pool, GFP_KERNEL);
	assert_non_null(a);
	assert_int_equal(s.calls, 1);
	assert_int_equal(s.gfp[0] & __GFP_DIRECT_RECLAIM, 0);
	assert_int_equal(pool->curr_nr, 2);

	s.left = 0;
	b = mempool_alloc(pool, GFP_KERNEL);
	assert_non_null(b);
	assert_int_equal(s.calls, 2);
	assert_int_equal(pool->curr_nr, 1);
	assert_false(mempool_is_saturated(pool));

	mempool_free(a, pool);
	assert_int_equal(pool->curr_nr, 2);
	mempool_free(b, pool);
	assert_int_equal(pool->curr_nr, 2);
	assert_int_equal(s.taken_back, 1);
	mempool_destroy(pool);
}

TEST(who_may_wait_asks_again_with_reclaim_before_it_does)
{
	struct source s = { .left = 1 };
	mempool_t *pool = pool_of(&s, 1);
	void *a = mempool_alloc_preallocated(pool), *b;

	assert_non_null(a);
	s.calls = 0;
	s.left = -1;
	b = mempool_alloc(pool, GFP_KERNEL);
	assert_int_equal(s.calls, 1);
	mempool_free(b, pool);

	b = mempool_alloc_preallocated(pool);
	assert_ptr_equal(mempool_alloc_preallocated(pool), NULL);
	s.left = 0;
	s.calls = 0;
	assert_null(mempool_alloc(pool, GFP_ATOMIC));
	assert_int_equal(s.calls, 1);
	assert_int_equal(errno, ENOMEM);
	assert_null(mempool_alloc(pool, GFP_NOWAIT));
	mempool_free(a, pool);
	mempool_free(b, pool);
	mempool_destroy(pool);
}

TEST(preallocated_asks_nobody)
{
	struct source s = { .left = -1 };
	mempool_t *pool = pool_of(&s, 2);
	void *a, *b;

	s.calls = 0;
	a = mempool_alloc_preallocated(pool);
	b = mempool_alloc_preallocated(pool);
	assert_true(a && b && a != b);
	assert_null(mempool_alloc_preallocated(pool));
	assert_int_equal(s.calls, 0);
	mempool_free(a, pool);
	mempool_free(b, pool);
	mempool_free(NULL, pool);
	assert_int_equal(pool->curr_nr, 2);
	mempool_destroy(pool);
	mempool_destroy(NULL);
}

static void construct(void *object)
{
	strcpy(object, "constructed");
}

TEST(a_slab_pool_keeps_constructed_objects_in_reserve)
{
	struct kmem_cache *s = kmem_cache_create("things", 200, 0, 0, construct);
	mempool_t *pool = mempool_create_slab_pool(3, s);
	char *e[5];

	assert_non_null(pool);
	assert_string_equal(pool->name, "mempool-things");
	assert_int_equal(pool->element_size, 200);
	e[3] = mempool_alloc_preallocated(pool);
	e[4] = mempool_alloc_preallocated(pool);
	for (int i = 0; i < 3; i++)
		e[i] = mempool_alloc(pool, GFP_KERNEL);
	for (int i = 0; i < 5; i++) {
		assert_string_equal(e[i], "constructed");
		mempool_free(e[i], pool);
	}
	assert_int_equal(pool->curr_nr, 3);
	mempool_destroy(pool);
	kmem_cache_destroy(s);
}

TEST(kmalloc_and_page_pools_in_memory_of_the_callers)
{
	mempool_t bytes, pages;
	void *e;

	assert_int_equal(mempool_init_kmalloc_pool(&bytes, 2, 1000), 0);
	assert_int_equal(mempool_init_page_pool(&pages, 2, 1), 0);
	assert_true(mempool_initialized(&bytes) && mempool_initialized(&pages));
	assert_string_equal(bytes.name, "mempool-kmalloc-1000");
	assert_string_equal(pages.name, "mempool-pages-1");
	e = mempool_alloc(&bytes, GFP_KERNEL);
	memset(e, 1, 1000);
	mempool_free(e, &bytes);
	e = mempool_alloc(&pages, GFP_KERNEL);
	memset(page_address(e), 1, 8192);
	mempool_free(e, &pages);
	mempool_exit(&bytes);
	mempool_exit(&pages);
	assert_false(mempool_initialized(&bytes));
}

TEST(bulk_fills_what_is_missing)
{
	struct source s = { .left = -1 };
	mempool_t *pool = pool_of(&s, 4);
	char mine;
	void *e[6] = { NULL, &mine, NULL, NULL, &mine, NULL };

	s.left = 1;
	assert_int_equal(mempool_alloc_bulk(pool, e, 6, 2), 0);
	assert_int_equal(pool->curr_nr, 1);
	assert_ptr_equal(e[1], &mine);
	assert_ptr_equal(e[4], &mine);
	for (int i = 0; i < 6; i++) {
		assert_non_null(e[i]);
		if (e[i] != &mine)
			mempool_free(e[i], pool);
	}
	assert_int_equal(pool->curr_nr, 4);
	mempool_destroy(pool);
}

TEST(free_bulk_fills_the_reserve_and_leaves_the_rest)
{
	struct source s = { .left = -1 };
	mempool_t *pool = pool_of(&s, 2);
	void *e[2] = { NULL }, *f;

	mempool_alloc_bulk(pool, e, 2, 0);
	f = mempool_alloc_preallocated(pool);
	assert_int_equal(mempool_free_bulk(pool, e, 2), 1);
	assert_null(e[0]);
	assert_non_null(e[1]);
	free(e[1]);
	mempool_free(f, pool);
	assert_int_equal(pool->out, 0);
	mempool_destroy(pool);
}

TEST(a_reserve_grows_and_shrinks)
{
	struct source s = { .left = -1 };
	mempool_t *pool = pool_of(&s, 2);

	assert_int_equal(mempool_resize(pool, 5), 0);
	assert_int_equal(pool->curr_nr, 5);
	assert_int_equal(s.given, 5);
	assert_int_equal(mempool_resize(pool, 1), 0);
	assert_int_equal(pool->curr_nr, 1);
	assert_int_equal(s.taken_back, 4);
	s.left = 0;
	assert_int_equal(mempool_resize(pool, 3), 0);
	assert_int_equal(pool->min_nr, 3);
	assert_int_equal(pool->curr_nr, 1);
	assert_int_equal(mempool_resize(pool, 0), 0);
	assert_int_equal(pool->curr_nr, 0);
	mempool_destroy(pool);
	assert_int_equal(s.given, s.taken_back);
}

/* What is said about mistakes. */
static void assert_says(void (*fn)(void *), mempool_t *pool, bool aborts, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void assert_says(void (*fn)(void *), mempool_t *pool, bool aborts, const char *fmt, ...)
{
	struct child c;
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	child_run(&c, fn, pool, 20);
	assert_string_equal(c.err, text);
	assert_int_equal(WIFSIGNALED(c.status), aborts);
}

static void destroy_with_elements_out(void *arg)
{
	mempool_t *pool = arg;
	void *e[3] = { NULL };

	mempool_alloc_bulk(pool, e, 3, 0);
	mempool_destroy(pool);
	for (int i = 0; i < 3; i++)
		mempool_free(e[i], pool);
	mempool_destroy(pool);
}

TEST(destroying_a_pool_tells_how_many_elements_are_out_and_keeps_it)
{
	mempool_t *pool = mempool_create_kmalloc_pool(4, 64);

	assert_says(
		destroy_with_elements_out, pool, false,
		"slabmalloc: mempool_destroy(%p): 3 elements of mempool-kmalloc-64 are still out; "
		"the pool is kept\n",
		(void *)pool);
	mempool_destroy(pool);
}

static void exit_with_elements_out(void *arg)
{
	mempool_t *pool = arg;

	check(mempool_init_kmalloc_pool(pool, 2, 128) == 0);
	check(mempool_alloc(pool, GFP_KERNEL));
	mempool_exit(pool);
	mempool_exit(pool);
}

TEST(leaving_a_pool_tells_how_many_elements_are_out)
{
	static mempool_t pool;

	assert_says(
		exit_with_elements_out, &pool, false,
		"slabmalloc: mempool_exit(%p): 1 elements of mempool-kmalloc-128 are still out\n",
		(void *)&pool);
}

static void *twice;

static void free_twice(void *arg)
{
	mempool_t *pool = arg;

	mempool_free(twice, pool);
	mempool_free(twice, pool);
}

TEST(an_element_that_is_in_the_reserve_cannot_be_freed)
{
	mempool_t *pool = mempool_create_kmalloc_pool(4, 64);
	void *other = mempool_alloc_preallocated(pool);

	twice = mempool_alloc_preallocated(pool);
	assert_says(
		free_twice, pool, true,
		"slabmalloc: mempool_free(%p): double free: in the reserve of mempool-kmalloc-64 "
		"already\n",
		twice);
	mempool_free(twice, pool);
	mempool_free(other, pool);
	mempool_destroy(pool);
}

static void ask_for_zeroes(void *arg)
{
	for (int i = 0; i < 2; i++)
		mempool_free(mempool_alloc(arg, GFP_KERNEL | __GFP_ZERO), arg);
}

TEST(zeroed_elements_are_not_to_be_had)
{
	mempool_t *pool = mempool_create_kmalloc_pool(4, 64);

	assert_says(ask_for_zeroes, pool, false,
		    "slabmalloc: mempool_alloc(%p): __GFP_ZERO dropped: the reserve of "
		    "mempool-kmalloc-64 is not zeroed\n",
		    (void *)pool);
	mempool_destroy(pool);
}

static void negative_sizes(void *arg)
{
	check(mempool_init(arg, -1, source_alloc, source_free, NULL) == -EINVAL);
	check(mempool_init_kmalloc_pool(arg, 1, 16) == 0);
	check(mempool_resize(arg, -2) == -EINVAL);
	mempool_exit(arg);
}

TEST(negative_numbers_of_elements_are_refused)
{
	static mempool_t pool;

	assert_says(negative_sizes, &pool, false,
		    "slabmalloc: mempool_init(%p): min_nr -1 is negative\n"
		    "slabmalloc: mempool_resize(%p): new_min_nr -2 is negative\n",
		    (void *)&pool, (void *)&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_reserve_is_full_from_the_start),
		cmocka_unit_test(a_pool_whose_reserve_cannot_be_had_is_not_made),
		cmocka_unit_test(alloc_fn_comes_first_then_the_reserve),
		cmocka_unit_test(who_may_wait_asks_again_with_reclaim_before_it_does),
		cmocka_unit_test(preallocated_asks_nobody),
		cmocka_unit_test(a_slab_pool_keeps_constructed_objects_in_reserve),
		cmocka_unit_test(kmalloc_and_page_pools_in_memory_of_the_callers),
		cmocka_unit_test(bulk_fills_what_is_missing),
		cmocka_unit_test(free_bulk_fills_the_reserve_and_leaves_the_rest),
		cmocka_unit_test(a_reserve_grows_and_shrinks),
		cmocka_unit_test(destroying_a_pool_tells_how_many_elements_are_out_and_keeps_it),
		cmocka_unit_test(leaving_a_pool_tells_how_many_elements_are_out),
		cmocka_unit_test(an_element_that_is_in_the_reserve_cannot_be_freed),
		cmocka_unit_test(zeroed_elements_are_not_to_be_had),
		cmocka_unit_test(negative_numbers_of_elements_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
