/* SPDX-License-Identifier: MIT */
/* The life of threads: first calls, last calls after destructors, and what must not pile up. */
#define _GNU_SOURCE
#include "api.h"

#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* Small stacks, so that a thousand threads are no matter of address space. */
static pthread_t start(void *(*fn)(void *), void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 * KIB);
	check(pthread_create(&thread, &attr, fn, arg) == 0);
	pthread_attr_destroy(&attr);
	return thread;
}

static void *in_thread(void *(*fn)(void *), void *arg)
{
	void *result;

	check(pthread_join(start(fn, arg), &result) == 0);
	return result;
}

static void *first_malloc(void *arg)
{
	(void)arg;
	return malloc(100);
}

static void *first_free(void *arg)
{
	free(arg);
	return arg;
}

static void *first_free_null(void *arg)
{
	free(NULL);
	return arg;
}

static void *first_realloc(void *arg)
{
	return realloc(arg, 5000);
}

static void *first_realloc_null(void *arg)
{
	(void)arg;
	return realloc(NULL, 70);
}

static void *first_calloc(void *arg)
{
	(void)arg;
	return calloc(10, 10);
}

static void *first_usable_size(void *arg)
{
	check(malloc_usable_size(arg) >= 100);
	return arg;
}

static void *first_aligned_alloc(void *arg)
{
	(void)arg;
	return aligned_alloc(256, 100);
}

static void *first_large_malloc(void *arg)
{
	(void)arg;
	return malloc(3 * MIB);
}

static void *first_trim(void *arg)
{
	malloc_trim(0);
	return arg;
}

static void *first_mallinfo(void *arg)
{
	check(mallinfo2().arena + mallinfo2().hblkhd + mallinfo2().uordblks > 0);
	return arg;
}

static void first_call_of_a_thread_may_be_any(void **state)
{
	static void *(*const fns[])(void *) = {
		first_malloc, first_free_null,   first_realloc,       first_realloc_null,
		first_calloc, first_usable_size, first_aligned_alloc, first_large_malloc,
		first_trim,   first_mallinfo,
	};

	(void)state;
	for (int round = 0; round < 20; round++)
		for (size_t i = 0; i < ARRAY_SIZE(fns); i++) {
			void *mine = malloc(100);
			void *theirs;

			pattern_fill(mine, 100, i);
			theirs = in_thread(fns[i], mine);
			assert_non_null(theirs);
			if (fns[i] == first_realloc)
				assert_true(pattern_holds(theirs, 100, i));
			else if (theirs != mine)
				free(mine);
			free(theirs);
		}
	for (int round = 0; round < 1000; round++)
		in_thread(first_free, malloc((size_t)round * 700));
}

/* Keys made before the first malloc, so that their destructors run before and after any of ours. */
static pthread_key_t early_key, late_key;
static atomic_int destructions;

/* Allocates, frees what was allocated before, and arms itself again while the rounds last. */
static void destroy_early(void *value)
{
	void *p[50];

	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		p[i] = malloc(40 + 30 * i);
	free(value);
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		free(p[i]);
	atomic_fetch_add(&destructions, 1);
	pthread_setspecific(early_key, malloc(500));
}

static void destroy_late(void *value)
{
	value = realloc(value, 3000);
	free(calloc(1, 100));
	free(aligned_alloc(128, 100));
	free(value);
	atomic_fetch_add(&destructions, 1);
	pthread_setspecific(late_key, malloc(64));
}

__attribute__((constructor(101))) static void make_early_key(void)
{
	check(pthread_key_create(&early_key, destroy_early) == 0);
}

static void *leave_values(void *arg)
{
	pthread_setspecific(early_key, malloc(100));
	pthread_setspecific(late_key, malloc(2000));
	return arg;
}

static void *leave_values_only(void *arg)
{
	/* The destructors' calls are then the first that this thread makes. */
	pthread_setspecific(early_key, arg);
	return NULL;
}

/* The last round's values are never destroyed: two objects a thread are the program's leak. */
static void destructors_may_malloc_and_free(void **state)
{
	/* What debugging puts around an object may be twice as large as it. */
	size_t left = getenv("SLABMALLOC_DEBUG") ? 1800 : 600, before;

	(void)state;
	check(pthread_key_create(&late_key, destroy_late) == 0);
	for (int i = 0; i < 200; i++)
		in_thread(leave_values, NULL);
	assert_true(atomic_load(&destructions) >= 200 * 4);
	before = rss_bytes();
	for (int i = 0; i < 2000; i++) {
		in_thread(leave_values, NULL);
		in_thread(leave_values_only, malloc(100));
	}
	assert_true(rss_bytes() < before + rss_room(4000 * left + 2 * MIB));
}

static void *use_heap_shortly(void *arg)
{
	void *p[40];

	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		p[i] = malloc(16 + 50 * i);
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		free(p[i]);
	return arg;
}

static void memory_stays_flat_over_20000_short_threads(void **state)
{
	size_t before;

	(void)state;
	for (int i = 0; i < 1000; i++)
		in_thread(use_heap_shortly, NULL);
	before = rss_bytes();
	for (int i = 0; i < 20000; i++)
		in_thread(use_heap_shortly, NULL);
	assert_true(rss_bytes() < before + rss_room(MIB));
}

static pthread_barrier_t barrier;

/* Fills all its caches, waits for the others, and ends when they do. */
static void *hold_caches_and_exit(void *arg)
{
	void *p[300];
	struct rng rng = { (uintptr_t)arg };

	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		p[i] = malloc(rng_below(&rng, 3000));
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		free(p[i]);
	pthread_barrier_wait(&barrier);
	return NULL;
}

static void storm(void)
{
	pthread_t threads[64];

	pthread_barrier_init(&barrier, NULL, ARRAY_SIZE(threads));
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		threads[i] = start(hold_caches_and_exit, (void *)i);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
}

static void threads_that_exit_at_once_give_their_caches_back(void **state)
{
	size_t before;

	(void)state;
	for (int i = 0; i < 5; i++)
		storm();
	before = rss_bytes();
	for (int i = 0; i < 50; i++)
		storm();
	/* What one storm holds at most, if all its threads were stopped before their frees. */
	assert_true(rss_bytes() < before + rss_room(32 * MIB));
	assert_int_equal(heap_inconsistencies(), 0);
}

static void *hold_a_little(void *arg)
{
	void *p[10];

	for (size_t i = 0; i < ARRAY_SIZE(p); i++) {
		p[i] = malloc(16 << i);
		memset(p[i], 1, (size_t)16 << i);
	}
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		free(p[i]);
	return arg;
}

/* 16 KiB live in each, and a stack that is touched: 100 KiB each is far more than they need. */
static void a_thousand_threads_at_once_are_no_matter(void **state)
{
	static pthread_t threads[1000];
	size_t before = rss_bytes();

	(void)state;
	pthread_barrier_init(&barrier, NULL, ARRAY_SIZE(threads) + 1);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		threads[i] = start(hold_a_little, NULL);
	pthread_barrier_wait(&barrier);
	assert_true(rss_bytes() < before + rss_room(ARRAY_SIZE(threads) * 100 * KIB));
	pthread_barrier_wait(&barrier);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
}

static void free_what_is_held(void *p)
{
	free(*(void **)p);
}

static void *allocate_until_cancelled(void *arg)
{
	static atomic_ulong sink;
	void *held = NULL;

	pthread_cleanup_push(free_what_is_held, &held);
	for (size_t i = 0;; i++) {
		held = malloc(i % 5000);
		atomic_fetch_add(&sink, (uintptr_t)held & 1);
		pthread_testcancel();
		free(held);
		held = NULL;
	}
	pthread_cleanup_pop(0);
	return arg;
}

static atomic_int trims;

/* malloc and its kin are no cancellation points, whatever they ask the system for. */
static void *cancelled_before_it_trims(void *arg)
{
	pthread_cancel(pthread_self());
	for (int i = 0; i < 10; i++) {
		free(memset(malloc(8 * MIB), 1, 8 * MIB));
		malloc_trim(0);
		mallinfo2();
		atomic_fetch_add(&trims, 1);
	}
	pthread_testcancel();
	return arg;
}

static void a_cancelled_thread_comes_to_the_end_of_its_calls(void **state)
{
	void *result, *p[2000];
	pthread_t thread;

	(void)state;
	/* Reclaim looks whether this thread is asleep. */
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		p[i] = malloc(i);
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		free(p[i]);
	thread = start(cancelled_before_it_trims, NULL);
	assert_int_equal(pthread_join(thread, &result), 0);
	assert_ptr_equal(result, PTHREAD_CANCELED);
	assert_int_equal(trims, 10);
	malloc_trim(0);
	assert_int_equal(heap_inconsistencies(), 0);
}

static void cancelled_threads_lose_nothing(void **state)
{
	size_t before = 0;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		pthread_t thread = start(allocate_until_cancelled, NULL);
		void *result;

		if (i % 4 == 0)
			usleep(50);
		assert_int_equal(pthread_cancel(thread), 0);
		assert_int_equal(pthread_join(thread, &result), 0);
		assert_ptr_equal(result, PTHREAD_CANCELED);
		if (i == 200)
			before = rss_bytes();
	}
	assert_true(rss_bytes() < before + rss_room(MIB));
	assert_int_equal(heap_inconsistencies(), 0);
}

enum { DEALT = 4, ROUNDS = 1000, SOON = 100, LINE = 64 };

static struct dealt_to {
	void *object[DEALT];
	size_t size;
	uintptr_t line[ROUNDS];
} dealt_to[2];

static pthread_barrier_t together;

static void *use_objects(void *arg)
{
	struct dealt_to *d = arg;

	pthread_barrier_wait(&together);
	for (int i = 0; i < ROUNDS; i++) {
		void **o = &d->object[i % DEALT];

		free(*o);
		*o = malloc(d->size);
		d->line[i] = (uintptr_t)*o / LINE;
	}
	pthread_barrier_wait(&together);
	for (int i = 0; i < DEALT; i++)
		free(d->object[i]);
	return NULL;
}

static bool has_line(const struct dealt_to *d, uintptr_t line)
{
	for (int i = SOON; i < ROUNDS; i++)
		if (d->line[i] == line)
			return true;
	return false;
}

/* The main thread allocates objects side by side and deals them out: soon each thread has lines of its own. */
static void a_line_that_was_dealt_out_to_two_threads_does_not_stay_with_both(void **state)
{
	(void)state;
	if (getenv("SLABMALLOC_DEBUG") || getenv("SLABMALLOC_HARDEN")) {
		print_message("objects that are watched or hardened lie in no sheaf\n");
		skip();
	}
	for (size_t size = 16; size <= 32; size *= 2) {
		pthread_t thread[2];
		int shared = 0;

		pthread_barrier_init(&together, NULL, 2);
		for (int i = 0; i < 2 * DEALT; i++)
			dealt_to[i % 2].object[i / 2] = malloc(size);
		for (int i = 0; i < 2; i++) {
			dealt_to[i].size = size;
			thread[i] = start(use_objects, &dealt_to[i]);
		}
		for (int i = 0; i < 2; i++)
			pthread_join(thread[i], NULL);
		pthread_barrier_destroy(&together);
		for (int i = SOON; i < ROUNDS; i++)
			shared += has_line(&dealt_to[1], dealt_to[0].line[i]);
		assert_int_equal(shared, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: barns of other tests' sheaves hand on whatever lines those had. */
		cmocka_unit_test(a_line_that_was_dealt_out_to_two_threads_does_not_stay_with_both),
		cmocka_unit_test(first_call_of_a_thread_may_be_any),
		cmocka_unit_test(destructors_may_malloc_and_free),
		cmocka_unit_test(memory_stays_flat_over_20000_short_threads),
		cmocka_unit_test(threads_that_exit_at_once_give_their_caches_back),
		cmocka_unit_test(a_thousand_threads_at_once_are_no_matter),
		cmocka_unit_test(cancelled_threads_lose_nothing),
		cmocka_unit_test(a_cancelled_thread_comes_to_the_end_of_its_calls),
	};

	require_library();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
