// SPDX-License-Identifier: MIT
#include "base/options.h"
#include "base/probe.h"
#include "os/latency.h"
#include "page/limit.h"
#include "page/vmalloc.h"
#include "reclaim/kshrinkd.h"
#include "reclaim/pressure.h"
#include "reclaim/reclaim.h"
#include "reclaim/slack.h"
#include "sheaf/barn.h"

enum {
	SHARE = 8,
	SMALL_SHARE = 4,
	STIR = 64 << 10, /* bytes of change that are activity */
	STEP_MS = 50,
	BARN_STEPS = 5,
	REFUSED_MS = 1000,
	PERCENT = 100,
	BEYOND = 16, /* this part of what may stay goes with what must */
	REFAULT_MS = 2000, /* what is wanted again so soon was given back too early */
	PATIENCE = 4, /* grows by this factor ... */
	PATIENCE_MAX = 16, /* ... up to this */
	FORGET_MS = 10000,
};

static const size_t LEAST = 512 * KIB;

struct lock reclaim_lock;

/* Under reclaim_lock, but for reads of limit and next_ms. */
static struct {
	u64 next_ms; /* of the next step */
	u32 steps;
	u64 moved_ms; /* when memory was taken and given, or came, last */
	size_t seen; /* dirty, after the last look */
	u64 stirred_ms; /* when anything was last seen to have changed */
	size_t stirred_used, stirred_live; /* as of then */
	size_t taken, used; /* at the last step */
	size_t demand; /* a step's bytes, falling by a quarter a step */
	size_t peak, last_peak; /* the most used in this window of decay_ms, and in the last */
	u64 window_ms; /* when this window ends */
	size_t limit; /* as last computed */
	u64 over_ms; /* since then more is dirty than the bound by amount lets stay; 0: it is not */
	size_t low; /* used below this: the heap has shrunk since the last look */
	size_t shrunk_at; /* the most used since shrink_caches, or used then */
	size_t tear_above; /* bytes free in huge pages: below, no page was worth tearing ... */
	size_t torn_used; /* ... while no less than three quarters of this are used */
	u64 refused_ms; /* the system takes nothing back (mlockall, seccomp): not before this */
	u32 patience; /* all waiting takes so much longer */
	size_t swing; /* how much `used` changed in the last step */
	size_t gone; /* bytes given back and not judged yet */
	bool paused; /* they went while little else happened, or could not wait for that */
	u64 gone_ms, refault_ms; /* the last of them, and when some came back soon */
	size_t resident; /* the least since then */
} decay = { .patience = 1 };

static size_t zone_dirty(void)
{
	size_t frames = 0;
	struct zone *z;

	for_each_zone(z)
		frames += READ_ONCE(z->nr_dirty);
	return frames << FRAME_SHIFT;
}

/* Slabs that stay for want of anybody else who needs them (slab/empty.h): free, not used. */
static size_t surplus_bytes(void)
{
	return counter_read(zone_surplus) << FRAME_SHIFT;
}

static size_t used_bytes(void)
{
	size_t frames = zones_used() << FRAME_SHIFT;

	return frames - min(surplus_bytes(), frames) + READ_ONCE(vm.used_bytes);
}

/* Bytes handed out, ever. */
static size_t taken_bytes(void)
{
	size_t bytes = READ_ONCE(vm.taken_bytes);
	struct zone *z;

	for_each_zone(z)
		bytes += READ_ONCE(z->nr_taken) << FRAME_SHIFT;
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
	return zone_dirty() + READ_ONCE(vm.cached_bytes) + surplus_bytes();
}

size_t reclaim_held(void)
{
	return used_bytes() + reclaim_dirty();
}

/* Oldest areas first: what is unmapped is the address space that nobody may ever want again. */
static size_t purge(size_t bytes, u64 now)
{
	struct zone *z;
	size_t gone;

	PROBE1(slabmalloc, reclaim_start, bytes);
	gone = READ_ONCE(vm.cached_bytes) ? vm_purge(bytes, now) : 0;
	if (gone + zone_dirty() < bytes)
		zone_take_surplus();
	for_each_zone(z)
		if (gone < bytes)
			gone += zone_purge(z, DIV_ROUND_UP(bytes - gone, FRAME_SIZE))
				<< FRAME_SHIFT;
	PROBE1(slabmalloc, reclaim_end, gone);
	return gone;
}

/* Huge pages that are mostly free cost more than they bring. */
static void tear(size_t used)
{
	size_t free_bytes = 0;
	struct zone *z;
	u32 torn = 0;

	for_each_zone(z)
		free_bytes += READ_ONCE(z->nr_huge_free) << FRAME_SHIFT;
	if (used < decay.torn_used / 4 * 3)
		decay.tear_above = 0;
	if (free_bytes <= used / 4 + options.dirty_min || free_bytes <= decay.tear_above)
		return;
	decay.torn_used = used;
	for_each_zone(z)
		torn += zone_tear(z, FRAMES_PER_HUGE / 4 * 3);
	decay.tear_above = torn ? 0 : free_bytes + free_bytes / 4;
}

static u64 decay_ms(void)
{
	return (u64)options.decay_ms * READ_ONCE(decay.patience);
}

/*
 * Memory that is wanted again soon after it was given back had better been kept, as a page that is read again soon after it
 * was evicted (the kernel's workingset.c calls it a refault): it counts as demand, and where it went in a pause the next
 * one like it is waited out. Not for ever: a pattern that has ended is forgotten.
 */
static void watch_refaults(size_t resident, u64 now)
{
	size_t back = resident - min(decay.resident, resident);

	decay.resident = min(decay.resident, resident);
	if (now - decay.gone_ms >= REFAULT_MS) {
		decay.gone = 0;
	} else if (decay.gone >= options.dirty_min && back >= decay.gone / 2) {
		decay.demand = min(decay.demand + decay.gone, resident);
		decay.gone = 0;
		decay.refault_ms = now;
		if (decay.paused)
			WRITE_ONCE(decay.patience,
				   min(decay.patience * PATIENCE, (u32)PATIENCE_MAX));
	}
	if (now - decay.refault_ms >= FORGET_MS)
		WRITE_ONCE(decay.patience, 1);
}

static void note_gone(size_t bytes, size_t resident, u64 now)
{
	decay.gone += bytes;
	decay.gone_ms = now;
	decay.resident = resident;
	decay.paused = !kshrinkd_runs() || decay.swing < bytes / 4;
}

static void step(struct kmem_percpu *c, size_t used, u64 now)
{
	size_t demand = churn(used);

	decay.taken = taken_bytes();
	decay.swing = max(used, decay.used) - min(used, decay.used);
	decay.used = used;
	if (demand)
		decay.moved_ms = now;
	decay.demand = max(demand, decay.demand - decay.demand / (4 * decay.patience));
	if (now - decay.moved_ms >= decay_ms())
		decay.demand = 0;
	watch_refaults(used + reclaim_dirty(), now);
	if (++decay.steps % BARN_STEPS == 0)
		for_each_cache(id)
			barn_age(id, percpu_pages(c));
	WRITE_ONCE(decay.next_ms, now + STEP_MS);
}

/* Beside a heap so large this is not worth a call. */
static size_t least(size_t heap)
{
	return min(options.dirty_min, max(heap / SMALL_SHARE, LEAST));
}

/*
 * What was in use a moment ago may be wanted again in the next, and who frees much need not wait for the system: where
 * kshrinkd will come and look, the bound by amount takes effect after half of decay_ms.
 */
static bool waits_for_kshrinkd(size_t amount, u64 now)
{
	if (reclaim_dirty() <= amount)
		decay.over_ms = 0;
	else if (!decay.over_ms)
		decay.over_ms = now;
	return kshrinkd_runs() && decay.over_ms && now - decay.over_ms < decay_ms() / 2;
}

/* What may stay, with the demand and the peak of the time that is not over yet. */
static size_t dirty_limit(size_t used, size_t live, u64 now)
{
	size_t demand = max(decay.demand, churn(used)), by_amount, by_peak, floor;

	if (now >= decay.window_ms) {
		decay.last_peak = decay.peak;
		decay.peak = 0;
		decay.window_ms = now + decay_ms();
	}
	decay.peak = max(decay.peak, used);
	by_peak = max(decay.peak, decay.last_peak);
	floor = least(by_peak);
	by_amount = min(floor + live / SHARE + demand, options.dirty_max);
	by_peak += by_peak / SHARE + floor - used;
	if (!demand && now - decay.moved_ms >= decay_ms()) {
		decay.over_ms = 0;
		return 0;
	}
	if (waits_for_kshrinkd(by_amount, now))
		by_amount = by_peak;
	by_amount = min(by_amount, limit_leaves(used));
	return min(by_amount, by_peak);
}

/* The heap is half of what it was: what was kept for it is out of proportion. */
static void shrink_caches(struct kmem_percpu *c)
{
	for_each_cache(id) {
		barn_drain(id, percpu_pages(c));
		slab_shrink(id, percpu_pages(c));
	}
}

static bool differs(size_t a, size_t b)
{
	return max(a, b) - min(a, b) > STIR;
}

/* Frees may change nothing but what is free inside slabs. */
static void notice(size_t used, size_t live, size_t dirty, u64 now)
{
	if (dirty <= decay.seen && !differs(used, decay.stirred_used) &&
	    !differs(live, decay.stirred_live))
		return;
	decay.stirred_used = used;
	decay.stirred_live = live;
	WRITE_ONCE(decay.stirred_ms, now);
}

/* Under reclaim_lock. */
static void look(struct kmem_percpu *c, u64 now)
{
	size_t used = used_bytes(), live, dirty, gone;

	if (now >= decay.next_ms)
		step(c, used, now);
	if (used < decay.shrunk_at / 2 || used > decay.shrunk_at) {
		if (used < decay.shrunk_at)
			shrink_caches(c);
		decay.shrunk_at = used;
	}
	tear(used);
	live = slack_look(used, least(used), now);
	dirty = reclaim_dirty();
	notice(used, live, dirty, now);
	if (dirty > decay.seen)
		decay.moved_ms = now;
	WRITE_ONCE(decay.limit, dirty_limit(used, live, now));
	/* A little more than must be: few long calls instead of many short ones. */
	if (dirty > decay.limit && now >= decay.refused_ms) {
		gone = purge(dirty - decay.limit + decay.limit / BEYOND, now + 1);
		if (!gone)
			decay.refused_ms = now + REFUSED_MS;
		note_gone(gone, used + reclaim_dirty(), now);
	}
	decay.seen = reclaim_dirty();
	WRITE_ONCE(decay.low, used - min(used / SHARE + MIB, used));
}

void reclaim_tick(struct kmem_percpu *c)
{
	u64 now = os_now_ms(), began;
	size_t dirty = reclaim_dirty(), used = used_bytes();

	if (c)
		sheaf_age(c, now);
	pressure_grown(used + dirty);
	if (dirty <= READ_ONCE(decay.limit) && used >= READ_ONCE(decay.low) &&
	    now < READ_ONCE(decay.next_ms))
		return;
	if (!lock_try(&reclaim_lock, RANK_RECLAIM))
		return;
	began = os_now_ns();
	look(c, now);
	latency_end(SLOW_RECLAIM, began);
	unlock(&reclaim_lock, RANK_RECLAIM);
	if (kshrinkd_runs())
		kshrinkd_poke();
	else if (used >= PRESSURE_WATCHED || options.soft_limit)
		pressure_tick(now);
}

/* Nothing changed for a while, since stirred_ms: what was kept at hand goes too, once. True: it is done. */
static bool put_away(u64 stirred_ms, u64 now)
{
	static u64 away_ms, visited_ms;
	u64 waited_ms = now - visited_ms;

	if (now - stirred_ms < decay_ms())
		return false;
	if (away_ms >= stirred_ms)
		return true;
	/* Of a thousand sleeping threads some at a time: the visits take a hundredth of the time between. */
	if (!visited_ms)
		waited_ms = options.decay_ms;
	visited_ms = now;
	/* Half: the last to fall asleep may have done so after what was seen to change last. */
	if (sheaf_empty_some_asleep((u32)min(options.decay_ms / 2, (size_t)UINT32_MAX),
				    waited_ms * (1000000 / PERCENT)))
		away_ms = now;
	lock(&reclaim_lock, RANK_RECLAIM);
	shrink_caches(NULL);
	slack_rest(least(used_bytes()), now);
	/* It is as old as what it was kept for. */
	decay.seen = reclaim_dirty();
	unlock(&reclaim_lock, RANK_RECLAIM);
	return false;
}

void reclaim_leave(u64 now)
{
	lock(&reclaim_lock, RANK_RECLAIM);
	decay.demand = 0;
	shrink_caches(NULL);
	look(NULL, now);
	unlock(&reclaim_lock, RANK_RECLAIM);
}

bool reclaim_age(u64 now)
{
	/* As it was before the look, which gives back and so changes something itself. */
	u64 stirred_ms = READ_ONCE(decay.stirred_ms);

	if (lock_try(&reclaim_lock, RANK_RECLAIM)) {
		look(NULL, now);
		unlock(&reclaim_lock, RANK_RECLAIM);
	}
	return put_away(stirred_ms, now) && !reclaim_dirty();
}
