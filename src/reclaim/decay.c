// SPDX-License-Identifier: MIT
#include "base/options.h"
#include "os/thread.h"
#include "page/vmalloc.h"
#include "reclaim/reclaim.h"
#include "sheaf/barn.h"

enum { SHARE = 8, STEP_MS = 50, BARN_STEPS = 5, REFUSED_MS = 1000 };

struct lock reclaim_lock;

/* Under reclaim_lock, but for reads of limit and next_ms. */
static struct {
	u64 next_ms; /* of the next step */
	u32 steps;
	u64 moved_ms; /* when memory was taken and given, or came, last */
	size_t seen; /* dirty, after the last look */
	size_t taken, used; /* at the last step */
	size_t demand; /* a step's bytes, falling by a quarter a step */
	size_t peak, last_peak; /* the most used in this window of decay_ms, and in the last */
	u64 window_ms; /* when this window ends */
	size_t limit; /* as last computed */
	size_t low; /* used below this: the heap has shrunk since the last look */
	size_t shrunk_at; /* the most used since shrink_caches, or used then */
	size_t tear_above; /* bytes free in huge pages: below, no page was worth tearing */
	u64 refused_ms; /* the system takes nothing back (mlockall, seccomp): not before this */
} decay;

static size_t zone_dirty(void)
{
	size_t frames = 0;

	for (u32 nid = 0; nid < MAX_NUMNODES; nid++)
		frames += READ_ONCE(node_zone(nid)->nr_dirty);
	return frames << FRAME_SHIFT;
}

static size_t used_bytes(void)
{
	return (zones_used() << FRAME_SHIFT) + READ_ONCE(vm.used_bytes);
}

/* Bytes handed out, ever. */
static size_t taken_bytes(void)
{
	size_t bytes = READ_ONCE(vm.taken_bytes);

	for (u32 nid = 0; nid < MAX_NUMNODES; nid++)
		bytes += READ_ONCE(node_zone(nid)->nr_taken) << FRAME_SHIFT;
	return bytes;
}

/* What was taken since the last step and is not growth: it came back, or something else did. */
static size_t churn(size_t used)
{
	size_t taken = taken_bytes() - decay.taken;
	size_t growth = used > decay.used ? used - decay.used : 0;

	return taken > growth ? taken - growth : 0;
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
		gone += zone_purge(node_zone(nid), DIV_ROUND_UP(bytes - gone, FRAME_SIZE))
			<< FRAME_SHIFT;
	return gone;
}

/* Huge pages that are mostly free cost more than they bring. */
static void tear(size_t used)
{
	size_t free_bytes = 0;
	u32 torn = 0;

	for (u32 nid = 0; nid < MAX_NUMNODES; nid++)
		free_bytes += READ_ONCE(node_zone(nid)->nr_huge_free) << FRAME_SHIFT;
	if (free_bytes <= used / 4 + options.dirty_min || free_bytes <= decay.tear_above)
		return;
	for (u32 nid = 0; nid < MAX_NUMNODES; nid++)
		torn += zone_tear(node_zone(nid), FRAMES_PER_HUGE / 4 * 3);
	decay.tear_above = torn ? 0 : free_bytes + free_bytes / 4;
}

static void step(struct kmem_percpu *c, size_t used, u64 now)
{
	size_t demand = churn(used);

	decay.taken = taken_bytes();
	decay.used = used;
	if (demand)
		decay.moved_ms = now;
	decay.demand = max(demand, decay.demand - decay.demand / 4);
	if (now - decay.moved_ms >= options.decay_ms)
		decay.demand = 0;
	if (++decay.steps % BARN_STEPS == 0)
		for (u32 id = 1; id < NR_CACHES; id++)
			barn_age(id, percpu_pages(c));
	WRITE_ONCE(decay.next_ms, now + STEP_MS);
}

/* What may stay, with the demand and the peak of the time that is not over yet. */
static size_t dirty_limit(size_t used, u64 now)
{
	size_t demand = max(decay.demand, churn(used));
	size_t by_amount = options.dirty_min + used / SHARE + demand, by_peak;

	if (now >= decay.window_ms) {
		decay.last_peak = decay.peak;
		decay.peak = 0;
		decay.window_ms = now + options.decay_ms;
	}
	decay.peak = max(decay.peak, used);
	by_amount = min(by_amount, options.dirty_max);
	by_peak = max(decay.peak, decay.last_peak);
	by_peak += by_peak / SHARE + options.dirty_min - used;
	if (!demand && now - decay.moved_ms >= options.decay_ms)
		return 0;
	return min(by_amount, by_peak);
}

/* The heap is half of what it was: what was kept for it is out of proportion. */
static void shrink_caches(struct kmem_percpu *c)
{
	for (u32 id = 1; id < NR_CACHES; id++) {
		barn_drain(id, percpu_pages(c));
		slab_shrink(id, percpu_pages(c));
	}
}

/* Under reclaim_lock. */
static void look(struct kmem_percpu *c, u64 now)
{
	size_t used = used_bytes(), dirty;

	if (now >= decay.next_ms)
		step(c, used, now);
	if (used < decay.shrunk_at / 2 || used > decay.shrunk_at) {
		if (used < decay.shrunk_at)
			shrink_caches(c);
		decay.shrunk_at = used;
	}
	tear(used);
	dirty = reclaim_dirty();
	if (dirty > decay.seen)
		decay.moved_ms = now;
	WRITE_ONCE(decay.limit, dirty_limit(used, now));
	/* A quarter more than must be: few long calls instead of many short ones. */
	if (dirty > decay.limit && now >= decay.refused_ms &&
	    !purge(dirty - decay.limit + decay.limit / 4, now + 1))
		decay.refused_ms = now + REFUSED_MS;
	decay.seen = reclaim_dirty();
	WRITE_ONCE(decay.low, used - min(used / SHARE + MIB, used));
}

void reclaim_tick(struct kmem_percpu *c)
{
	u64 now = os_now_ms();

	if (c)
		sheaf_age(c, now);
	if (reclaim_dirty() <= READ_ONCE(decay.limit) && used_bytes() >= READ_ONCE(decay.low) &&
	    now < READ_ONCE(decay.next_ms))
		return;
	if (!lock_try(&reclaim_lock, RANK_RECLAIM))
		return;
	look(c, now);
	unlock(&reclaim_lock, RANK_RECLAIM);
}
