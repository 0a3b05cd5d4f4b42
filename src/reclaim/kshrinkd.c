// SPDX-License-Identifier: MIT
#include "reclaim/kshrinkd.h"

#include "base/options.h"
#include "os/pressure.h"
#include "os/thread.h"
#include "reclaim/pressure.h"
#include "reclaim/reclaim.h"
#include "reclaim/vmscan.h"
#include "sheaf/sheaf.h"

enum {
	WORTH = 8 << 20, /* a smaller heap is not watched */
	STACK = 256 << 10, /* the program's shrinkers run on it */
	ACTIVE_MS = 100,
	UNPOKED_MS =
		1000, /* where nobody can wake it, or the program may give more than the heap */
	ALONE_MS = 20, /* so long it looks whether the thread that ends is gone */
};

enum state { OFF, RUNNING, LEAVING };

static struct {
	u32 state;
	u32 event; /* futex: somebody wants something */
	u32 tid;
	bool watching; /* descriptors are open */
	bool asleep; /* until poked */
	bool stop, look_around;
	bool refused; /* no thread can be made */
	u32 (*errand)(u64 now_ms);
	u32 errand_ms; /* until it wants to be called; 0: never */
} kshrinkd;

unsigned long kshrinkd_wakeups;

bool kshrinkd_runs(void)
{
	return READ_ONCE(kshrinkd.state) != OFF;
}

static bool move(enum state from, enum state to)
{
	u32 expected = from;

	return __atomic_compare_exchange_n(&kshrinkd.state, &expected, to, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED);
}

static void wake(void)
{
	__atomic_add_fetch(&kshrinkd.event, 1, __ATOMIC_RELEASE);
	os_futex_wake_all(&kshrinkd.event);
	if (READ_ONCE(kshrinkd.watching))
		os_pressure_poke();
}

void kshrinkd_poke(void)
{
	if (likely(!READ_ONCE(kshrinkd.asleep)) ||
	    !__atomic_exchange_n(&kshrinkd.asleep, false, __ATOMIC_RELAXED))
		return;
	wake();
}

static bool heap_is_small(void)
{
	return reclaim_held() < WORTH;
}

/* ms: -1 is without end. */
static int not_beyond_errand(int ms)
{
	u32 errand_ms = min(kshrinkd.errand_ms, (u32)INT32_MAX);

	return errand_ms ? (int)min((u32)ms, errand_ms) : ms;
}

/* Until the heap is worth it, or somebody calls. */
static void sleep_small(void)
{
	u32 event = __atomic_load_n(&kshrinkd.event, __ATOMIC_ACQUIRE);

	WRITE_ONCE(kshrinkd.asleep, true);
	if (heap_is_small() && !READ_ONCE(kshrinkd.stop) && !READ_ONCE(kshrinkd.look_around))
		os_futex_wait_ms(&kshrinkd.event, event,
				 kshrinkd.errand_ms ? kshrinkd.errand_ms : UINT32_MAX);
	WRITE_ONCE(kshrinkd.asleep, false);
}

static void sleep_watching(bool quiet)
{
	bool forever;
	u32 events;

	if (!kshrinkd.watching) {
		os_pressure_open();
		WRITE_ONCE(kshrinkd.watching, true);
	}
	WRITE_ONCE(kshrinkd.asleep, quiet);
	if (READ_ONCE(kshrinkd.stop) || READ_ONCE(kshrinkd.look_around))
		quiet = false;
	forever = os_pressure_pokable() && !pressure_has_listeners();
	events = os_pressure_wait(not_beyond_errand(!quiet    ? (int)ACTIVE_MS
						    : forever ? -1
							      : (int)UNPOKED_MS));
	WRITE_ONCE(kshrinkd.asleep, false);
	pressure_check(events);
}

/* The thread that ends is still there when it says so. */
static bool alone(void)
{
	u32 nothing = 0;

	for (int i = 0; i < ALONE_MS; i++) {
		if (os_thread_count() == 2)
			return true;
		os_futex_wait_ms(&nothing, 0, 1);
	}
	return false;
}

/* LEAVING is said before it looks who is there: whoever makes a thread later finds it leaving, and calls it back. */
static bool leaves(void)
{
	bool asked = __atomic_exchange_n(&kshrinkd.look_around, false, __ATOMIC_RELAXED);

	if (!asked && !READ_ONCE(kshrinkd.stop))
		return false;
	move(RUNNING, LEAVING);
	if (!READ_ONCE(kshrinkd.stop) && !alone()) {
		move(LEAVING, RUNNING);
		return false;
	}
	if (kshrinkd.watching)
		os_pressure_close();
	WRITE_ONCE(kshrinkd.watching, false);
	return move(LEAVING, OFF);
}

static void do_errand(void)
{
	u32 (*fn)(u64) = READ_ONCE(kshrinkd.errand);

	if (fn)
		kshrinkd.errand_ms = max(fn(os_now_ms()), 1u);
}

void kshrinkd_errand(u32 (*fn)(u64 now_ms))
{
	WRITE_ONCE(kshrinkd.errand, fn);
	if (kshrinkd_runs())
		wake();
}

/* What it let wait, nobody will come for. */
static void look_last(void)
{
	lock(&vmscan_lock, RANK_VMSCAN);
	reclaim_leave(os_now_ms());
	unlock(&vmscan_lock, RANK_VMSCAN);
}

static void *run(void *arg)
{
	bool quiet = false, was_large;

	WRITE_ONCE(kshrinkd.tid, os_thread_id());
	os_thread_name("kshrinkd");
	do_errand();
	for (;;) {
		was_large = kshrinkd.watching;
		if (leaves()) {
			if (was_large)
				look_last();
			break;
		}
		/* One that was large has something to give back yet. */
		if (heap_is_small() && (quiet || !kshrinkd.watching))
			sleep_small();
		else
			sleep_watching(quiet);
		kshrinkd_wakeups++;
		lock(&vmscan_lock, RANK_VMSCAN);
		quiet = reclaim_age(os_now_ms());
		unlock(&vmscan_lock, RANK_VMSCAN);
		do_errand();
	}
	/* What the program's shrinkers allocated here goes with the thread. */
	return arg;
}

void kshrinkd_start(thread_create_fn create)
{
	if (__atomic_load_n(&kshrinkd.state, __ATOMIC_SEQ_CST) == RUNNING ||
	    options.kshrinkd == KSHRINKD_OFF || READ_ONCE(kshrinkd.refused) ||
	    move(LEAVING, RUNNING) || !move(OFF, RUNNING))
		return;
	kshrinkd.stop = kshrinkd.look_around = false;
	if (os_thread_create(create, run, STACK))
		return;
	WRITE_ONCE(kshrinkd.refused, true);
	move(RUNNING, OFF);
}

void kshrinkd_stop(void)
{
	u32 nothing = 0, tid = READ_ONCE(kshrinkd.tid);

	if (!kshrinkd_runs() || tid == os_thread_id())
		return;
	WRITE_ONCE(kshrinkd.stop, true);
	wake();
	while (os_thread_exists(tid))
		os_futex_wait_ms(&nothing, 0, 1);
}

void kshrinkd_thread_ends(void)
{
	if (!kshrinkd_runs() || READ_ONCE(nr_threads) > 2)
		return;
	WRITE_ONCE(kshrinkd.look_around, true);
	wake();
}

void kshrinkd_after_fork(void)
{
	if (kshrinkd.watching)
		os_pressure_close();
	vmscan_lock.word = 0; /* nobody who held it came along */
	kshrinkd.state = OFF;
	kshrinkd.tid = 0;
	kshrinkd.watching = kshrinkd.asleep = kshrinkd.stop = kshrinkd.look_around = false;
}
