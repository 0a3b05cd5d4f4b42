/* SPDX-License-Identifier: MIT */
/*
 * latency.h - how long slow paths take, in buckets of powers of two, and how long the system takes.
 *
 * A clock that is read twice costs some 40 ns: system calls and reclaim are all timed, since they take a
 * microsecond and more; of the paths that a thread takes often one in LATENCY_EVERY is (latency_sample), which is
 * the sampled share of all their numbers here. Nothing orders the counts.
 */
#pragma once

#include "os/thread.h"

enum slow_path {
	SLOW_ALLOC, /* a thread's sheaf is empty */
	SLOW_FREE, /* ... or full */
	SLOW_LARGE_ALLOC,
	SLOW_LARGE_FREE,
	SLOW_RECLAIM, /* every one: giving memory back on the way of an allocation or free */
	NR_SLOW_PATHS
};

enum { LATENCY_EVERY = 64, LATENCY_BUCKETS = 40 };

/* bucket[i] counts what took up to 2^i ns and more than half of that. */
struct latency {
	u64 ns, most_ns;
	u32 bucket[LATENCY_BUCKETS];
};

extern struct latency slow_paths[NR_SLOW_PATHS];

/* "alloc", "free" ...; and one in how many is timed. */
const char *slow_path_name(u32 path);

static inline u32 latency_every(u32 path)
{
	return path == SLOW_RECLAIM ? 1 : LATENCY_EVERY;
}

/* Nanoseconds between two readings of os_now_ns are one more sample. */
void latency_add(struct latency *l, u64 ns);

/* The time now for one call in LATENCY_EVERY, and else 0. tick: the thread's own count of calls. */
static inline u64 latency_sample(u32 *tick)
{
	u32 n = READ_ONCE(*tick) + 1;

	WRITE_ONCE(*tick, n);
	return unlikely(n % LATENCY_EVERY == 0) ? os_now_ns() : 0;
}

static inline void latency_end(enum slow_path path, u64 start)
{
	if (unlikely(start))
		latency_add(&slow_paths[path], os_now_ns() - start);
}
