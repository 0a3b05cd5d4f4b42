// SPDX-License-Identifier: MIT
/*
 * dump.cc - who asks for a dump gets one: begin, end and dump_now in src/stat/when.c.
 *
 * One dumps at a time; who comes meanwhile says so and goes, and is served by the one who writes. Each of the two writes a
 * word and reads the other's: `wanted` and `writer`. So all four accesses are seq_cst: with less, the writer's look at `wanted`
 * may come before the store that ends its turn is seen, also on x86, and a dump is lost. SPARE_TAKE: the exchange alone decides.
 */
#include "orders.h"

static int end_store = seq_cst, begin_swap = seq_cst, begin_failed = seq_cst, want = seq_cst,
	   look = seq_cst, take = seq_cst;

static const mutation mutations[] = {
	{ "WEAKEN_END", &end_store, release },
	{ "WEAKEN_WANT", &want, release },
	{ "WEAKEN_LOOK", &look, acquire },
	{ "WEAKEN_BEGIN", &begin_swap, acquire },
	{ "WEAKEN_BEGIN_FAILED", &begin_failed, relaxed },
	{ "SPARE_TAKE", &take, relaxed },
};

struct dump : rl::test_suite<dump, 2> {
	rl::atomic<int> wanted, writer;
	rl::var<int> number;

	void before()
	{
		wanted.store(0, in(relaxed));
		writer.store(0, in(relaxed));
		number($) = 0;
	}

	void after()
	{
		RL_ASSERT(!wanted.load(in(relaxed)));
	}

	bool begin()
	{
		int nobody = 0;

		/* One that fails is a load, which may read what is old; relacy's does not. */
		if (writer.load(in(begin_failed)))
			return false;
		return writer.compare_exchange_strong(nobody, 1, in(begin_swap), in(begin_failed));
	}

	void thread(unsigned)
	{
		wanted.store(1, in(want));
		while (wanted.load(in(look)) && begin()) {
			while (wanted.exchange(0, in(take)))
				number($)++;
			writer.store(0, in(end_store));
		}
	}
};

int main()
{
	return check<dump>("dump", mutations);
}
