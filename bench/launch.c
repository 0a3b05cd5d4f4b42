/* SPDX-License-Identifier: MIT */
/*
 * Runs a program under a malloc and writes what it cost: launch RESULTS LIBRARY|- COMMAND…
 *
 * ru_maxrss of a process begins with the size of the one that forked it. A runner in Python would
 * hide every program smaller than itself; this one is about as small as a program can be.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static double seconds(struct timeval t)
{
	return t.tv_sec + t.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
	struct rusage used;
	double start = now();
	FILE *results;
	int status;
	pid_t pid;

	if (argc < 4)
		return 125;
	pid = fork();
	if (pid < 0)
		return 125;
	if (!pid) {
		if (strcmp(argv[2], "-"))
			setenv("LD_PRELOAD", argv[2], 1);
		execvp(argv[3], argv + 3);
		_exit(127);
	}
	/* The child's own and those of its children that it waited for; the largest of them all. */
	if (wait4(pid, &status, 0, &used) != pid)
		return 125;
	results = fopen(argv[1], "w");
	if (!results)
		return 125;
	fprintf(results, "seconds %.6f\ncpu_seconds %.6f\npeak_rss_kib %ld\nminor_faults %ld\n",
		now() - start, seconds(used.ru_utime) + seconds(used.ru_stime), used.ru_maxrss,
		used.ru_minflt);
	if (fclose(results))
		return 125;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
