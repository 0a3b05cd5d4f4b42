// SPDX-License-Identifier: MIT
/*
 * known.c - calls whose number and sizes the test knows: usage: known N [kill | fork | exec PROGRAM].
 *
 * Each kind of call is made N times, besides what the C library does for itself: two runs with
 * different N differ by what is here. The blocks go from the main thread to a second one and back.
 */
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 1000 };

static size_t n;
static void *given[MOST], *moved[MOST];
static volatile size_t huge = SIZE_MAX / 2;

static void *second_thread(void *arg)
{
	for (size_t i = 0; i < n; i++) {
		free(given[i]);
		moved[i] = realloc(moved[i], 5000);
	}
	return arg;
}

/* None of them gets anything; the block stays. */
static void ask_too_much(void *block)
{
	if (malloc(huge) || calloc(huge, 3) || realloc(block, huge) || reallocarray(block, huge, 3))
		_exit(3);
}

static void known_calls(void)
{
	pthread_t t;

	for (size_t i = 0; i < n; i++) {
		given[i] = malloc(3000);
		moved[i] = calloc(7, 100);
	}
	if (pthread_create(&t, NULL, second_thread, NULL) != 0)
		_exit(3);
	pthread_join(t, NULL);
	for (size_t i = 0; i < n; i++) {
		void *aligned = memalign(64, 200), *small = realloc(NULL, 90);

		ask_too_much(small);
		free(NULL);
		free(moved[i]);
		free(aligned);
		free(small);
	}
}

int main(int argc, char **argv)
{
	const char *then = argc > 2 ? argv[2] : "";

	n = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	if (n > MOST)
		return 3;
	known_calls();
	if (!strcmp(then, "kill"))
		raise(SIGKILL);
	if (!strcmp(then, "exec"))
		execvp(argv[3], argv + 3);
	if (!strcmp(then, "fork")) {
		if (fork() == 0) {
			known_calls();
			_exit(0);
		}
		wait(NULL);
	}
	return 0;
}
