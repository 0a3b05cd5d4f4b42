// SPDX-License-Identifier: MIT
/*
 * kshrinkd.cc - the memory orders of src/reclaim/kshrinkd.c; kshrinkd.pml has the rest.
 *
 *	event	how it goes to sleep: wake, sleep_small, kshrinkd_thread_ends. The system lets it sleep if the count is still what
 *		it was when it was noted; what was asked before the count went on must be seen
 *	state	how it leaves: move, leaves, kshrinkd_start. Either it sees the thread that was just made, or who made that sees it
 *		leave. The system's count of threads is seq_cst here
 */
#include "orders.h"

static int event_add = release, event_load = acquire, move = seq_cst, start_load = seq_cst;

static const mutation mutations_of_event[] = {
	{ "WEAKEN_EVENT_ADD", &event_add, relaxed },
	{ "WEAKEN_EVENT_LOAD", &event_load, relaxed },
};

static const mutation mutations_of_state[] = {
	{ "WEAKEN_MOVE", &move, relaxed },
	{ "WEAKEN_MOVE_ACQ_REL", &move, acq_rel },
	{ "WEAKEN_START", &start_load, relaxed },
	{ "WEAKEN_START_ACQUIRE", &start_load, acquire },
};

struct event : rl::test_suite<event, 2> {
	rl::atomic<int> count, look_around;
	bool sleeps;

	void before()
	{
		count.store(0, in(relaxed));
		look_around.store(0, in(relaxed));
		sleeps = false;
	}

	void thread(unsigned index)
	{
		if (index == 0) {
			look_around.store(1, in(relaxed));
			count.fetch_add(1, in(event_add));
			return;
		}
		int seen = count.load(in(event_load));
		/* The system compares under its own lock, and wakes who sleeps when the count goes on. */
		if (!look_around.load(in(relaxed)))
			sleeps = count.fetch_add(0, in(relaxed)) == seen && seen == 1;
		RL_ASSERT(!sleeps);
	}
};

struct state : rl::test_suite<state, 2> {
	enum { OFF, RUNNING, LEAVING };
	rl::atomic<int> is, threads;
	bool stays, calls_back;

	void before()
	{
		is.store(RUNNING, in(relaxed));
		threads.store(1, in(relaxed));
		stays = calls_back = false;
	}

	void after()
	{
		RL_ASSERT(stays || calls_back);
	}

	void thread(unsigned index)
	{
		if (index == 0) {
			int running = RUNNING;

			is.compare_exchange_strong(running, LEAVING, in(move), in(relaxed));
			stays = threads.load(in(seq_cst)) > 1;
		} else {
			threads.fetch_add(1, in(seq_cst));
			calls_back = is.load(in(start_load)) != RUNNING;
		}
	}
};

int main()
{
	return check<event>("event", mutations_of_event) |
	       check<state>("state", mutations_of_state);
}
