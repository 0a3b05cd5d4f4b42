// SPDX-License-Identifier: MIT
/*
 * rows.cc - the memory orders of rows that change while they are read: keep and find in src/debug/profile_stack.c, a
 * sequence lock whose count is the row's key.
 *
 * The key goes to 0, the row is written, the key is the new one; a reader copies the row between two looks at the key, and
 * what it copied counts if both found the one that it looks for. Writers have a lock. The row is plain data in the source, read
 * and thrown away where it changes meanwhile; relaxed atomics here, as the processor sees them.
 *
 * A key that comes back comes with the same row, or else with another table, which find compares.
 */
#include "orders.h"

static int key_store = release, key_fence = release, key_load = acquire, again_fence = acquire;

static const mutation mutations[] = {
	{ "WEAKEN_KEEP_FENCE", &key_fence, relaxed },
	{ "WEAKEN_KEEP_STORE", &key_store, relaxed },
	{ "WEAKEN_FIND_LOAD", &key_load, relaxed },
	{ "WEAKEN_FIND_FENCE", &again_fence, relaxed },
};

struct rows : rl::test_suite<rows, 3> {
	rl::atomic<int> pc, offset, reg;
	rl::mutex profile_lock;

	void before()
	{
		pc.store(0, in(relaxed));
		offset.store(0, in(relaxed));
		reg.store(0, in(relaxed));
	}

	void keep(int key)
	{
		profile_lock.lock($);
		pc.store(0, in(relaxed));
		fence(key_fence);
		offset.store(key, in(relaxed));
		reg.store(key, in(relaxed));
		pc.store(key, in(key_store));
		profile_lock.unlock($);
	}

	void find(int key)
	{
		if (pc.load(in(key_load)) != key)
			return;
		int o = offset.load(in(relaxed)), r = reg.load(in(relaxed));
		fence(again_fence);
		RL_ASSERT(pc.load(in(relaxed)) != key || (o == key && r == key));
	}

	void thread(unsigned index)
	{
		if (index == 2) {
			find(1);
			find(2);
		} else {
			keep((int)index + 1);
		}
	}
};

int main()
{
	return check<rows>("rows", mutations);
}
