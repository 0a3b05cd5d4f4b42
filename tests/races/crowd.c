// SPDX-License-Identifier: MIT
/*
 * crowd.c - threads that come and go, each doing one thing after the other that the library does, all at the same time:
 * under ThreadSanitizer. What comes of it is checked elsewhere.
 */
#define _GNU_SOURCE
#include "api.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "slabmalloc/mempool.h"
#include "slabmalloc/shrinker.h"
#include "slabmalloc/slab.h"
#include "slabmalloc/slabmalloc.h"
#include "slabmalloc/vmalloc.h"

enum { GENERATIONS = 12, THREADS = 6, ROUNDS = 60, BOXES = 32 };

static void *box[BOXES];
static struct kmem_cache *shared;
static mempool_t *pool;
static int nowhere;

/* Blocks change hands: most are freed by a stranger. */
static void hand_over(struct rng *rng, void *p)
{
	free(__atomic_exchange_n(&box[rng_below(rng, BOXES)], p, __ATOMIC_ACQ_REL));
}

static void small(struct rng *rng)
{
	for (int i = 0; i < 200; i++) {
		size_t n = 1 + rng_below(rng, i % 20 ? 600 : 20000);

		hand_over(rng, memset(malloc(n), 1, n));
	}
}

static void large(struct rng *rng)
{
	for (int i = 0; i < 4; i++) {
		char *p = malloc((300 + rng_below(rng, 3000)) * KIB);

		p[0] = 1;
		hand_over(rng, realloc(p, (300 + rng_below(rng, 6000)) * KIB));
	}
	vfree(vzalloc(64 * KIB));
}

static void caches(struct rng *rng)
{
	struct kmem_cache *own = kmem_cache_create("own", 24 + 8 * rng_below(rng, 100), 0, 0, NULL);
	void *p[32];

	for (int i = 0; i < 32; i++)
		p[i] = kmem_cache_alloc(i % 2 ? own : shared, GFP_KERNEL);
	for (int i = 0; i < 32; i++)
		kmem_cache_free(i % 2 ? own : shared, p[i]);
	kmem_cache_shrink(shared);
	kmem_cache_destroy(own);
	for (int i = 0; i < 4; i++)
		p[i] = mempool_alloc(pool, GFP_KERNEL);
	for (int i = 0; i < 4; i++)
		mempool_free(p[i], pool);
}

static unsigned long count(struct shrinker *s, struct shrink_control *sc)
{
	(void)s;
	(void)sc;
	return 1;
}

static unsigned long scan(struct shrinker *s, struct shrink_control *sc)
{
	(void)s;
	sc->nr_scanned = 1;
	return SHRINK_STOP;
}

static void look_and_trim(struct rng *rng)
{
	struct shrinker *s = shrinker_alloc(0, "crowd");

	s->count_objects = count;
	s->scan_objects = scan;
	shrinker_register(s);
	malloc_trim(0);
	shrinker_free(s);
	slabmalloc_stats_write(nowhere, (enum slabmalloc_stats_format)rng_below(rng, 4));
	check(mallinfo2().arena > 0);
}

static void *live(void *arg)
{
	struct rng rng = { (uintptr_t)arg };

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t roll = rng_below(&rng, 20);

		if (roll < 12)
			small(&rng);
		else if (roll < 15)
			large(&rng);
		else if (roll < 19)
			caches(&rng);
		else
			look_and_trim(&rng);
		if (roll % 4 == 0)
			usleep((useconds_t)rng_below(&rng, 3000));
	}
	return NULL;
}

int main(void)
{
	pthread_t thread[THREADS];

	nowhere = open("/dev/null", O_WRONLY);
	shared = kmem_cache_create("shared", 200, 0, SLAB_NO_MERGE, NULL);
	pool = mempool_create_kmalloc_pool(8, 500);
	for (uintptr_t i = 0; i < GENERATIONS; i++) {
		for (uintptr_t t = 0; t < THREADS; t++)
			check(!pthread_create(&thread[t], NULL, live, (void *)(i * THREADS + t)));
		for (int t = 0; t < THREADS; t++)
			pthread_join(thread[t], NULL);
	}
	for (int i = 0; i < BOXES; i++)
		free(box[i]);
	mempool_destroy(pool);
	kmem_cache_destroy(shared);
	check(heap_inconsistencies() == 0);
	return 0;
}
