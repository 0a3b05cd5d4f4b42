/* SPDX-License-Identifier: MIT */
/*
 * lock.h - the one kind of lock, and the order in which locks are taken.
 *
 * A lock is a futex word: 0 free, else the holder's id, and bit 0 if somebody may sleep on it. An
 * uncontended acquire is one compare-and-swap, a release one exchange; a contended one spins for a
 * moment (critical sections are a microsecond) and then sleeps, so that a preempted holder costs a wait
 * and not a processor. That the one word tells the holder is what fork in a signal handler needs.
 *
 * Lock order: a thread takes locks only in rising rank, and never two of one rank. Debug builds
 * check it. fork() takes all of them in this order (init/fork.c).
 *
 *	RANK_VMSCAN	kshrinkd at work, answers to pressure; a look at the whole heap (reclaim/vmscan.h)
 *	RANK_THREADS	the list of threads (sheaf/thread.c)
 *	RANK_CACHES	the table of typed caches (slab/kmem_cache.c)
 *	RANK_SHRINKER	registered shrinkers, and who calls them (reclaim/shrinker.c)
 *	RANK_MEMPOOL	the reserves of all memory pools, their queues and list (pool/mempool.c)
 *	RANK_RECLAIM	one reclaimer at a time (reclaim/)
 *	RANK_SLOTS	typed caches' sheaves, when they are aged or taken away (sheaf/thread.c)
 *	RANK_NUMA	who looks at the machine and divides the heap among its nodes (sheaf/node.c)
 *	RANK_BARN	full sheaves of one cache and node (sheaf/barn.c)
 *	RANK_NODE	slab lists of one cache and node (slab/node.c)
 *	RANK_VMALLOC	areas with a mapping of their own (page/vmalloc.c)
 *	RANK_ZONE	the buddy's free areas and the regions of a node (page/zone.c)
 *	RANK_HIGHMEM	windows and views of unmapped frames (page/highmem.c)
 *	RANK_SECTION	the map of sections (page/section.c)
 *	RANK_MEMBLOCK	the allocator's own structures (page/memblock.c)
 *	RANK_KFENCE	KFENCE's free objects (debug/kfence.c)
 *	RANK_PROFILE	samples and call sites (debug/profile.c)
 */
#pragma once

#include "base/compiler.h"

enum lock_rank {
	RANK_VMSCAN = 1,
	RANK_THREADS,
	RANK_CACHES,
	RANK_SHRINKER,
	RANK_MEMPOOL,
	RANK_RECLAIM,
	RANK_SLOTS,
	RANK_NUMA,
	RANK_BARN,
	RANK_NODE,
	RANK_VMALLOC,
	RANK_ZONE,
	RANK_HIGHMEM,
	RANK_SECTION,
	RANK_MEMBLOCK,
	RANK_KFENCE,
	RANK_PROFILE,
};

/* All zero is a free lock. */
struct lock {
	u32 word;
	u32 fork_kept; /* its holder forks, and held it before */
};

enum { LOCK_WAITERS = 1 };

/*
 * Identifies the calling thread while it lives: its thread pointer, a multiple of 64, without the bits
 * that are the same in all of them. Even, not 0.
 */
static inline u32 lock_id(void)
{
	uintptr_t tp;

#if defined(__x86_64__)
	__asm__("mov %%fs:0, %0" : "=r"(tp));
#else
	tp = (uintptr_t)__builtin_thread_pointer();
#endif
	return (u32)(tp >> 5) & ~(u32)LOCK_WAITERS;
}

void lock_slow(struct lock *l);
void lock_wake(struct lock *l);
void lock_rank_check(enum lock_rank rank);
void lock_rank_enter(enum lock_rank rank);
void lock_rank_leave(enum lock_rank rank);

/*
 * For reports, which may be made while an interrupted call of this very thread holds any lock: no rank is checked, and
 * who cannot have it soon goes without. Nothing else is taken meanwhile.
 */
bool lock_peek(struct lock *l);

static inline void unlock_peek(struct lock *l)
{
	if (unlikely(__atomic_exchange_n(&l->word, 0, __ATOMIC_RELEASE) & LOCK_WAITERS))
		lock_wake(l);
}

static inline bool lock_try(struct lock *l, enum lock_rank rank)
{
	u32 free = 0;

	if (!__atomic_compare_exchange_n(&l->word, &free, lock_id(), false, __ATOMIC_ACQUIRE,
					 __ATOMIC_RELAXED))
		return false;
	if (config_debug)
		lock_rank_enter(rank);
	return true;
}

static inline void lock(struct lock *l, enum lock_rank rank)
{
	u32 free = 0;

	if (config_debug)
		lock_rank_check(rank);
	if (unlikely(!__atomic_compare_exchange_n(&l->word, &free, lock_id(), false,
						  __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)))
		lock_slow(l);
	/* Not before: a handler that forks may find us waiting here, with nothing held. */
	if (config_debug)
		lock_rank_enter(rank);
}

static inline void unlock(struct lock *l, enum lock_rank rank)
{
	if (config_debug)
		lock_rank_leave(rank);
	if (unlikely(__atomic_exchange_n(&l->word, 0, __ATOMIC_RELEASE) & LOCK_WAITERS))
		lock_wake(l);
}

static inline bool lock_is_mine(struct lock *l)
{
	return (READ_ONCE(l->word) & ~(u32)LOCK_WAITERS) == lock_id();
}

/*
 * fork() in a signal handler may have interrupted this very thread inside a critical section. Such a
 * lock is left alone: parent and child each return into the section and release it there. And then the
 * others must not be waited for without end (wait false): who holds one of a lower rank may wait for ours. That
 * thread stands at a lock, not in the middle of a change, so in the child, where it is no more, what it
 * guarded is in order and the lock is free.
 */
void lock_for_fork(struct lock *l, bool wait);
void unlock_in_parent(struct lock *l);
void unlock_in_child(struct lock *l);
