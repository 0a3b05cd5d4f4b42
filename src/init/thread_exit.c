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

static pthread_key_t key;

static void end_thread(void *arg)
{
	struct kmem_percpu *c = arg;

	if (++c->exit_rounds < PTHREAD_DESTRUCTOR_ITERATIONS)
		pthread_setspecific(key, c);
	else
		sheaf_detach();
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
