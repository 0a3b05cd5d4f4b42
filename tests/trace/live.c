// SPDX-License-Identifier: MIT
/*
 * live.c - a program of several threads that ends in the middle: usage: live SEED.
 *
 * Four threads allocate, resize and free blocks of all sizes, also each other's. When they have ended and nobody allocates
 * any more, the library's dump goes to stdout as JSON, and the process is killed: what it holds then, a recorder knows, too.
 */
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 4, BLOCKS = 1000, ROUNDS = 20000, JSON = 1 };

struct shelf {
	pthread_mutex_t lock;
	void *block[BLOCKS];
	size_t size[BLOCKS];
};

static struct shelf shelves[THREADS];
static uint64_t seed;

static uint64_t draw(uint64_t *at, uint64_t n)
{
	*at = *at * 6364136223846793005u + 1442695040888963407u;
	return (*at >> 33) % n;
}

/* Mostly small, some of up to 256 KiB, few large ones, and very few that are areas. */
static size_t draw_size(uint64_t *at)
{
	uint64_t kind = draw(at, 1000);

	if (kind < 900)
		return 1 + draw(at, 2000);
	if (kind < 990)
		return 1 + draw(at, 256 << 10);
	return kind < 999 ? 1 + draw(at, 2 << 20) : (32 << 20) + draw(at, 4 << 20);
}

static void *get(uint64_t *at, size_t size)
{
	switch (draw(at, 8)) {
	case 0:
		return calloc(1, size);
	case 1:
		return memalign(16ul << draw(at, 9), size);
	default:
		return malloc(size);
	}
}

/* Resized ones only grow, and to at least twice as much: how a block shrinks in place is the library's own affair. */
static void *work(void *arg)
{
	uint64_t at = seed + (uint64_t)(uintptr_t)arg;

	for (int i = 0; i < ROUNDS; i++) {
		struct shelf *s = &shelves[draw(&at, THREADS)];
		size_t k = draw(&at, BLOCKS), size = draw_size(&at);

		pthread_mutex_lock(&s->lock);
		if (s->block[k] && s->size[k] < 100000 && draw(&at, 4) == 0) {
			s->size[k] *= 2;
			s->block[k] = realloc(s->block[k], s->size[k]);
		} else if (s->block[k]) {
			free(s->block[k]);
			s->block[k] = NULL;
		} else {
			s->block[k] = get(&at, size);
			s->size[k] = size;
		}
		pthread_mutex_unlock(&s->lock);
	}
	return arg;
}

int main(int argc, char **argv)
{
	int (*write_stats)(int, int) =
		(int (*)(int, int))dlsym(RTLD_DEFAULT, "slabmalloc_stats_write");
	pthread_t threads[THREADS];

	if (argc != 2 || !write_stats)
		return 3;
	seed = strtoull(argv[1], NULL, 10);
	for (int i = 0; i < THREADS; i++)
		pthread_mutex_init(&shelves[i].lock, NULL);
	for (uintptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, work, (void *)(i + 1)))
			return 3;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	write_stats(STDOUT_FILENO, JSON);
	raise(SIGKILL);
	return 3;
}
