/* SPDX-License-Identifier: MIT */
/*
 * micro.h - the micro-benchmarks, of which micro.c holds the list.
 *
 * Times are for one operation, which the name says: a pair is a malloc and its free. Compiled with
 * -fno-builtin, since a compiler that knows malloc removes pairs that nobody looks at.
 */
#ifndef BENCH_MICRO_H
#define BENCH_MICRO_H

#include <stdlib.h>

#include "gbench.h"

enum { BATCH = 1000 /* operations between two looks at the clock, where they are cheap */ };

/* The block counts as used by somebody unknown, without an instruction. */
static inline void *use(void *p)
{
	__asm__ volatile("" : "+r"(p) : : "memory");
	return p;
}

/* As a program that fills its block would: each page is written once. */
static inline void *use_pages(void *block, size_t size)
{
	char *p = use(block);

	for (size_t at = 0; at < size; at += 4096)
		p[at] = 1;
	return use(p);
}

/* micro_pair.c: a block that is freed at once. The argument is its size, or its alignment. */
void pair(struct gbench *b);
void pair_touched(struct gbench *b);
void pair_calloc(struct gbench *b);
void pair_aligned(struct gbench *b);

/* micro_batch.c: many blocks live at a time. The argument is their size. */
void batch_fifo(struct gbench *b);
void batch_lifo(struct gbench *b);
void batch_random(struct gbench *b);
void live_million(struct gbench *b);

/* micro_realloc.c: blocks that grow and shrink. The argument is the largest size. */
void realloc_grow(struct gbench *b);
void realloc_append(struct gbench *b);
void realloc_shrink(struct gbench *b);

/* micro_thread.c: more threads than one. The argument is the blocks' size. */
void remote(struct gbench *b);
void remote_swap(struct gbench *b);
void thread_life(struct gbench *b);

#endif
