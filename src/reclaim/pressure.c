// SPDX-License-Identifier: MIT
#include "reclaim/pressure.h"

#include "base/options.h"
#include "os/limit.h"
#include "os/thread.h"
#include "reclaim/reclaim.h"
#include "reclaim/shrinker.h"
#include "reclaim/vmscan.h"

enum {
	ANSWER_MS = 100,
	SLOWEST_MS = 3200, /* between answers that bring nothing */
	CALM_MS = 10000, /* without an event: the next one is asked for little again */
	LEAST = 1 << 20, /* bytes that are something */
	SHARE = 8, /* low: this part of what is free */
};

struct pressure_stat pressure_stats[NR_PRESSURE_SOURCES];

static struct {
	void (*fn)(const struct slabmalloc_pressure *, void *);
	void *arg;
	u32 inside; /* the thread that calls it, lock_id(); 0: none */
	int priority; /* for the program's shrinkers, next time */
	u64 event_ms, answer_ms;
	u32 pause_ms;
	enum slabmalloc_pressure_level level; /* of the last answer */
	u64 tick_ms;
} pressure = { .priority = DEF_PRIORITY, .pause_ms = ANSWER_MS };

/* At the last look, by whichever thread: two that look at once may leave one's heap with the other's room, which are close. */
static struct {
	size_t heap, room, limit;
} seen;

size_t pressure_heap = PRESSURE_WATCHED;

void pressure_call(void (*fn)(const struct slabmalloc_pressure *, void *), void *arg)
{
	WRITE_ONCE(pressure.fn, NULL);
	__atomic_store_n(&pressure.arg, arg, __ATOMIC_RELEASE);
	__atomic_store_n(&pressure.fn, fn, __ATOMIC_RELEASE);
}

/* One thread at a time, and never inside itself. */
static void tell(enum pressure_source source, enum slabmalloc_pressure_level level)
{
	void (*fn)(const struct slabmalloc_pressure *, void *) =
		__atomic_load_n(&pressure.fn, __ATOMIC_ACQUIRE);
	void *arg = __atomic_load_n(&pressure.arg, __ATOMIC_ACQUIRE);
	struct slabmalloc_pressure p = { level, pressure_names[source], vmscan_returnable() };
	u32 nobody = 0;

	/* An argument goes with the function that was there before it and after. */
	if (!fn || READ_ONCE(pressure.fn) != fn ||
	    !__atomic_compare_exchange_n(&pressure.inside, &nobody, lock_id(), false,
					 __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return;
	fn(&p, arg);
	__atomic_store_n(&pressure.inside, 0, __ATOMIC_RELEASE);
}

/* From one event to the next of the same time of need, more. */
static int next_priority(enum slabmalloc_pressure_level level, u64 now)
{
	int priority = now - READ_ONCE(pressure.event_ms) < CALM_MS ? READ_ONCE(pressure.priority)
								    : DEF_PRIORITY;

	WRITE_ONCE(pressure.event_ms, now);
	if (level == SLABMALLOC_PRESSURE_CRITICAL)
		priority = min(priority, 2);
	WRITE_ONCE(pressure.priority, max(priority - 2, 0));
	return priority;
}

/* What the heap itself has; the answer began at this time. */
static size_t give_back(enum pressure_source source, enum slabmalloc_pressure_level level,
			u64 begin)
{
	struct pressure_stat *stat = &pressure_stats[source];
	size_t bytes;
	u64 ns;

	lock(&vmscan_lock, RANK_VMSCAN);
	switch (level) {
	case SLABMALLOC_PRESSURE_LOW:
		bytes = vmscan(vmscan_returnable() / SHARE, DEF_PRIORITY);
		break;
	case SLABMALLOC_PRESSURE_MEDIUM:
		bytes = vmscan(SIZE_MAX, 2);
		break;
	default:
		bytes = vmscan(SIZE_MAX, 0);
	}
	unlock(&vmscan_lock, RANK_VMSCAN);
	ns = os_now_ns() - begin;
	counter_add(stat->answers, 1);
	counter_add(stat->bytes, bytes);
	counter_add(stat->ns, ns);
	if (ns > READ_ONCE(stat->longest_ns))
		WRITE_ONCE(stat->longest_ns, ns);
	return bytes;
}

size_t pressure_answer(enum pressure_source source, enum slabmalloc_pressure_level level)
{
	u64 begin = os_now_ns();
	unsigned long objects;

	tell(source, level);
	objects = shrink_all(next_priority(level, os_now_ms()), GFP_KERNEL);
	return objects + give_back(source, level, begin);
}

/*
 * The answers' pace: not for failures, which wait for theirs. What is more urgent than the last waits no longer than it must, and
 * a heap that grows into the last room gives back what it has meanwhile; the program's functions are asked in their time. A
 * thread whose tick it is may answer while kshrinkd begins to: then there are two.
 */
static void answer(enum pressure_source source, enum slabmalloc_pressure_level level, bool grown)
{
	u32 pause_ms =
		level > READ_ONCE(pressure.level) ? (u32)ANSWER_MS : READ_ONCE(pressure.pause_ms);
	u64 now = os_now_ms();

	counter_add(pressure_stats[source].events, 1);
	if (now - READ_ONCE(pressure.answer_ms) < pause_ms) {
		if (grown && vmscan_returnable() >= LEAST)
			give_back(source, level, os_now_ns());
		return;
	}
	WRITE_ONCE(pressure.answer_ms, now);
	WRITE_ONCE(pressure.level, level);
	pause_ms = pressure_answer(source, level) >= LEAST ? (u32)ANSWER_MS
							   : min(2 * pause_ms, (u32)SLOWEST_MS);
	WRITE_ONCE(pressure.pause_ms, pause_ms);
}

static size_t beyond(size_t a, size_t b)
{
	return a - min(a, b);
}

/* What was granted since the last look and has not been touched yet will be: it is no room any more. */
static struct os_room look_at_room(void)
{
	struct os_room room = os_memory_room_nearest();
	size_t heap = reclaim_held(), grown = beyond(heap, READ_ONCE(seen.heap));
	size_t touched = beyond(READ_ONCE(seen.room), room.bytes), left;

	if (room.limit != READ_ONCE(seen.limit))
		grown = 0;
	left = beyond(room.bytes, beyond(grown, touched));
	WRITE_ONCE(seen.heap, heap);
	WRITE_ONCE(seen.room, room.bytes);
	WRITE_ONCE(seen.limit, room.limit);
	WRITE_ONCE(pressure_heap,
		   room.limit == SIZE_MAX ? SIZE_MAX : heap + max(left / 2, (size_t)LEAST));
	return (struct os_room){ left, room.limit };
}

static void check_room(bool grown)
{
	struct os_room room = look_at_room();

	if (room.bytes >= room.limit / 8)
		return;
	answer(CGROUP_ROOM,
	       room.bytes < room.limit / 32 ? SLABMALLOC_PRESSURE_CRITICAL
					    : SLABMALLOC_PRESSURE_MEDIUM,
	       grown);
	look_at_room();
}

/* In eighths of the last eighth: the nearer, the more. */
static void check_soft_limit(void)
{
	size_t soft = options.soft_limit, heap = reclaim_held();

	if (!soft || heap < soft - soft / 8)
		return;
	answer(SOFT_LIMIT,
	       heap >= soft               ? SLABMALLOC_PRESSURE_CRITICAL
	       : heap >= soft - soft / 16 ? SLABMALLOC_PRESSURE_MEDIUM
					  : SLABMALLOC_PRESSURE_LOW,
	       false);
}

void pressure_check(u32 events)
{
	for (u32 i = 0; i < NR_OS_PRESSURES; i++)
		if (events & 1u << i)
			answer((enum pressure_source)i, SLABMALLOC_PRESSURE_MEDIUM, false);
	check_room(false);
	check_soft_limit();
}

void pressure_tick(u64 now_ms)
{
	u64 next = READ_ONCE(pressure.tick_ms);

	if (now_ms < next ||
	    !__atomic_compare_exchange_n(&pressure.tick_ms, &next, now_ms + ANSWER_MS, false,
					 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return;
	pressure_check(os_pressure_look());
}

noinline void pressure_look_at_room(void)
{
	check_room(true);
}

void pressure_after_fork(void)
{
	if (pressure.inside != lock_id())
		pressure.inside = 0;
}

void pressure_failed(void)
{
	counter_add(pressure_stats[FAILURE].events, 1);
}

bool pressure_has_listeners(void)
{
	return READ_ONCE(pressure.fn) || shrinkers_exist();
}
