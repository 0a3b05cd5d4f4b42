// SPDX-License-Identifier: MIT
/*
 * asleep.c - what the sheaves of sleeping threads hold goes back, and they need not wake up for it.
 *
 * A thread's fast paths use its sheaves with plain loads and stores, so nobody else may touch them unless it is
 * certain that the thread is in none of them and begins none. For a thread T on the list, under threads_lock:
 *
 *	W	T's this_thread is made to point to percpu_none[ELSEWHERE], whose slots all miss.
 *	O	the kernel says that T is blocked in a system call (os_task_asleep).
 *	I	T is in no slow path: inside == 0.
 *	F	no handler of a signal that interrupted T in this library's text is running (os_task_interrupted_in).
 *	N	this_thread is as W left it: on several nodes a slow path that began before W may have set near since (numa_look).
 *	O, S	T is blocked still, and has not gone to sleep again since before the first O (os_task_naps).
 *
 * Then T's sheaves are emptied, T's this_thread is put back, and the lock released. That is safe:
 *
 *	T did nothing between the two O (S), both after W. What it did before is visible here, since it was switched
 *	out in between, and it left none of our functions half done: one that was interrupted by a signal is found by F, and one that
 *	made the system call itself raised inside before (I): fast paths make none. What T does afterwards begins after W: a
 *	fast path loads this_thread, finds ELSEWHERE and misses, and the slow path waits for threads_lock (percpu_get). The exchange of
 *	main sheaf and spare (sheaf_swap_alloc, sheaf_swap_free) is such a fast path: ELSEWHERE has no spare.
 *
 * A child of vfork runs on its parent's this_thread while that sleeps, so a parent in vfork or clone is not asleep. A
 * thread whose end no destructor of ours saw is not there when the kernel is asked, and its this_thread is not written to.
 *
 * tests/model/ has the protocol for spin, with each condition left out in turn. Where the kernel does not tell (no
 * /proc, a sandbox), sheaves stay where they are.
 */
#include "os/task.h"
#include "os/thread.h"
#include "sheaf/sheaf.h"

/* All of the library's text, or of the program's that it is linked into. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char etext[] __attribute__((visibility("hidden")));

enum {
	WORTH = 16 << 10, /* less is left to a thread */
	VISITS = 8, /* threads under one acquisition of the lock */
};

/* About: its thread may be changing it. */
static size_t held(struct kmem_percpu *c)
{
	size_t sum = 0;

	for_each_cache(id)
		sum += percpu_objects(c, id) * cache_of(id)->size;
	return sum + ((size_t)pcp_frames(&c->pcp) << FRAME_SHIFT);
}

static bool in_none_of_ours(const struct kmem_percpu *c)
{
	size_t naps = os_task_naps(c->tid);
	uintptr_t sp;

	return os_task_asleep(c->tid, &sp) && !__atomic_load_n(&c->inside, __ATOMIC_ACQUIRE) &&
	       !READ_ONCE(c->busy) && !os_task_interrupted_in(sp, c->home, __ehdr_start, etext) &&
	       READ_ONCE(c->home->near) == near_panel(&percpu_none[ELSEWHERE]) &&
	       os_task_asleep(c->tid, &sp) && os_task_naps(c->tid) == naps && naps != SIZE_MAX;
}

/* Under threads_lock. */
static size_t visit(struct kmem_percpu *c)
{
	size_t bytes = held(c);
	uintptr_t sp;

	if (bytes < WORTH || READ_ONCE(c->inside) || !os_task_asleep(c->tid, &sp))
		return 0;
	point_to(c->home, &percpu_none[ELSEWHERE]);
	if (in_none_of_ours(c))
		sheaf_empty(c);
	else
		bytes = 0;
	point_to(c->home, c);
	return bytes;
}

static bool is_due(const struct kmem_percpu *c, u32 epoch, u32 idle_ms)
{
	return c->epoch != epoch && c->home && c->home->cpu == c && c != this_cpu &&
	       os_now_ms() - READ_ONCE(c->aged_ms) >= idle_ms;
}

static u32 new_epoch(void)
{
	static u32 epochs;

	return __atomic_add_fetch(&epochs, 1, __ATOMIC_RELAXED);
}

/* Under one acquisition of the lock. True: there may be more. */
static bool visit_some(u32 epoch, u32 idle_ms, size_t *bytes)
{
	struct kmem_percpu *c;
	u32 visits = 0;

	lock(&threads_lock, RANK_THREADS);
	for_each_percpu(c) {
		if (!is_due(c, epoch, idle_ms))
			continue;
		c->epoch = epoch;
		*bytes += visit(c);
		if (++visits == VISITS)
			break;
	}
	unlock(&threads_lock, RANK_THREADS);
	return visits == VISITS;
}

size_t sheaf_empty_asleep(u32 idle_ms)
{
	u32 epoch = new_epoch();
	size_t bytes = 0;

	while (visit_some(epoch, idle_ms, &bytes))
		;
	return bytes;
}

bool sheaf_empty_some_asleep(u32 idle_ms, u64 budget_ns)
{
	static u32 epoch;
	u64 began = os_now_ns();
	size_t bytes = 0;

	if (!epoch)
		epoch = new_epoch();
	while (visit_some(epoch, idle_ms, &bytes))
		if (os_now_ns() - began >= budget_ns)
			return false;
	epoch = 0;
	return true;
}
