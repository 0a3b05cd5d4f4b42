/* SPDX-License-Identifier: MIT */
/*
 * Memory pools of which nothing is left: who waits gets an element in the order of coming, and nothing is lost
 * between threads, while the pool is resized and through fork.
 */
#include "slabmalloc/mempool.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mempool_source.h"

/* A thread that wants elements, and what it got. */
struct client {
	mempool_t *pool;
	struct source *source;
	unsigned int count; /* 0: one, by mempool_alloc */
	void *got[8];
	int finished;
	pid_t tid;
	pthread_t thread;
};

static void *client_run(void *arg)
{
	struct client *c = arg;

	__atomic_store_n(&c->tid, gettid(), __ATOMIC_RELEASE);
	if (c->count)
		mempool_alloc_bulk(c->pool, c->got, c->count, 0);
	else
		c->got[0] = mempool_alloc(c->pool, GFP_KERNEL);
	__atomic_store_n(&c->finished, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* "PID (name) S ...": not running, nor about to. */
static bool sleeps(pid_t tid)
{
	char path[64], line[200] = "";
	const char *end;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	f = fopen(path, "r");
	check(f && fgets(line, sizeof(line), f));
	fclose(f);
	end = strrchr(line, ')');
	return end && end[2] == 'S';
}

/* Returns when the thread waits: alloc_fn has refused it twice, and then it sleeps whenever it is looked at. */
static void client_start(struct client *c)
{
	int calls = __atomic_load_n(&c->source->calls, __ATOMIC_RELAXED), asleep = 0;

	check(!pthread_create(&c->thread, NULL, client_run, c));
	while (__atomic_load_n(&c->source->calls, __ATOMIC_RELAXED) < calls + 2)
		usleep(1000);
	while (asleep < 5) {
		usleep(2000);
		asleep = sleeps(__atomic_load_n(&c->tid, __ATOMIC_ACQUIRE)) ? asleep + 1 : 0;
	}
}

static bool client_finished(struct client *c)
{
	return __atomic_load_n(&c->finished, __ATOMIC_ACQUIRE);
}

TEST(waiters_are_served_in_the_order_in_which_they_came)
{
	enum { N = 5 };
	struct source s = { .left = N };
	mempool_t *pool = pool_of(&s, N);
	struct client c[N];
	void *e[N];

	memset(c, 0, sizeof(c));
	for (int i = 0; i < N; i++)
		e[i] = mempool_alloc(pool, GFP_KERNEL);
	for (int i = 0; i < N; i++) {
		c[i].pool = pool;
		c[i].source = &s;
		client_start(&c[i]);
	}
	for (int i = 0; i < N; i++) {
		/* Long enough for each of them to have asked alloc_fn again and kept its place. */
		if (i == 2)
			usleep(150000);
		mempool_free(e[i], pool);
		pthread_join(c[i].thread, NULL);
		assert_ptr_equal(c[i].got[0], e[i]);
		for (int j = i + 1; j < N; j++)
			assert_false(client_finished(&c[j]));
	}
	for (int i = 0; i < N; i++)
		mempool_free(e[i], pool);
	assert_int_equal(pool->curr_nr, N);
	mempool_destroy(pool);
}

TEST(a_waiter_is_served_by_alloc_fn_too_when_it_has_memory_again)
{
	struct source s = { .left = 0 };
	mempool_t *pool = pool_of(&s, 0);
	struct client c = { .pool = pool, .source = &s };

	client_start(&c);
	assert_false(client_finished(&c));
	__atomic_store_n(&s.left, -1, __ATOMIC_RELAXED);
	pthread_join(c.thread, NULL);
	assert_non_null(c.got[0]);
	mempool_free(c.got[0], pool);
	assert_int_equal(s.taken_back, 1);
	mempool_destroy(pool);
}

TEST(a_pool_without_reserve_hands_elements_to_waiters)
{
	struct source s = { .left = 1 };
	mempool_t *pool = pool_of(&s, 0);
	struct client c = { .pool = pool, .source = &s };
	void *e = mempool_alloc(pool, GFP_KERNEL);

	client_start(&c);
	mempool_free(e, pool);
	pthread_join(c.thread, NULL);
	assert_ptr_equal(c.got[0], e);
	mempool_free(e, pool);
	assert_int_equal(pool->curr_nr, 0);
	assert_int_equal(s.taken_back, 1);
	mempool_destroy(pool);
}

TEST(bulk_waits_for_all_and_nobody_overtakes_it)
{
	struct source s = { .left = 3 };
	mempool_t *pool = pool_of(&s, 3);
	struct client all = { .pool = pool, .source = &s, .count = 3 };
	struct client one = { .pool = pool, .source = &s };
	void *e[3];

	for (int i = 0; i < 3; i++)
		e[i] = mempool_alloc_preallocated(pool);
	client_start(&all);
	client_start(&one);
	mempool_free(e[0], pool);
	mempool_free(e[1], pool);
	usleep(20000);
	assert_false(client_finished(&all));
	assert_false(client_finished(&one));
	assert_null(mempool_alloc(pool, GFP_ATOMIC));
	assert_null(mempool_alloc_preallocated(pool));
	mempool_free(e[2], pool);
	pthread_join(all.thread, NULL);
	usleep(20000);
	assert_false(client_finished(&one));
	mempool_free(all.got[0], pool);
	pthread_join(one.thread, NULL);
	assert_ptr_equal(one.got[0], all.got[0]);
	mempool_free(one.got[0], pool);
	mempool_free(all.got[1], pool);
	assert_int_equal(mempool_free_bulk(pool, &all.got[2], 1), 1);
	assert_null(all.got[2]);
	assert_int_equal(pool->curr_nr, 3);
	mempool_destroy(pool);
}

TEST(growing_serves_those_who_wait)
{
	struct source s = { .left = 1 };
	mempool_t *pool = pool_of(&s, 1);
	struct client c = { .pool = pool, .source = &s };
	void *e = mempool_alloc_preallocated(pool);

	client_start(&c);
	s.left = 1;
	assert_int_equal(mempool_resize(pool, 2), 0);
	pthread_join(c.thread, NULL);
	assert_non_null(c.got[0]);
	mempool_free(c.got[0], pool);
	mempool_free(e, pool);
	assert_int_equal(pool->curr_nr, 2);
	mempool_destroy(pool);
}

/* Each element is one thread's at a time; nothing is lost; while somebody resizes. */
enum { THREADS = 4, ROUNDS = 20000 };

struct element {
	int owned;
};

static int flaky_calls;

static void *flaky_alloc(gfp_t gfp, void *data)
{
	(void)gfp;
	(void)data;
	if (__atomic_fetch_add(&flaky_calls, 1, __ATOMIC_RELAXED) % 32 >= 8)
		return NULL;
	return calloc(1, sizeof(struct element));
}

static void flaky_free(void *element, void *data)
{
	(void)data;
	free(element);
}

static void take(struct element *e)
{
	check(e && !__atomic_exchange_n(&e->owned, 1, __ATOMIC_ACQUIRE));
}

static void give(struct element *e, mempool_t *pool)
{
	__atomic_store_n(&e->owned, 0, __ATOMIC_RELEASE);
	mempool_free(e, pool);
}

static void *hammer(void *arg)
{
	mempool_t *pool = arg;

	for (int i = 0; i < ROUNDS; i++) {
		struct element *e = mempool_alloc(pool, GFP_KERNEL);
		struct element *f = i % 3 ? NULL : mempool_alloc(pool, GFP_ATOMIC);
		void *pair[2] = { NULL, NULL };

		take(e);
		if (f) {
			take(f);
			give(f, pool);
		}
		give(e, pool);
		if (i % 16)
			continue;
		mempool_alloc_bulk(pool, pair, 2, 0);
		take(pair[0]);
		take(pair[1]);
		give(pair[0], pool);
		give(pair[1], pool);
	}
	return NULL;
}

static void *resize_all_the_time(void *arg)
{
	mempool_t *pool = arg;

	for (int i = 0; i < 500; i++) {
		check(mempool_resize(pool, 2 + i % 7) == 0);
		usleep(100);
	}
	return NULL;
}

TEST(threads_share_a_pool_that_is_resized)
{
	mempool_t *pool = mempool_create(2, flaky_alloc, flaky_free, NULL);
	pthread_t threads[THREADS], resizer;

	assert_non_null(pool);
	for (int i = 0; i < THREADS; i++)
		check(!pthread_create(&threads[i], NULL, hammer, pool));
	check(!pthread_create(&resizer, NULL, resize_all_the_time, pool));
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_join(resizer, NULL);
	assert_int_equal(pool->out, 0);
	mempool_destroy(pool);
	assert_int_equal(heap_inconsistencies(), 0);
}

/* In the child nobody waits but itself: what it frees is not handed to a thread that is not there. */
static void free_in_child(mempool_t *pool, void *e)
{
	void *f;

	mempool_free(e, pool);
	check(pool->curr_nr == 1);
	f = mempool_alloc(pool, GFP_KERNEL);
	check(f == e);
	mempool_free(f, pool);
	_exit(0);
}

TEST(waiters_do_not_come_along_through_fork)
{
	struct source s = { .left = 1 };
	mempool_t *pool = pool_of(&s, 1);
	struct client c = { .pool = pool, .source = &s };
	void *e = mempool_alloc_preallocated(pool);
	int status;
	pid_t pid;

	client_start(&c);
	pid = fork();
	check(pid >= 0);
	if (!pid)
		free_in_child(pool, e);
	check(waitpid(pid, &status, 0) == pid);
	assert_int_equal(status, 0);
	mempool_free(e, pool);
	pthread_join(c.thread, NULL);
	mempool_free(c.got[0], pool);
	mempool_destroy(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waiters_are_served_in_the_order_in_which_they_came),
		cmocka_unit_test(a_waiter_is_served_by_alloc_fn_too_when_it_has_memory_again),
		cmocka_unit_test(a_pool_without_reserve_hands_elements_to_waiters),
		cmocka_unit_test(bulk_waits_for_all_and_nobody_overtakes_it),
		cmocka_unit_test(growing_serves_those_who_wait),
		cmocka_unit_test(threads_share_a_pool_that_is_resized),
		cmocka_unit_test(waiters_do_not_come_along_through_fork),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
