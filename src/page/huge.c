// SPDX-License-Identifier: MIT
#include "page/huge.h"

#include "base/options.h"
#include "os/mem.h"
#include "os/thread.h"

/* Between a cheap first touch, 0.2 to 0.6 ms, and a dear one, 3 to 5 ms. */
static const u64 DEAR_NS = 1000000;

enum {
	SHARE = 16,
	GRACE_US = 10000,
};

static u64 began_ms; /* when it was first asked */
static u64 spent_us; /* by dear touches since then */

bool huge_pays(void)
{
	u64 began = READ_ONCE(began_ms), now;

	if (options.thp == THP_ALWAYS)
		return true;
	now = os_now_ms();
	if (!began) {
		WRITE_ONCE(began_ms, now);
		began = now;
	}
	return READ_ONCE(spent_us) <= GRACE_US + (now - began) * 1000 / SHARE;
}

void huge_touch(void *p, size_t n)
{
	u64 ns = os_touch(p);

	if (unlikely(ns > DEAR_NS))
		counter_add(spent_us, ns / 1000 * n);
}
