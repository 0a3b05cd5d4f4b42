/* SPDX-License-Identifier: MIT */
/*
 * A program whose heap is known, under the library by LD_PRELOAD. What it says on stdout is for the drivers here:
 *
 *	dumps FORMAT N		N dumps one after the other to stdout, nothing else happens
 *	known			a dump, blocks of known sizes, "expect BYTES", a dump, all freed and trimmed, a dump (JSON lines)
 *	waste			objects of kmalloc-112 that were asked for as 100 bytes, every other one freed; a dump
 *	remote			blocks that another thread frees; a dump
 *	formats			the same, and a dump in each of the formats but the page
 *	busy FORMAT N		8 threads that hold 4096 objects of 512 bytes each all the time, and up to 500 of
 *				256; N dumps meanwhile
 *	stuck			a dump to a pipe that nobody reads, while another thread allocates
 *	tick SECONDS		allocates and sleeps in turns, in one thread
 *	sleep SECONDS		sleeps
 *	threads SECONDS		"ready", and then sleeps, with three threads that have allocated
 *	small_stack		raises SIGUSR2 on an alternate stack of 8 KiB, and then allocates
 *	hang			"ready", and then a thread that goes round and round, and one that waits for it
 *	churn SECONDS		"ready", and then malloc and free as fast as it goes, in two threads
 */
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "slabmalloc/slabmalloc.h"

#pragma weak slabmalloc_stats_write

enum { JSON = (int)SLABMALLOC_STATS_JSON, THREADS = 8, HELD = 4096, BURST = 500, OBJECT = 512 };

static atomic_bool stop;
static pthread_barrier_t barrier;

static void check(int good, const char *what)
{
	if (!good) {
		dprintf(STDERR_FILENO, "subject: %s\n", what);
		_exit(3);
	}
}

static void dump(int format)
{
	check(slabmalloc_stats_write(STDOUT_FILENO, (enum slabmalloc_stats_format)format) == 0,
	      "stats_write");
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void nap(double seconds)
{
	struct timespec t = { (time_t)seconds, (long)((seconds - (long)seconds) * 1e9) };

	while (nanosleep(&t, &t))
		;
}

static pthread_t start(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	check(!pthread_create(&t, NULL, fn, arg), "pthread_create");
	return t;
}

static void dumps(int format, int n)
{
	free(malloc(100));
	while (n-- > 0)
		dump(format);
}

/* Small ones are of whole classes, large ones of whole frames: what is asked for is what is given. */
static void known(void)
{
	static const size_t sizes[] = { 16, 48, 1024, 4096, 65536, 262144, 1 << 20, 48 << 20 };
	static void *held[8][200];
	size_t sum = 0;

	dump(JSON);
	for (int i = 0; i < 8; i++) {
		for (int j = 0; j < (i < 6 ? 200 : 2); j++) {
			held[i][j] = malloc(sizes[i]);
			check(held[i][j] && malloc_usable_size(held[i][j]) == sizes[i], "a size");
			sum += sizes[i];
		}
	}
	dprintf(STDOUT_FILENO, "expect %zu\n", sum);
	dump(JSON);
	for (int i = 0; i < 8; i++)
		for (int j = 0; j < 200; j++)
			free(held[i][j]);
	malloc_trim(0);
	dump(JSON);
}

static void waste(void)
{
	enum { N = 20000 };
	static void *held[N];

	for (int i = 0; i < N; i++)
		held[i] = malloc(100);
	for (int i = 0; i < N; i += 2)
		free(held[i]);
	dump(JSON);
}

static void *held_by_main[20000];

static void *free_them(void *arg)
{
	for (int i = 0; i < 20000; i++)
		free(held_by_main[i]);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	return arg;
}

static void remote(int first, int last)
{
	pthread_barrier_init(&barrier, NULL, 2);
	for (int i = 0; i < 20000; i++)
		held_by_main[i] = malloc(256);
	pthread_t t = start(free_them, NULL);
	pthread_barrier_wait(&barrier);
	for (int format = first; format <= last; format++)
		dump(format);
	pthread_barrier_wait(&barrier);
	pthread_join(t, NULL);
}

/* HELD objects of one class, one more for moments; and bursts of another, which move through barns and slabs. */
static void *work(void *arg)
{
	void *held[HELD], *burst[BURST];
	uint32_t at = (uint32_t)(uintptr_t)arg * 2654435761u;

	for (int i = 0; i < HELD; i++)
		held[i] = malloc(OBJECT);
	pthread_barrier_wait(&barrier);
	while (!stop) {
		for (int i = 0; i < 1000; i++) {
			at = at * 1664525 + 1013904223;
			void **slot = &held[at >> 20];
			void *new = malloc(OBJECT);

			free(*slot);
			*slot = new;
		}
		for (int i = 0; i < BURST; i++)
			burst[i] = malloc(OBJECT / 2);
		for (int i = 0; i < BURST; i++)
			free(burst[i]);
	}
	for (int i = 0; i < HELD; i++)
		free(held[i]);
	return NULL;
}

static void busy(int format, int n)
{
	pthread_t t[THREADS];

	pthread_barrier_init(&barrier, NULL, THREADS + 1);
	for (uintptr_t i = 0; i < THREADS; i++)
		t[i] = start(work, (void *)i);
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < n; i++) {
		dump(format);
		nap(0.002);
	}
	stop = true;
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
}

static int pipe_ends[2];
static atomic_bool written;

static void *write_to_pipe(void *arg)
{
	slabmalloc_stats_write(pipe_ends[1], SLABMALLOC_STATS_PROMETHEUS);
	written = true;
	close(pipe_ends[1]);
	return arg;
}

static void stuck(void)
{
	char buffer[4096];

	check(!pipe2(pipe_ends, O_CLOEXEC), "pipe2");
	fcntl(pipe_ends[1], F_SETPIPE_SZ, 4096);
	pthread_t t = start(write_to_pipe, NULL);
	nap(0.2);
	check(!written, "the pipe took all of it");
	for (int i = 0; i < 20000; i++)
		held_by_main[i] = malloc((size_t)i * 13 % 5000 + 1);
	for (int i = 0; i < 20000; i++)
		free(held_by_main[i]);
	free(malloc(64 << 20));
	malloc_trim(0);
	check(!written, "somebody read the pipe");
	dprintf(STDOUT_FILENO, "allocated meanwhile\n");
	while (read(pipe_ends[0], buffer, sizeof(buffer)) > 0)
		;
	pthread_join(t, NULL);
}

static void tick(double seconds)
{
	for (double end = now() + seconds; now() < end; nap(0.02)) {
		for (int i = 0; i < 2000; i++)
			held_by_main[i] = malloc((size_t)i % 3000 + 1);
		for (int i = 0; i < 2000; i++)
			free(held_by_main[i]);
	}
}

static void *sleep_on(void *arg)
{
	free(malloc(100));
	pthread_barrier_wait(&barrier);
	nap(*(double *)arg);
	return NULL;
}

static void threads(double seconds)
{
	pthread_t t[3];

	pthread_barrier_init(&barrier, NULL, 4);
	for (int i = 0; i < 3; i++)
		t[i] = start(sleep_on, &seconds);
	pthread_barrier_wait(&barrier);
	dprintf(STDOUT_FILENO, "ready\n");
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
}

static void small_stack(void)
{
	static char room[8192];
	stack_t st = { .ss_sp = room, .ss_size = sizeof(room) };

	check(!sigaltstack(&st, NULL), "sigaltstack");
	raise(SIGUSR2);
	for (int i = 0; i < 20000; i++)
		held_by_main[i] = malloc(100);
}

static void *go_round(void *arg)
{
	while (!stop)
		;
	return arg;
}

static void hang(void)
{
	pthread_t t = start(go_round, NULL);

	dprintf(STDOUT_FILENO, "ready\n");
	pthread_join(t, NULL);
}

static void *churn_on(void *arg)
{
	static _Thread_local void *held[512];
	uint32_t at = 1;

	for (double end = now() + *(double *)arg; now() < end;) {
		for (int i = 0; i < 1000; i++) {
			at = at * 1664525 + 1013904223;
			free(held[at >> 23]);
			held[at >> 23] = malloc((at >> 8) % (i ? 3000 : 600000));
		}
	}
	for (int i = 0; i < 512; i++)
		free(held[i]);
	return arg;
}

static void churn(double seconds)
{
	dprintf(STDOUT_FILENO, "ready\n");
	pthread_t t = start(churn_on, &seconds);

	churn_on(&seconds);
	pthread_join(t, NULL);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "", *what = argc > 2 ? argv[2] : "0";

	check(slabmalloc_stats_write != NULL, "not under the library");
	if (!strcmp(mode, "dumps") && argc == 4)
		dumps(atoi(what), atoi(argv[3]));
	else if (!strcmp(mode, "busy") && argc == 4)
		busy(atoi(what), atoi(argv[3]));
	else if (!strcmp(mode, "known"))
		known();
	else if (!strcmp(mode, "waste"))
		waste();
	else if (!strcmp(mode, "remote"))
		remote(JSON, JSON);
	else if (!strcmp(mode, "formats"))
		remote(0, (int)SLABMALLOC_STATS_PROMETHEUS);
	else if (!strcmp(mode, "stuck"))
		stuck();
	else if (!strcmp(mode, "tick"))
		tick(atof(what));
	else if (!strcmp(mode, "sleep"))
		nap(atof(what));
	else if (!strcmp(mode, "threads"))
		threads(atof(what));
	else if (!strcmp(mode, "small_stack"))
		small_stack();
	else if (!strcmp(mode, "hang"))
		hang();
	else if (!strcmp(mode, "churn"))
		churn(atof(what));
	else
		return 2;
	return 0;
}
