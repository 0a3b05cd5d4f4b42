/* SPDX-License-Identifier: MIT */
/*
 * huge.h - do huge pages pay now?
 *
 * The first touch of a huge page costs a fifth of the 512 small faults that it saves, while the system has
 * free blocks of 2 MiB at hand. Where it must compact memory first, or a hypervisor has taken the block
 * back, it costs forty times that, and small pages, which come from what was freed last, do not. So the
 * first touch is made here, against the clock: after one that was dear the next 1, 3, 7, ... 63
 * blocks of 2 MiB stay small, then one is tried again; a cheap one ends it.
 *
 * No lock: the counters are hints, and a lost update tries a block sooner or later.
 */
#pragma once

#include "base/compiler.h"

/* Shall the next 2 MiB be a huge page? Each call counts as one. */
bool huge_pays(void);

/* Zeroes the first word of memory that reads as zero and is to be a huge page, and keeps its price in mind. */
void huge_touch(void *p);
