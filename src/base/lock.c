// SPDX-License-Identifier: MIT
#include "base/lock.h"

#include "base/bug.h"
#include "base/platform.h"

enum { SPINS = 100, PEEKS = 100, FORK_YIELDS = 10000 };

static inline void cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/*
 * Once a thread has slept it takes the lock with the waiters bit, since it cannot know whether others
 * sleep too; the release that follows wakes one of them, or nobody.
 */
noinline void lock_slow(struct lock *l)
{
	u32 id = lock_id(), old = 0;

	for (int i = 0; i < SPINS; i++) {
		cpu_relax();
		old = 0;
		if (READ_ONCE(l->word) == 0 &&
		    __atomic_compare_exchange_n(&l->word, &old, id, false, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED))
			return;
	}
	for (;;) {
		old = READ_ONCE(l->word);
		if (__atomic_compare_exchange_n(&l->word, &old, (old ? old : id) | LOCK_WAITERS,
						false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
			if (!old)
				return;
			platform_futex_wait(&l->word, old | LOCK_WAITERS);
		}
	}
}

bool lock_peek(struct lock *l)
{
	for (int i = 0; i < PEEKS && !lock_is_mine(l); i++) {
		u32 free = 0;

		if (__atomic_compare_exchange_n(&l->word, &free, lock_id(), false, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED))
			return true;
		platform_yield();
	}
	return false;
}

noinline void lock_wake(struct lock *l)
{
	platform_futex_wake(&l->word);
}

/* Ranks that this thread holds, one bit each. Debug builds only: release builds drop it. */
static __thread unsigned int held __attribute__((tls_model("initial-exec")));

void lock_rank_check(enum lock_rank rank)
{
	BUG_ON(held >> rank, "lock order: rank %d taken with ranks %#x held", (int)rank, held);
}

void lock_rank_enter(enum lock_rank rank)
{
	lock_rank_check(rank);
	held |= 1u << rank;
}

void lock_rank_leave(enum lock_rank rank)
{
	BUG_ON(!(held >> rank & 1), "lock order: rank %d released, ranks %#x held", (int)rank,
	       held);
	held &= ~(1u << rank);
}

void lock_for_fork(struct lock *l, bool wait)
{
	if (lock_is_mine(l)) {
		l->fork_kept = true;
		return;
	}
	for (int i = 0; i < FORK_YIELDS; i++) {
		u32 free = 0;

		if (__atomic_compare_exchange_n(&l->word, &free, lock_id(), false, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED))
			return;
		if (wait) {
			lock_slow(l);
			return;
		}
		platform_yield();
	}
}

void unlock_in_parent(struct lock *l)
{
	if (!lock_is_mine(l))
		return;
	if (l->fork_kept)
		l->fork_kept = false;
	else if (__atomic_exchange_n(&l->word, 0, __ATOMIC_RELEASE) & LOCK_WAITERS)
		lock_wake(l);
}

void unlock_in_child(struct lock *l)
{
	if (!l->fork_kept || !lock_is_mine(l))
		WRITE_ONCE(l->word, 0);
	l->fork_kept = false;
}
