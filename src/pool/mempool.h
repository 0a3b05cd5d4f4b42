/* SPDX-License-Identifier: MIT */
/*
 * mempool.h - what a memory pool is inside: a reserve, a queue for it, and the list of all pools.
 *
 * This room allocates nothing and calls no function of a pool's user: preload/mempool.c does.
 *
 *	0 <= curr_nr; curr_nr <= min_nr, but for moments while a reserve shrinks, or waiters are served
 *	elements[0 .. curr_nr) are the reserve, last in first out; elements has room for max(1, min_nr)
 *	waiters != NULL: the first of them wants more than there is
 *
 * Lock: mempool_lock, one for all pools. A reserve is touched when memory is short, and when elements come
 * back after that; at other times mempool_free() sees without the lock that it is full. So nobody queues
 * for this lock, and fork has one lock to take.
 */
#pragma once

#include "base/lock.h"
#include "slabmalloc/mempool.h"

extern struct lock mempool_lock;

/* Under mempool_lock; the newest first. */
extern struct mempool *mempools;

/* On the stack of the thread that waits. Under mempool_lock, but for served. */
struct mempool_waiter {
	struct mempool_waiter *next;
	void **elems; /* the NULL ones are to be filled */
	u32 want; /* how many still are */
	u32 served; /* futex: 1 when want came to 0 and it left the queue */
	u32 thread; /* lock_id() */
};

/* For the dump: one pool as it is. */
struct mempool_info {
	unsigned long id; /* no two pools ever have one */
	const char *name;
	int min_nr, curr_nr;
	size_t element_size; /* 0: unknown */
	long out; /* allocated and not freed */
};

/* The pool appears in, and vanishes from, the list of all. */
void pool_register(struct mempool *pool);
void pool_unregister(struct mempool *pool);

/*
 * fn for each pool, the oldest first; fn is called without the lock and may do what it likes. Where the lock cannot be
 * had soon the rest is left out.
 */
void mempool_for_each(void (*fn)(const struct mempool_info *info, void *arg), void *arg);

/* Fills the want NULL entries of elems from the reserve, or none: it has less, or others wait. */
bool pool_take(struct mempool *pool, void **elems, u32 want);

enum pool_put { POOL_KEPT, POOL_FULL, POOL_TWICE };

/* POOL_TWICE, if unique says that there cannot be two alike: it is in the reserve already. */
enum pool_put pool_put(struct mempool *pool, void *element, bool unique);

/* Might the reserve, or somebody, want an element? Without the lock; see the source. */
bool pool_wants(const struct mempool *pool);

/* Queues w (elems and want are set). True: it was served at once. */
bool pool_queue(struct mempool *pool, struct mempool_waiter *w);

/* True: w was served. False: ms passed, and it is still queued. */
bool pool_sleep(struct mempool_waiter *w, u32 ms);

/* An element from elsewhere for w. False: w has all it wants, and does not take it. */
bool pool_serve(struct mempool *pool, struct mempool_waiter *w, void *element);

/*
 * Lowers min_nr to at most nr, and takes an element that is then too many out of the reserve; NULL: none is. The
 * caller frees it and calls again.
 */
void *pool_shrink(struct mempool *pool, int nr);

/*
 * Raises min_nr to nr, with the larger array. Returns what is to be freed: the old array; or elements itself, if
 * min_nr is nr or more already.
 */
void **pool_grow(struct mempool *pool, void **elements, int nr);

/* In the child: the waiters that did not come along leave the queues. */
void pool_after_fork(void);
