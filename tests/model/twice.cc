// SPDX-License-Identifier: MIT
/*
 * twice.cc - blocks that two threads free at once: free_anywhere in src/page/large.c, pcp_keep in src/page/pcp.c,
 * kfence_alloc and kfence_free in src/debug/kfence.c. One of them must find out that it is wrong; the other must find the
 * block's fields as they were made.
 *
 *	large	page->type goes from PAGE_LARGE to PAGE_NONE, or to PAGE_KEPT, by compare-exchange. That alone decides. What the
 *		block is came to both threads with the pointer, in the program's own way (WITHOUT_PASSING_ON leaves that
 *		out); its frames go on under the zone's lock. So no order is needed: SPARE_LARGE_...
 *	kfence	the pointer may come from anywhere: it may be made up. So the state itself says that the fields are there.
 *		SPARE_KFENCE_FREED: the next user takes the object from a queue under a lock; a report that reads the state does
 *		not acquire it.
 */
#include "orders.h"

static int type_change = acq_rel, passing = release, compares = true;
static int allocated = release, freeing = acquire, freed = release;

static const mutation mutations[] = {
	{ "WITHOUT_COMPARING", &compares, false },
	{ "WITHOUT_PASSING_ON", &passing, relaxed },
	{ "SPARE_LARGE_ACQUIRE", &type_change, release },
	{ "SPARE_LARGE_RELEASE", &type_change, acquire },
};

static const mutation mutations_of_kfence[] = {
	{ "WEAKEN_KFENCE_ALLOCATED", &allocated, relaxed },
	{ "WEAKEN_KFENCE_FREEING", &freeing, relaxed },
	{ "SPARE_KFENCE_FREED", &freed, relaxed },
};

struct twice_large : rl::test_suite<twice_large, 3> {
	enum { NONE, LARGE };
	rl::atomic<int> type, p;
	rl::var<int> frames, zone;
	rl::mutex zone_lock;

	void before()
	{
		type.store(NONE, in(relaxed));
		p.store(0, in(relaxed));
		frames($) = 0;
		zone($) = 0;
	}

	bool take()
	{
		int large = LARGE;

		if (type.load(in(relaxed)) != LARGE)
			return false;
		if (compares)
			return type.compare_exchange_strong(large, NONE, in(type_change),
							    in(relaxed));
		type.store(NONE, in(relaxed));
		return true;
	}

	void thread(unsigned index)
	{
		if (index == 0) {
			type.store(LARGE, in(relaxed));
			frames($) = 5;
			p.store(1, in(passing));
		} else if (p.load(in(acquire)) && take()) {
			RL_ASSERT(frames($) == 5);
			zone_lock.lock($);
			RL_ASSERT(zone($) == 0);
			zone($) = 5;
			/* From now on it is somebody else's. */
			frames($) = 0;
			zone_lock.unlock($);
		}
	}
};

struct twice_kfence : rl::test_suite<twice_kfence, 3> {
	enum { FREED, ALLOCATED, FREEING };
	rl::atomic<int> state;
	rl::var<int> fields;
	rl::mutex queue_lock;
	rl::var<int> queued;

	void before()
	{
		state.store(FREED, in(relaxed));
		fields($) = 0;
		queued($) = 1;
	}

	void alloc(int value)
	{
		queue_lock.lock($);
		bool got = queued($);
		queued($) = 0;
		queue_lock.unlock($);
		if (!got)
			return;
		fields($) = value;
		state.store(ALLOCATED, in(allocated));
	}

	void thread(unsigned index)
	{
		int is = ALLOCATED;

		if (index == 0) {
			alloc(1);
			alloc(2);
		} else if (state.compare_exchange_strong(is, FREEING, in(freeing), in(relaxed))) {
			RL_ASSERT(fields($) > 0);
			fields($) = -1;
			state.store(FREED, in(freed));
			queue_lock.lock($);
			queued($) = 1;
			queue_lock.unlock($);
		}
	}
};

int main()
{
	return check<twice_large>("twice, large", mutations) |
	       check<twice_kfence>("twice, kfence", mutations_of_kfence);
}
