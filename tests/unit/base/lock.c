// SPDX-License-Identifier: MIT
#include "base/lock.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "unit.h"

enum { THREADS = 4, ROUNDS = 20000, SLOW_ROUNDS = 40 };

static struct lock tested, outer;
static struct {
	unsigned long a, b; /* equal outside the critical section */
} shared;

static void *count(__attribute__((unused)) void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		lock(&tested, RANK_ZONE);
		check(lock_is_mine(&tested));
		check(shared.a == shared.b);
		WRITE_ONCE(shared.a, shared.a + 1);
		WRITE_ONCE(shared.b, shared.b + 1);
		unlock(&tested, RANK_ZONE);
	}
	return NULL;
}

/* Holders that sleep make the others sleep on the futex. */
static void *count_slowly(__attribute__((unused)) void *arg)
{
	for (int i = 0; i < SLOW_ROUNDS; i++) {
		lock(&tested, RANK_ZONE);
		check(shared.a == shared.b);
		shared.a++;
		usleep(200);
		shared.b++;
		unlock(&tested, RANK_ZONE);
	}
	return NULL;
}

static void run_threads(void *(*fn)(void *))
{
	pthread_t thread[THREADS];

	shared.a = shared.b = 0;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, fn, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
}

static void assert_free(struct lock *l)
{
	assert_int_equal(l->word, 0);
	assert_false(lock_is_mine(l));
}

TEST(one_thread_at_a_time_is_inside)
{
	run_threads(count);
	assert_int_equal(shared.a, THREADS * ROUNDS);
	assert_free(&tested);
}

TEST(sleepers_are_woken_one_after_the_other)
{
	run_threads(count_slowly);
	assert_int_equal(shared.a, THREADS * SLOW_ROUNDS);
	assert_free(&tested);
}

static void *try_it(void *arg)
{
	*(bool *)arg = lock_try(&tested, RANK_ZONE);
	check(!lock_is_mine(&tested) || *(bool *)arg);
	if (*(bool *)arg)
		unlock(&tested, RANK_ZONE);
	return NULL;
}

static bool other_thread_gets_it(void)
{
	pthread_t thread;
	bool got;

	assert_int_equal(pthread_create(&thread, NULL, try_it, &got), 0);
	pthread_join(thread, NULL);
	return got;
}

TEST(try_takes_a_free_lock_and_never_waits)
{
	assert_true(other_thread_gets_it());
	assert_true(lock_try(&tested, RANK_ZONE));
	assert_true(lock_is_mine(&tested));
	assert_false(other_thread_gets_it());
	unlock(&tested, RANK_ZONE);
	assert_false(lock_is_mine(&tested));
	assert_true(other_thread_gets_it());
}

/* What fork's handlers do: locks of others are taken, the interrupted thread's own are left to it. */
TEST(fork_keeps_the_locks_of_the_thread_that_it_interrupted)
{
	lock(&tested, RANK_ZONE);
	lock_for_fork(&outer, true);
	lock_for_fork(&tested, true);
	assert_true(lock_is_mine(&outer));
	assert_true(lock_is_mine(&tested));
	unlock_in_parent(&outer);
	unlock_in_parent(&tested);
	assert_free(&outer);
	assert_true(lock_is_mine(&tested));
	unlock(&tested, RANK_ZONE);
	assert_free(&tested);
	/* Nothing of it is remembered for the next fork. */
	lock_for_fork(&tested, true);
	unlock_in_parent(&tested);
	assert_free(&tested);
}

TEST(the_child_keeps_what_was_interrupted_and_frees_the_rest)
{
	lock(&tested, RANK_ZONE);
	lock_for_fork(&outer, true);
	lock_for_fork(&tested, true);
	unlock_in_child(&outer);
	unlock_in_child(&tested);
	assert_free(&outer);
	assert_true(lock_is_mine(&tested));
	unlock(&tested, RANK_ZONE);
	assert_free(&tested);
}

static void *hold_until_told(void *arg)
{
	pthread_barrier_t *step = arg;

	lock(&outer, RANK_BARN);
	pthread_barrier_wait(step);
	pthread_barrier_wait(step);
	unlock(&outer, RANK_BARN);
	return NULL;
}

/* Of a thread that may wait for us: fork goes on without its lock, parent leaves it, child frees it. */
TEST(fork_does_not_wait_without_end_where_it_interrupted_a_critical_section)
{
	pthread_barrier_t step;
	pthread_t thread;

	pthread_barrier_init(&step, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, hold_until_told, &step), 0);
	pthread_barrier_wait(&step);
	lock_for_fork(&outer, false);
	assert_false(lock_is_mine(&outer));
	unlock_in_parent(&outer);
	assert_true(outer.word != 0);
	pthread_barrier_wait(&step);
	pthread_join(thread, NULL);
	assert_free(&outer);
	outer.word = 0x1000;
	unlock_in_child(&outer);
	assert_free(&outer);
}

static void take_in_rising_order(void)
{
	static struct lock l[RANK_MEMBLOCK + 1];

	for (enum lock_rank r = RANK_THREADS; r <= RANK_MEMBLOCK; r++)
		lock(&l[r], r);
	for (enum lock_rank r = RANK_THREADS; r <= RANK_MEMBLOCK; r++)
		unlock(&l[r], r);
	for (enum lock_rank r = RANK_THREADS; r <= RANK_MEMBLOCK; r++)
		check(l[r].word == 0);
}

static void take_in_falling_order(void)
{
	lock(&tested, RANK_ZONE);
	lock(&outer, RANK_NODE);
}

static void take_two_of_one_rank(void)
{
	lock(&tested, RANK_ZONE);
	lock(&outer, RANK_ZONE);
}

static void try_in_falling_order(void)
{
	lock(&tested, RANK_ZONE);
	lock_try(&outer, RANK_RECLAIM);
}

static void release_what_is_not_held(void)
{
	lock(&tested, RANK_ZONE);
	unlock(&tested, RANK_NODE);
}

TEST(locks_taken_in_rising_rank_and_released_in_any_order_are_fine)
{
	assert_child_succeeds(take_in_rising_order);
}

static void assert_wrong_order(void (*fn)(void), enum lock_rank rank, const char *what)
{
	char line[100];

	snprintf(line, sizeof(line), "slabmalloc: lock order: rank %d %s %#x held\n", (int)rank,
		 what, 1u << RANK_ZONE);
	assert_child_aborts(fn, line);
}

TEST(debug_builds_abort_on_a_wrong_lock_order)
{
	if (!config_debug)
		skip();
	assert_wrong_order(take_in_falling_order, RANK_NODE, "taken with ranks");
	assert_wrong_order(take_two_of_one_rank, RANK_ZONE, "taken with ranks");
	assert_wrong_order(try_in_falling_order, RANK_RECLAIM, "taken with ranks");
	assert_wrong_order(release_what_is_not_held, RANK_NODE, "released, ranks");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_thread_at_a_time_is_inside),
		cmocka_unit_test(sleepers_are_woken_one_after_the_other),
		cmocka_unit_test(try_takes_a_free_lock_and_never_waits),
		cmocka_unit_test(fork_keeps_the_locks_of_the_thread_that_it_interrupted),
		cmocka_unit_test(the_child_keeps_what_was_interrupted_and_frees_the_rest),
		cmocka_unit_test(
			fork_does_not_wait_without_end_where_it_interrupted_a_critical_section),
		cmocka_unit_test(locks_taken_in_rising_rank_and_released_in_any_order_are_fine),
		cmocka_unit_test(debug_builds_abort_on_a_wrong_lock_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
