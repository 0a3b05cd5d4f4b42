// SPDX-License-Identifier: MIT
/*
 * fork.c - before: every lock, in the order of lock.h, so that the child's copy is in order. After: the parent
 * releases them; the child too, and takes what the threads held that did not come along.
 *
 * A single-threaded process takes none: nobody else can hold one, and if a signal handler forks in the middle
 * of malloc, both processes return into it and go on. With threads the interrupted thread's own locks are left to
 * it, and the others are not waited for without end (lock_for_fork); the child takes over the threads' sheaves later,
 * when it holds no lock.
 */
#include "debug/kfence.h"
#include "debug/profile.h"
#include "init/boot.h"
#include "os/thread.h"
#include "page/highmem.h"
#include "page/huge.h"
#include "page/memblock.h"
#include "page/section.h"
#include "page/vmalloc.h"
#include "pool/mempool.h"
#include "reclaim/kshrinkd.h"
#include "reclaim/pressure.h"
#include "reclaim/reclaim.h"
#include "reclaim/shrinker.h"
#include "sheaf/barn.h"
#include "slab/kmem_cache.h"
#include "stat/stat.h"

static bool alone;

static void for_each_lock(void (*fn)(struct lock *, void *), void *arg)
{
	struct zone *z;

	fn(&threads_lock, arg);
	fn(&caches_lock, arg);
	fn(&shrinker_lock, arg);
	fn(&mempool_lock, arg);
	fn(&reclaim_lock, arg);
	fn(&slots_lock, arg);
	fn(&numa_lock, arg);
	for_each_node(nid)
		for_each_cache(id)
			fn(&barn_of(id, nid)->lock, arg);
	for_each_node(nid)
		for_each_cache(id)
			fn(&cache_node(id, nid)->lock, arg);
	fn(&vm.lock, arg);
	for_each_zone(z)
		fn(&z->lock, arg);
	fn(&highmem_zone.lock, arg);
	fn(&highmem_lock, arg);
	fn(&section_lock, arg);
	fn(&memblock_lock, arg);
	fn(&kfence_lock, arg);
	fn(&profile_lock, arg);
}

static void look(struct lock *l, void *interrupted)
{
	*(bool *)interrupted |= lock_is_mine(l);
}

static void take(struct lock *l, void *interrupted)
{
	lock_for_fork(l, !*(bool *)interrupted);
}

void fork_prepare(void)
{
	bool interrupted = false;

	alone = os_single_threaded();
	if (alone)
		return;
	for_each_lock(look, &interrupted);
	for_each_lock(take, &interrupted);
}

static void leave_parent(struct lock *l, void *arg)
{
	(void)arg;
	unlock_in_parent(l);
}

static void leave_child(struct lock *l, void *interrupted)
{
	*(bool *)interrupted |= l->fork_kept;
	unlock_in_child(l);
}

void fork_parent(void)
{
	if (!alone)
		for_each_lock(leave_parent, NULL);
}

void fork_child(void)
{
	bool interrupted = false;

	highmem_after_fork();
	huge_after_fork();
	stat_after_fork();
	if (alone)
		return;
	for_each_lock(leave_child, &interrupted);
	sheaf_after_fork();
	kshrinkd_after_fork();
	pool_after_fork();
	pressure_after_fork();
	shrinker_after_fork();
	if (!interrupted)
		sheaf_adopt();
}
