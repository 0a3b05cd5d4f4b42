/* SPDX-License-Identifier: MIT */
/*
 * vmscan.h - the shrinkers of the heap's own, and the walk over all that can be given back.
 *
 * In the order of the walk; what one gives back the next can give on:
 *
 *	sheaves	objects of threads that are asleep (sheaf/asleep.c)
 *	barns	objects of sheaves that no thread has
 *	slabs	empty ones on the node lists
 *	areas	freed ones that are still mapped
 *	gaps	pages inside slabs that hold no object
 *	frames	free ones that hold memory; huge pages are torn for it at low priority numbers
 *
 * Only the last three take memory off the process, and only theirs is counted. (Memory pools have no surplus: what
 * mempool_resize frees goes at once.) As in the kernel's vmscan a walk begins at a priority, and each shrinker is asked for
 * count >> priority, times two; while that is less than a batch it is deferred. If the target is not met, the walk is made again at the next
 * lower number, down to 0, which means everything.
 *
 * Locks: reclaim_lock for each call of a shrinker, not for the walk. Allocation never waits for it; it waits for the locks
 * of zones, nodes and barns, which no shrinker holds while it gives memory to the system.
 */
#pragma once

#include "base/lock.h"

enum { DEF_PRIORITY = 12 };

enum own_shrinker {
	SHRINK_SHEAVES,
	SHRINK_BARNS,
	SHRINK_SLABS,
	SHRINK_AREAS,
	SHRINK_GAPS,
	SHRINK_FRAMES,
	NR_OWN_SHRINKERS
};

struct shrink_stat {
	unsigned long calls;
	unsigned long bytes; /* moved on, or given back */
	u64 ns, longest_ns; /* in calls, and in the longest: how long reclaim_lock was held at once */
};

/* Held by kshrinkd at work and by answers to pressure, so that who looks at the whole heap sees it stand still. */
extern struct lock vmscan_lock;

extern struct shrink_stat shrink_stats[NR_OWN_SHRINKERS];
extern const char *const shrink_names[NR_OWN_SHRINKERS];

/* Bytes that would leave the process if all were given back now. */
size_t vmscan_returnable(void);

/* Gives back at least target bytes if there are so many; returns how many. */
size_t vmscan(size_t target, int priority);
