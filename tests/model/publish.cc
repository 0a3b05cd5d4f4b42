// SPDX-License-Identifier: MIT
/*
 * publish.cc - what one thread makes and others find by a word that says so.
 *
 *	word	a release store, under a lock or by the only writer, and acquire loads without one: numa.state (src/sheaf/node.c,
 *		os/topology.h), file_region (page/highmem.c), profile_sites and profile_frames (debug/profile.c), watched.fd
 *		(os/pressure.c), a waiter's `served` (pool/mempool.c), `known` (os/cgroup.c), `handle` (preload/new.c)
 *	walk	the list of threads without its lock: hlist_add_head (base/list.h), percpu_after (sheaf/sheaf.h). New threads are
 *		in front, so the first load has acquired all that were made before. Removal is left out: hlist_del_init's store
 *		is relaxed, which C11 minds and machines whose stores all others see at one moment do not
 */
#include "orders.h"

static int word_store = release, word_load = acquire, add_head = release, after_load = acquire;

static const mutation mutations_of_word[] = {
	{ "WEAKEN_WORD_STORE", &word_store, relaxed },
	{ "WEAKEN_WORD_LOAD", &word_load, relaxed },
};

static const mutation mutations_of_walk[] = {
	{ "WEAKEN_ADD_HEAD", &add_head, relaxed },
	{ "WEAKEN_PERCPU_AFTER", &after_load, relaxed },
};

struct word : rl::test_suite<word, 2> {
	rl::atomic<int> state;
	rl::var<int> made;

	void before()
	{
		state.store(0, in(relaxed));
	}

	void thread(unsigned index)
	{
		if (index == 0) {
			made($) = 1;
			state.store(1, in(word_store));
		} else if (state.load(in(word_load))) {
			RL_ASSERT(made($) == 1);
		}
	}
};

struct walk : rl::test_suite<walk, 3> {
	struct node {
		rl::atomic<node *> next;
		rl::var<int> tid;
	};
	rl::atomic<node *> first;
	rl::mutex threads_lock;
	node n[2];

	void before()
	{
		first.store(NULL, in(relaxed));
	}

	void thread(unsigned index)
	{
		if (index < 2) {
			n[index].tid($) = 1;
			threads_lock.lock($);
			n[index].next.store(first.load(in(relaxed)), in(relaxed));
			first.store(&n[index], in(add_head));
			threads_lock.unlock($);
			return;
		}
		for (node *c = first.load(in(after_load)); c; c = c->next.load(in(after_load)))
			RL_ASSERT(c->tid($) == 1);
	}
};

int main()
{
	return check<word>("word", mutations_of_word) | check<walk>("walk", mutations_of_walk);
}
