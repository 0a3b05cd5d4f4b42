// SPDX-License-Identifier: MIT
/*
 * thread_exit.c - the end of a thread.
 *
 * Destructors of other keys may still malloc and free, in any order, and set their keys again: so ours
 * asks to be called again until the last round that POSIX grants. What comes later still works, one by
 * one (sheaf/thread.c). C++'s thread_local destructors run before all of this.
 */
#include <limits.h>
#include <pthread.h>

#include "init/boot.h"
#include "reclaim/kshrinkd.h"

/* In the last round ThreadSanitizer takes leave of the thread, too, and may come first. */
#ifdef __SANITIZE_THREAD__
enum { ROUNDS = PTHREAD_DESTRUCTOR_ITERATIONS - 1 };
#else
enum { ROUNDS = PTHREAD_DESTRUCTOR_ITERATIONS };
#endif

static pthread_key_t key;

static void end_thread(void *arg)
{
	struct kmem_percpu *c = arg;

	if (++c->exit_rounds < ROUNDS) {
		pthread_setspecific(key, c);
	} else {
		sheaf_detach();
		kshrinkd_thread_ends();
	}
}

bool thread_exit_init(void)
{
	return pthread_key_create(&key, end_thread) == 0;
}

/* May call calloc, which finds the thread attached. */
void thread_exit_arm(struct kmem_percpu *c)
{
	pthread_setspecific(key, c);
}
