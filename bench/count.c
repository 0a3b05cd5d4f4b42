// SPDX-License-Identifier: MIT
/*
 * count.c - scenarios whose instructions scripts/count-instructions counts under callgrind.
 *
 *	count --list          one line for each scenario: name, kind, thin, what it does
 *	count SCENARIO N      runs it with N / thin operations
 *
 * Kind "calls": the calls that go through the counted_…() functions below are what is counted;
 * callgrind knows what each of them cost inclusive of everything under it, whatever the allocator
 * names its functions. The other calls (malloc, free by their own names) prepare. Kind "total":
 * what counts is the difference between a process with N operations and one with 2 N; a thread's
 * end, for example, is called by nobody here. Kind "process": all instructions of the process.
 *
 * Compiled with -fno-builtin, or pairs are removed; with -fno-plt, so that a call is one
 * instruction here and none of the PLT; and with -fno-optimize-sibling-calls, or the counted
 * functions were jumps.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rng.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* A name in callgrind's output: neither inlined nor cloned under another name. */
#ifdef __clang__
#define COUNTED __attribute__((noinline))
#else
#define COUNTED __attribute__((noinline, noclone))
#endif

static COUNTED void *counted_malloc(size_t size)
{
	return malloc(size);
}

static COUNTED void counted_free(void *p)
{
	free(p);
}

static COUNTED void *counted_calloc(size_t size)
{
	return calloc(1, size);
}

static COUNTED void *counted_realloc(void *p, size_t size)
{
	return realloc(p, size);
}

static void **table(long n)
{
	void **p = malloc((size_t)n * sizeof(*p));

	if (!p)
		exit(1);
	return p;
}

/* The hot paths: after some rounds the thread has one free object at hand, always the same. */
static void pair(size_t size, long n)
{
	for (int i = 0; i < 64; i++)
		free(malloc(size));
	for (long i = 0; i < n; i++)
		counted_free(counted_malloc(size));
}

static void calloc_pair(size_t size, long n)
{
	free(malloc(size));
	for (long i = 0; i < n; i++)
		free(counted_calloc(size));
}

/* 1000 and then 1000: a thread's stock runs empty and full, over and over. */
static void batch(size_t size, long n)
{
	void *p[1000];

	for (long done = 0; done < n; done += 1000) {
		for (int i = 0; i < 1000; i++)
			p[i] = counted_malloc(size);
		for (int i = 0; i < 1000; i++)
			counted_free(p[i]);
	}
}

/* Nothing is ever freed: all comes from memory that was not in use. */
static void fresh(size_t size, long n)
{
	for (long i = 0; i < n; i++)
		counted_malloc(size);
}

/* All of a heap freed, in the order of allocation: slabs fill up with free objects and go back. */
static void drain(size_t size, long n)
{
	void **p = table(n);

	for (long i = 0; i < n; i++)
		p[i] = malloc(size);
	for (long i = 0; i < n; i++)
		counted_free(p[i]);
}

/* Every second object of a heap was freed, so all slabs are half full; then they are filled. */
static void holes(size_t size, long n)
{
	void **p = table(2 * n);

	for (long i = 0; i < 2 * n; i++)
		p[i] = malloc(size);
	for (long i = 0; i < n; i++)
		free(p[2 * i]);
	for (long i = 0; i < n; i++)
		counted_malloc(size);
}

/* One of 5,000 objects of any size up to this is freed, and another takes its place: each size's number goes up and down. */
static void replaced(size_t size, long n)
{
	enum { LIVE = 5000 };
	void **p = table(LIVE);
	struct rng rng = rng_seed(1);

	for (long i = 0; i < LIVE; i++)
		p[i] = malloc(rng_between(&rng, 8, size));
	for (long i = 0; i < n; i++) {
		void **o = &p[rng_below(&rng, LIVE)];

		counted_free(*o);
		*o = counted_malloc(rng_between(&rng, 8, size));
	}
}

struct handed_over {
	void **p;
	long n;
};

static void *free_all(void *arg)
{
	struct handed_over *h = arg;

	for (long i = 0; i < h->n; i++)
		counted_free(h->p[i]);
	return NULL;
}

static void in_thread(void *(*run)(void *), void *arg)
{
	pthread_t t;

	if (pthread_create(&t, NULL, run, arg) != 0)
		exit(1);
	pthread_join(t, NULL);
}

/* Another thread frees what this one allocated; then this one allocates as much again. */
static void remote(size_t size, long n)
{
	struct handed_over h = { table(n), n };

	for (long i = 0; i < n; i++)
		h.p[i] = malloc(size);
	in_thread(free_all, &h);
	for (long i = 0; i < n; i++)
		counted_malloc(size);
}

static void realloc_in_place(size_t size, long n)
{
	void *p = malloc(size);

	for (long i = 0; i < n; i++)
		p = counted_realloc(p, size - (i & 1));
}

/* To the double: a new object, a copy, a free; when large, the neighbouring frames or mremap. */
static void realloc_grow(size_t size, long n)
{
	for (long i = 0; i < n; i++)
		free(counted_realloc(malloc(size), 2 * size));
}

static void *one_pair(void *arg)
{
	free(malloc(*(size_t *)arg));
	return NULL;
}

static void *nothing(void *arg)
{
	return arg;
}

/* The loader, the library's relocations and constructors, and the end; no request of ours. */
static void start(size_t size, long n)
{
	(void)size;
	(void)n;
}

static void thread_pair(size_t size, long n)
{
	for (long i = 0; i < n; i++)
		in_thread(one_pair, &size);
}

static void thread_empty(size_t size, long n)
{
	for (long i = 0; i < n; i++)
		in_thread(nothing, &size);
}

static const struct scenario {
	const char *name, *kind, *what;
	void (*run)(size_t size, long n);
	size_t size;
	long thin; /* for the slow ones: so many times fewer operations than asked for */
} scenarios[] = {
	{ "pair-16", "calls", "16 bytes, allocated and freed at once", pair, 16, 1 },
	{ "pair-64", "calls", "64 bytes, allocated and freed at once", pair, 64, 1 },
	{ "pair-1024", "calls", "1 KiB, allocated and freed at once", pair, 1024, 1 },
	{ "pair-4096", "calls", "4 KiB, allocated and freed at once", pair, 4096, 1 },
	{ "pair-65536", "calls", "64 KiB, allocated and freed at once", pair, 65536, 1 },
	{ "pair-1M", "calls", "1 MiB, allocated and freed at once", pair, 1 << 20, 10 },
	{ "pair-64M", "calls", "64 MiB, allocated and freed at once", pair, 64 << 20, 1000 },
	{ "calloc-64", "calls", "calloc of 64 bytes, freed at once", calloc_pair, 64, 1 },
	{ "calloc-4096", "calls", "calloc of 4 KiB, freed at once", calloc_pair, 4096, 1 },
	{ "batch-64", "calls", "1000 mallocs, then their 1000 frees", batch, 64, 1 },
	{ "fresh-64", "calls", "from memory never used: new slabs", fresh, 64, 1 },
	{ "drain-64", "calls", "a whole heap freed in address order: flush", drain, 64, 1 },
	{ "holes-64", "calls", "from slabs half full: refill", holes, 64, 1 },
	{ "replaced-1000", "calls", "objects of 8 to 1000 bytes replaced at random", replaced, 1000,
	  1 },
	{ "replaced-16K", "calls", "objects of 8 bytes to 16 KiB, likewise", replaced, 16 << 10,
	  1 },
	{ "remote-64", "calls", "freed by another thread, then allocated again", remote, 64, 1 },
	{ "realloc-place-64", "calls", "realloc within the class", realloc_in_place, 64, 1 },
	{ "realloc-grow-64", "calls", "realloc to the double", realloc_grow, 64, 1 },
	{ "realloc-grow-1M", "calls", "1 MiB to the double", realloc_grow, 1 << 20, 1000 },
	{ "realloc-grow-64M", "calls", "64 MiB to the double", realloc_grow, 64 << 20, 100000 },
	{ "start", "process", "a process that does nothing", start, 0, 1 },
	{ "thread-empty", "total", "a thread that does nothing", thread_empty, 64, 1000 },
	{ "thread-pair", "total", "a thread that allocates and frees once", thread_pair, 64, 1000 },
};

static int list(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++)
		printf("%s\t%s\t%ld\t%s\n", scenarios[i].name, scenarios[i].kind, scenarios[i].thin,
		       scenarios[i].what);
	return 0;
}

int main(int argc, char **argv)
{
	long n;

	if (argc == 2 && !strcmp(argv[1], "--list"))
		return list();
	for (size_t i = 0; argc == 3 && i < ARRAY_SIZE(scenarios); i++) {
		if (strcmp(argv[1], scenarios[i].name) != 0)
			continue;
		n = strtol(argv[2], NULL, 10) / scenarios[i].thin;
		scenarios[i].run(scenarios[i].size, n > 0 ? n : 1);
		return 0;
	}
	fprintf(stderr, "usage: count --list | count SCENARIO N\n");
	return 2;
}
