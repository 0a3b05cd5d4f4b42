// SPDX-License-Identifier: MIT
/*
 * once.cc - the memory orders of what is made by the first who needs it and never changes, without a lock.
 *
 *	once	one pointer: rows_get (src/debug/profile_stack.c), depot_get (stack.c), profile_cache, harden_pick, low_cache
 *		(preload/kmalloc.c). Who comes second takes its own back
 *	depot	chains that only grow: stack_depot_save (src/debug/stack.c)
 *
 * SPARE_..._ACQUIRE: who succeeds read NULL, or the head that it has walked to, with acquire. SPARE_DEPOT_FAILED: the new
 * head becomes the record's next and is not walked again; its readers are served by the release sequence, since every
 * change of a head is a read-modify-write.
 */
#include "orders.h"

static int once_load = acquire, once_swap = acq_rel, once_failed = acquire;
static int head_load = acquire, head_swap = acq_rel, head_failed = acquire;

static const mutation mutations_of_once[] = {
	{ "WEAKEN_ONCE_LOAD", &once_load, relaxed },
	{ "WEAKEN_ONCE_RELEASE", &once_swap, acquire },
	{ "WEAKEN_ONCE_FAILED", &once_failed, relaxed },
	{ "SPARE_ONCE_ACQUIRE", &once_swap, release },
};

static const mutation mutations_of_depot[] = {
	{ "WEAKEN_DEPOT_LOAD", &head_load, relaxed },
	{ "WEAKEN_DEPOT_RELEASE", &head_swap, acquire },
	{ "SPARE_DEPOT_ACQUIRE", &head_swap, release },
	{ "SPARE_DEPOT_FAILED", &head_failed, relaxed },
};

/* Relacy does not let a failure acquire where success only releases. */
template <typename T> static bool swap(rl::atomic<T> &a, T &old, T now, int order, int failed)
{
	if (a.compare_exchange_strong(old, now, in(order), in(relaxed)))
		return true;
	fence(failed);
	return false;
}

struct once : rl::test_suite<once, 3> {
	struct thing {
		rl::var<int> data;
	};
	rl::atomic<thing *> pointer;
	thing made[3];

	void before()
	{
		pointer.store(NULL, in(relaxed));
	}

	thing *get(unsigned index)
	{
		thing *all = pointer.load(in(once_load)), *none = NULL;

		if (all)
			return all;
		all = &made[index];
		all->data($) = 1;
		return swap(pointer, none, all, once_swap, once_failed) ? all : none;
	}

	void thread(unsigned index)
	{
		RL_ASSERT(get(index)->data($) == 1);
	}
};

struct depot : rl::test_suite<depot, 3> {
	struct record {
		rl::var<record *> next;
		rl::var<int> stack;
	};
	rl::atomic<record *> head;
	record made[3];

	void before()
	{
		head.store(NULL, in(relaxed));
	}

	static record *find(record *r, int stack)
	{
		while (r && r->stack($) != stack)
			r = r->next($);
		return r;
	}

	void save(record *room, int stack)
	{
		record *first = head.load(in(head_load));

		if (find(first, stack))
			return;
		room->stack($) = stack;
		do
			room->next($) = first;
		while (!swap(head, first, room, head_swap, head_failed));
	}

	void thread(unsigned index)
	{
		save(&made[index], (int)index);
		RL_ASSERT(find(head.load(in(head_load)), (int)index));
	}
};

int main()
{
	return check<once>("once", mutations_of_once) | check<depot>("depot", mutations_of_depot);
}
