// SPDX-License-Identifier: MIT
#include "page/huge.h"

#include "base/options.h"
#include "os/mem.h"
#include "os/thread.h"

/* Between a cheap first touch, 0.2 to 0.6 ms, and a dear one, 3 to 9 ms. */
static const u64 DEAR_NS = 1000000;

enum { SHARE = 64 };

static u64 spent_us; /* by dear touches */

bool huge_pays(void)
{
	u64 spent = counter_read(spent_us);

	/* The clock is a system call, which nobody pays for while touches are cheap. */
	return !spent || options.thp == THP_ALWAYS || spent <= os_cpu_us() / SHARE;
}

bool huge_touch(void *p)
{
	u64 ns = os_touch(p);

	if (likely(ns <= DEAR_NS))
		return true;
	counter_add(spent_us, ns / 1000);
	return options.thp == THP_ALWAYS;
}

void huge_after_fork(void)
{
	WRITE_ONCE(spent_us, 0);
}
