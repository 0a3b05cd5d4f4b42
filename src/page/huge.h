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
 *	time of dear touches <= 10 ms + 1/16 of the time since the heap first asked
 *
 * and beyond that blocks of 2 MiB stay small.
 *
 * No lock: one sum, which is added to atomically, and a start that threads which ask first together set to about the
 * same time.
 */
#pragma once

#include "base/compiler.h"

/* Shall the next 2 MiB be a huge page? */
bool huge_pays(void);

/*
 * Zeroes the first word of memory that reads as zero and is to be n huge pages, and keeps its price in mind: the others,
 * which the program touches soon, are taken to cost the same.
 */
void huge_touch(void *p, size_t n);
