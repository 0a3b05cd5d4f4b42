// SPDX-License-Identifier: MIT
/*
 * kshrinkd.c - the thread that gives memory back: when it is there, what it does, and whom it does not disturb.
 */
#define _GNU_SOURCE
#include "api.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { SLEEPERS = 8 };

static int gate[2];

static void *sleeper(void *arg)
{
	char c;

	while (read(gate[0], &c, 1) < 0)
		;
	return arg;
}

/* Threads of this process by name; "": all. */
static int threads_named(const char *name)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *e;
	int n = 0;

	check(dir);
	while ((e = readdir(dir))) {
		char path[300], comm[64] = "";
		FILE *f;

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", e->d_name);
		f = fopen(path, "r");
		if (f && fgets(comm, sizeof(comm), f))
			n += strncmp(comm, name, strlen(name)) == 0;
		if (f)
			fclose(f);
	}
	closedir(dir);
	return n;
}

static bool becomes(int kshrinkds, int ms)
{
	while (threads_named("kshrinkd") != kshrinkds && ms > 0) {
		usleep(10000);
		ms -= 10;
	}
	return threads_named("kshrinkd") == kshrinkds;
}

static pthread_t start_sleeper(void)
{
	pthread_t thread;

	check(pthread_create(&thread, NULL, sleeper, NULL) == 0);
	return thread;
}

static void wake(pthread_t thread)
{
	check(write(gate[1], "x", 1) == 1);
	pthread_join(thread, NULL);
}

static void comes_and_goes(void *arg)
{
	pthread_t thread;

	(void)arg;
	check(pipe(gate) == 0);
	check(threads_named("") == 1);
	thread = start_sleeper();
	check(becomes(1, 1000));
	wake(thread);
	check(becomes(0, 1000));
	check(threads_named("") == 1);
	thread = start_sleeper();
	check(becomes(1, 1000));
	wake(thread);
	/* At once: it is asked to leave. */
	check(unshare(CLONE_THREAD) == 0);
	_exit(0);
}

static void it_comes_with_the_first_thread_and_goes_with_the_last(void **state)
{
	(void)state;
	assert_true(succeeds_in_child(comes_and_goes, NULL, 150));
}

/* When a thread has gone it looks whether it is alone; the next one comes at any moment of that. */
static void leaves_and_is_wanted(void *arg)
{
	char *heap = malloc(24 * MIB);

	(void)arg;
	check(pipe(gate) == 0);
	/* With so much to watch it has descriptors to close when it leaves. */
	memset(heap, 1, 24 * MIB);
	for (int i = 0; i < 300; i++) {
		pthread_t thread = start_sleeper();

		usleep(3000);
		check(becomes(1, 1000));
		wake(thread);
		usleep((useconds_t)i % 30 * 50);
	}
	free(heap);
	_exit(0);
}

static void it_does_not_leave_while_a_thread_comes(void **state)
{
	(void)state;
	assert_true(succeeds_in_child(leaves_and_is_wanted, NULL, 300));
}

static void forks(void *arg)
{
	pthread_t thread;
	pid_t child;
	int status;

	(void)arg;
	check(pipe(gate) == 0);
	thread = start_sleeper();
	check(becomes(1, 1000));
	child = fork();
	if (!child) {
		check(threads_named("") == 1);
		start_sleeper();
		check(becomes(1, 1000));
		_exit(0);
	}
	check(waitpid(child, &status, 0) == child && status == 0);
	check(threads_named("kshrinkd") == 1);
	wake(thread);
	_exit(0);
}

static void a_child_has_none_until_it_has_threads(void **state)
{
	(void)state;
	assert_true(succeeds_in_child(forks, NULL, 150));
}

static int have_freed;

/* Small objects of all sizes, freed; the thread sleeps on with what its caches hold. */
static void *use_and_sleep(void *arg)
{
	enum { N = 60000 };
	void **p = malloc(N * sizeof(*p));

	for (size_t i = 0; i < N; i++) {
		size_t n = 16 + i % 1000;

		p[i] = malloc(n);
		memset(p[i], 1, n);
	}
	for (size_t i = 0; i < N; i++)
		free(p[i]);
	free(p);
	__atomic_add_fetch(&have_freed, 1, __ATOMIC_RELEASE);
	return sleeper(arg);
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void idles(void *close_all)
{
	pthread_t thread[SLEEPERS];
	size_t before = rss_bytes();
	double cpu;

	check(pipe(gate) == 0);
	for (int i = 0; i < SLEEPERS; i++)
		check(pthread_create(&thread[i], NULL, use_and_sleep, NULL) == 0);
	while (__atomic_load_n(&have_freed, __ATOMIC_ACQUIRE) < SLEEPERS)
		usleep(1000);
	/* Nobody calls malloc any more. */
	for (int i = 0; i < 100 && rss_bytes() > before + 10 * MIB; i++)
		usleep(100000);
	check(rss_bytes() <= before + 10 * MIB);
	/* What it opened may be closed under it, and then the number be another file's. */
	for (int fd = 3; close_all && fd < 1200; fd++)
		if (fd != gate[0] && fd != gate[1])
			close(fd);
	cpu = cpu_seconds();
	usleep(1500000);
	check(cpu_seconds() - cpu < 0.15);
	/* Any of them may take any byte. */
	for (int i = 0; i < SLEEPERS; i++)
		check(write(gate[1], "x", 1) == 1);
	for (int i = 0; i < SLEEPERS; i++)
		pthread_join(thread[i], NULL);
	check(heap_inconsistencies() == 0);
	_exit(0);
}

static void an_idle_program_gives_its_memory_back_and_sleeps(void **state)
{
	(void)state;
	assert_true(succeeds_in_child(idles, NULL, 300));
}

static void it_does_not_mind_that_its_descriptors_are_closed(void **state)
{
	static int yes = 1;

	(void)state;
	assert_true(succeeds_in_child(idles, &yes, 300));
}

static void signals_are_the_programs(void *arg)
{
	sigset_t set;
	pthread_t thread;
	int sig;

	(void)arg;
	check(pipe(gate) == 0);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	thread = start_sleeper();
	check(becomes(1, 1000));
	/* Blocked in all of them, so it stays until it is asked for. */
	kill(getpid(), SIGTERM);
	usleep(50000);
	check(sigwait(&set, &sig) == 0 && sig == SIGTERM);
	wake(thread);
	_exit(0);
}

static void it_takes_no_signal(void **state)
{
	(void)state;
	assert_true(succeeds_in_child(signals_are_the_programs, NULL, 150));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_comes_with_the_first_thread_and_goes_with_the_last),
		cmocka_unit_test(it_does_not_leave_while_a_thread_comes),
		cmocka_unit_test(a_child_has_none_until_it_has_threads),
		cmocka_unit_test(an_idle_program_gives_its_memory_back_and_sleeps),
		cmocka_unit_test(it_does_not_mind_that_its_descriptors_are_closed),
		cmocka_unit_test(it_takes_no_signal),
	};

	require_library();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
