// SPDX-License-Identifier: MIT
#include "page/huge.h"

#include "base/options.h"
#include "os/mem.h"
#include "os/thread.h"

/* Between a cheap first touch, 0.2 to 0.6 ms, and a dear one, 3 to 9 ms. */
static const u64 DEAR_NS = 1000000;

enum {
	SHARE = 64,
	APART_US = 100000, /* more than threads that ask at once are */
};

static u64 asked_us; /* processor time when it was last asked */
static u64 spent_us; /* of it, by dear touches */

bool huge_pays(void)
{
	u64 now;

	if (options.thp == THP_ALWAYS)
		return true;
	now = os_cpu_us();
	/* A child of fork has used none, and owes nothing. */
	if (unlikely(now + APART_US < READ_ONCE(asked_us)))
		WRITE_ONCE(spent_us, 0);
	WRITE_ONCE(asked_us, now);
	return READ_ONCE(spent_us) <= now / SHARE;
}

bool huge_touch(void *p)
{
	u64 ns = os_touch(p);

	if (likely(ns <= DEAR_NS))
		return true;
	counter_add(spent_us, ns / 1000);
	return options.thp == THP_ALWAYS;
}
