/* SPDX-License-Identifier: MIT */
/*
 * pressure.h - what is done when memory is short, whoever says so.
 *
 *	source				level
 *	PSI_SYSTEM, PSI_CGROUP		medium
 *	CGROUP_LEVEL, MEM_AVAILABLE	medium
 *	CGROUP_ROOM			critical below 1/32 of the cgroup's limit, medium below 1/8
 *	SOFT_LIMIT			from low (7/8 of it in use) to critical (all of it)
 *	FAILURE				critical: an allocation failed, or would exceed the limit
 *	BY_HAND				malloc_trim, slabmalloc_shrink
 *
 * An answer: the callback, the program's shrinkers, the heap's own. Low asks for a share, medium for what is free, critical for
 * all, torn huge pages included. The program's shrinkers are asked for more from one answer to the next while the pressure lasts (priority
 * 12 down to 0), as their caches are worth something. Answers are at least ANSWER_MS apart, and farther if they bring nothing, but for failures.
 *
 * A group's room does not last for ANSWER_MS: it is looked at again when the heap has taken half of what was left, by the thread whose allocation
 * it was, as in the kernel who allocates below the minimum watermark reclaims for itself. That thread waits for an answer that is under way.
 *
 *	room left	limit - usage + page cache - (grown since the last look - charged since then)
 *
 * The program's functions are called without a lock of ours; by kshrinkd, or by a thread that is allocating: so they
 * must not wait for a lock that a thread may hold while it allocates.
 */
#pragma once

#include "os/pressure.h"
#include "slabmalloc/pressure.h"

enum pressure_source {
	CGROUP_ROOM = NR_OS_PRESSURES,
	SOFT_LIMIT,
	FAILURE,
	BY_HAND,
	NR_PRESSURE_SOURCES
};

struct pressure_stat {
	unsigned long events, answers;
	unsigned long bytes; /* returned by the answers */
	u64 ns, longest_ns; /* from the event to the last byte returned */
};

extern struct pressure_stat pressure_stats[NR_PRESSURE_SOURCES];
extern const char *const pressure_names[NR_PRESSURE_SOURCES];

/* Bytes returned, and objects that the program's shrinkers freed (they count for "something came of it"). */
size_t pressure_answer(enum pressure_source source, enum slabmalloc_pressure_level level);

/* Looks at sources that the kernel's events (a set) and the heap itself speak of, and answers. */
void pressure_check(u32 events);

/* Bytes of heap: below, nobody asks how much room there is. */
enum { PRESSURE_WATCHED = 16 << 20 };

/* For slow paths of a process without kshrinkd: at most every 100 ms. */
void pressure_tick(u64 now_ms);

/* From this size of the heap (reclaim_held()) on half of the room that was left is taken. SIZE_MAX: there is no limit. */
extern size_t pressure_heap;

void pressure_look_at_room(void);

/* For all slow paths: the calling thread looks, and answers. Inline, so that a small heap's process does not run what lies afar. */
static inline void pressure_grown(size_t heap)
{
	if (unlikely(heap >= READ_ONCE(pressure_heap)))
		pressure_look_at_room();
}

/* An allocation failed; pressure_answer, if it comes to that, is the caller's. */
void pressure_failed(void);

/* Is there anybody but the heap itself who could give something back? */
bool pressure_has_listeners(void);

/* In the child: nobody is in the callback. */
void pressure_after_fork(void);

/* The program's callback; NULL: none. */
void pressure_call(void (*fn)(const struct slabmalloc_pressure *, void *), void *arg);
