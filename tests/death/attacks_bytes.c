// SPDX-License-Identifier: MIT
/* attacks_bytes.c - crimes by what is read and written. */
#define _GNU_SOURCE
#include "attacks.h"

#include <stdlib.h>
#include <string.h>

/* Bytes that are not the block's. Each changes, whatever it was. */

static void invert(char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (char)~p[i];
}

static void overflow(size_t n, size_t by)
{
	char *p = new_block(n);

	invert(p + n, by);
	free(p);
}

static void overflow_by_1(size_t n)
{
	overflow(n, 1);
}

static void overflow_by_16(size_t n)
{
	overflow(n, 16);
}

static void overflow_by_64(size_t n)
{
	overflow(n, 64);
}

static void overflow_by_4096(size_t n)
{
	overflow(n, 4096);
}

static void overflow_of_living(size_t n)
{
	invert(new_block(n) + n, 32);
}

static void *overflow_here(void *arg)
{
	overflow(*(size_t *)arg, 64);
	return NULL;
}

static void overflow_by_thread(size_t n)
{
	in_thread(overflow_here, &n);
}

static void underflow(size_t n, size_t by)
{
	char *p = new_block(n);

	invert(p - by, by);
	free(p);
}

static void underflow_by_1(size_t n)
{
	underflow(n, 1);
}

static void underflow_by_16(size_t n)
{
	underflow(n, 16);
}

static void underflow_by_64(size_t n)
{
	underflow(n, 64);
}

static void underflow_of_living(size_t n)
{
	char *p = new_block(n);

	invert(p - 32, 32);
}

/* Nobody's bytes were read: that is the harm. */
static void read_behind(size_t n)
{
	volatile char *p = new_block(n);

	for (size_t i = 0; i < 64; i++)
		(void)p[n + i];
	harm = true;
}

static void read_before(size_t n)
{
	volatile char *p = new_block(n);

	(void)p[-1];
	harm = true;
}

/* Blocks of the past. */

/* Beyond the first 32 bytes, where an allocator may keep its own. */
static bool has_secret(const char *p, size_t n)
{
	const volatile char *bytes = p;

	for (size_t i = 32; i < n && i < 4096; i++)
		if (bytes[i] == SECRET)
			return true;
	return false;
}

static void read_freed(size_t n)
{
	harm = has_secret(freed_block(n), n);
}

static void read_long_freed(size_t n)
{
	char *p = freed_block(n);

	for (int i = 0; i < 4; i++)
		free(neighbours[i]);
	memset(neighbours, 0, sizeof(neighbours));
	harm = has_secret(p, n);
}

struct of_thread {
	char *p;
	size_t n;
};

static void *read_it(void *arg)
{
	struct of_thread *t = arg;

	harm = has_secret(t->p, t->n);
	return NULL;
}

static void read_freed_by_thread(size_t n)
{
	struct of_thread t = { freed_block(n), n };

	in_thread(read_it, &t);
}

/* A new block with somebody's old contents. */
static void read_what_was_left(size_t n)
{
	static char *blocks[LATER];
	size_t count = is_huge(n) ? 4 : LATER;

	for (size_t i = 0; i < count; i++)
		blocks[i] = memset(malloc(n), SECRET, n);
	for (size_t i = 0; i < count; i++)
		free(blocks[i]);
	for (size_t i = 0; i < count; i++)
		harm |= has_secret(opaque(malloc(n)), n);
}

static void write_freed(size_t n)
{
	memset(freed_block(n), 0x41, n);
}

static void write_freed_end(size_t n)
{
	freed_block(n)[n - 1] = 0x41;
}

/* The block has a new owner by then. */
static void write_reused(size_t n)
{
	static void *owners[LATER];
	size_t count = is_huge(n) ? 4 : LATER;
	char *p = freed_block(n);

	for (size_t i = 0; i < count; i++) {
		owners[i] = malloc(n);
		pattern_fill(owners[i], n, 50 + i);
	}
	memset(p, 0x41, n);
	for (size_t i = 0; i < count; i++)
		harm |= !pattern_holds(owners[i], n, 50 + i);
}

static void write_freed_then_allocate(size_t n)
{
	memset(freed_block(n), 0x41, n);
	for (int i = 0; i < (is_huge(n) ? 20 : 1000); i++)
		free(opaque(malloc(n)));
}

static void *write_it(void *arg)
{
	struct of_thread *t = arg;

	memset(t->p, 0x41, t->n);
	return NULL;
}

static void write_freed_by_thread(size_t n)
{
	struct of_thread t = { freed_block(n), n };

	in_thread(write_it, &t);
}

/* Where an allocator has its list in free blocks, the next but one comes from where the attacker wants. */
static void overwrite_freelist(size_t n)
{
	char *other = malloc(n), *p = freed_block(n);
	void *target = foreign_block + 64;

	free(other);
	memcpy(p, &target, sizeof(target));
	memcpy(other, &target, sizeof(target));
	for (int i = 0; i < 4; i++) {
		char *q = opaque(malloc(n));

		harm |= q >= foreign_block && q < foreign_block + sizeof(foreign_block);
	}
}

/* Blocks of no bytes. */

static void read_nothing(size_t n)
{
	volatile char *p = malloc(0);

	(void)n;
	(void)*p;
	harm = true;
}

static void write_nothing(size_t n)
{
	char *p = opaque(malloc(0));

	(void)n;
	*p = 1;
	free(p);
}

static void write_behind_nothing(size_t n)
{
	char *p = opaque(malloc(0));

	(void)n;
	p[16] = 1;
	free(p);
}

static void free_nothing_twice(size_t n)
{
	char *p = opaque(malloc(0));

	(void)n;
	free(p);
	free(p);
}

const struct crime byte_crimes[] = {
	ONE("double-free", "of-nothing", free_nothing_twice),
	EACH("overflow", "by-1", overflow_by_1),
	EACH("overflow", "by-16", overflow_by_16),
	EACH("overflow", "by-64", overflow_by_64),
	EACH("overflow", "by-4096", overflow_by_4096),
	EACH("overflow", "by-thread", overflow_by_thread),
	EACH("overflow", "never-freed", overflow_of_living),
	EACH("underflow", "by-1", underflow_by_1),
	EACH("underflow", "by-16", underflow_by_16),
	EACH("underflow", "by-64", underflow_by_64),
	EACH("underflow", "never-freed", underflow_of_living),
	EACH("read-outside", "behind", read_behind),
	EACH("read-outside", "before", read_before),
	EACH("read-freed", "at-once", read_freed),
	EACH("read-freed", "after-others", read_long_freed),
	EACH("read-freed", "by-thread", read_freed_by_thread),
	EACH("read-uninitialized", "what-was-left", read_what_was_left),
	EACH("write-freed", "at-once", write_freed),
	EACH("write-freed", "last-byte", write_freed_end),
	EACH("write-freed", "of-new-owner", write_reused),
	EACH("write-freed", "then-allocate", write_freed_then_allocate),
	EACH("write-freed", "by-thread", write_freed_by_thread),
	EACH("write-freed", "freelist", overwrite_freelist),
	ONE("no-bytes", "read", read_nothing),
	ONE("no-bytes", "write", write_nothing),
	ONE("no-bytes", "write-behind", write_behind_nothing),
	{ 0 },
};
