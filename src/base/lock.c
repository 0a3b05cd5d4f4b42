// SPDX-License-Identifier: MIT
#include "base/lock.h"

#include "base/bug.h"
#include "base/platform.h"

enum { SPINS = 100 };

static inline void cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/*
 * Once a thread has slept it takes the lock with 2, since it cannot know whether others sleep too;
 * the release that follows wakes one of them, or nobody.
 */
noinline void lock_slow(struct lock *l)
{
	for (int i = 0; i < SPINS; i++) {
		u32 free = 0;

		cpu_relax();
		if (READ_ONCE(l->word) == 0 &&
		    __atomic_compare_exchange_n(&l->word, &free, 1, false, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED))
			return;
	}
	while (__atomic_exchange_n(&l->word, 2, __ATOMIC_ACQUIRE) != 0)
		platform_futex_wait(&l->word, 2);
}

noinline void lock_wake(struct lock *l)
{
	platform_futex_wake(&l->word);
}

/* Ranks that this thread holds, one bit each. Debug builds only: release builds drop it. */
static __thread unsigned int held __attribute__((tls_model("initial-exec")));

void lock_rank_enter(enum lock_rank rank)
{
	BUG_ON(held >> rank, "lock order: rank %d taken with ranks %#x held", (int)rank, held);
	held |= 1u << rank;
}

void lock_rank_leave(enum lock_rank rank)
{
	BUG_ON(!(held >> rank & 1), "lock order: rank %d released, ranks %#x held", (int)rank, held);
	held &= ~(1u << rank);
}

void lock_for_fork(struct lock *l)
{
	l->fork_kept = lock_is_mine(l);
	if (l->fork_kept)
		return;
	u32 free = 0;

	if (!__atomic_compare_exchange_n(&l->word, &free, 1, false, __ATOMIC_ACQUIRE,
					 __ATOMIC_RELAXED))
		lock_slow(l);
	l->owner = current_thread();
}

void unlock_after_fork(struct lock *l)
{
	if (l->fork_kept) {
		l->fork_kept = false;
		return;
	}
	WRITE_ONCE(l->owner, NULL);
	if (__atomic_exchange_n(&l->word, 0, __ATOMIC_RELEASE) == 2)
		lock_wake(l);
}
