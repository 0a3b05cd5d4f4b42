// SPDX-License-Identifier: MIT
/*
 * sites.c - a program that allocates known amounts at known places.
 * usage: sites PATTERN [FORMAT [OUTPUT]]: does it, and writes the profile (else the library does, at its exit).
 *
 * A function that allocates says so by its name. What keep_* allocates is in use at the end.
 */
#include <fcntl.h>
#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "slabmalloc/profile.h"
#include "slabmalloc/slab.h"

#define SITE __attribute__((noinline)) static

enum { MANY = 200000, THREADS = 4, NAPS = 1000, NAP_SIZES = 8, RING = 200, MIXED = 20000 };

static void *kept[MANY];

SITE void *keep_some(size_t n)
{
	return malloc(n);
}

SITE void *turn_over(size_t n)
{
	return malloc(n);
}

/* One object for good, one for a moment, in turns: a sampler that waits for the depth of a stack sees only one. */
static void pairs(size_t n, int count)
{
	for (int i = 0; i < count; i++) {
		kept[i] = keep_some(n);
		free(turn_over(n));
	}
}

static void pairs_of_64(void)
{
	pairs(64, MANY);
}

static void pairs_of_1500(void)
{
	pairs(1500, MANY / 8);
}

static void pairs_of_300000(void)
{
	pairs(300000, 1000);
	for (int i = 0; i < 1000; i++)
		free(kept[i]);
}

SITE void *keep_calloc(size_t n)
{
	return calloc(1, n);
}

SITE void *keep_aligned(size_t n)
{
	return memalign(256, n);
}

SITE void *keep_large(size_t n)
{
	return malloc(n);
}

SITE void *grow(void *p, size_t n)
{
	return realloc(p, n);
}

SITE void *keep_typed(struct kmem_cache *s)
{
	return kmem_cache_alloc(s, GFP_KERNEL);
}

SITE void *keep_kmalloc(size_t n)
{
	return kmalloc(n, GFP_KERNEL);
}

/* Each way to allocate, ten times; half of it is freed, by whatever frees it. */
static void every_way(void)
{
	struct kmem_cache *s = kmem_cache_create("typed", 120, 0, 0, NULL);

	for (int i = 0; i < 10; i++) {
		void *p[] = { keep_some(100),      keep_calloc(200),     keep_aligned(1000),
			      keep_large(1 << 20), keep_large(40 << 20), keep_kmalloc(500),
			      keep_typed(s) };

		if ((size_t)p[2] % 256)
			_exit(1);
		if (i % 2)
			continue;
		for (int k = 0; k < 6; k++)
			free(p[k]);
		kmem_cache_free(s, p[6]);
	}
}

/* In its place, into another class, up to a large block, and that growing and shrinking. */
static void reallocs(void)
{
	char *p = keep_some(100);

	p = grow(p, 110);
	memset(p, 7, 110);
	p = grow(p, 2000);
	p = grow(p, 1 << 20);
	p = grow(p, 30 << 20);
	p = grow(p, 5000);
	if (p[109] != 7)
		_exit(1);
	kept[0] = p;
}

static void *allocate(void *n)
{
	for (int i = 0; i < 1000; i++)
		kept[(size_t)n * 1000 + (size_t)i] = keep_some(100);
	return NULL;
}

static void *release(void *n)
{
	for (int i = 0; i < 500; i++)
		free(kept[(size_t)n * 1000 + (size_t)i]);
	return NULL;
}

static void in_threads(void *(*fn)(void *))
{
	pthread_t t[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, fn, (void *)i);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
}

/* Others free what some allocate. */
static void threads(void)
{
	in_threads(allocate);
	in_threads(release);
}

static atomic_int napping;

/* A few objects of each size, then sleep: what reclaim takes meanwhile was at hand, and not handed out. */
static void *nap(void *n)
{
	for (size_t i = 0; i < NAPS; i++) {
		for (size_t k = 0; k < NAP_SIZES; k++) {
			kept[((size_t)n * NAPS + i) * NAP_SIZES + k] = keep_some(128 + 256 * k);
			free(turn_over(128 + 256 * k));
		}
		usleep(50);
	}
	napping--;
	return NULL;
}

static void *trim(void *unused)
{
	while (napping)
		malloc_trim(0);
	return unused;
}

static void naps(void)
{
	pthread_t t;

	napping = THREADS;
	pthread_create(&t, NULL, trim, NULL);
	in_threads(nap);
	pthread_join(t, NULL);
}

/* Bytes allocated, and the variance of their estimate where a sample comes every `interval` bytes. */
struct truth {
	double bytes, variance;
};

static struct truth mixed_all, mixed_live;
static pthread_mutex_t mixed_lock = PTHREAD_MUTEX_INITIALIZER;
static double interval;

static struct truth weigh(void *p, size_t n)
{
	size_t class = malloc_usable_size(p);
	double x = (double)(n > 256 << 10 ? n : class) / interval, asked = (double)n;

	return (struct truth){ asked, asked * asked / expm1(x) };
}

static void add(struct truth *to, struct truth t, double sign)
{
	to->bytes += sign * t.bytes;
	to->variance += sign * t.variance;
}

SITE void *mixed_some(size_t n)
{
	return malloc(n);
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Sizes from 1 byte to 512 KiB, as many of each magnitude; the last few hundred are kept. */
static void *mix(void *seed)
{
	struct truth all = { 0 }, live = { 0 }, of[RING] = { 0 };
	uint64_t state = 88172645463325252ull + (size_t)seed;
	void *ring[RING] = { 0 };

	for (int i = 0; i < MIXED; i++) {
		uint64_t r = next_random(&state), k = r % RING;
		size_t n = 1ul << r / RING % 19;

		n += next_random(&state) % n;
		if (ring[k]) {
			free(ring[k]);
			add(&live, of[k], -1);
		}
		ring[k] = mixed_some(n);
		of[k] = weigh(ring[k], n);
		add(&all, of[k], 1);
		add(&live, of[k], 1);
	}
	pthread_mutex_lock(&mixed_lock);
	add(&mixed_all, all, 1);
	add(&mixed_live, live, 1);
	pthread_mutex_unlock(&mixed_lock);
	return NULL;
}

/* Writes what should be found: bytes and variance of all and of what is in use. */
static void mixed(void)
{
	interval = (double)slabmalloc_profile_interval();
	in_threads(mix);
	printf("%.0f %.0f %.0f %.0f\n", mixed_all.bytes, mixed_all.variance, mixed_live.bytes,
	       mixed_live.variance);
	fflush(stdout);
}

SITE void *keep_in_child(size_t n)
{
	return malloc(n);
}

/* The child has what its parent had, and its own. */
static void child(void)
{
	pid_t pid;

	allocate(NULL);
	pid = fork();
	if (!pid) {
		release(NULL);
		for (int i = 0; i < 10; i++)
			keep_in_child(1000);
		return;
	}
	waitpid(pid, NULL, 0);
	_exit(0);
}

/* Somebody looks meanwhile, and kills the program when that is done. */
static void slowly(void)
{
	puts("ready");
	fflush(stdout);
	for (int i = 0; i < 600; i++) {
		kept[i] = keep_some(100000);
		usleep(100000);
	}
}

static const struct {
	const char *name;
	void (*fn)(void);
} patterns[] = {
	{ "pairs_of_64", pairs_of_64 },
	{ "pairs_of_1500", pairs_of_1500 },
	{ "pairs_of_300000", pairs_of_300000 },
	{ "every_way", every_way },
	{ "reallocs", reallocs },
	{ "threads", threads },
	{ "naps", naps },
	{ "mixed", mixed },
	{ "child", child },
	{ "slowly", slowly },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
		if (argc > 1 && !strcmp(argv[1], patterns[i].name))
			patterns[i].fn();
	if (argc > 2) {
		int fd = argc > 3 ? open(argv[3], O_WRONLY | O_CREAT | O_TRUNC, 0666) : 1;

		if (slabmalloc_profile_write(fd, argv[2])) {
			perror("slabmalloc_profile_write");
			return 1;
		}
	}
	return 0;
}
