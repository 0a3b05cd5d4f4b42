// SPDX-License-Identifier: MIT
/*
 * activity.c - what the library counts of its own doings, and the memory pools.
 */
#include <stdlib.h>

#include "walk.h"

enum { POOLS_MAX = 1000 };

static bool get(const struct heap *h, enum heap_address from, void *to, size_t n)
{
	return reader_get(h->r, h->at[from], to, n);
}

/* A list that changes while it is read ends here, sooner. */
static bool pools_read(const struct heap *h, struct activity *did)
{
	struct mempool *next, pool;

	if (!get(h, AT_mempools, &next, sizeof(next)))
		return false;
	while (next && did->nr_pools < POOLS_MAX &&
	       reader_get(h->r, (uintptr_t)next, &pool, sizeof(pool)) && pool.id) {
		struct mempool *all = realloc(did->pool, (did->nr_pools + 1) * sizeof(*all));

		if (!all)
			return false;
		pool.name[sizeof(pool.name) - 1] = 0;
		did->pool = all;
		did->pool[did->nr_pools++] = pool;
		next = pool.next;
	}
	return true;
}

bool activity_read(const struct heap *h, struct activity *did)
{
	return get(h, AT_os_stats, &did->os, sizeof(did->os)) &&
	       get(h, AT_slow_paths, did->path, sizeof(did->path)) &&
	       get(h, AT_os_pressure_state, &did->listening, sizeof(did->listening)) &&
	       get(h, AT_pressure_stats, did->pressure, sizeof(did->pressure)) &&
	       get(h, AT_shrink_stats, did->shrink, sizeof(did->shrink)) &&
	       get(h, AT_numa_calls, &did->numa, sizeof(did->numa)) &&
	       get(h, AT_kshrinkd_wakeups, &did->kshrinkd_wakeups, sizeof(did->kshrinkd_wakeups)) &&
	       pools_read(h, did);
}
