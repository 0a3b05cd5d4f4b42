// SPDX-License-Identifier: MIT
/*
 * fork.c - before: every lock, in the order of lock.h, so that the child's copy is in order. After: the parent
 * releases them; the child too, and takes what the threads held that did not come along.
 *
 * A single-threaded process takes none: nobody else can hold one, and if a signal handler
 * forks in the middle of malloc, both processes return into it and go on. With threads the interrupted
 * thread's own locks are left to it (lock_for_fork).
 */
#include <pthread.h>

#include "init/boot.h"
#include "os/thread.h"
#include "page/memblock.h"
#include "page/section.h"
#include "page/vmalloc.h"
#include "reclaim/reclaim.h"
#include "sheaf/barn.h"

static bool locked;

static void for_each_lock(void (*fn)(struct lock *))
{
	fn(&threads_lock);
	fn(&reclaim_lock);
	for (u32 id = 0; id < NR_CACHES; id++)
		fn(&barns[id].lock);
	for (u32 id = 0; id < NR_CACHES; id++)
		fn(&cache_nodes[id].lock);
	fn(&vm.lock);
	for (u32 nid = 0; nid < MAX_NUMNODES; nid++)
		fn(&zones[nid].lock);
	fn(&section_lock);
	fn(&memblock_lock);
}

static void prepare(void)
{
	if (os_single_threaded())
		return;
	for_each_lock(lock_for_fork);
	locked = true;
}

static void parent(void)
{
	if (!locked)
		return;
	locked = false;
	for_each_lock(unlock_after_fork);
}

static void child(void)
{
	bool had_threads = locked;

	parent();
	if (had_threads)
		sheaf_after_fork();
}

void fork_init(void)
{
	pthread_atfork(prepare, parent, child);
}
