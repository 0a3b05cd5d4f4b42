/* SPDX-License-Identifier: MIT */
/*
 * limit.h - how much memory this process's memory cgroups still have room for.
 *
 * Beyond it the kernel kills instead of failing a call, so nobody is told who does not look here first.
 */
#pragma once

#include "base/compiler.h"

/*
 * Bytes that could be charged now without an OOM kill: the least, over the process's memory cgroup and its ancestors
 * that are visible, of limit - usage + page cache. SIZE_MAX: no limit, or none to be seen. Makes system calls; keeps errno.
 */
size_t os_memory_room(void);

/*
 * The same as of some milliseconds ago: read again after the time in which it could be used up, at 16 MiB a
 * millisecond, at the latest after a second.
 */
size_t os_memory_room_lately(void);

/*
 * Of all these limits, and those beyond which the kernel only makes the process wait (memory.high), the one that is
 * nearest in proportion to it. Makes system calls; keeps errno.
 */
struct os_room {
	size_t bytes, limit; /* SIZE_MAX: none */
};

struct os_room os_memory_room_nearest(void);

/* So many bytes of it are about to be charged: what was read is true no more. */
void os_memory_room_spend(size_t bytes);

/* What was last read, or SIZE_MAX: no system call. */
size_t os_memory_room_last(void);

/* The least limit that was met when it was read. */
size_t os_memory_limit_last(void);
