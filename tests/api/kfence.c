/* SPDX-License-Identifier: MIT */
/*
 * One crime for each run: kfence NAME, committed with an object that lies in KFENCE's pool; kfence.py has what must be
 * said of each. malloc_usable_size tells: of a sampled object it is the size that was asked for, not the class's.
 */
#define _GNU_SOURCE
#include "api.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SIZE = 50, ROUNDED = 64, AT_ONCE = 5000, SECONDS = 20 };

/* What is behind a call keeps it from becoming a jump. */
#define AND_BACK __asm__ volatile("")

/* In stacks under its own name. */
#ifdef __clang__
#define SHOWN __attribute__((noinline))
#else
#define SHOWN __attribute__((noinline, noclone))
#endif

static long page_size;

static void say(const char *what, const void *p)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "%s %p\n", what, p);

	check(write(STDOUT_FILENO, text, (size_t)n) == n);
}

/* Objects are kept, so that sheaves run empty and the clock is looked at. */
static char *sampled_of(void *(*get)(void), size_t size)
{
	static void *kept[AT_ONCE];
	time_t end = time(NULL) + SECONDS;
	char *found = NULL;
	size_t n = 0;

	while (!found && time(NULL) < end) {
		for (n = 0; n < AT_ONCE && !found; n++) {
			kept[n] = get();
			check(kept[n]);
			if (malloc_usable_size(kept[n]) == size)
				found = kept[n--];
		}
		while (n)
			free(kept[--n]);
	}
	check(found);
	return found;
}

static SHOWN void *get_some(void)
{
	void *p = malloc(SIZE);

	AND_BACK;
	return p;
}

static char *sampled(bool right)
{
	for (;;) {
		char *p = sampled_of(get_some, SIZE);

		if (right == ((uintptr_t)p % (size_t)page_size != 0)) {
			say("object", p);
			return p;
		}
		free(p);
	}
}

static SHOWN void read_byte(const char *p)
{
	(void)*(const volatile char *)p;
	AND_BACK;
}

static SHOWN void write_byte(char *p)
{
	*(volatile char *)p = 'x';
	AND_BACK;
}

static SHOWN void give(void *p)
{
	free(opaque(p));
	AND_BACK;
}

static void read_right(void)
{
	read_byte(sampled(true) + ROUNDED);
}

static void write_right(void)
{
	write_byte(sampled(true) + ROUNDED + 3);
}

static void read_left(void)
{
	read_byte(sampled(false) - 1);
}

static void read_freed(void)
{
	char *p = sampled(true);

	give(p);
	read_byte(p + 7);
}

static void write_freed(void)
{
	char *p = sampled(false);

	give(p);
	write_byte(p + 7);
}

static void free_twice(void)
{
	char *p = sampled(true);

	give(p);
	give(p);
}

static void free_inside(void)
{
	give(sampled(true) + 16);
}

static void free_misaligned(void)
{
	give(sampled(true) + 1);
}

static void write_canary(void)
{
	char *p = sampled(true);

	write_byte(p + SIZE);
	give(p);
}

static SHOWN void grow(char *p)
{
	check(!realloc(opaque(p), 1000));
	AND_BACK;
}

static void realloc_freed(void)
{
	char *p = sampled(true);

	give(p);
	grow(p);
}

static void *in_thread(void *arg)
{
	(void)arg;
	return sampled(true);
}

static void thread_object(void)
{
	pthread_t t;
	void *p;

	check(!pthread_create(&t, NULL, in_thread, NULL));
	check(!pthread_join(t, &p));
	give(p);
	read_byte(p);
}

static void in_child(void)
{
	char *p = sampled(true);
	int status;
	pid_t pid = fork();

	if (!pid) {
		give(p);
		p = sampled(false);
		give(p);
		read_byte(p);
		_exit(0);
	}
	check(waitpid(pid, &status, 0) == pid);
	memset(p, 1, SIZE);
	give(p);
	if (WIFSIGNALED(status))
		raise(WTERMSIG(status));
}

static void *segv_address;

static void programs_handler(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	segv_address = info->si_addr;
	say("handler", segv_address);
	_exit(0);
}

/* It replaces the library's, which it did not ask to be called on. */
static void own_handler(void)
{
	struct sigaction action = { .sa_sigaction = programs_handler, .sa_flags = SA_SIGINFO };

	sigaction(SIGSEGV, &action, NULL);
	read_right();
}

static struct sigaction before;

static void passes_on(int sig, siginfo_t *info, void *context)
{
	say("handler", info->si_addr);
	check(before.sa_flags & SA_SIGINFO);
	before.sa_sigaction(sig, info, context);
}

static void own_handler_that_passes_on(void)
{
	struct sigaction action = { .sa_sigaction = passes_on, .sa_flags = SA_SIGINFO };

	sigaction(SIGSEGV, &action, &before);
	read_right();
}

static void read_null(void)
{
	read_byte(opaque(NULL));
}

/* No crime: every name of malloc, with objects of the pool. */
static void *get_zeroed(void)
{
	return calloc(1, SIZE);
}

static void *get_aligned(void)
{
	void *p = aligned_alloc(64, 100);

	check((uintptr_t)p % 64 == 0);
	return p;
}

static void *get_page(void)
{
	return memalign((size_t)page_size, (size_t)page_size);
}

static void innocent(void)
{
	static const size_t sizes[] = { 10, SIZE, 100, 4096, 300000, 10000000 };
	char *p;

	for (int i = 0; i < 10; i++) {
		p = sampled_of(get_zeroed, SIZE);
		for (size_t k = 0; k < SIZE; k++)
			check(!p[k]);
		memset(p, 'x', SIZE);
		free(p);
		p = sampled_of(get_aligned, 128);
		memset(p, 'x', 100);
		free(p);
	}
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		p = sampled(i & 1);
		pattern_fill(p, SIZE, i);
		p = realloc(p, sizes[i]);
		check(p && malloc_usable_size(p) >= sizes[i]);
		check(pattern_prefix_holds(p, SIZE, sizes[i] < SIZE ? sizes[i] : SIZE, i));
		free(p);
	}
	p = get_page();
	check((uintptr_t)p % (size_t)page_size == 0);
	free(p);
	check(heap_inconsistencies() == 0);
}

static const struct {
	const char *name;
	void (*commit)(void);
} crimes[] = {
#define CRIME(name)         \
	{                   \
#name, name \
	}
	CRIME(read_right),    CRIME(write_right),
	CRIME(read_left),     CRIME(read_freed),
	CRIME(write_freed),   CRIME(free_twice),
	CRIME(free_inside),   CRIME(free_misaligned),
	CRIME(write_canary),  CRIME(realloc_freed),
	CRIME(thread_object), CRIME(in_child),
	CRIME(own_handler),   CRIME(own_handler_that_passes_on),
	CRIME(read_null),     CRIME(innocent),
#undef CRIME
};

int main(int argc, char **argv)
{
	require_library();
	page_size = sysconf(_SC_PAGESIZE);
	for (size_t i = 0; i < ARRAY_SIZE(crimes); i++) {
		if (argc != 2 || strcmp(argv[1], crimes[i].name) != 0)
			continue;
		crimes[i].commit();
		say("survived", NULL);
		return 0;
	}
	return 2;
}
