/* SPDX-License-Identifier: MIT */
/*
 * A program of a known heap, for options.py: report hold COUNT SIZE | xml | stats | usage.
 * Each ends by a normal exit, with what it holds still held.
 */
#define _GNU_SOURCE
#include "api.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void **held;

static void hold(size_t count, size_t size)
{
	held = malloc(count * sizeof(*held));
	for (size_t i = 0; i < count; i++) {
		held[i] = malloc(size);
		memset(held[i], 1, size);
	}
}

/* Parent and child end normally: each has statistics of its own to write. */
static void hold_in_child(void)
{
	pid_t pid = fork();

	hold(100, 64);
	if (pid == 0)
		exit(0);
	waitpid(pid, NULL, 0);
	printf("%d %d\n", (int)getpid(), (int)pid);
}

int main(int argc, char **argv)
{
	require_library();
	if (argc == 4 && strcmp(argv[1], "hold") == 0) {
		hold(strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10));
	} else if (argc == 2 && strcmp(argv[1], "xml") == 0) {
		hold(1000, 64);
		check(malloc_info(0, stdout) == 0);
		check(malloc_info(1, stdout) != 0);
	} else if (argc == 2 && strcmp(argv[1], "stats") == 0) {
		hold(1000, 64);
		malloc_stats();
	} else if (argc == 2 && strcmp(argv[1], "fork") == 0) {
		hold_in_child();
	} else if (argc == 2 && strcmp(argv[1], "closed") == 0) {
		close(STDERR_FILENO);
	} else {
		return 2;
	}
	return 0;
}
