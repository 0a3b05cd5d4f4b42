// SPDX-License-Identifier: MIT
#include "base/options.h"
#include "os/thread.h"
#include "page/vmalloc.h"
#include "reclaim/reclaim.h"

enum { STEP_MS = 50, REFUSED_MS = 1000 };

struct lock reclaim_lock;

/* Under reclaim_lock, but for reads of limit and next_ms. */
static struct {
	u64 next_ms; /* of the next step */
	u64 demand_ms; /* when there was demand last */
	size_t reused; /* demand's counter at the last step */
	size_t demand; /* a step's bytes, falling by a quarter a step */
	size_t limit; /* as last computed */
	u64 refused_ms; /* the system takes nothing back (mlockall, seccomp): not before this */
} decay;

static size_t zone_dirty(void)
{
	size_t frames = 0;

	for (u32 nid = 0; nid < MAX_NUMNODES; nid++)
		frames += READ_ONCE(node_zone(nid)->nr_dirty);
	return frames << FRAME_SHIFT;
}

/* Bytes of dirty memory that were handed out again, ever. */
static size_t reused_bytes(void)
{
	size_t bytes = READ_ONCE(vm.nr_reused);

	for (u32 nid = 0; nid < MAX_NUMNODES; nid++)
		bytes += READ_ONCE(node_zone(nid)->nr_reused) << FRAME_SHIFT;
	return bytes;
}

size_t reclaim_dirty(void)
{
	return zone_dirty() + READ_ONCE(vm.cached_bytes);
}

/* Oldest areas first: what is unmapped is the address space that nobody may ever want again. */
static size_t purge(size_t bytes, u64 now)
{
	size_t gone = vm_purge(bytes, now);

	for (u32 nid = 0; nid < MAX_NUMNODES && gone < bytes; nid++)
		gone += zone_purge(node_zone(nid), DIV_ROUND_UP(bytes - gone, FRAME_SIZE), false)
			<< FRAME_SHIFT;
	return gone;
}

static void step(u64 now)
{
	size_t reused = reused_bytes(), demand = reused - decay.reused;

	decay.reused = reused;
	if (demand)
		decay.demand_ms = now;
	decay.demand = max(demand, decay.demand - decay.demand / 4);
	if (now - decay.demand_ms >= options.decay_ms)
		decay.demand = 0;
	WRITE_ONCE(decay.next_ms, now + STEP_MS);
}

/* What may stay, with the demand of the step that is not over yet. */
static size_t dirty_limit(u64 now)
{
	size_t demand = max(decay.demand, reused_bytes() - decay.reused);

	if (!demand && now - decay.demand_ms >= options.decay_ms)
		return 0;
	return min(options.dirty_min + demand, options.dirty_max);
}

void reclaim_tick(struct kmem_percpu *c)
{
	size_t dirty = reclaim_dirty(), limit;
	u64 now = os_now_ms();

	if (c)
		sheaf_age(c, now);
	if (dirty <= READ_ONCE(decay.limit) && now < READ_ONCE(decay.next_ms))
		return;
	if (!lock_try(&reclaim_lock, RANK_RECLAIM))
		return;
	if (!decay.next_ms)
		decay.demand_ms = now;
	if (now >= decay.next_ms)
		step(now);
	limit = dirty_limit(now);
	WRITE_ONCE(decay.limit, limit);
	/* A quarter more than must be: few long calls instead of many short ones. */
	if (dirty > limit && now >= decay.refused_ms && !purge(dirty - limit + limit / 4, now + 1))
		decay.refused_ms = now + REFUSED_MS;
	unlock(&reclaim_lock, RANK_RECLAIM);
}
