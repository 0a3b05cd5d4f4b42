// SPDX-License-Identifier: MIT
/*
 * micro.c - the price of single operations, under whichever malloc is preloaded.
 *
 * Times are for one operation, which the name says: a pair is a malloc and its free. Compiled with
 * -fno-builtin, since a compiler that knows malloc removes pairs that nobody looks at.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "affinity.h"
#include "gbench.h"
#include "rng.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

enum {
	BATCH = 1000,
	LIVE = 1000000,
	RING = 64, /* batches between producer and consumer: it bounds what is in flight */
};

/* The block counts as used by somebody unknown, without an instruction. */
static inline void *use(void *p)
{
	__asm__ volatile("" : "+r"(p) : : "memory");
	return p;
}

static void pair(struct gbench *b)
{
	size_t size = (size_t)gbench_arg(b);
	/* Large blocks may cost a system call each: ask more often, or a run never ends. */
	long n = size < 1 << 16 ? BATCH : 10;

	while (gbench_batch(b, n))
		for (long i = 0; i < n; i++)
			free(use(malloc(size)));
}

/* The program touches what it asks for: if the pages are fresh each time, that is the price. */
static void pair_touched(struct gbench *b)
{
	size_t size = (size_t)gbench_arg(b);

	while (gbench_batch(b, 10))
		for (int i = 0; i < 10; i++) {
			char *p = use(malloc(size));

			for (size_t at = 0; at < size; at += 4096)
				p[at] = 1;
			free(use(p));
		}
}

static void calloc_pair(struct gbench *b)
{
	size_t size = (size_t)gbench_arg(b);
	long n = size < 1 << 16 ? BATCH : 10;

	while (gbench_batch(b, n))
		for (long i = 0; i < n; i++)
			free(use(calloc(1, size)));
}

static void aligned_pair(struct gbench *b)
{
	size_t align = (size_t)gbench_arg(b);

	while (gbench_batch(b, BATCH))
		for (long i = 0; i < BATCH; i++) {
			void *p = NULL;

			if (posix_memalign(&p, align, 192) != 0)
				return gbench_fail(b, "posix_memalign failed");
			free(use(p));
		}
}

/* 1000 mallocs, then their 1000 frees, in the order that free_order[] says. */
static void batch(struct gbench *b, const int *free_order)
{
	void *p[BATCH];

	while (gbench_batch(b, BATCH)) {
		for (int i = 0; i < BATCH; i++)
			p[i] = use(malloc(64));
		for (int i = 0; i < BATCH; i++)
			free(p[free_order[i]]);
	}
}

static void batch_fifo(struct gbench *b)
{
	int order[BATCH];

	for (int i = 0; i < BATCH; i++)
		order[i] = i;
	batch(b, order);
}

static void batch_lifo(struct gbench *b)
{
	int order[BATCH];

	for (int i = 0; i < BATCH; i++)
		order[i] = BATCH - 1 - i;
	batch(b, order);
}

static void batch_random(struct gbench *b)
{
	struct rng r = rng_seed(1);
	int order[BATCH];

	for (int i = 0; i < BATCH; i++) {
		int j = (int)rng_below(&r, (uint32_t)i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	batch(b, order);
}

/* One of a million live objects dies, another is born: no list of free objects stays in cache. */
static void live_million(struct gbench *b)
{
	struct rng r = rng_seed(2);
	void **live = malloc(LIVE * sizeof(*live));

	if (!live)
		return gbench_fail(b, "out of memory");
	for (long i = 0; i < LIVE; i++)
		live[i] = use(malloc(64));
	while (gbench_batch(b, BATCH))
		for (long i = 0; i < BATCH; i++) {
			void **slot = &live[rng_below(&r, LIVE)];

			free(*slot);
			*slot = use(malloc(64));
		}
	for (long i = 0; i < LIVE; i++)
		free(live[i]);
	free(live);
}

/* A buffer as programs grow one: from 16 bytes by halves to the argument, as one operation. */
static void realloc_grow(struct gbench *b)
{
	size_t end = (size_t)gbench_arg(b);

	while (gbench_batch(b, 10))
		for (int i = 0; i < 10; i++) {
			char *p = NULL;

			for (size_t size = 16; size < end; size += size / 2) {
				p = use(realloc(p, size));
				p[size - 1] = 1;
			}
			free(p);
		}
}

/*
 * Thread 0 mallocs and thread 1 frees. Google Benchmark gives both the same number of operations,
 * so every batch put in is taken out, and the run ends with the ring empty.
 */
static struct {
	_Atomic(size_t) head; /* batches put in */
	_Alignas(64) _Atomic(size_t) tail; /* batches taken out */
	_Alignas(64) void *slot[RING][BATCH];
} ring;

static void produce(size_t *done)
{
	size_t head = (*done)++;
	void **slot = ring.slot[head % RING];

	while (head - atomic_load_explicit(&ring.tail, memory_order_acquire) == RING)
		sched_yield();
	for (int i = 0; i < BATCH; i++) {
		long *p = malloc(64);

		*p = i;
		slot[i] = p;
	}
	atomic_store_explicit(&ring.head, head + 1, memory_order_release);
}

static void consume(size_t *done)
{
	size_t tail = (*done)++;
	void **slot = ring.slot[tail % RING];

	while (atomic_load_explicit(&ring.head, memory_order_acquire) == tail)
		sched_yield();
	for (int i = 0; i < BATCH; i++)
		free(slot[i]);
	atomic_store_explicit(&ring.tail, tail + 1, memory_order_release);
}

static void producer_consumer(struct gbench *b)
{
	cpu_set_t before = cpu_pin(gbench_thread(b));
	size_t done = 0;

	/* The threads meet at the first gbench_batch(): thread 1 sees the ring reset. */
	if (gbench_thread(b) == 0) {
		atomic_store(&ring.head, 0);
		atomic_store(&ring.tail, 0);
	}
	while (gbench_batch(b, BATCH)) {
		if (gbench_thread(b) == 0)
			produce(&done);
		else
			consume(&done);
	}
	cpu_unpin(&before);
}

static void *first_object(void *unused)
{
	(void)unused;
	free(use(malloc(64)));
	return NULL;
}

/* A thread that lives for one pair: what its heap costs to make and to give up. */
static void thread_life(struct gbench *b)
{
	while (gbench_batch(b, 1)) {
		pthread_t t;

		if (pthread_create(&t, NULL, first_object, NULL) != 0)
			return gbench_fail(b, "no thread");
		pthread_join(t, NULL);
	}
}

static const long pair_sizes[] = { 16, 64, 256, 1 << 10, 4 << 10, 64 << 10, 1 << 20, 4 << 20, 0 };
static const long touched_sizes[] = { 4 << 10, 64 << 10, 1 << 20, 4 << 20, 0 };
static const long calloc_sizes[] = { 64, 4 << 10, 64 << 10, 1 << 20, 0 };
static const long alignments[] = { 64, 4096, 0 };
static const long grown_sizes[] = { 4 << 10, 1 << 20, 64 << 20, 0 };
static const long thread_pair_sizes[] = { 64, 0 };
static const int thread_counts[] = { 1, 2, 8, 0 };
static const int two_threads[] = { 2, 0 };

static const struct gbench_case cases[] = {
	{ "pair", pair, pair_sizes, NULL },
	{ "pair_touched", pair_touched, touched_sizes, NULL },
	{ "pair_threads", pair, thread_pair_sizes, thread_counts },
	{ "calloc_pair", calloc_pair, calloc_sizes, NULL },
	{ "aligned_pair", aligned_pair, alignments, NULL },
	{ "batch_lifo", batch_lifo, NULL, NULL },
	{ "batch_fifo", batch_fifo, NULL, NULL },
	{ "batch_random", batch_random, NULL, NULL },
	{ "live_million", live_million, NULL, NULL },
	{ "realloc_grow", realloc_grow, grown_sizes, NULL },
	{ "producer_consumer", producer_consumer, NULL, two_threads },
	{ "thread_life", thread_life, NULL, NULL },
};

int main(int argc, char **argv)
{
	return gbench_main(cases, ARRAY_SIZE(cases), argc, argv);
}
