/* SPDX-License-Identifier: MIT */
/*
 * workload.h - what the workloads share: knobs, clocks, result lines.
 *
 * A workload is a program of its own, so that its peak of memory is its own, and runs under
 * whichever malloc is preloaded. It prints one "name value" a line, which scripts/compare reads:
 *
 *	seconds, cpu_seconds, minor_faults, major_faults   of the measured part
 *	peak_rss_kib, final_rss_kib                        of the process, at the end of that part
 *	and what it has to say besides, such as objects_per_second
 *
 * Nothing here calls malloc: the requests are the workload's own, and so is the memory (a
 * workload's tables come from table_map()). The peak is VmHWM, not ru_maxrss, which an exec'd
 * child inherits from its parent.
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "../rng.h"

#define MIB (1ul << 20)

enum { MAX_THREADS = 64 };

static inline void die(const char *why)
{
	dprintf(STDERR_FILENO, "%s\n", why);
	exit(1);
}

/* --- Knobs: "--name value" on the command line; --smoke takes the second value of each. --- */

struct knob {
	const char *name; /* NULL ends the table */
	unsigned long value, smoke;
};

static inline unsigned long knob(const struct knob *knobs, const char *name)
{
	for (; knobs->name; knobs++)
		if (!strcmp(knobs->name, name))
			return knobs->value;
	die("a workload asks for a knob that it has not got");
	return 0;
}

static inline void knob_set(struct knob *knobs, const char *name, const char *text)
{
	char *end = NULL;

	for (; knobs->name; knobs++)
		if (!strncmp(name, "--", 2) && !strcmp(knobs->name, name + 2))
			break;
	if (knobs->name && text)
		knobs->value = strtoul(text, &end, 10);
	if (!end || end == text || *end) {
		dprintf(STDERR_FILENO, "bad option: %s %s\n", name, text ? text : "");
		exit(2);
	}
}

static inline void knobs_read(struct knob *knobs, int argc, char **argv)
{
	int i = 1;

	if (argc > 1 && !strcmp(argv[1], "--smoke")) {
		for (struct knob *k = knobs; k->name; k++)
			k->value = k->smoke;
		i = 2;
	}
	for (; i < argc; i += 2)
		knob_set(knobs, argv[i], argv[i + 1]);
}

static inline unsigned long knob_threads(const struct knob *knobs)
{
	unsigned long n = knob(knobs, "threads");

	if (n < 1 || n > MAX_THREADS)
		die("threads: 1 to 64");
	return n;
}

/* --- Clocks and counters --- */

static inline double clock_seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A line of /proc/self/status such as "VmHWM:", in KiB. */
static inline unsigned long status_kib(const char *field)
{
	char text[4096], *at;
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (n < 0)
		die("no /proc/self/status");
	text[n] = '\0';
	at = strstr(text, field);
	return at ? strtoul(at + strlen(field), NULL, 10) : 0;
}

static inline void result(const char *name, double value)
{
	dprintf(STDOUT_FILENO, "%s %.9g\n", name, value);
}

/* What was used so far, by the process and by its children that have ended. */
struct measure {
	double wall, cpu;
	long minor_faults, major_faults;
};

static inline struct measure measure_begin(void)
{
	struct rusage self, ended;
	struct measure m;

	getrusage(RUSAGE_SELF, &self);
	getrusage(RUSAGE_CHILDREN, &ended);
	m.minor_faults = self.ru_minflt + ended.ru_minflt;
	m.major_faults = self.ru_majflt + ended.ru_majflt;
	m.cpu = clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
	m.cpu += (double)(ended.ru_utime.tv_sec + ended.ru_stime.tv_sec);
	m.cpu += (double)(ended.ru_utime.tv_usec + ended.ru_stime.tv_usec) * 1e-6;
	m.wall = clock_seconds(CLOCK_MONOTONIC);
	return m;
}

/* Sleeps; the time does not count, what a thread of the allocator does meanwhile does. */
static inline void measure_sleep(struct measure *m, unsigned long ms)
{
	struct timespec t = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 };
	double before = clock_seconds(CLOCK_MONOTONIC);

	nanosleep(&t, NULL);
	m->wall += clock_seconds(CLOCK_MONOTONIC) - before;
}

/* Prints the figures that every workload has, and returns the seconds that the part took. */
static inline double measure_end(const struct measure *m)
{
	struct measure now = measure_begin();
	double wall = now.wall - m->wall;

	result("seconds", wall);
	result("cpu_seconds", now.cpu - m->cpu);
	result("minor_faults", (double)(now.minor_faults - m->minor_faults));
	result("major_faults", (double)(now.major_faults - m->major_faults));
	result("peak_rss_kib", (double)status_kib("VmHWM:"));
	result("final_rss_kib", (double)status_kib("VmRSS:"));
	return wall;
}

/* --- Memory and threads --- */

/* Zeroed memory that is none of the allocator's business; never given back. */
static inline void *table_map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("no memory for a table");
	return p;
}

static inline void *must_malloc(size_t size)
{
	void *p = malloc(size);

	if (!p)
		die("malloc returned NULL");
	return p;
}

/* As a program that fills its block would: each page is written once. */
static inline void touch(void *block, size_t size)
{
	char *p = block;

	for (size_t at = 0; at < size; at += 4096)
		p[at] = 1;
	p[size - 1] = 1;
}

static inline pthread_t thread_start(void *(*run)(void *), void *arg)
{
	pthread_t t;

	if (pthread_create(&t, NULL, run, arg) != 0)
		die("no thread");
	return t;
}

/* One thread for each of n arguments, which lie in an array of elements of this size. */
static inline void threads_start(pthread_t *threads, unsigned long n, void *(*run)(void *),
				 void *args, size_t size)
{
	for (unsigned long i = 0; i < n; i++)
		threads[i] = thread_start(run, (char *)args + i * size);
}

static inline void threads_join(const pthread_t *threads, unsigned long n)
{
	for (unsigned long i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

#endif
