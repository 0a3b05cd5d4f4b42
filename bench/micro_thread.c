// SPDX-License-Identifier: MIT
/*
 * micro_thread.c - blocks that another thread frees, and threads that come and go.
 *
 * Threads 2i and 2i + 1 are a couple, on two processors. Google Benchmark gives each thread the
 * same number of operations, so every batch put in is taken out, and a run ends with rings empty.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "affinity.h"
#include "micro.h"

enum {
	COUPLES = 4,
	RING = 16, /* batches on their way: it bounds what is in flight */
};

struct ring {
	_Alignas(128) _Atomic(size_t) head; /* batches put in */
	_Alignas(128) _Atomic(size_t) tail; /* batches taken out */
	_Alignas(128) void *slot[RING][BATCH];
};

/* One for each direction: thread 2i puts into [0], thread 2i + 1 into [1]. */
static struct ring rings[COUPLES][2];

static void ring_reset(struct ring *r)
{
	atomic_store(&r->head, 0);
	atomic_store(&r->tail, 0);
}

static void produce(struct ring *r, size_t size)
{
	size_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	void **slot = r->slot[head % RING];

	while (head - atomic_load_explicit(&r->tail, memory_order_acquire) == RING)
		sched_yield();
	for (int i = 0; i < BATCH; i++) {
		int *p = use(malloc(size));

		*p = i;
		slot[i] = p;
	}
	atomic_store_explicit(&r->head, head + 1, memory_order_release);
}

static void consume(struct ring *r)
{
	size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	void **slot = r->slot[tail % RING];

	while (atomic_load_explicit(&r->head, memory_order_acquire) == tail)
		sched_yield();
	for (int i = 0; i < BATCH; i++)
		free(slot[i]);
	atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
}

/* One of a couple only mallocs, the other only frees. */
void remote(struct gbench *b)
{
	int thread = gbench_thread(b);
	struct ring *r = &rings[thread / 2 % COUPLES][0];
	cpu_set_t before = cpu_pin(thread);

	/* The threads meet at the first gbench_batch(): the other one sees the ring reset. */
	if (thread % 2 == 0)
		ring_reset(r);
	while (gbench_batch(b, BATCH)) {
		if (thread % 2 == 0)
			produce(r, (size_t)gbench_arg(b));
		else
			consume(r);
	}
	cpu_unpin(&before);
}

/* Both malloc, and each frees what the other one allocated. */
void remote_swap(struct gbench *b)
{
	int thread = gbench_thread(b), side = thread % 2;
	struct ring *r = rings[thread / 2 % COUPLES];
	cpu_set_t before = cpu_pin(thread);

	ring_reset(&r[side]);
	while (gbench_batch(b, BATCH)) {
		produce(&r[side], (size_t)gbench_arg(b));
		consume(&r[1 - side]);
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
void thread_life(struct gbench *b)
{
	while (gbench_batch(b, 1)) {
		pthread_t t;

		if (pthread_create(&t, NULL, first_object, NULL) != 0)
			return gbench_fail(b, "no thread");
		pthread_join(t, NULL);
	}
}
