/* SPDX-License-Identifier: MIT */
/*
 * Shrinkers and threads: nobody is in a callback when unregistering returns; walks, registrations and forks
 * go on beside each other.
 */
#include "slabmalloc/shrinker.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "shrinker_cache.h"

/* Unregistering waits for the callback of another thread. */
static struct {
	struct cache cache;
	int inside, leave, gone;
} slow = { .cache = CACHE(128, DEFAULT_SEEKS) };

static unsigned long scan_slowly(struct shrinker *s, struct shrink_control *sc)
{
	__atomic_store_n(&slow.inside, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&slow.leave, __ATOMIC_ACQUIRE))
		usleep(1000);
	check(!__atomic_load_n(&slow.gone, __ATOMIC_ACQUIRE));
	return scan_cache(s, sc);
}

static void *shrink_in_thread(void *arg)
{
	slabmalloc_shrink(0);
	return arg;
}

static void *unregister_in_thread(void *arg)
{
	unregister_shrinker(&slow.cache.shrinker);
	__atomic_store_n(&slow.gone, 1, __ATOMIC_RELEASE);
	return arg;
}

static pthread_t start(void *(*fn)(void *))
{
	pthread_t t;

	check(!pthread_create(&t, NULL, fn, NULL));
	return t;
}

static pthread_t enter_slow_callback(void)
{
	pthread_t t;

	memset(&slow, 0, sizeof(slow));
	slow.cache = (struct cache)CACHE(128, DEFAULT_SEEKS);
	slow.cache.shrinker.scan_objects = scan_slowly;
	register_shrinker(&slow.cache.shrinker);
	t = start(shrink_in_thread);
	while (!__atomic_load_n(&slow.inside, __ATOMIC_ACQUIRE))
		usleep(1000);
	return t;
}

TEST(unregistering_waits_for_a_callback_that_runs)
{
	pthread_t walker = enter_slow_callback(), remover = start(unregister_in_thread);

	usleep(50000);
	assert_int_equal(__atomic_load_n(&slow.gone, __ATOMIC_ACQUIRE), 0);
	__atomic_store_n(&slow.leave, 1, __ATOMIC_RELEASE);
	pthread_join(walker, NULL);
	pthread_join(remover, NULL);
	assert_int_equal(slow.gone, 1);
}

TEST(others_walk_and_register_while_a_callback_takes_its_time)
{
	pthread_t walker = enter_slow_callback();
	struct cache c = CACHE(1000, DEFAULT_SEEKS);

	slow.cache.objects = 0;
	assert_int_equal(shrink_once(&c, 0), 1000);
	__atomic_store_n(&slow.leave, 1, __ATOMIC_RELEASE);
	pthread_join(walker, NULL);
	unregister_shrinker(&slow.cache.shrinker);
}

/* The child has neither the walker nor the remover. */
static void walk_in_child(void)
{
	struct cache c = CACHE(1000, DEFAULT_SEEKS);

	slow.cache.objects = 0;
	check(register_shrinker(&c.shrinker) == 0);
	check(slabmalloc_shrink(0) == 1000);
	unregister_shrinker(&c.shrinker);
	unregister_shrinker(&slow.cache.shrinker);
	check(slabmalloc_shrink(0) == 0);
	_exit(0);
}

TEST(fork_in_the_middle_of_a_walk_leaves_the_child_no_walker_to_wait_for)
{
	pthread_t walker = enter_slow_callback();
	int status;
	pid_t pid = fork();

	check(pid >= 0);
	if (!pid)
		walk_in_child();
	check(waitpid(pid, &status, 0) == pid);
	assert_int_equal(status, 0);
	__atomic_store_n(&slow.leave, 1, __ATOMIC_RELEASE);
	pthread_join(walker, NULL);
	unregister_shrinker(&slow.cache.shrinker);
}

static unsigned long scan_and_fork(struct shrinker *s, struct shrink_control *sc)
{
	pid_t pid = fork();
	int status;

	check(pid >= 0);
	if (!pid)
		return scan_cache(s, sc);
	check(waitpid(pid, &status, 0) == pid && status == 0);
	return scan_cache(s, sc);
}

static void fork_in_callback(void *arg)
{
	struct cache c = CACHE(100, DEFAULT_SEEKS);

	(void)arg;
	c.shrinker.scan_objects = scan_and_fork;
	register_shrinker(&c.shrinker);
	check(slabmalloc_shrink(0) == 100);
	unregister_shrinker(&c.shrinker);
}

TEST(a_callback_may_fork_and_both_go_on)
{
	assert_true(succeeds_in_child(fork_in_callback, NULL, 20));
}

/* Walks, registrations and their ends, all at once. */
enum { ROUNDS = 3000 };

static unsigned long count_alive(struct shrinker *s, struct shrink_control *sc)
{
	(void)sc;
	check(*(int *)s->private_data == 42);
	return 100;
}

static unsigned long scan_alive(struct shrinker *s, struct shrink_control *sc)
{
	check(*(int *)s->private_data == 42);
	return sc->nr_to_scan;
}

static void *come_and_go(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		int *mine = malloc(sizeof(*mine));
		struct shrinker *s = shrinker_alloc(0, "s%d", i);

		check(mine && s);
		*mine = 42;
		s->private_data = mine;
		s->count_objects = count_alive;
		s->scan_objects = scan_alive;
		shrinker_register(s);
		if (i % 4 == 0)
			slabmalloc_shrink(1 + i % 12);
		shrinker_free(s);
		*mine = 0;
		free(mine);
	}
	return arg;
}

static void *walk_all_the_time(void *arg)
{
	for (int i = 0; i < ROUNDS; i++)
		slabmalloc_shrink(1 + i % 12);
	return arg;
}

TEST(no_callback_runs_after_its_shrinker_is_freed)
{
	pthread_t t[4] = { start(come_and_go), start(come_and_go), start(walk_all_the_time),
			   start(walk_all_the_time) };

	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(heap_inconsistencies(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unregistering_waits_for_a_callback_that_runs),
		cmocka_unit_test(others_walk_and_register_while_a_callback_takes_its_time),
		cmocka_unit_test(
			fork_in_the_middle_of_a_walk_leaves_the_child_no_walker_to_wait_for),
		cmocka_unit_test(a_callback_may_fork_and_both_go_on),
		cmocka_unit_test(no_callback_runs_after_its_shrinker_is_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
