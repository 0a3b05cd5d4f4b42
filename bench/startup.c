// SPDX-License-Identifier: MIT
/*
 * startup.c - what a short program pays for its malloc: starts of /bin/true under each library.
 *
 *	startup [--rss] [--runs N] [--program PATH] PRELOAD…
 *
 * Each PRELOAD is the path of a library, or "-" for none. They take turns, so that slow and fast
 * moments of the machine fall on all of them. One line for each start, with the number of its
 * PRELOAD:
 *
 *	NUMBER WALL_NS CPU_US MINOR_FAULTS         timed: posix_spawn to the end of wait4
 *	NUMBER PEAK_KIB RSS_KIB ANONYMOUS_KIB      with --rss
 *
 * Memory is read while the process stands at its exit (PTRACE_EVENT_EXIT), which is the only
 * moment when a program that says nothing about itself can be asked. RSS_KIB and ANONYMOUS_KIB
 * are from smaps_rollup, which walks the page tables: the counters behind VmRSS may lag by some
 * pages a processor, much beside the megabyte of a small process.
 */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "rng.h"

/* The exit code where the system forbids ptrace; a test that ends with it counts as skipped. */
enum { UNTRACEABLE = 77 };

static const char *program = "/bin/true";

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* This process's environment with LD_PRELOAD exchanged; library "-" means without. */
static char **environment(const char *library)
{
	size_t n = 0, kept = 0;
	char **env;

	while (environ[n])
		n++;
	env = calloc(n + 2, sizeof(*env));
	if (!env)
		die("environment");
	for (size_t i = 0; i < n; i++)
		if (strncmp(environ[i], "LD_PRELOAD=", strlen("LD_PRELOAD=")) != 0)
			env[kept++] = environ[i];
	if (strcmp(library, "-") != 0 && asprintf(&env[kept], "LD_PRELOAD=%s", library) < 0)
		die("environment");
	return env;
}

static void check_status(int status, const char *library)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	fprintf(stderr, "%s under %s: wait status %#x\n", program, library, (unsigned int)status);
	exit(1);
}

static long long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static long long microseconds(struct timeval t)
{
	return t.tv_sec * 1000000ll + t.tv_usec;
}

static void time_start(int number, const char *library, char **env)
{
	char *argv[] = { (char *)program, NULL };
	struct rusage usage;
	long long start;
	int status;
	pid_t pid;

	start = now_ns();
	errno = posix_spawn(&pid, program, NULL, NULL, argv, env);
	if (errno)
		die(program);
	if (wait4(pid, &status, 0, &usage) != pid)
		die("wait4");
	start = now_ns() - start;
	check_status(status, library);
	printf("%d %lld %lld %ld\n", number, start,
	       microseconds(usage.ru_utime) + microseconds(usage.ru_stime), usage.ru_minflt);
}

/* A line "field   N kB" of /proc/PID/file. */
static long proc_kib(pid_t pid, const char *file, const char *field)
{
	char path[64], line[256];
	long kib = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	f = fopen(path, "re");
	if (!f)
		die(path);
	while (kib < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, field, strlen(field)))
			kib = strtol(line + strlen(field), NULL, 10);
	fclose(f);
	return kib;
}

static pid_t start_traced(char **env)
{
	char *argv[] = { (char *)program, NULL };
	pid_t pid = fork();
	int status;

	if (pid < 0)
		die("fork");
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
			_exit(UNTRACEABLE);
		execve(program, argv, env);
		_exit(127);
	}
	/* The successful exec stops the child with SIGTRAP. */
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	if (WIFEXITED(status) && WEXITSTATUS(status) == UNTRACEABLE) {
		fprintf(stderr, "ptrace is not permitted here\n");
		exit(UNTRACEABLE);
	}
	if (!WIFSTOPPED(status))
		die(program);
	if (ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL) != 0)
		die("ptrace");
	return pid;
}

static void measure_memory(int number, const char *library, char **env)
{
	pid_t pid = start_traced(env);
	int status, signal = 0;

	for (;;) {
		ptrace(PTRACE_CONT, pid, NULL, (void *)(long)signal);
		if (waitpid(pid, &status, 0) != pid)
			die("waitpid");
		if (!WIFSTOPPED(status))
			break;
		signal = WSTOPSIG(status);
		if (status >> 8 != (SIGTRAP | PTRACE_EVENT_EXIT << 8))
			continue;
		signal = 0;
		printf("%d %ld %ld %ld\n", number, proc_kib(pid, "status", "VmHWM:"),
		       proc_kib(pid, "smaps_rollup", "Rss:"),
		       proc_kib(pid, "smaps_rollup", "Anonymous:"));
	}
	check_status(status, library);
}

/* Another order each time: who starts after a large process pays for its end. */
static void shuffle(int *order, int n, struct rng *rng)
{
	for (int i = n; i > 1; i--) {
		int j = (int)rng_below(rng, (uint32_t)i), other = order[j];

		order[j] = order[i - 1];
		order[i - 1] = other;
	}
}

int main(int argc, char **argv)
{
	void (*start)(int, const char *, char **) = time_start;
	long runs = 1000;
	struct rng rng = rng_seed(0);
	int first = 1, *order;
	char ***env;

	for (; first < argc && !strncmp(argv[first], "--", 2); first++) {
		if (!strcmp(argv[first], "--rss"))
			start = measure_memory;
		else if (!strcmp(argv[first], "--runs") && first + 1 < argc)
			runs = strtol(argv[++first], NULL, 10);
		else if (!strcmp(argv[first], "--program") && first + 1 < argc)
			program = argv[++first];
		else
			break;
	}
	if (first >= argc || !strncmp(argv[first], "--", 2)) {
		fprintf(stderr, "usage: startup [--rss] [--runs N] [--program PATH] PRELOAD…\n");
		return 2;
	}

	env = calloc((size_t)argc, sizeof(*env));
	order = calloc((size_t)argc, sizeof(*order));
	if (!env || !order)
		die("environment");
	for (int i = first; i < argc; i++) {
		env[i] = environment(argv[i]);
		order[i - first] = i;
	}
	for (long run = 0; run < runs; run++) {
		shuffle(order, argc - first, &rng);
		for (int k = 0; k < argc - first; k++)
			start(order[k] - first, argv[order[k]], env[order[k]]);
	}
	return 0;
}
