// SPDX-License-Identifier: MIT
#include "page/huge.h"

#include "base/options.h"
#include "os/mem.h"
#include "os/thread.h"

/* 2 µs for each 4 KiB: no small fault is dearer where there is memory. */
static const u64 DEAR_NS = 1000000;

enum {
	SHARE = 16,
	GRACE_US = 10000,
};

static u64 began_ms; /* when it was first asked */
static u64 spent_us; /* by dear touches since then */

bool huge_pays(void)
{
	u64 now = os_now_ms(), began = READ_ONCE(began_ms);

	if (options.thp == THP_ALWAYS)
		return true;
	if (!began) {
		WRITE_ONCE(began_ms, now);
		began = now;
	}
	return READ_ONCE(spent_us) <= GRACE_US + (now - began) * 1000 / SHARE;
}

void huge_touch(void *p)
{
	u64 ns = os_touch(p);

	if (unlikely(ns > DEAR_NS))
		counter_add(spent_us, ns / 1000);
}
