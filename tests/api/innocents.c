/* SPDX-License-Identifier: MIT */
/*
 * Programs that do nothing wrong and must not be accused. A library that recognises a freed
 * object by what it left in it can be fooled by a program that copies what it left: each
 * test here carries the bytes of dead objects into living ones, and frees those.
 */
#define _GNU_SOURCE
#include "api.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const size_t sizes[] = { 16, 24, 32, 48, 64, 80, 128, 256, 1000, 1024, 4096, 32768, 262144 };

#define BIGGEST ((size_t)262144)

/* Read what no program may read: the memory of an object that is free, or not yet written. */
static void peek(unsigned char *to, const void *p, size_t size)
{
	const volatile unsigned char *from = opaque(p);

	for (size_t i = 0; i < size; i++)
		to[i] = from[i];
}

static void freeing_unwritten_objects_is_no_crime(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		for (int round = 0; round < 10000; round++)
			free(malloc(sizes[i]));
}

static void freeing_many_unwritten_objects_is_no_crime(void **state)
{
	static void *p[2000];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		for (int round = 0; round < (sizes[i] > 8192 ? 2 : 20); round++) {
			for (size_t j = 0; j < ARRAY_SIZE(p); j++)
				p[j] = malloc(sizes[i]);
			for (size_t j = 0; j < ARRAY_SIZE(p); j++)
				free(p[j]);
		}
}

/* The same address comes back at once, and gets the very bytes that it had when it was free. */
static void an_object_that_looks_as_it_did_when_free_is_live(void **state)
{
	static unsigned char dead[BIGGEST];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		for (int round = 0; round < 1000; round++) {
			void *p = malloc(sizes[i]);

			free(p);
			peek(dead, p, sizes[i]);
			p = malloc(sizes[i]);
			memcpy(p, dead, sizes[i]);
			free(p);
		}
}

static void bytes_of_the_dead_in_objects_of_the_same_class_are_data(void **state)
{
	static unsigned char dead[1024];
	static void *p[1000];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes) && sizes[i] <= sizeof(dead); i++)
		for (int round = 0; round < 20; round++) {
			for (size_t j = 0; j < ARRAY_SIZE(p); j++)
				p[j] = malloc(sizes[i]);
			free(p[round]);
			peek(dead, p[round], sizes[i]);
			p[round] = malloc(sizes[i]);
			for (size_t j = 0; j < ARRAY_SIZE(p); j++)
				memcpy(p[j], dead, sizes[i]);
			for (size_t j = 0; j < ARRAY_SIZE(p); j++)
				free(p[j]);
		}
}

static void bytes_of_the_dead_in_objects_of_other_classes_are_data(void **state)
{
	static unsigned char dead[64];

	(void)state;
	for (int round = 0; round < 200; round++)
		for (size_t from = 0; from < ARRAY_SIZE(sizes); from++)
			for (size_t to = 0; to < ARRAY_SIZE(sizes); to++) {
				size_t n = sizes[from] < 64 ? sizes[from] : 64;
				void *p = malloc(sizes[from]);
				void *q;

				free(p);
				peek(dead, p, n);
				q = malloc(sizes[to]);
				memcpy(q, dead, n < sizes[to] ? n : sizes[to]);
				free(q);
			}
}

/* As above, but each address keeps its own dead bytes, and gets exactly these back. */
static void each_object_with_its_own_dead_bytes_is_live(void **state)
{
	static unsigned char dead[1000][64];
	static void *p[1000], *q[1000];

	(void)state;
	for (int round = 0; round < 50; round++) {
		for (size_t j = 0; j < ARRAY_SIZE(p); j++)
			p[j] = malloc(64);
		for (size_t j = 0; j < ARRAY_SIZE(p); j++)
			free(p[j]);
		for (size_t j = 0; j < ARRAY_SIZE(p); j++)
			peek(dead[j], p[j], 64);
		for (size_t j = 0; j < ARRAY_SIZE(p); j++)
			q[j] = malloc(64);
		for (size_t j = 0; j < ARRAY_SIZE(p); j++) {
			for (size_t k = 0; k < ARRAY_SIZE(p); k++)
				if (p[k] == q[j])
					memcpy(q[j], dead[k], 64);
		}
		for (size_t j = 0; j < ARRAY_SIZE(p); j++)
			free(q[j]);
	}
}

static void growing_by_realloc_from_unwritten_memory_is_no_crime(void **state)
{
	(void)state;
	for (int round = 0; round < 500; round++) {
		void *p = NULL;

		for (size_t size = 1; size < 100000; size += size / 2 + 1)
			p = realloc(p, size);
		for (size_t size = 100000; size > 16; size /= 2)
			p = realloc(p, size);
		free(p);
	}
}

static void *copy_and_free(void *arg)
{
	void **objects = arg;
	unsigned char dead[64];

	for (size_t i = 1; i < 1000; i++) {
		void *mine = malloc(64);

		free(objects[i]);
		peek(dead, objects[i], 64);
		memcpy(mine, dead, 64);
		free(mine);
	}
	return NULL;
}

static void threads_that_free_copies_of_the_dead_are_innocent(void **state)
{
	static void *objects[4][1000];
	pthread_t threads[4];

	(void)state;
	for (size_t t = 0; t < 4; t++)
		for (size_t i = 0; i < 1000; i++)
			objects[t][i] = malloc(64);
	for (size_t t = 0; t < 4; t++)
		check(pthread_create(&threads[t], NULL, copy_and_free, objects[t]) == 0);
	for (size_t t = 0; t < 4; t++)
		pthread_join(threads[t], NULL);
	for (size_t t = 0; t < 4; t++)
		free(objects[t][0]);
}

static void the_heap_is_consistent_after_all_this(void **state)
{
	(void)state;
	assert_int_equal(heap_inconsistencies(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(freeing_unwritten_objects_is_no_crime),
		cmocka_unit_test(freeing_many_unwritten_objects_is_no_crime),
		cmocka_unit_test(an_object_that_looks_as_it_did_when_free_is_live),
		cmocka_unit_test(bytes_of_the_dead_in_objects_of_the_same_class_are_data),
		cmocka_unit_test(bytes_of_the_dead_in_objects_of_other_classes_are_data),
		cmocka_unit_test(each_object_with_its_own_dead_bytes_is_live),
		cmocka_unit_test(growing_by_realloc_from_unwritten_memory_is_no_crime),
		cmocka_unit_test(threads_that_free_copies_of_the_dead_are_innocent),
		cmocka_unit_test(the_heap_is_consistent_after_all_this),
	};

	require_library();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
