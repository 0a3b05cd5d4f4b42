/* SPDX-License-Identifier: MIT */
/* Memory that one thread allocates and another frees: it must come back, and stay bounded. */
#define _GNU_SOURCE
#include "api.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define QUEUE 4096

/* One producer, one consumer: a ring with two counters. */
struct queue {
	_Alignas(64) atomic_size_t head;
	_Alignas(64) atomic_size_t tail;
	void *slots[QUEUE];
};

/* The other side is asleep or slow: on few cores it needs this one. */
static void wait_a_little(void)
{
	const struct timespec t = { .tv_nsec = 20000 };

	nanosleep(&t, NULL);
}

static void push(struct queue *q, void *p)
{
	size_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);

	while (tail - atomic_load_explicit(&q->head, memory_order_acquire) == QUEUE)
		wait_a_little();
	q->slots[tail % QUEUE] = p;
	atomic_store_explicit(&q->tail, tail + 1, memory_order_release);
}

static bool try_pop(struct queue *q, void **p)
{
	size_t head = atomic_load_explicit(&q->head, memory_order_relaxed);

	if (head == atomic_load_explicit(&q->tail, memory_order_acquire))
		return false;
	*p = q->slots[head % QUEUE];
	atomic_store_explicit(&q->head, head + 1, memory_order_release);
	return true;
}

static void *pop(struct queue *q)
{
	void *p;

	while (!try_pop(q, &p))
		wait_a_little();
	return p;
}

static struct queue queue;
static const size_t nr_objects = 3000000;
static size_t object_size; /* 0: mixed, up to 2 KiB */

static void *produce(void *arg)
{
	struct rng rng = { 1 };

	for (size_t i = 0; i < nr_objects; i++) {
		size_t size = object_size ? object_size : 16 + rng_below(&rng, 2000);
		size_t *p = malloc(size);

		check(p);
		p[0] = i;
		push(&queue, p);
	}
	return arg;
}

static void consume_all(void)
{
	pthread_t producer;
	size_t before = rss_bytes();

	check(pthread_create(&producer, NULL, produce, NULL) == 0);
	for (size_t i = 0; i < nr_objects; i++) {
		size_t *p = pop(&queue);

		check(p[0] == i);
		free(p);
	}
	pthread_join(producer, NULL);
	assert_true(rss_bytes() < before + rss_room(24 * MIB));
}

static void producer_and_consumer_run_in_bounded_memory(void **state)
{
	(void)state;
	object_size = 64;
	consume_all();
}

static void producer_and_consumer_of_mixed_sizes_run_in_bounded_memory(void **state)
{
	(void)state;
	object_size = 0;
	consume_all();
}

#define PRODUCERS 16
#define PER_PRODUCER 60000
#define HELD 4000 /* live objects of each producer */

static struct queue *queues;

/* Keeps HELD objects and hands over the oldest for each new one: frees nothing itself. */
static void *produce_held(void *arg)
{
	struct queue *q = &queues[(uintptr_t)arg];
	static _Thread_local void *held[HELD];
	struct rng rng = { (uintptr_t)arg };

	for (size_t i = 0; i < PER_PRODUCER; i++) {
		void *p = malloc(16 + rng_below(&rng, 600));

		check(p);
		memset(p, 1, 16);
		if (held[i % HELD])
			push(q, held[i % HELD]);
		held[i % HELD] = p;
	}
	for (size_t i = 0; i < HELD; i++)
		push(q, held[i]);
	return NULL;
}

/*
 * 16 producers with some 20 MB live together, and one thread that only frees: what it frees
 * must go round, not pile up in its caches while the producers take new memory.
 */
static void one_thread_frees_for_16_producers_in_bounded_memory(void **state)
{
	pthread_t threads[PRODUCERS];
	size_t live = PRODUCERS * (HELD + QUEUE) * (size_t)340;
	size_t before, left = (size_t)PRODUCERS * PER_PRODUCER;

	(void)state;
	queues = calloc(PRODUCERS, sizeof(*queues));
	before = rss_bytes();
	for (uintptr_t i = 0; i < PRODUCERS; i++)
		check(pthread_create(&threads[i], NULL, produce_held, (void *)i) == 0);
	while (left > 0) {
		size_t got = 0;
		void *p;

		for (size_t i = 0; i < PRODUCERS; i++)
			for (; try_pop(&queues[i], &p); got++)
				free(p);
		left -= got;
		if (got == 0)
			wait_a_little();
	}
	for (size_t i = 0; i < PRODUCERS; i++)
		pthread_join(threads[i], NULL);
	assert_true(rss_peak_bytes() < before + live * 3 / 2 + 24 * MIB);
	free(queues);
}

static void *free_list(void *arg)
{
	void **p = arg;

	while (p) {
		void **next = *p;

		free(p);
		p = next;
	}
	return NULL;
}

static void *make_list(size_t objects, size_t size)
{
	void *list = NULL;

	for (size_t i = 0; i < objects; i++) {
		void **p = malloc(size);

		*p = list;
		list = p;
	}
	return list;
}

/* Each generation of objects dies in a thread that ends: nothing may stay with the dead. */
static void what_a_thread_frees_and_leaves_is_used_again(void **state)
{
	size_t before = 0;

	(void)state;
	for (int round = 0; round < 60; round++) {
		pthread_t thread;

		check(!pthread_create(&thread, NULL, free_list, make_list(100000, 64)));
		pthread_join(thread, NULL);
		if (round == 10)
			before = rss_bytes();
	}
	assert_true(rss_bytes() < before + rss_room(2 * MIB));
}

static void *make_list_in_thread(void *arg)
{
	(void)arg;
	return make_list(100000, 64);
}

static void objects_outlive_the_thread_that_made_them(void **state)
{
	size_t before = 0;

	(void)state;
	for (int round = 0; round < 60; round++) {
		pthread_t thread;
		void *list;

		check(!pthread_create(&thread, NULL, make_list_in_thread, NULL));
		pthread_join(thread, &list);
		free_list(list);
		if (round == 10)
			before = rss_bytes();
	}
	assert_true(rss_bytes() < before + rss_room(2 * MIB));
	assert_int_equal(heap_inconsistencies(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(producer_and_consumer_run_in_bounded_memory),
		cmocka_unit_test(producer_and_consumer_of_mixed_sizes_run_in_bounded_memory),
		cmocka_unit_test(one_thread_frees_for_16_producers_in_bounded_memory),
		cmocka_unit_test(what_a_thread_frees_and_leaves_is_used_again),
		cmocka_unit_test(objects_outlive_the_thread_that_made_them),
	};

	require_library();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
