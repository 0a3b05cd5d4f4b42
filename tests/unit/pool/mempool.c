// SPDX-License-Identifier: MIT
#include "pool/mempool.h"

#include <string.h>

#include "unit.h"

enum { ROOM = 8 };

/* A pool whose elements are numbers. */
static void make(struct mempool *pool, void **array, int min_nr, const char *name)
{
	memset(pool, 0, sizeof(*pool));
	pool->elements = array;
	pool->min_nr = min_nr;
	strcpy(pool->name, name);
	pool_register(pool);
}

static void *number(uintptr_t n)
{
	return (void *)n;
}

TEST(what_was_put_is_taken_last_in_first_out)
{
	struct mempool pool;
	void *array[ROOM], *e[2] = { NULL };

	make(&pool, array, 3, "p");
	assert_true(pool_wants(&pool));
	for (uintptr_t i = 1; i <= 3; i++)
		assert_int_equal(pool_put(&pool, number(i), true), POOL_KEPT);
	assert_false(pool_wants(&pool));
	assert_int_equal(pool_put(&pool, number(4), true), POOL_FULL);
	assert_true(pool_take(&pool, e, 2));
	assert_ptr_equal(e[0], number(3));
	assert_ptr_equal(e[1], number(2));
	assert_int_equal(pool_put(&pool, number(1), true), POOL_TWICE);
	assert_int_equal(pool_put(&pool, number(1), false), POOL_KEPT);
	pool_unregister(&pool);
}

TEST(all_or_nothing_is_taken)
{
	struct mempool pool;
	void *array[ROOM], *e[3] = { NULL, number(9), NULL };

	make(&pool, array, 3, "p");
	pool_put(&pool, number(1), true);
	assert_false(pool_take(&pool, e, 2));
	assert_null(e[0]);
	pool_put(&pool, number(2), true);
	assert_true(pool_take(&pool, e, 2));
	assert_ptr_equal(e[0], number(2));
	assert_ptr_equal(e[1], number(9));
	assert_ptr_equal(e[2], number(1));
	pool_unregister(&pool);
}

TEST(elements_from_elsewhere_count_for_who_waits)
{
	struct mempool pool;
	void *array[ROOM], *e[2] = { NULL }, *f = NULL;
	struct mempool_waiter w = { .elems = e, .want = 2 }, x = { .elems = &f, .want = 1 };

	make(&pool, array, 3, "p");
	assert_false(pool_queue(&pool, &w));
	assert_false(pool_queue(&pool, &x));
	assert_false(pool_sleep(&w, 1));
	assert_true(pool_serve(&pool, &w, number(1)));
	assert_true(pool_serve(&pool, &x, number(2)));
	assert_true(pool_sleep(&x, 1000));
	assert_false(pool_serve(&pool, &x, number(3)));
	assert_int_equal(pool_put(&pool, number(4), true), POOL_KEPT);
	assert_true(pool_sleep(&w, 1000));
	assert_ptr_equal(e[0], number(1));
	assert_ptr_equal(e[1], number(4));
	assert_null(pool.waiters);
	assert_int_equal(pool.curr_nr, 0);
	pool_unregister(&pool);
}

TEST(a_waiter_that_wants_more_than_the_reserve_is_served_in_parts)
{
	struct mempool pool;
	void *array[ROOM], *e[3] = { NULL };
	struct mempool_waiter w = { .elems = e, .want = 3 };

	make(&pool, array, 2, "p");
	pool_queue(&pool, &w);
	pool_put(&pool, number(1), true);
	assert_null(e[0]);
	pool_put(&pool, number(2), true);
	assert_non_null(e[1]);
	assert_false(pool_sleep(&w, 1));
	pool_put(&pool, number(3), true);
	assert_true(pool_sleep(&w, 1000));
	pool_unregister(&pool);
}

TEST(waiters_of_other_threads_leave_in_the_child)
{
	struct mempool pool;
	void *array[ROOM], *e[3] = { NULL };
	struct mempool_waiter w[3] = { { .elems = &e[0], .want = 1 },
				       { .elems = &e[1], .want = 1 },
				       { .elems = &e[2], .want = 1 } };

	make(&pool, array, 2, "p");
	for (int i = 0; i < 3; i++)
		pool_queue(&pool, &w[i]);
	w[0].thread += 2;
	w[2].thread += 2;
	pool_after_fork();
	assert_ptr_equal(pool.waiters, &w[1]);
	pool_put(&pool, number(1), true);
	assert_ptr_equal(e[1], number(1));
	w[0].served = 0;
	pool_queue(&pool, &w[0]);
	pool_put(&pool, number(2), true);
	assert_ptr_equal(e[0], number(2));
	pool_unregister(&pool);
}

TEST(growing_keeps_the_reserve_and_shrinking_hands_it_out)
{
	struct mempool pool;
	void *array[ROOM], *larger[ROOM];

	make(&pool, array, 2, "p");
	pool_put(&pool, number(1), true);
	pool_put(&pool, number(2), true);
	assert_ptr_equal(pool_grow(&pool, larger, 2), larger);
	assert_ptr_equal(pool_grow(&pool, larger, 4), array);
	assert_int_equal(pool.curr_nr, 2);
	assert_true(pool_wants(&pool));
	assert_ptr_equal(pool_shrink(&pool, 1), number(2));
	assert_null(pool_shrink(&pool, 1));
	assert_ptr_equal(pool_shrink(&pool, 0), number(1));
	assert_null(pool_shrink(&pool, 0));
	pool_unregister(&pool);
}

/* The names of the pools that were met; the first one ends the second and makes a third. */
static char met[40];
static struct mempool a, b, c;
static void *elements[ROOM];

static void meet(const struct mempool_info *info, void *arg)
{
	strcat(met, info->name);
	if (arg && strcmp(info->name, "a") == 0) {
		pool_unregister(&b);
		make(&c, elements, 1, "c");
	}
}

TEST(all_pools_are_listed_while_they_come_and_go)
{
	make(&a, elements, 4, "a");
	make(&b, elements, 4, "b");
	met[0] = 0;
	mempool_for_each(meet, NULL);
	assert_string_equal(met, "ab");
	met[0] = 0;
	mempool_for_each(meet, met);
	assert_string_equal(met, "ac");
	pool_unregister(&a);
	pool_unregister(&c);
	met[0] = 0;
	mempool_for_each(meet, NULL);
	assert_string_equal(met, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_put_is_taken_last_in_first_out),
		cmocka_unit_test(all_or_nothing_is_taken),
		cmocka_unit_test(elements_from_elsewhere_count_for_who_waits),
		cmocka_unit_test(a_waiter_that_wants_more_than_the_reserve_is_served_in_parts),
		cmocka_unit_test(waiters_of_other_threads_leave_in_the_child),
		cmocka_unit_test(growing_keeps_the_reserve_and_shrinking_hands_it_out),
		cmocka_unit_test(all_pools_are_listed_while_they_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
