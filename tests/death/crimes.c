/* SPDX-License-Identifier: MIT */
/*
 * One crime for each run: crimes NAME. The pointer of the crime goes to stdout first, and
 * "survived" after it; then the heap is used, and the process ends normally. crimes.py has
 * what must be said of each.
 */
#define _GNU_SOURCE
#include "api.h"

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LARGE MIB
#define HUGE_BLOCK (64 * MIB)

/* No stdio: its buffer would be an allocation between the free and the double free. */
static void say(const char *format, const void *p)
{
	char text[64];
	int n = snprintf(text, sizeof(text), format, p);

	check(write(STDOUT_FILENO, text, (size_t)n) == n);
}

static void *accuse(const void *p)
{
	say("at %p\n", p);
	return opaque(p);
}

static void *new_small(void)
{
	return accuse(malloc(64));
}

static void double_free(void)
{
	void *p = new_small();

	free(p);
	free(p);
}

static void double_free_aba(void)
{
	void *b = malloc(64);
	void *a = new_small();

	free(a);
	free(b);
	free(a);
}

/* Every second object stays, so that the slab of the crime is not given back meanwhile. */
static void double_free_after_10000_others(void)
{
	static void *others[20000];
	void *p = new_small();

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		others[i] = malloc(64);
	free(p);
	for (size_t i = 0; i < ARRAY_SIZE(others); i += 2)
		free(others[i]);
	free(p);
}

static void double_free_after_all_is_freed(void)
{
	static void *others[20000];
	void *p;

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		others[i] = malloc(64);
	p = accuse(others[ARRAY_SIZE(others) / 2]);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		free(others[i]);
	malloc_trim(0);
	free(p);
}

/* The memory that told of the first free is the system's again, between objects that live. */
static void double_free_between_objects_that_live(void)
{
	static void *others[10000];
	void *p;

	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		others[i] = malloc(640);
	p = accuse(others[ARRAY_SIZE(others) / 2 + 10]);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (i % 20)
			free(others[i]);
	malloc_trim(0);
	free(p);
}

static void double_free_of_16_bytes(void)
{
	void *p = accuse(malloc(1));

	free(p);
	free(p);
}

static void double_free_of_250_kib(void)
{
	void *p = accuse(malloc(250 * KIB));

	free(p);
	free(p);
}

/* What the program wrote last must not hide a double free, whatever it was. */
static void double_free_of_written(void)
{
	void *p = new_small();

	memset(p, 0xff, 64);
	free(p);
	free(p);
}

static void *free_in_thread(void *p)
{
	free(p);
	return NULL;
}

static void in_thread(void *(*fn)(void *), void *p)
{
	pthread_t thread;

	check(pthread_create(&thread, NULL, fn, p) == 0);
	pthread_join(thread, NULL);
}

static void double_free_here_then_by_thread(void)
{
	void *p = new_small();

	free(p);
	in_thread(free_in_thread, p);
}

static void double_free_by_thread_then_here(void)
{
	void *p = new_small();

	in_thread(free_in_thread, p);
	free(p);
}

static pthread_barrier_t stage;

static void *free_and_stay(void *p)
{
	free(p);
	pthread_barrier_wait(&stage);
	pthread_barrier_wait(&stage);
	return NULL;
}

/* The first thread lives on, so the object lies in its sheaf when the other frees it again. */
static void double_free_while_first_thread_lives(void)
{
	void *p = new_small();
	pthread_t thread;

	pthread_barrier_init(&stage, NULL, 2);
	check(pthread_create(&thread, NULL, free_and_stay, p) == 0);
	pthread_barrier_wait(&stage);
	free(p);
	pthread_barrier_wait(&stage);
	pthread_join(thread, NULL);
}

static void double_free_large(void)
{
	void *p = accuse(malloc(LARGE));

	free(p);
	free(p);
}

static void double_free_huge(void)
{
	void *p = accuse(malloc(HUGE_BLOCK));

	free(p);
	free(p);
}

static void free_stack(void)
{
	char object[64] __attribute__((aligned(16))) = "on the stack";

	free(accuse(object));
}

static void free_static(void)
{
	static char object[64] __attribute__((aligned(16)));

	free(accuse(object));
}

static void free_mmapped(void)
{
	void *p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	free(accuse(p));
}

static void free_noncanonical(void)
{
	free(accuse((void *)0xdead000000001000));
}

static void free_top_of_address_space(void)
{
	free(accuse((void *)(UINTPTR_MAX - 15)));
}

static void free_8(void)
{
	free(accuse((void *)8));
}

static void free_misaligned_1(void)
{
	free(accuse((char *)malloc(64) + 1));
}

static void free_misaligned_8(void)
{
	free(accuse((char *)malloc(64) + 8));
}

static void free_interior_16(void)
{
	free(accuse((char *)malloc(64) + 16));
}

static void *free_interior_16_here(void *arg)
{
	free_interior_16();
	return arg;
}

static void free_interior_16_in_thread(void)
{
	in_thread(free_interior_16_here, NULL);
}

static void free_interior_large(size_t offset)
{
	char *p = malloc(LARGE);

	say("base %p\n", p);
	free(accuse(p + offset));
}

static void free_interior_large_4096(void)
{
	free_interior_large(4096);
}

static void free_interior_large_64(void)
{
	free_interior_large(64);
}

static void free_interior_of_250_kib(void)
{
	free(accuse((char *)malloc(250 * KIB) + 100 * KIB));
}

/* Of a heap that is smaller than a megabyte. */
static char *heap_start(void)
{
	uintptr_t p = (uintptr_t)malloc(64);

	check(p % (64 * MIB) < MIB);
	return (char *)(p - p % (64 * MIB));
}

static void write_below_the_heap(void)
{
	*(volatile char *)accuse(heap_start() - 1) = 1;
}

static void write_far_below_the_heap(void)
{
	*(volatile char *)accuse(heap_start() - MIB) = 1;
}

static void write_beyond_the_heap(void)
{
	*(volatile char *)accuse(heap_start() + MIB) = 1;
}

static void free_interior_huge(void)
{
	char *p = malloc(HUGE_BLOCK);

	say("base %p\n", p);
	free(accuse(p + 32 * MIB));
}

static void realloc_foreign(void)
{
	static char object[64] __attribute__((aligned(16)));

	check(realloc(accuse(object), 128) == NULL);
}

static void realloc_freed(void)
{
	void *p = new_small();

	free(p);
	check(realloc(p, 4096) == NULL);
}

static void realloc_freed_large(void)
{
	void *p = accuse(malloc(LARGE));

	free(p);
	check(realloc(p, 2 * LARGE) == NULL);
}

static void realloc_interior_large(void)
{
	char *p = malloc(LARGE);

	say("base %p\n", p);
	check(realloc(accuse(p + 4096), 64) == NULL);
}

static void usable_size_of_foreign(void)
{
	static char object[64] __attribute__((aligned(16)));

	check(malloc_usable_size(accuse(object)) == 0);
}

#define CRIME(f)             \
	{                    \
#f, f, false \
	}

/*
 * Seen by a flush only: until then the wrong pointer waits in a sheaf, and the next malloc of this
 * class would return it. So the heap is not used any more; the end of the process flushes.
 */
#define LATE_CRIME(f)       \
	{                   \
#f, f, true \
	}

static const struct {
	const char *name;
	void (*commit)(void);
	bool late;
} crimes[] = {
	CRIME(double_free),
	CRIME(double_free_aba),
	CRIME(double_free_after_10000_others),
	CRIME(double_free_after_all_is_freed),
	CRIME(double_free_of_16_bytes),
	CRIME(double_free_of_250_kib),
	CRIME(double_free_between_objects_that_live),
	CRIME(double_free_of_written),
	CRIME(double_free_here_then_by_thread),
	CRIME(double_free_by_thread_then_here),
	CRIME(double_free_while_first_thread_lives),
	CRIME(double_free_large),
	CRIME(double_free_huge),
	CRIME(free_stack),
	CRIME(free_static),
	CRIME(free_mmapped),
	CRIME(free_noncanonical),
	CRIME(free_top_of_address_space),
	CRIME(free_8),
	CRIME(free_misaligned_1),
	CRIME(free_misaligned_8),
	LATE_CRIME(free_interior_16),
	CRIME(free_interior_16_in_thread),
	CRIME(free_interior_large_4096),
	CRIME(free_interior_large_64),
	CRIME(free_interior_of_250_kib),
	CRIME(free_interior_huge),
	CRIME(realloc_foreign),
	CRIME(realloc_freed),
	CRIME(realloc_freed_large),
	CRIME(realloc_interior_large),
	CRIME(usable_size_of_foreign),
	CRIME(write_below_the_heap),
	CRIME(write_far_below_the_heap),
	CRIME(write_beyond_the_heap),
};

/* The heap after a crime that was ignored: it works, and gives no object out twice. */
static void use_heap(void)
{
	static const size_t sizes[] = { 16, 64, 80, 1000, 200 * KIB, MIB, 64 * MIB };
	static unsigned char *p[ARRAY_SIZE(sizes)][64];

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t count = sizes[i] < MIB ? 64 : 2;

		for (size_t j = 0; j < count; j++) {
			p[i][j] = malloc(sizes[i]);
			check(p[i][j]);
			pattern_fill(p[i][j], sizes[i], 64 * i + j);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		for (size_t j = 0; j < 64 && p[i][j]; j++) {
			check(pattern_holds(p[i][j], sizes[i], 64 * i + j));
			free(p[i][j]);
		}
	check(heap_inconsistencies() == 0);
}

int main(int argc, char **argv)
{
	require_library();
	for (size_t i = 0; i < ARRAY_SIZE(crimes); i++) {
		if (argc != 2 || strcmp(argv[1], crimes[i].name) != 0)
			continue;
		crimes[i].commit();
		say("survived\n", NULL);
		if (!crimes[i].late)
			use_heap();
		say("heap works\n", NULL);
		return 0;
	}
	return 2;
}
