/* SPDX-License-Identifier: MIT */
/*
 * fork in a signal handler that has interrupted malloc or free. Programs do it (shells, runtimes
 * with a reaper), glibc permits it in a single-threaded program, and a lock that the
 * interrupted call holds must not hang it. The child returns from the handler into the
 * interrupted call, ends it, and goes on.
 */
#define _GNU_SOURCE
#include "api.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define FORKS 250
#define SLOTS 3000

static volatile sig_atomic_t nr_forks, is_child, failures;
static bool child_ends_in_handler;
static pid_t parent;

static void fork_in_handler(int sig)
{
	int saved = errno;
	int status;
	pid_t pid;

	(void)sig;
	if (is_child || nr_forks >= FORKS)
		return;
	pid = fork();
	if (pid == 0) {
		if (child_ends_in_handler)
			_exit(0);
		is_child = 1;
		return;
	}
	if (waitpid(pid, &status, 0) != pid || status != 0)
		failures++;
	nr_forks++;
	errno = saved;
}

static void arm(void)
{
	struct sigaction action = { .sa_handler = fork_in_handler, .sa_flags = SA_RESTART };
	struct itimerval timer = { { 0, 500 }, { 0, 500 } };

	parent = getpid();
	sigaction(SIGALRM, &action, NULL);
	check(setitimer(ITIMER_REAL, &timer, NULL) == 0);
}

static void disarm(void)
{
	struct itimerval off = { { 0, 0 }, { 0, 0 } };

	setitimer(ITIMER_REAL, &off, NULL);
}

/* Many calls of all layers: small, large and huge, new slabs and given back ones. */
static void churn_once(struct rng *rng, void **p)
{
	size_t i = rng_below(rng, SLOTS);
	uint64_t roll = rng_below(rng, 1000);

	free(p[i]);
	p[i] = NULL;
	if (roll < 900)
		p[i] = malloc(rng_below(rng, 1000));
	else if (roll < 980)
		p[i] = realloc(malloc(rng_below(rng, 30000)), rng_below(rng, 60000) + 1);
	else if (roll < 998)
		free(aligned_alloc(4096, rng_below(rng, MIB)));
	else
		free(malloc(rng_below(rng, 40 * MIB)));
}

static void end_as_child(void **p)
{
	struct rng rng = { 99 };

	for (int i = 0; i < 300; i++)
		churn_once(&rng, p);
	for (size_t i = 0; i < SLOTS; i++)
		free(p[i]);
	_exit(0);
}

static void churn_while_signals_fork(void *arg)
{
	static void *p[SLOTS];
	struct rng rng = { 7 };

	(void)arg;
	arm();
	while (nr_forks < FORKS) {
		churn_once(&rng, p);
		if (is_child)
			end_as_child(p);
	}
	disarm();
	check(getpid() == parent);
	check(failures == 0);
}

static void churn_alone_while_signals_fork(void *arg)
{
	churn_while_signals_fork(arg);
	check(heap_inconsistencies() == 0);
}

static void fork_in_a_handler_works_in_a_single_threaded_program(void **state)
{
	(void)state;
	child_ends_in_handler = false;
	assert_true(succeeds_in_child(churn_alone_while_signals_fork, NULL, 200));
}

static atomic_bool stop;

static void *churn_beside(void *arg)
{
	static _Thread_local void *p[SLOTS];
	struct rng rng = { (uintptr_t)arg };

	while (!atomic_load(&stop))
		churn_once(&rng, p);
	for (size_t i = 0; i < SLOTS; i++)
		free(p[i]);
	return NULL;
}

/* The signals go to the main thread, which allocates as the others do; they inherit the mask. */
static void churn_beside_threads_while_signals_fork(void *arg)
{
	pthread_t threads[2];
	sigset_t alarm_only;

	sigemptyset(&alarm_only);
	sigaddset(&alarm_only, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm_only, NULL);
	for (uintptr_t i = 0; i < ARRAY_SIZE(threads); i++)
		check(pthread_create(&threads[i], NULL, churn_beside, (void *)i) == 0);
	pthread_sigmask(SIG_UNBLOCK, &alarm_only, NULL);
	churn_while_signals_fork(arg);
	atomic_store(&stop, true);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	check(heap_inconsistencies() == 0);
}

static void fork_in_a_handler_works_in_a_threaded_program(void **state)
{
	(void)state;
	child_ends_in_handler = true;
	assert_true(succeeds_in_child(churn_beside_threads_while_signals_fork, NULL, 200));
}

static void a_child_of_a_handler_in_a_threaded_program_goes_on(void **state)
{
	(void)state;
	child_ends_in_handler = false;
	assert_true(succeeds_in_child(churn_beside_threads_while_signals_fork, NULL, 200));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fork_in_a_handler_works_in_a_single_threaded_program),
		cmocka_unit_test(fork_in_a_handler_works_in_a_threaded_program),
		cmocka_unit_test(a_child_of_a_handler_in_a_threaded_program_goes_on),
	};

	require_library();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
