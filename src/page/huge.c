// SPDX-License-Identifier: MIT
#include "page/huge.h"

#include "base/options.h"
#include "os/mem.h"

/* 2 µs for each 4 KiB: no small fault is dearer where there is memory. */
static const u64 DEAR_NS = 1000000;

enum { MOST = 63 };

static u32 skip, backoff;

bool huge_pays(void)
{
	u32 n = READ_ONCE(skip);

	if (options.thp == THP_ALWAYS || !n)
		return true;
	WRITE_ONCE(skip, n - 1);
	return false;
}

void huge_touch(void *p)
{
	u32 next = os_touch(p) > DEAR_NS ? min(2 * READ_ONCE(backoff) + 1, (u32)MOST) : 0;

	WRITE_ONCE(backoff, next);
	WRITE_ONCE(skip, next);
}
