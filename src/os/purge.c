// SPDX-License-Identifier: MIT
/*
 * purge.c - memory that goes back range by range, in few system calls.
 *
 * madvise(2) tells the other processors after each range what is gone, which costs more than the memory itself; lists
 * (process_madvise(2) on one's own process, Linux 6.16) are told of once. Where it is refused, for whatever reason,
 * each range goes by itself.
 *
 * A sandbox may kill who makes a call that its maker has not thought of, so none is made under a seccomp
 * filter. That can come at any time, and is looked for before each list.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "os/cgroup.h"
#include "os/mem.h"
#include "os/thread.h"

#ifndef SYS_process_madvise
#define SYS_process_madvise 440 /* on every machine */
#endif

enum {
	WORTH = 16, /* ranges: fewer cost less than to look for a filter */
	SELF = -10001, /* PIDFD_SELF_THREAD_GROUP: no descriptor is opened */
};

static bool refused;

static bool filtered(void)
{
	char text[OS_TEXT_MAX];

	return !os_read_text("/proc/thread-self/status", text) || !strstr(text, "\nSeccomp:\t0\n");
}

/* How many of the first ranges went together. */
static u32 purge_together(const struct os_range *range, u32 n)
{
	struct iovec list[OS_RANGES];
	int saved = errno;
	size_t bytes = 0;
	ssize_t gone;
	u64 began;
	u32 i;

	if (n < WORTH || READ_ONCE(refused) || filtered())
		return 0;
	for (i = 0; i < n; i++)
		list[i] = (struct iovec){ range[i].addr, range[i].size };
	began = os_now_ns();
	gone = syscall(SYS_process_madvise, SELF, list, (size_t)n, MADV_DONTNEED, 0u);
	counter_add(os_stats.madvise, 1);
	os_timed(&os_stats.madvise_time, began);
	errno = saved;
	for (i = 0; i < n && gone > 0 && bytes + range[i].size <= (size_t)gone; i++)
		bytes += range[i].size;
	counter_add(os_stats.purged, bytes);
	return i;
}

void os_purge_ranges(const struct os_range *range, u32 n, bool *kept)
{
	u32 took;

	for (u32 i = 0; i < n; i++) {
		took = purge_together(range + i, n - i);
		memset(kept + i, false, took);
		i += took;
		if (i == n)
			break;
		kept[i] = !os_purge(range[i].addr, range[i].size);
		/* This one would have been taken, but not as one of a list. */
		if (n - i >= WORTH && !took && !kept[i])
			WRITE_ONCE(refused, true);
	}
}
