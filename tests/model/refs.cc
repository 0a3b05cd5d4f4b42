// SPDX-License-Identifier: MIT
/*
 * refs.cc - the memory orders of references: page_get and page_put with join (src/page/page_alloc.c), and refcount_t
 * (include/slabmalloc/refcount.h), of which kref is made.
 *
 * One thread makes an object and passes references on, in the program's own way. Each user reads the object and drops its
 * reference in one of the ways that there are; whoever drops the last one frees the object: writes to it.
 *
 * SPARE_JOIN: the maker's reference is the first there is; who else finds the frames came by a reference, and with it by
 * them. SPARE_DEC_IF_ONE_RELEASE: who takes 1 to 0 frees the object itself, and nobody else acquires what it did.
 *
 * In the second model the object's memory becomes another object while others still find it (SLAB_TYPESAFE_BY_RCU).
 */
#include "orders.h"

static int join = release, page_put_order = acq_rel, sub = release, test_load = acquire,
	   dec = release;
static int dec_if_one = acq_rel, dec_not_one = release, set_release = release,
	   inc_acquire = acquire;

static const mutation mutations[] = {
	{ "WEAKEN_PAGE_PUT_ACQUIRE", &page_put_order, release },
	{ "WEAKEN_PAGE_PUT_RELEASE", &page_put_order, acquire },
	{ "WEAKEN_SUB_AND_TEST", &sub, relaxed },
	{ "WEAKEN_SUB_AND_TEST_LAST", &test_load, relaxed },
	{ "WEAKEN_DEC", &dec, relaxed },
	{ "WEAKEN_DEC_NOT_ONE", &dec_not_one, relaxed },
	{ "WEAKEN_DEC_IF_ONE_ACQUIRE", &dec_if_one, release },
	{ "SPARE_DEC_IF_ONE_RELEASE", &dec_if_one, acquire },
	{ "SPARE_JOIN", &join, relaxed },
};

static const mutation mutations_of_reuse[] = {
	{ "WEAKEN_SET_RELEASE", &set_release, relaxed },
	{ "WEAKEN_INC_NOT_ZERO_ACQUIRE", &inc_acquire, relaxed },
};

static bool add_not_zero(rl::atomic<int> &refs)
{
	int old = refs.load(in(relaxed));

	do {
		if (old <= 0)
			return false;
	} while (!refs.compare_exchange_weak(old, old + 1, in(relaxed), in(relaxed)));
	return true;
}

static bool sub_and_test(rl::atomic<int> &refs)
{
	if (refs.fetch_sub(1, in(sub)) != 1)
		return false;
	refs.load(in(test_load));
	return true;
}

static bool try_dec_not_one(rl::atomic<int> &refs)
{
	int old = refs.load(in(relaxed));

	do {
		if (old == 1)
			return false;
	} while (!refs.compare_exchange_weak(old, old - 1, in(dec_not_one), in(relaxed)));
	return true;
}

static bool try_dec_if_one(rl::atomic<int> &refs)
{
	int one = 1;

	return refs.compare_exchange_strong(one, 0, in(dec_if_one), in(relaxed));
}

struct refs_model : rl::test_suite<refs_model, 3> {
	rl::atomic<int> refs, passed, dropped;
	rl::var<int> object;
	bool is_page;

	void before()
	{
		passed.store(0, in(relaxed));
		dropped.store(0, in(relaxed));
		is_page = rl::rand(2);
	}

	bool put()
	{
		if (is_page)
			return refs.fetch_sub(1, in(page_put_order)) == 1;
		switch (rl::rand(3)) {
		case 0:
			return try_dec_if_one(refs) || sub_and_test(refs);
		case 1:
			return !try_dec_not_one(refs) && sub_and_test(refs);
		default:
			return sub_and_test(refs);
		}
	}

	void use_and_put()
	{
		RL_ASSERT(object($) == 1);
		if (put())
			object($) = 0;
	}

	/* A thread to which nothing was passed in time goes home, and the object stays. */
	void thread(unsigned index)
	{
		if (index == 0) {
			object($) = 1;
			refs.store(1, in(join));
			RL_ASSERT(add_not_zero(refs) && add_not_zero(refs));
			passed.store(1, in(release));
			/* refcount_dec's caller knows that this one is still there. */
			if (is_page || dropped.load(in(relaxed)))
				use_and_put();
		} else if (passed.load(in(acquire)) && index == 1 && !is_page) {
			RL_ASSERT(object($) == 1);
			refs.fetch_sub(1, in(dec));
			dropped.store(1, in(relaxed));
		} else if (passed.load(in(acquire))) {
			use_and_put();
		}
	}
};

struct reuse_model : rl::test_suite<reuse_model, 2> {
	rl::atomic<int> refs;
	rl::var<int> object;

	void before()
	{
		object($) = 1;
		refs.store(0, in(relaxed));
	}

	void thread(unsigned index)
	{
		if (index == 0) {
			object($) = 2;
			refs.store(1, in(set_release));
		} else if (add_not_zero(refs)) {
			refs.load(in(inc_acquire));
			RL_ASSERT(object($) == 2);
		}
	}
};

int main()
{
	return check<refs_model>("refs", mutations) |
	       check<reuse_model>("reuse", mutations_of_reuse);
}
