/* SPDX-License-Identifier: MIT */
/*
 * Crimes against the heap, one for each run: attacks FAMILY/HOW/SIZE; attacks --list names them all. A table of ways to
 * do wrong times sizes: in a slab (small, medium, large) and beyond (huge).
 *
 * "done" on stdout: the crime was committed, and nobody stopped it. Then the heap is used. "harm": the program got two
 * blocks that overlap, or what it wrote was changed, or it read what it must not; nobody said so. attacks.py judges.
 *
 * Runs under any malloc. Nothing here uses stdio, whose buffers are allocations.
 */
#include "attacks.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
	const char *name;
	size_t bytes;
} sizes[] = {
	{ "small", 40 },
	{ "medium", 2000 },
	{ "large", 100000 },
	{ "huge", 3 * MIB },
};

bool harm;
void *neighbours[NEIGHBOURS];
char foreign_block[16 * 1024] __attribute__((aligned(4096)));
char *stack_block;

static void say(const char *text)
{
	check(write(STDOUT_FILENO, text, strlen(text)) == (ssize_t)strlen(text));
}

char *new_block(size_t n)
{
	char *p;

	for (size_t i = 0; i < NEIGHBOURS / 2; i++)
		neighbours[i] = malloc(n);
	p = malloc(n);
	for (size_t i = NEIGHBOURS / 2; i < NEIGHBOURS; i++)
		neighbours[i] = malloc(n);
	check(p);
	memset(p, SECRET, n);
	for (size_t i = 0; i < NEIGHBOURS; i++) {
		check(neighbours[i]);
		pattern_fill(neighbours[i], n, i);
	}
	return opaque(p);
}

char *freed_block(size_t n)
{
	char *p = new_block(n);

	free(p);
	return opaque(p);
}

/* The program goes on: does each block hold what was written into it? */
static void use_heap(size_t n)
{
	static void *later[LATER];
	size_t count = is_huge(n) ? 8 : LATER;

	for (size_t i = 0; i < count; i++) {
		later[i] = malloc(n);
		check(later[i]);
		pattern_fill(later[i], n, 100 + i);
	}
	for (size_t i = 0; i < count; i++)
		harm |= !pattern_holds(later[i], n, 100 + i);
	for (size_t i = 0; i < NEIGHBOURS && neighbours[i]; i++)
		harm |= !pattern_holds(neighbours[i], n, i);
	harm |= !pattern_holds(foreign_block, sizeof(foreign_block), 1);
	if (harm)
		return;
	for (size_t i = 0; i < count; i++)
		free(later[i]);
	for (size_t i = 0; i < NEIGHBOURS; i++)
		free(neighbours[i]);
}

void in_thread(void *(*fn)(void *), void *p)
{
	pthread_t thread;

	check(pthread_create(&thread, NULL, fn, p) == 0);
	pthread_join(thread, NULL);
}

static void name_of(char *name, const struct crime *crime, size_t size)
{
	strcpy(name, crime->family);
	strcat(strcat(name, "/"), crime->how);
	if (crime->in_all_sizes)
		strcat(strcat(name, "/"), sizes[size].name);
}

static void run(const struct crime *crime, size_t n)
{
	char block[4096] __attribute__((aligned(4096)));

	pattern_fill(foreign_block, sizeof(foreign_block), 1);
	pattern_fill(block, sizeof(block), 2);
	stack_block = opaque(block);
	crime->commit(n);
	say("done\n");
	use_heap(n);
	harm |= !pattern_holds(block, sizeof(block), 2);
	say(harm ? "harm\n" : "no harm\n");
}

/* Tells all names, or commits the one crime; false: it is not in the table. */
static bool search(const struct crime *table, const char *wanted)
{
	char name[64];

	for (const struct crime *c = table; c->family; c++) {
		for (size_t i = 0; i < (c->in_all_sizes ? ARRAY_SIZE(sizes) : 1); i++) {
			name_of(name, c, i);
			if (!wanted) {
				say(strcat(name, "\n"));
			} else if (strcmp(wanted, name) == 0) {
				run(c, sizes[i].bytes);
				return true;
			}
		}
	}
	return !wanted;
}

int main(int argc, char **argv)
{
	bool list = argc == 2 && strcmp(argv[1], "--list") == 0;
	const char *wanted = list ? NULL : argv[1];
	bool found;

	if (argc != 2)
		return 2;
	if (!list)
		require_library();
	found = search(free_crimes, wanted);
	if (list || !found)
		found = search(byte_crimes, wanted);
	return found ? 0 : 2;
}
