// SPDX-License-Identifier: MIT
#include "reclaim/vmscan.h"

#include "base/probe.h"
#include "os/thread.h"
#include "page/vmalloc.h"
#include "reclaim/reclaim.h"
#include "sheaf/barn.h"
#include "slab/purge.h"

enum {
	BATCH = 2 << 20, /* bytes worth a call */
	TEAR_PRIORITY =
		4, /* from here down huge pages are torn of which a quarter is free, and at 0 all */
};

struct lock vmscan_lock;

struct shrink_stat shrink_stats[NR_OWN_SHRINKERS];

static size_t count_sheaves(void)
{
	/* About: looking costs as much as taking. */
	return READ_ONCE(nr_threads) > 1 ? (size_t)READ_ONCE(nr_threads) * BATCH : 0;
}

static size_t scan_sheaves(size_t bytes, int priority)
{
	(void)bytes;
	return priority <= TEAR_PRIORITY ? sheaf_empty_asleep(0) : 0;
}

static size_t count_barns(void)
{
	size_t bytes = 0;

	for_each_cache(id)
		if (barn_filled(id))
			bytes += barn_objects(id) * cache_of(id)->size;
	return bytes;
}

static size_t scan_barns(size_t bytes, int priority)
{
	size_t gone = 0;

	(void)priority;
	for_each_cache(id) {
		if (gone >= bytes)
			break;
		gone += barn_objects(id) * cache_of(id)->size;
		barn_drain(id, cache_pages(NULL, id));
	}
	return gone;
}

static size_t count_slabs(void)
{
	size_t frames = 0;

	for_each_cache(id)
		frames += (size_t)cache_empty_slabs(id) * cache_of(id)->frames;
	return frames << FRAME_SHIFT;
}

static size_t scan_slabs(size_t bytes, int priority)
{
	size_t gone = 0;

	(void)priority;
	for_each_cache(id) {
		if (gone >= bytes)
			break;
		if (cache_empty_slabs(id))
			gone += slab_shrink(id, cache_pages(NULL, id)) << FRAME_SHIFT;
	}
	return gone;
}

static size_t count_areas(void)
{
	return READ_ONCE(vm.cached_bytes);
}

static size_t scan_areas(size_t bytes, int priority)
{
	(void)priority;
	return vm_purge(bytes, UINT64_MAX);
}

/* Free objects lie all over: about so much of them fills whole pages. */
static size_t count_gaps(void)
{
	struct slab_bytes b = slab_bytes();
	size_t used = (zones_used() << FRAME_SHIFT);
	size_t gap = b.free - min(b.given, b.free);

	return gap > used / 4 ? gap - used / 8 : 0;
}

static u32 tear_at(int priority)
{
	return priority ? priority <= TEAR_PRIORITY ? FRAMES_PER_HUGE / 4 : 0 : 1;
}

/* A pass looks at every slab, so it is made when it is asked for much. */
static size_t scan_gaps(size_t bytes, int priority)
{
	size_t gone = 0;
	struct zone *z;

	if (priority > TEAR_PRIORITY / 2 || !bytes)
		return 0;
	for_each_zone(z)
		gone += slab_purge(z, priority ? 3 : 4, tear_at(priority)) << FRAME_SHIFT;
	return gone;
}

static size_t count_frames(void)
{
	size_t frames = 0;
	struct zone *z;

	for_each_zone(z)
		frames += READ_ONCE(z->nr_dirty) + READ_ONCE(z->nr_huge_free);
	return frames << FRAME_SHIFT;
}

static size_t scan_frames(size_t bytes, int priority)
{
	u32 tear = tear_at(priority);
	size_t gone = 0;
	struct zone *z;

	for_each_zone(z) {
		if (gone >= bytes)
			break;
		if (tear && READ_ONCE(z->nr_huge_free))
			zone_tear(z, tear);
		gone += zone_purge(z, DIV_ROUND_UP(bytes - gone, FRAME_SIZE)) << FRAME_SHIFT;
		if (!priority)
			zone_decommit(z);
	}
	return gone;
}

static struct {
	size_t (*count)(void);
	size_t (*scan)(size_t bytes, int priority);
	size_t deferred; /* asked for and less than a batch */
} own[NR_OWN_SHRINKERS] = {
	[SHRINK_SHEAVES] = { count_sheaves, scan_sheaves, 0 },
	[SHRINK_BARNS] = { count_barns, scan_barns, 0 },
	[SHRINK_SLABS] = { count_slabs, scan_slabs, 0 },
	[SHRINK_AREAS] = { count_areas, scan_areas, 0 },
	[SHRINK_GAPS] = { count_gaps, scan_gaps, 0 },
	[SHRINK_FRAMES] = { count_frames, scan_frames, 0 },
};

static size_t call(enum own_shrinker i, size_t bytes, int priority)
{
	struct shrink_stat *stat = &shrink_stats[i];
	u64 begin, ns;
	size_t gone;

	/* Sleeping threads are taken under threads_lock, which ranks before. */
	if (i != SHRINK_SHEAVES)
		lock(&reclaim_lock, RANK_RECLAIM);
	begin = os_now_ns();
	gone = own[i].scan(bytes, priority);
	ns = os_now_ns() - begin;
	stat->calls++;
	stat->bytes += gone;
	stat->ns += ns;
	stat->longest_ns = max(stat->longest_ns, ns);
	if (i != SHRINK_SHEAVES)
		unlock(&reclaim_lock, RANK_RECLAIM);
	return i >= SHRINK_AREAS ? gone : 0;
}

/* What is asked for at this priority, with what was deferred, or 0: not worth a call yet. */
static size_t due(enum own_shrinker i, int priority)
{
	size_t count = own[i].count();
	size_t want = min((count >> priority) * 2, count) + own[i].deferred;

	want = min(want, count);
	if (priority && want < BATCH) {
		own[i].deferred = want;
		return 0;
	}
	own[i].deferred = 0;
	return priority ? want : count;
}

size_t vmscan_returnable(void)
{
	return count_areas() + count_gaps() + count_frames();
}

size_t vmscan(size_t target, int priority)
{
	size_t gone = 0;

	PROBE1(slabmalloc, reclaim_start, target);
	for (; priority >= 0 && gone < target; priority--) {
		for (enum own_shrinker i = 0; i < NR_OWN_SHRINKERS && gone < target; i++) {
			size_t want = due(i, priority);

			if (want)
				gone += call(i, want, priority);
		}
	}
	PROBE1(slabmalloc, reclaim_end, gone);
	return gone;
}
