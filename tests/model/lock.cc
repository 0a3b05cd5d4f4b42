// SPDX-License-Identifier: MIT
/*
 * lock.cc - the memory orders of the lock in src/base/lock.[ch].
 *
 * Each thread takes it in one of the ways in which that can be done (lock, lock_try, lock_peek and lock_for_fork make the same
 * attempt; lock_slow makes one that spins and one that sleeps) and changes plain data. That nobody sleeps for ever is in
 * lock.pml: the system's queue is a yield here.
 */
#include "orders.h"

enum { WAITERS = 1, SPINS = 1 };

static int in_lock = acquire, in_spin = acquire, in_sleep = acquire, in_try = acquire;
static int in_unlock = release;

static const mutation mutations[] = {
	{ "WEAKEN_LOCK", &in_lock, relaxed },        { "WEAKEN_SLOW_SPIN", &in_spin, relaxed },
	{ "WEAKEN_SLOW_SLEEP", &in_sleep, relaxed }, { "WEAKEN_TRY", &in_try, relaxed },
	{ "WEAKEN_UNLOCK", &in_unlock, relaxed },
};

struct lock_model : rl::test_suite<lock_model, 3> {
	rl::atomic<int> word;
	rl::var<int> data;
	rl::atomic<int> changes;

	void before()
	{
		word.store(0, in(relaxed));
		changes.store(0, in(relaxed));
		data($) = 0;
	}

	void after()
	{
		RL_ASSERT(data($) == changes.load(in(relaxed)));
	}

	bool attempt(int id, int order)
	{
		int free = 0;

		return word.compare_exchange_strong(free, id, in(order), in(relaxed));
	}

	void lock_slow(int id)
	{
		for (int i = 0; i < SPINS; i++)
			if (word.load(in(relaxed)) == 0 && attempt(id, in_spin))
				return;
		for (rl::linear_backoff b;; b.yield($)) {
			int old = word.load(in(relaxed));

			if (word.compare_exchange_strong(old, (old ? old : id) | WAITERS,
							 in(in_sleep), in(relaxed)) &&
			    !old)
				return;
		}
	}

	void lock(int id)
	{
		if (!attempt(id, in_lock))
			lock_slow(id);
	}

	void critical()
	{
		data($) = data($) + 1;
		changes.fetch_add(1, in(relaxed));
		word.exchange(0, in(in_unlock));
	}

	void thread(unsigned index)
	{
		int id = 2 * (int)index + 2;

		if (index == 2) {
			if (attempt(id, in_try))
				critical();
			return;
		}
		lock(id);
		critical();
	}
};

int main()
{
	return check<lock_model>("lock", mutations);
}
