/* SPDX-License-Identifier: MIT */
/*
 * limit.h - the heap's own limit (options limit and soft_limit).
 *
 *	frames in use + areas in use <= limit
 *
 * Who would exceed it gets no memory, as if the system had none: direct reclaim, another try, ENOMEM. Free memory that is resident is kept
 * below the rest of the limit by decay.c. The allocator's own structures, under 1 %, are not counted.
 * limit:auto is the room that the memory cgroups leave (os/limit.h), less a margin, so that malloc fails before the kernel kills.
 */
#pragma once

#include "base/options.h"

bool limit_exceeded_by(size_t bytes);

/* Bytes that the limit leaves beside so many; SIZE_MAX: there is none, or none in bytes (limit:auto). */
size_t limit_leaves(size_t used);

/* May the heap grow by so many bytes? */
static inline bool limit_permits(size_t bytes)
{
	return likely(!options.limit) || !limit_exceeded_by(bytes);
}
