/* SPDX-License-Identifier: MIT */
/*
 * huge.h - do huge pages pay now?
 *
 * The first touch of a huge page costs a fifth of the 512 small faults that it saves, while the system has
 * free blocks of 2 MiB at hand. Where it must compact memory first, or a hypervisor has none behind the block
 * yet, it costs ten times that, and small pages, which come from what was freed last, do not. A program that runs on
 * may have it back from the processor's TLB, one that writes its memory once has not. So the first touch is made here,
 * against the clock:
 *
 *	processor time of dear touches <= 1/64 of the process's, but for the last of them
 *
 * and beyond that blocks of 2 MiB stay small. Of an area of many only the first is touched here: where that was dear, the
 * area stays small, too.
 *
 * No lock: one sum, which is added to atomically; who reads it a little too early takes one page more.
 */
#pragma once

#include "base/compiler.h"

/* Shall the next 2 MiB be a huge page? */
bool huge_pays(void);

/*
 * Zeroes the first word of memory that reads as zero and is to be a huge page, and keeps its price in mind. False: it was
 * dear, and nobody asked for huge pages always.
 */
bool huge_touch(void *p);

/* In the child, whose processor time begins anew: it owes nothing. */
void huge_after_fork(void);
