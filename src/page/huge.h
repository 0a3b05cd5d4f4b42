/* SPDX-License-Identifier: MIT */
/*
 * huge.h - do huge pages pay now?
 *
 * The first touch of a huge page costs a fifth of the 512 small faults that it saves, while the system has
 * free blocks of 2 MiB at hand. Where it must compact memory first, or a hypervisor has none behind the block
 * yet, it costs thirty times that: more than the small faults where those are cheap, since small pages come from what was
 * freed last, and less where each of them leaves the virtual machine. A program that runs on may have it back from
 * the processor's TLB, one that writes its memory once has not. So the first touch is made here, against the clock, and
 * what is dear is weighed against small pages of the same minute:
 *
 *	loss of a touch = max(0, its time - that of 512 small ones)
 *	sum of losses <= 1/64 of the process's processor time, but for the last of them
 *
 * and beyond that blocks of 2 MiB stay small. Of several that are taken at once only the first is touched here: where that
 * was a loss, the others stay small, too.
 *
 * No lock: one sum, which is added to atomically; who reads it a little too early takes one page more. And one price, which
 * two threads may measure at once: either is right.
 */
#pragma once

#include "base/options.h"

/*
 * Is the first touch of a small page dear? Measured once, when the heap first is of a size to which it matters: under the zone's
 * lock, for nine touches.
 */
bool huge_small_is_dear(void);

enum { HUGE_EARLY = 4 };

/*
 * Is a heap of so many bytes large enough for huge pages? From a quarter of thp_start on where small pages are dear, too: the
 * half of a huge page that it does not use, on average, costs memory.
 */
static inline bool huge_wanted(size_t heap)
{
	if (options.thp != THP_AUTO)
		return options.thp == THP_ALWAYS;
	return heap >= options.thp_start ||
	       (heap >= options.thp_start / HUGE_EARLY && huge_small_is_dear());
}

/* Shall the next 2 MiB be a huge page, by their price? */
bool huge_pays(void);

/*
 * Zeroes the first word of memory that reads as zero and is to be a huge page, and keeps its price in mind. False: small
 * pages would have been cheaper, and nobody asked for huge pages always.
 */
bool huge_touch(void *p);

/* In the child, whose processor time begins anew: it owes nothing, and has measured nothing. */
void huge_after_fork(void);
