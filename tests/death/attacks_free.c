// SPDX-License-Identifier: MIT
/* attacks_free.c - crimes by what is given back. */
#define _GNU_SOURCE
#include "attacks.h"

#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __LP64__
#define SIZE "m"
#else
#define SIZE "j"
#endif
void *operator_new(size_t n) __asm__("_Znw" SIZE);
void *operator_new_array(size_t n) __asm__("_Zna" SIZE);
void operator_delete(void *p) __asm__("_ZdlPv");
void operator_delete_array(void *p) __asm__("_ZdaPv");
void operator_delete_sized(void *p, size_t n) __asm__("_ZdlPv" SIZE);
void operator_delete_array_sized(void *p, size_t n) __asm__("_ZdaPv" SIZE);

static void *free_it(void *p)
{
	free(p);
	return NULL;
}

/* Double frees. */

static void double_free_at_once(size_t n)
{
	free(freed_block(n));
}

static void double_free_one_between(size_t n)
{
	char *other = malloc(n), *p = freed_block(n);

	free(other);
	free(p);
}

/* Each of them may get its memory, and gives it back. */
static void double_free_after_many(size_t n)
{
	char *p = freed_block(n);

	for (int i = 0; i < (is_huge(n) ? 20 : 1000); i++)
		free(opaque(malloc(n)));
	free(p);
}

static void double_free_after_others(size_t n)
{
	static void *others[200];
	size_t count = is_huge(n) ? 8 : ARRAY_SIZE(others);
	char *p;

	for (size_t i = 0; i < count; i++)
		others[i] = malloc(n);
	p = freed_block(n);
	for (size_t i = 0; i < count; i++)
		free(others[i]);
	free(p);
}

static void double_free_after_trim(size_t n)
{
	char *p = freed_block(n);

	malloc_trim(0);
	free(p);
}

/* The other frees what it rightly owns: that is the second free, or its own the third. */
static void double_free_of_reused(size_t n)
{
	char *p = freed_block(n), *other = opaque(malloc(n));

	free(p);
	free(other);
}

static void double_free_by_thread(size_t n)
{
	in_thread(free_it, freed_block(n));
}

static void double_free_after_thread(size_t n)
{
	char *p = new_block(n);

	in_thread(free_it, p);
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

static void double_free_while_thread_lives(size_t n)
{
	char *p = new_block(n);
	pthread_t thread;

	pthread_barrier_init(&stage, NULL, 2);
	check(pthread_create(&thread, NULL, free_and_stay, p) == 0);
	pthread_barrier_wait(&stage);
	free(p);
	pthread_barrier_wait(&stage);
	pthread_join(thread, NULL);
}

/* What the program wrote over the free block may be what tells that it is free. */
static void double_free_of_overwritten(size_t n)
{
	char *p = freed_block(n);

	memset(p, 0xff, 32);
	free(p);
}

static void realloc_of_freed(size_t n)
{
	opaque(realloc(freed_block(n), 2 * n));
}

static void realloc_of_freed_to_the_same(size_t n)
{
	opaque(realloc(freed_block(n), n));
}

static void usable_size_of_freed(size_t n)
{
	harm = malloc_usable_size(freed_block(n)) != 0;
}

/* Pointers that no malloc returned. */

static void free_inside_by_1(size_t n)
{
	free(new_block(n) + 1);
}

static void free_inside_by_8(size_t n)
{
	free(new_block(n) + 8);
}

static void free_inside_by_16(size_t n)
{
	free(new_block(n) + 16);
}

static void free_inside_by_half(size_t n)
{
	free(new_block(n) + n / 2 / 16 * 16);
}

static void *free_inside_here(void *p)
{
	free((char *)p + 16);
	return NULL;
}

static void free_inside_by_thread(size_t n)
{
	in_thread(free_inside_here, new_block(n));
}

/* 32 bytes past where the page behind would begin, where KFENCE may have put a block: at no block's start. */
static void free_behind(size_t n)
{
	free(new_block(n) + (n + 4096 + 32) / 16 * 16);
}

static void realloc_inside(size_t n)
{
	opaque(realloc(new_block(n) + 16, 2 * n));
}

static void free_stack(size_t n)
{
	(void)n;
	free(opaque(stack_block));
}

static void free_static(size_t n)
{
	(void)n;
	free(opaque(foreign_block));
}

static void free_inside_static(size_t n)
{
	(void)n;
	free(opaque(foreign_block + 64));
}

static void realloc_static(size_t n)
{
	opaque(realloc(opaque(foreign_block), n));
}

static void free_mapping(size_t n)
{
	char *p = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)n;
	free(opaque(p));
}

static void free_function(size_t n)
{
	(void)n;
	free(opaque((void *)(uintptr_t)freed_block));
}

static void free_environment(size_t n)
{
	(void)n;
	free(opaque(environ[0]));
}

static void free_small_number(size_t n)
{
	(void)n;
	free(opaque((void *)16));
}

static void free_odd_number(size_t n)
{
	(void)n;
	free(opaque((void *)1));
}

static void free_noncanonical(size_t n)
{
	(void)n;
	free(opaque((void *)(uintptr_t)0x4141414141414140));
}

static void free_far_away(size_t n)
{
	free(opaque(new_block(n) + ((size_t)1 << 30)));
}

/* Given back as what it is not. */

static void delete_as_smaller(size_t n)
{
	operator_delete_sized(opaque(operator_new(n)), n / 2);
}

static void delete_as_larger(size_t n)
{
	operator_delete_sized(opaque(operator_new(n)), 2 * n);
}

static void delete_array_as_smaller(size_t n)
{
	operator_delete_array_sized(opaque(operator_new_array(n)), n / 2);
}

static void delete_of_array(size_t n)
{
	operator_delete(opaque(operator_new_array(n)));
}

static void delete_array_of_one(size_t n)
{
	operator_delete_array(opaque(operator_new(n)));
}

static void delete_of_malloc(size_t n)
{
	operator_delete(opaque(malloc(n)));
}

static void free_of_new(size_t n)
{
	free(opaque(operator_new(n)));
}

static void delete_twice(size_t n)
{
	char *p = operator_new(n);

	operator_delete(p);
	operator_delete(opaque(p));
}

const struct crime free_crimes[] = {
	EACH("double-free", "at-once", double_free_at_once),
	EACH("double-free", "one-between", double_free_one_between),
	EACH("double-free", "after-many", double_free_after_many),
	EACH("double-free", "after-others", double_free_after_others),
	EACH("double-free", "after-trim", double_free_after_trim),
	EACH("double-free", "of-reused", double_free_of_reused),
	EACH("double-free", "by-thread", double_free_by_thread),
	EACH("double-free", "after-thread", double_free_after_thread),
	EACH("double-free", "while-thread-lives", double_free_while_thread_lives),
	EACH("double-free", "of-overwritten", double_free_of_overwritten),
	EACH("double-free", "delete", delete_twice),
	EACH("freed", "realloc", realloc_of_freed),
	EACH("freed", "realloc-to-the-same", realloc_of_freed_to_the_same),
	EACH("freed", "usable-size", usable_size_of_freed),
	EACH("misaligned-free", "by-1", free_inside_by_1),
	EACH("misaligned-free", "by-8", free_inside_by_8),
	EACH("interior-free", "by-16", free_inside_by_16),
	EACH("interior-free", "by-half", free_inside_by_half),
	EACH("interior-free", "by-thread", free_inside_by_thread),
	EACH("interior-free", "behind", free_behind),
	EACH("interior-free", "realloc", realloc_inside),
	ONE("foreign-free", "stack", free_stack),
	ONE("foreign-free", "static", free_static),
	ONE("foreign-free", "inside-static", free_inside_static),
	ONE("foreign-free", "mapping", free_mapping),
	ONE("foreign-free", "function", free_function),
	ONE("foreign-free", "environment", free_environment),
	ONE("foreign-free", "16", free_small_number),
	ONE("foreign-free", "1", free_odd_number),
	ONE("foreign-free", "noncanonical", free_noncanonical),
	ONE("foreign-free", "realloc", realloc_static),
	EACH("foreign-free", "far-away", free_far_away),
	EACH("wrong-size", "delete-smaller", delete_as_smaller),
	EACH("wrong-size", "delete-larger", delete_as_larger),
	EACH("wrong-size", "delete-array-smaller", delete_array_as_smaller),
	EACH("mismatch", "new[]-delete", delete_of_array),
	EACH("mismatch", "new-delete[]", delete_array_of_one),
	EACH("mismatch", "malloc-delete", delete_of_malloc),
	EACH("mismatch", "new-free", free_of_new),
	{ 0 },
};
