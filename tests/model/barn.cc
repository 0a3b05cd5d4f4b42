// SPDX-License-Identifier: MIT
/*
 * barn.cc - sheaves on their way through a barn: barn_put and barn_get in src/sheaf/barn.c. Everything that changes hands
 * under a lock after a look without it goes the same way: slabs on a node's lists, orphans, areas that are kept.
 *
 * The sheaf's objects, its size and its link are plain data. b->nr is looked at before the lock is taken: what it
 * says may be old, and is asked again under the lock.
 *
 *	who gets a sheaf sees what the one who put it did to it
 *	a barn holds no more than it has room for
 */
#include "orders.h"

enum { ROOM = 1 };

static int in_lock = acquire, in_unlock = release, get_looks_again = true, put_looks_again = true;

static const mutation mutations[] = {
	{ "WEAKEN_LOCK", &in_lock, relaxed },
	{ "WEAKEN_UNLOCK", &in_unlock, relaxed },
	{ "WITHOUT_GET_LOOKING_AGAIN", &get_looks_again, false },
	{ "WITHOUT_PUT_LOOKING_AGAIN", &put_looks_again, false },
};

struct sheaf {
	rl::var<sheaf *> next;
	rl::var<int> size;
};

struct barn_model : rl::test_suite<barn_model, 4> {
	rl::atomic<int> word, nr;
	rl::var<sheaf *> full;
	sheaf s[2];

	void before()
	{
		word.store(0, in(relaxed));
		nr.store(0, in(relaxed));
		full($) = NULL;
	}

	void lock()
	{
		int free = 0;

		for (rl::linear_backoff b;
		     !word.compare_exchange_strong(free, 1, in(in_lock), in(relaxed)); b.yield($))
			free = 0;
	}

	void unlock()
	{
		word.exchange(0, in(in_unlock));
	}

	sheaf *barn_get()
	{
		sheaf *found;

		if (!nr.load(in(relaxed)))
			return NULL;
		lock();
		found = full($);
		if (found || !get_looks_again) {
			RL_ASSERT(found);
			full($) = found->next($);
			nr.store(nr.load(in(relaxed)) - 1, in(relaxed));
		}
		unlock();
		return found;
	}

	bool barn_put(sheaf *mine)
	{
		bool put;

		if (nr.load(in(relaxed)) >= ROOM)
			return false;
		lock();
		put = nr.load(in(relaxed)) < ROOM || !put_looks_again;
		if (put) {
			mine->next($) = full($);
			full($) = mine;
			nr.store(nr.load(in(relaxed)) + 1, in(relaxed));
			RL_ASSERT(nr.load(in(relaxed)) <= ROOM);
		}
		unlock();
		return put;
	}

	void thread(unsigned index)
	{
		if (index < 2) {
			s[index].size($) = 1;
			barn_put(&s[index]);
		} else if (sheaf *got = barn_get()) {
			RL_ASSERT(got->size($) == 1);
			got->size($) = 0;
		}
	}
};

int main()
{
	return check<barn_model>("barn", mutations);
}
