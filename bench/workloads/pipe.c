// SPDX-License-Identifier: MIT
/*
 * pipe.c - one thread only mallocs, the other only frees: every free is remote.
 *
 * Objects of 16 to 256 bytes go through a ring of batches. The ring bounds what is live, so the
 * peak of resident memory shows whether freed objects find back to the producer.
 */
#include <stdatomic.h>

#include "../affinity.h"
#include "workload.h"

enum {
	BATCH = 128, /* objects handed over together */
	RING = 64, /* batches in the ring, at most */
	SPINS = 200, /* looks at the other side before the processor is given up */
	SIZES = 4096, /* sizes drawn beforehand: drawing costs as much as a malloc */
};

static struct knob knobs[] = {
	{ "objects", 20000000, 20000 },
	{ NULL, 0, 0 },
};

static struct {
	_Alignas(128) _Atomic(size_t) head; /* batches put in; the producer's */
	_Alignas(128) _Atomic(size_t) tail; /* batches taken out; the consumer's */
	_Alignas(128) void *slot[RING][BATCH];
} ring;

static size_t batches;
static uint16_t sizes[SIZES];

/* Waits until *there is no longer at old. */
static void wait_for_change(_Atomic(size_t) *there, size_t old)
{
	for (int spin = 0; atomic_load_explicit(there, memory_order_acquire) == old; spin++)
		if (spin > SPINS)
			sched_yield();
}

static void *produce(void *unused)
{
	size_t drawn = 0;

	cpu_pin(0);
	for (size_t head = 0; head < batches; head++) {
		void **slot = ring.slot[head % RING];

		if (head >= RING)
			wait_for_change(&ring.tail, head - RING);
		for (int i = 0; i < BATCH; i++) {
			size_t *p = must_malloc(sizes[drawn++ % SIZES]);

			*p = head;
			slot[i] = p;
		}
		atomic_store_explicit(&ring.head, head + 1, memory_order_release);
	}
	return unused;
}

static void *consume(void *unused)
{
	cpu_pin(1);
	for (size_t tail = 0; tail < batches; tail++) {
		void **slot = ring.slot[tail % RING];

		wait_for_change(&ring.head, tail);
		for (int i = 0; i < BATCH; i++) {
			if (*(size_t *)slot[i] != tail)
				die("an object was overwritten");
			free(slot[i]);
		}
		atomic_store_explicit(&ring.tail, tail + 1, memory_order_release);
	}
	return unused;
}

int main(int argc, char **argv)
{
	struct rng rng = rng_seed(0);
	pthread_t producer, consumer;
	struct measure m;
	double seconds;

	knobs_read(knobs, argc, argv);
	batches = knob(knobs, "objects") / BATCH;
	for (int i = 0; i < SIZES; i++)
		sizes[i] = (uint16_t)rng_between(&rng, 16, 256);

	m = measure_begin();
	producer = thread_start(produce, NULL);
	consumer = thread_start(consume, NULL);
	pthread_join(producer, NULL);
	pthread_join(consumer, NULL);
	seconds = measure_end(&m);
	result("objects_per_second", (double)(batches * BATCH) / seconds);
	return 0;
}
