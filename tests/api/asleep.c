// SPDX-License-Identifier: MIT
/*
 * asleep.c - what sleeping threads hold free goes back, and they go on unharmed.
 *
 * Threads sleep in the system calls that programs sleep in, or in the handler of a signal. While others trim the heap
 * again and again, each wakes up at any moment and finds its blocks as it left them.
 */
#define _GNU_SOURCE
#include "api.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { CROWD = 200, HELD = 500, TORTURED = 12, ROUNDS = 3000, PATIENCE = 500 };

static pthread_barrier_t barrier;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int pipe_ends[2];
static bool awake;

/* A mebibyte of many sizes, freed. */
static void use_a_mebibyte(void)
{
	void *p[HELD];

	for (size_t i = 0; i < HELD; i++) {
		p[i] = malloc(16 + i * 8);
		memset(p[i], 1, 16 + i * 8);
	}
	for (size_t i = 0; i < HELD; i++)
		free(p[i]);
}

static void *sleep_full(void *arg)
{
	char c;

	use_a_mebibyte();
	pthread_barrier_wait(&barrier);
	switch ((uintptr_t)arg % 3) {
	case 0:
		pthread_mutex_lock(&mutex);
		while (!awake)
			pthread_cond_wait(&cond, &mutex);
		pthread_mutex_unlock(&mutex);
		break;
	case 1:
		while (read(pipe_ends[0], &c, 1) < 0)
			;
		break;
	default:
		poll(&(struct pollfd){ pipe_ends[0], POLLIN, 0 }, 1, -1);
	}
	use_a_mebibyte();
	return arg;
}

/* Bytes free in sheaves and elsewhere, by the statistics' own count. */
static size_t kept(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.fordblks;
}

static void crowd(void *arg)
{
	pthread_t thread[CROWD];
	size_t tries = 0;

	(void)arg;
	check(pipe(pipe_ends) == 0);
	pthread_barrier_init(&barrier, NULL, CROWD + 1);
	for (size_t i = 0; i < CROWD; i++)
		check(pthread_create(&thread[i], NULL, sleep_full, (void *)i) == 0);
	pthread_barrier_wait(&barrier);
	/* What stays is a page or two for each thread, once it is asleep. */
	do {
		usleep(20000);
		malloc_trim(0);
	} while (kept() >= CROWD * 16 * KIB && ++tries < PATIENCE);
	check(tries < PATIENCE);
	pthread_mutex_lock(&mutex);
	awake = true;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&mutex);
	for (size_t i = 0; i < CROWD; i++)
		check(write(pipe_ends[1], "x", 1) == 1);
	for (size_t i = 0; i < CROWD; i++)
		pthread_join(thread[i], NULL);
	check(heap_inconsistencies() == 0);
	_exit(0);
}

static void the_sheaves_of_sleeping_threads_go_back(void **state)
{
	(void)state;
	assert_true(succeeds_in_child(crowd, NULL, 300));
}

static atomic_bool stop;
static _Thread_local bool in_handler;

/* Sleeps where it interrupted the thread: perhaps in the middle of malloc. */
static void doze(int sig)
{
	struct timespec t = { 0, 200000 };
	int saved = errno;

	(void)sig;
	if (!in_handler) {
		in_handler = true;
		nanosleep(&t, NULL);
		in_handler = false;
	}
	errno = saved;
}

static void *keep_trimming(void *arg)
{
	while (!atomic_load(&stop))
		malloc_trim(0);
	return arg;
}

static void *keep_waking(void *arg)
{
	pthread_t *thread = arg;
	struct timespec t = { 0, 50000 };

	for (size_t i = 0; !atomic_load(&stop); i++) {
		pthread_kill(thread[i % TORTURED], SIGUSR1);
		nanosleep(&t, NULL);
	}
	return NULL;
}

/* Blocks carry their owner and number; naps are of all lengths down to none. */
static void *work_and_nap(void *arg)
{
	size_t owner = (uintptr_t)arg;
	struct rng rng = { owner + 1 };
	size_t *p[64] = { 0 };

	pthread_barrier_wait(&barrier);
	for (size_t i = 0; i < ROUNDS; i++) {
		for (size_t n = rng_below(&rng, 40); n; n--) {
			size_t k = rng_below(&rng, 64), words = 2 + rng_below(&rng, 200);

			if (p[k]) {
				check(p[k][0] == owner && p[k][p[k][1] - 1] == k);
				free(p[k]);
			}
			p[k] = malloc((words + 1) * sizeof(size_t));
			p[k][0] = owner;
			p[k][1] = words + 1;
			p[k][words] = k;
		}
		if (rng_below(&rng, 4) == 0)
			nanosleep(&(struct timespec){ 0, (long)rng_below(&rng, 100000) }, NULL);
		else if (rng_below(&rng, 4) == 0)
			poll(NULL, 0, 0);
	}
	for (size_t k = 0; k < 64; k++)
		free(p[k]);
	return arg;
}

static void torture(void *arg)
{
	pthread_t thread[TORTURED], trimmer, waker;
	struct sigaction sa = { .sa_handler = doze, .sa_flags = SA_NODEFER };

	(void)arg;
	sigaction(SIGUSR1, &sa, NULL);
	pthread_barrier_init(&barrier, NULL, TORTURED + 1);
	for (size_t i = 0; i < TORTURED; i++)
		check(pthread_create(&thread[i], NULL, work_and_nap, (void *)i) == 0);
	check(pthread_create(&trimmer, NULL, keep_trimming, NULL) == 0);
	pthread_barrier_wait(&barrier);
	check(pthread_create(&waker, NULL, keep_waking, thread) == 0);
	for (size_t i = 0; i < TORTURED; i++) {
		if (i == 0) {
			/* Nobody is signalled who has ended. */
			nanosleep(&(struct timespec){ 1, 0 }, NULL);
			atomic_store(&stop, true);
			pthread_join(waker, NULL);
			atomic_store(&stop, false);
		}
		pthread_join(thread[i], NULL);
	}
	atomic_store(&stop, true);
	pthread_join(trimmer, NULL);
	check(heap_inconsistencies() == 0);
	_exit(0);
}

static void threads_that_wake_meanwhile_find_all_as_it_was(void **state)
{
	(void)state;
	assert_true(succeeds_in_child(torture, NULL, 300));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_sheaves_of_sleeping_threads_go_back),
		cmocka_unit_test(threads_that_wake_meanwhile_find_all_as_it_was),
	};

	require_library();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
