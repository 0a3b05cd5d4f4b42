/* SPDX-License-Identifier: MIT */
/*
 * shrinker.h - the registry of shrinkers, and the walk over it.
 *
 * An entry stands for a registered shrinker, whose own memory is the program's.
 *
 *	state		who moves it there, under shrinker_lock
 *	registered	shrinker_add: on the list; pins counts the threads that are in its callbacks
 *	dead, awaited	shrinker_remove, which waits for other threads' pins: no callback begins any more
 *	dead		shrinker_remove in a callback of its own: its walk's pin is the last one left
 *	gone		shrinker_remove, or the walk that takes the last pin away: off the list, memory returned
 *
 * A walk pins one entry at a time and holds no lock while it calls out. What it calls may change the list: the pinned
 * entry stays on it, so the walk finds its way; entries that came after the walk began are not visited, so it
 * ends. A thread that walks does not begin another walk: callbacks allocate, and allocations will reclaim.
 *
 * Lock: shrinker_lock. A walk is known to others (to fork, to its own thread) by a struct on its stack.
 */
#pragma once

#include "base/lock.h"
#include "os/topology.h"
#include "slabmalloc/shrinker.h"

enum { SHRINKER_NAME_MAX = 32, SHRINK_BATCH = 128, SHRINKER_NODES = 16 };

extern struct lock shrinker_lock;

struct shrinker_entry {
	struct shrinker_entry *next, **pprev; /* in the order of registration */
	struct shrinker *shrinker;
	u64 id; /* grows with each registration */
	u32 pins;
	bool dead, awaited;
	char name[SHRINKER_NAME_MAX];
	long nr_deferred[SHRINKER_NODES]; /* due and not scanned; nodes beyond share the last */
};

/* Memory for an entry; NULL: none. name may be NULL. */
struct shrinker_entry *shrinker_entry_alloc(const char *name);
void shrinker_entry_free(struct shrinker_entry *e);

/* Is there any? */
bool shrinkers_exist(void);

/* False: this shrinker is registered already. */
bool shrinker_add(struct shrinker_entry *e, struct shrinker *s);

/*
 * Returns when no other thread is in a callback of s; e is gone then, or goes when the caller's own walk leaves
 * it. False: s is not registered.
 */
bool shrinker_remove(struct shrinker *s);

/* All shrinkers at this priority; returns objects freed. */
unsigned long shrink_all(int priority, gfp_t gfp);

/*
 * One shrinker and node: the arithmetic of shrinker.h. Once *dead is true after a callback, s is not looked at
 * any more: it may be freed.
 */
unsigned long do_shrink_slab(struct shrinker *s, struct shrink_control *sc, long *nr_deferred,
			     int priority, const bool *dead);

/* In the child: the walks of threads that did not come along are over. */
void shrinker_after_fork(void);
