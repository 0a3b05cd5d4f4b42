/* SPDX-License-Identifier: MIT */
/*
 * One crime against an object with debugging for each run: debug_crimes NAME. debug.py has the options under which it
 * is committed, and what must be said of it. What survives its crime ends normally.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api.h"
#include "slabmalloc/slab.h"
#include "slabmalloc/slabmalloc.h"

/* Reports name these two. Nothing is jumped to: the frames must be there. */
static __attribute__((noinline)) char *allocate_here(size_t n)
{
	char *p = malloc(n);

	return opaque(p);
}

static __attribute__((noinline)) void release_here(void *p)
{
	free(p);
	opaque(p);
}

static void overflow(size_t asked, size_t n)
{
	char *p = allocate_here(asked);

	memset(p, 1, asked + n);
	release_here(p);
}

static void overflow_20_by_1(void)
{
	overflow(20, 1);
}

static void overflow_20_by_12(void)
{
	overflow(20, 12);
}

static void overflow_64_by_1(void)
{
	overflow(64, 1);
}

/* Up to the tracks, and not behind them. */
static void overflow_20_by_64(void)
{
	overflow(20, 64);
}

static void overflow_all(void)
{
	overflow(20, 100);
}

static void overflow_4096_by_1(void)
{
	overflow(4096, 1);
}

static void underflow(void)
{
	char *p = allocate_here(20);

	p[-1] = 1;
	release_here(p);
}

static void overwritten_padding(void)
{
	char *p = allocate_here(20);

	p[112] = 1;
	release_here(p);
}

static void overflow_of_realloc(void)
{
	char *p = realloc(allocate_here(20), 40);

	memset(opaque(p), 1, 41);
	release_here(p);
}

static void overflow_of_memalign(void)
{
	char *p = aligned_alloc(1024, 100);

	check((uintptr_t)p % 1024 == 0);
	memset(opaque(p), 1, 101);
	release_here(p);
}

static char *freed(size_t n)
{
	char *p = allocate_here(n);

	release_here(p);
	return p;
}

static void write_after_free(void)
{
	freed(20)[3] = 7;
	for (int i = 0; i < 1000; i++)
		allocate_here(20);
}

static void write_after_free_last_byte(void)
{
	freed(32)[31] = 7;
	for (int i = 0; i < 1000; i++)
		allocate_here(32);
}

/* Nobody allocates it again: found at exit. */
static void write_after_free_then_exit(void)
{
	freed(20)[3] = 7;
}

static void write_after_free_then_check(void)
{
	freed(20)[3] = 7;
	check(slabmalloc_check() == 1);
	check(slabmalloc_check() == 0);
}

static void overflow_then_check(void)
{
	char *p = allocate_here(20);

	p[20] = 1;
	check(slabmalloc_check() == 1);
	check(slabmalloc_check() == 0);
	release_here(p);
}

static void double_free(void)
{
	release_here(freed(20));
}

static void *free_it(void *p)
{
	release_here(p);
	return NULL;
}

static void double_free_by_thread(void)
{
	char *p = freed(20);
	pthread_t thread;

	check(!pthread_create(&thread, NULL, free_it, p));
	pthread_join(thread, NULL);
}

static void realloc_of_freed(void)
{
	opaque(realloc(freed(20), 30));
}

static void free_inside(void)
{
	char *p = allocate_here(20);

	release_here(p + 16);
}

static void free_before(void)
{
	char *p = allocate_here(20);

	release_here(p - 16);
}

struct pair {
	struct kmem_cache *a, *b;
};

static struct pair two_caches(slab_flags_t flags)
{
	return (struct pair){
		kmem_cache_create("birds", 100, 0, flags, NULL),
		kmem_cache_create("bees", 100, 0, flags, NULL),
	};
}

static void free_to_another_cache(void)
{
	struct pair c = two_caches(0);

	kmem_cache_free(c.a, kmem_cache_alloc(c.b, GFP_KERNEL));
}

static void free_outside(void)
{
	static char buffer[100];

	kmem_cache_free(two_caches(0).a, buffer);
}

static void overflow_named(void)
{
	struct kmem_cache *s = two_caches(0).a;
	char *p = kmem_cache_alloc(s, GFP_KERNEL);

	p[100] = 1;
	kmem_cache_free(s, opaque(p));
}

/* The flags alone, whatever SLABMALLOC_DEBUG says. */
static void overflow_flagged(void)
{
	struct kmem_cache *s = two_caches(SLAB_RED_ZONE).a;
	char *p = kmem_cache_alloc(s, GFP_KERNEL);

	p[100] = 1;
	kmem_cache_free(s, opaque(p));
}

static void construct(void *p)
{
	memset(p, 0x11, 100);
}

/* Constructed objects stay as they are while they are free, and have red zones all the same. */
static void overflow_constructed(void)
{
	struct kmem_cache *s = kmem_cache_create("made", 100, 0, 0, construct);
	char *p = kmem_cache_alloc(s, GFP_KERNEL);

	for (int i = 0; i < 100; i++)
		check(p[i] == 0x11);
	kmem_cache_free(s, p);
	check(p[50] == 0x11);
	check(kmem_cache_alloc(s, GFP_KERNEL) == p && p[99] == 0x11);
	p[100] = 1;
	kmem_cache_free(s, p);
}

static __attribute__((noinline)) void *spawn_here(struct kmem_cache *s)
{
	return opaque(kmem_cache_alloc(s, GFP_KERNEL));
}

static __attribute__((noinline)) void *hatch_here(struct kmem_cache *s)
{
	return opaque(kmem_cache_alloc(s, GFP_KERNEL));
}

static void leak(void)
{
	struct kmem_cache *s = two_caches(0).b;

	for (int i = 0; i < 3; i++)
		spawn_here(s);
	hatch_here(s);
	kmem_cache_free(s, hatch_here(s));
	kmem_cache_destroy(s);
}

static void trace(void)
{
	struct kmem_cache *s = kmem_cache_create("ants", 20, 0, 0, NULL);
	void *p = spawn_here(s);

	memset(p, 'a', 20);
	kmem_cache_free(s, p);
}

static __attribute__((noinline)) void *fragile(size_t n)
{
	return opaque(malloc(n));
}

/* Of twelve allocations, which fail? */
static void failures(void)
{
	char which[13] = "............";

	for (int i = 0; i < 12; i++)
		if (!(i % 3 ? allocate_here(100) : fragile(100)))
			which[i] = 'x';
	check(write(STDOUT_FILENO, which, 12) == 12);
}

static void no_failure_where_none_may_be(void)
{
	for (int i = 0; i < 100; i++)
		check(kmalloc(100, GFP_KERNEL | __GFP_NOFAIL));
}

/* What is right must not be accused: all sizes, all of what was asked for, and what usable size promises. */
static void innocent(void)
{
	for (size_t n = 0; n < 5000; n += 1 + n / 16) {
		unsigned char *p = malloc(n), *q = calloc(1, n + 1);

		check(malloc_usable_size(p) >= n);
		check((uintptr_t)p % 16 == 0);
		for (size_t i = 0; i < n; i++)
			check(q[i] == 0);
		memset(p, 0xff, malloc_usable_size(p));
		p = realloc(p, n + n / 2 + 1);
		for (size_t i = 0; i < n; i++)
			check(p[i] == 0xff);
		memset(p, 0xee, n + n / 2 + 1);
		free(p);
		free(q);
	}
	check(slabmalloc_check() == 0);
}

/* All other bytes are watched. */
static void usable_size_is_what_was_asked_for(void)
{
	for (size_t n = 1; n <= 256 * KIB; n += 1 + n / 16) {
		void *p = malloc(n);

		check(malloc_usable_size(p) == n);
		free(p);
	}
}

/* Hardening's promises: what was written over a free object does not hide its second free. */
static void double_free_of_written(void)
{
	char *p = freed(64);

	memset(p, 1, 64);
	release_here(p);
}

/* But for the word by which a second free is noticed. */
static void nothing_is_left_after_free(void)
{
	char *p = allocate_here(100);

	memset(p, 1, 100);
	release_here(p);
	for (int i = 0; i < 100; i++)
		check(i / 8 == 1 || !p[i]);
}

static void new_objects_are_zero(void)
{
	for (size_t n = 1; n < 2 * MIB; n += 1 + n / 4) {
		for (int round = 0; round < 20; round++) {
			char *p = allocate_here(n);

			for (size_t i = 0; i < malloc_usable_size(p); i++)
				check(!p[i]);
			memset(p, 1, n);
			release_here(p);
		}
	}
}

static void order_is_random(void)
{
	char *last = allocate_here(64);
	int ascending = 0;

	for (int i = 0; i < 40; i++) {
		char *p = allocate_here(64);

		ascending += p > last;
		last = p;
	}
	check(ascending > 5 && ascending < 35);
}

/* Sixteen call sites: not all of them get their objects from one slab. */
static void call_sites_have_caches_of_their_own(void)
{
	uintptr_t slab[] = {
#define SITE (uintptr_t) malloc(64) >> 12
		SITE, SITE, SITE, SITE, SITE, SITE, SITE, SITE,
		SITE, SITE, SITE, SITE, SITE, SITE, SITE, SITE,
	};
	size_t same = 0;

	for (size_t i = 0; i < ARRAY_SIZE(slab); i++)
		same += slab[i] == slab[0];
	check(same < ARRAY_SIZE(slab));
}

#define CRIME(name)         \
	{                   \
#name, name \
	}

static const struct {
	const char *name;
	void (*commit)(void);
} crimes[] = {
	CRIME(overflow_20_by_1),
	CRIME(overflow_20_by_12),
	CRIME(overflow_64_by_1),
	CRIME(overflow_20_by_64),
	CRIME(overflow_all),
	CRIME(overflow_4096_by_1),
	CRIME(underflow),
	CRIME(overwritten_padding),
	CRIME(overflow_of_realloc),
	CRIME(overflow_of_memalign),
	CRIME(write_after_free),
	CRIME(write_after_free_last_byte),
	CRIME(write_after_free_then_exit),
	CRIME(write_after_free_then_check),
	CRIME(overflow_then_check),
	CRIME(double_free),
	CRIME(double_free_by_thread),
	CRIME(realloc_of_freed),
	CRIME(free_inside),
	CRIME(free_before),
	CRIME(free_to_another_cache),
	CRIME(free_outside),
	CRIME(overflow_named),
	CRIME(overflow_flagged),
	CRIME(overflow_constructed),
	CRIME(leak),
	CRIME(trace),
	CRIME(failures),
	CRIME(no_failure_where_none_may_be),
	CRIME(innocent),
	CRIME(usable_size_is_what_was_asked_for),
	CRIME(double_free_of_written),
	CRIME(nothing_is_left_after_free),
	CRIME(new_objects_are_zero),
	CRIME(order_is_random),
	CRIME(call_sites_have_caches_of_their_own),
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc == 2 && i < ARRAY_SIZE(crimes); i++) {
		if (strcmp(argv[1], crimes[i].name))
			continue;
		crimes[i].commit();
		return 0;
	}
	return 2;
}
