/* SPDX-License-Identifier: MIT */
/* fork at any moment, by any thread: both sides go on with a whole heap. */
#define _GNU_SOURCE
#include "api.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

extern char **environ;

#define WORKERS 8
#define SLOTS 256

/* Objects that the workers keep: a child inherits them and may free them. */
static _Atomic(void *) kept[WORKERS][SLOTS];
static atomic_bool stop;

static void *work(void *arg)
{
	struct rng rng = { (uintptr_t)arg };

	while (!atomic_load(&stop)) {
		size_t size =
			rng_below(&rng, 50) ? rng_below(&rng, 2000) : rng_below(&rng, 2 * MIB);
		void *p = malloc(size);

		check(p);
		memset(p, 1, size < 64 ? size : 64);
		free(atomic_exchange(&kept[(uintptr_t)arg][rng_below(&rng, SLOTS)], p));
	}
	return NULL;
}

static void start_workers(pthread_t *threads)
{
	atomic_store(&stop, false);
	for (uintptr_t i = 0; i < WORKERS; i++)
		check(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
}

static void stop_workers(pthread_t *threads)
{
	atomic_store(&stop, true);
	for (size_t i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
}

static void await_success(pid_t pid)
{
	int status;

	check(pid > 0);
	check(waitpid(pid, &status, 0) == pid);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void use_heap(size_t objects)
{
	static void *p[5000];
	struct rng rng = { objects };

	for (size_t i = 0; i < objects; i++) {
		size_t size = rng_below(&rng, 3000);

		p[i] = malloc(size);
		check(p[i]);
		pattern_fill(p[i], size, i);
	}
	rng.state = objects;
	for (size_t i = 0; i < objects; i++) {
		check(pattern_holds(p[i], rng_below(&rng, 3000), i));
		free(p[i]);
	}
	free(malloc(5 * MIB));
}

static void *use_heap_in_thread(void *arg)
{
	use_heap(100);
	return arg;
}

static void live_as_a_child(bool forks_again)
{
	pthread_t thread;

	for (size_t i = 0; i < WORKERS; i++)
		for (size_t j = 0; j < SLOTS; j++)
			free(atomic_load(&kept[i][j]));
	use_heap(2000);
	check(pthread_create(&thread, NULL, use_heap_in_thread, NULL) == 0);
	pthread_join(thread, NULL);
	if (forks_again) {
		pid_t pid = fork();

		if (pid == 0) {
			use_heap(500);
			exit(0);
		}
		await_success(pid);
	}
	check(heap_inconsistencies() == 0);
}

/* Where each object is watched, a child takes four times as long. */
static int nr_forks(void)
{
	return getenv("SLABMALLOC_DEBUG") || getenv("SLABMALLOC_HARDEN") ? 16 : 40;
}

static void fork_among_workers(void *arg)
{
	pthread_t threads[WORKERS];

	(void)arg;
	start_workers(threads);
	for (int i = 0; i < nr_forks(); i++) {
		pid_t pid = fork();

		if (pid == 0) {
			live_as_a_child(i % 4 == 0);
			/* exit runs the library's own end; _exit is what most children do. */
			if (i % 2)
				exit(0);
			_exit(0);
		}
		await_success(pid);
		use_heap(50);
	}
	stop_workers(threads);
	check(heap_inconsistencies() == 0);
}

static void a_child_of_a_threaded_process_has_a_whole_heap(void **state)
{
	(void)state;
	assert_true(succeeds_in_child(fork_among_workers, NULL, 300));
}

static void *fork_repeatedly(void *arg)
{
	for (int i = 0; i < 30; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			use_heap(100);
			_exit(0);
		}
		await_success(pid);
	}
	return arg;
}

static void fork_from_4_threads(void *arg)
{
	pthread_t threads[WORKERS], forkers[4];

	(void)arg;
	start_workers(threads);
	for (size_t i = 0; i < ARRAY_SIZE(forkers); i++)
		check(pthread_create(&forkers[i], NULL, fork_repeatedly, NULL) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(forkers); i++)
		pthread_join(forkers[i], NULL);
	stop_workers(threads);
}

static void several_threads_may_fork_at_the_same_time(void **state)
{
	(void)state;
	assert_true(succeeds_in_child(fork_from_4_threads, NULL, 300));
}

static pthread_barrier_t stage;

/* Fills its caches with free objects, and stays: the child inherits the caches, not the thread. */
static void *fill_caches_and_stay(void *arg)
{
	static _Thread_local void *p[2000];

	for (size_t size = 16; size <= 1024; size *= 2) {
		for (size_t i = 0; i < ARRAY_SIZE(p); i++) {
			p[i] = malloc(size);
			memset(p[i], 1, size);
		}
		for (size_t i = 0; i < ARRAY_SIZE(p); i++)
			free(p[i]);
	}
	pthread_barrier_wait(&stage);
	for (;;)
		pause();
	return arg;
}

/*
 * Each generation starts four threads with full caches and forks; the child is the next one.
 * Caches of threads that do not exist in the child would add up, generation by generation.
 */
static void descend(void *arg)
{
	size_t early = 0;

	(void)arg;
	for (int generation = 0; generation < 50; generation++) {
		pthread_t thread;
		pid_t pid;

		/* The most: one generation may have four times as much as another. */
		if (generation <= 10 && rss_bytes() > early)
			early = rss_bytes();

		pthread_barrier_init(&stage, NULL, 5);
		for (int i = 0; i < 4; i++)
			check(!pthread_create(&thread, NULL, fill_caches_and_stay, NULL));
		pthread_barrier_wait(&stage);
		pid = fork();
		if (pid != 0) {
			int status;

			waitpid(pid, &status, 0);
			_exit(status ? 1 : 0);
		}
	}
	check(rss_bytes() < 2 * early + 4 * MIB);
	_exit(0);
}

static void caches_of_threads_that_a_child_lacks_are_not_lost(void **state)
{
	(void)state;
	assert_true(succeeds_in_child(descend, NULL, 300));
}

static void *from_prepare;
static int nr_prepared, nr_parents, nr_children;

static void prepare(void)
{
	from_prepare = malloc(1000);
	free(realloc(malloc(10), 3000));
	nr_prepared++;
}

static void after_in_parent(void)
{
	free(from_prepare);
	free(calloc(1, 200));
	nr_parents++;
}

static void after_in_child(void)
{
	free(from_prepare);
	free(malloc(MIB));
	nr_children++;
}

static void fork_with_handlers(void *arg)
{
	pthread_t threads[WORKERS];

	(void)arg;
	check(pthread_atfork(prepare, after_in_parent, after_in_child) == 0);
	start_workers(threads);
	for (int i = 0; i < 50; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			check(nr_children == 1);
			use_heap(100);
			_exit(0);
		}
		await_success(pid);
	}
	check(nr_prepared == 50 && nr_parents == 50 && nr_children == 0);
	stop_workers(threads);
}

static void atfork_handlers_may_malloc_and_free(void **state)
{
	(void)state;
	assert_true(succeeds_in_child(fork_with_handlers, NULL, 300));
}

static void start_programs(void *arg)
{
	char *argv[] = { (char *)(uintptr_t) "/bin/true", NULL };
	pthread_t threads[WORKERS];
	FILE *pipe;
	char line[64];

	(void)arg;
	start_workers(threads);
	for (int i = 0; i < 30; i++) {
		pid_t pid;

		pid = vfork();
		if (pid == 0) {
			execve(argv[0], argv, environ);
			_exit(127);
		}
		await_success(pid);
		check(posix_spawn(&pid, argv[0], NULL, NULL, argv, environ) == 0);
		await_success(pid);
		check(system("exit 0") == 0);
		pipe = popen("echo hello", "r");
		check(pipe && fgets(line, sizeof(line), pipe) && strcmp(line, "hello\n") == 0);
		check(pclose(pipe) == 0);
	}
	stop_workers(threads);
}

static void vfork_posix_spawn_system_and_popen_work_among_threads(void **state)
{
	(void)state;
	assert_true(succeeds_in_child(start_programs, NULL, 300));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_of_a_threaded_process_has_a_whole_heap),
		cmocka_unit_test(several_threads_may_fork_at_the_same_time),
		cmocka_unit_test(caches_of_threads_that_a_child_lacks_are_not_lost),
		cmocka_unit_test(atfork_handlers_may_malloc_and_free),
		cmocka_unit_test(vfork_posix_spawn_system_and_popen_work_among_threads),
	};

	require_library();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
