/* SPDX-License-Identifier: MIT */
/*
 * plan.h - a trace made ready for replay: for each thread what it does, in blocks of a memfd.
 *
 * A process of its own makes the plan, and ends: its tables never count as memory of the replay,
 * and neither does the plan, of which a thread reads one block after the other into a buffer.
 *
 * How threads keep the order:
 *
 * 1. A block is a slot of a table. Whoever frees what another thread allocates waits until the
 *    slot is filled. A slot has one birth and one death, and its next birth is two rounds later.
 * 2. TRACE_ROUND numbers of the trace are a round. A thread begins a round when all threads are
 *    done with all rounds but the one before. So nobody runs far ahead: a producer that waited for
 *    its consumers in the recorded program cannot fill the memory here.
 * 3. A thread is started by the thread that made the call before its first one: mostly it was
 *    the one, in pthread_create(). It ends if the recorded one did, else it stays to the end.
 *
 * Nobody waits for ever: of all calls that are not done yet, that with the lowest number waits for
 * no other, since a death has a higher number than its birth.
 */
#ifndef TRACE_PLAN_H
#define TRACE_PLAN_H

#include "trace.h"

enum plan_kind {
	/* the kinds of a trace, and besides: */
	PLAN_ROUND = TRACE_KINDS, /* `other` begins */
	PLAN_THREAD, /* start `other` */
	PLAN_END, /* of the thread's plan */
};

struct step {
	uint8_t kind;
	uint8_t remote; /* the dying block must be waited for */
	uint8_t failed; /* it returned NULL */
	uint32_t born, died; /* slots, or BLOCK_NONE */
	uint32_t other;
	uint64_t size; /* FREE: of the block */
	uint64_t extra; /* CALLOC: count; ALIGNED: log2; REALLOC: size so far */
};

enum { PLAN_STEPS = 511 };

struct plan_block {
	uint32_t next; /* its number; where the steps go on */
	uint32_t unused[7];
	struct step step[PLAN_STEPS];
};

struct plan_thread {
	uint32_t first; /* block */
	bool ends;
};

/* Block 0 of the memfd. Where the blocks end lie the threads, and then the rounds. */
struct plan {
	uint32_t threads, main, slots, rounds;
	uint32_t running; /* threads that are started */
	uint64_t calls, tables;
};

void plan_make(const char *path, int fd, bool sequential);

#endif
