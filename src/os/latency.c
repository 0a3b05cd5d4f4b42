// SPDX-License-Identifier: MIT
#include "os/latency.h"

#include "base/bitops.h"

struct latency slow_paths[NR_SLOW_PATHS];

const char *slow_path_name(u32 path)
{
	static const char names[NR_SLOW_PATHS][12] = { "alloc", "free", "large_alloc", "large_free",
						       "reclaim" };

	return names[path];
}

void latency_add(struct latency *l, u64 ns)
{
	u32 bucket = ns > 1 ? min(ilog2(ns - 1) + 1, LATENCY_BUCKETS - 1u) : 0;

	counter_add(l->bucket[bucket], 1);
	counter_add(l->ns, ns);
	if (ns > READ_ONCE(l->most_ns))
		WRITE_ONCE(l->most_ns, ns);
}
