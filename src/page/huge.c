// SPDX-License-Identifier: MIT
#include "page/huge.h"

#include "os/mem.h"
#include "os/thread.h"
#include "page/page.h"

/* Between a cheap first touch, 0.1 to 0.6 ms, and a dear one, 3 to 9 ms. */
static const u64 DEAR_NS = 1000000;

/* Between 0.3 to 1 us and, where a hypervisor has a hand in each, 5 to 15. */
static const u64 DEAR_SMALL_NS = 4000;

enum { SHARE = 64 };

static u64 spent_us; /* by dear touches, beyond what small pages would have cost */
static u64 small_ns; /* a small page's first touch and 1, or 0: nobody asked */

bool huge_small_is_dear(void)
{
	u64 ns = READ_ONCE(small_ns);

	if (!ns) {
		ns = os_small_touch() + 1;
		WRITE_ONCE(small_ns, ns);
	}
	return ns > DEAR_SMALL_NS;
}

bool huge_pays(void)
{
	u64 spent = counter_read(spent_us);

	/* The clock is a system call, which nobody pays for while touches are cheap. */
	return !spent || options.thp == THP_ALWAYS || spent <= os_cpu_us() / SHARE;
}

/* What the first touches of so much memory cost now, page by page. */
static u64 small_instead(void)
{
	return os_small_touch() * (HUGE_SIZE / os_page_size());
}

bool huge_touch(void *p)
{
	u64 ns = os_touch(p), small;

	if (likely(ns <= DEAR_NS))
		return true;
	small = small_instead();
	if (ns <= small)
		return true;
	counter_add(spent_us, (ns - small) / 1000);
	return options.thp == THP_ALWAYS;
}

void huge_after_fork(void)
{
	WRITE_ONCE(spent_us, 0);
	WRITE_ONCE(small_ns, 0);
}
