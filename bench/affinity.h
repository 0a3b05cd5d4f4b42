/* SPDX-License-Identifier: MIT */
/*
 * affinity.h - threads on processors of their own.
 *
 * Two threads that wait for each other are often put on one processor, and then take turns: they
 * never meet, no cache line moves, and the run is faster or slower by luck. Where two threads
 * hand objects over, each is bound to a processor.
 */
#ifndef BENCH_AFFINITY_H
#define BENCH_AFFINITY_H

#include <sched.h>

/* Binds the calling thread to the nth processor that it may use, and returns what it might use. */
static inline cpu_set_t cpu_pin(int n)
{
	cpu_set_t before, one;
	int cpu;

	CPU_ZERO(&before);
	if (sched_getaffinity(0, sizeof(before), &before) != 0)
		return before;
	n %= CPU_COUNT(&before);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &before) && n-- == 0)
			break;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
	return before;
}

static inline void cpu_unpin(const cpu_set_t *before)
{
	if (CPU_COUNT(before))
		sched_setaffinity(0, sizeof(*before), before);
}

#endif
