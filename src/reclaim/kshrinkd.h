/* SPDX-License-Identifier: MIT */
/*
 * kshrinkd.h - the thread that gives memory back when nobody calls malloc.
 *
 * It is made when the program makes its first thread (preload/pthread.c), or at start with kshrinkd:on, never inside malloc;
 * and it ends when the program is single-threaded again, since some system calls want that (unshare, setns). Signals
 * are blocked in it. It holds no lock while it waits, and nothing waits for it at exit.
 *
 *	OFF -> RUNNING		kshrinkd_start
 *	RUNNING -> LEAVING	a thread ended, or kshrinkd_stop
 *	LEAVING -> RUNNING	kshrinkd_start, or it finds that there are more threads: it stays
 *	LEAVING -> OFF		its last step but one: what it let wait goes
 *
 *	a thread has been made and kshrinkd_start returned	=> RUNNING, or it will be at its next look
 *
 * While the heap is small it sleeps on a futex and has no descriptor open. From then on, and until the heap is quiet if it
 * shrinks again, it waits for pressure (os/pressure.h): for
 * ACTIVE_MS at a time while there is something to age, and without end when the heap is quiet. Slow paths poke it then.
 */
#pragma once

#include <pthread.h>

#include "base/compiler.h"

typedef int (*thread_create_fn)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

/* Behind each thread that is made: makes kshrinkd with this function, unless it runs or is not wanted. */
void kshrinkd_start(thread_create_fn create);

/* Returns when the thread is gone. */
void kshrinkd_stop(void);

bool kshrinkd_runs(void);

/* On a slow path: something is there to be aged. Cheap unless it is asleep. */
void kshrinkd_poke(void);

/* A thread is about to end: was it the last but one? */
void kshrinkd_thread_ends(void);

/*
 * What it does beside: fn is called each time it wakes up, and returns the milliseconds after which it wants to be
 * called again at the latest. One in a process.
 */
void kshrinkd_errand(u32 (*fn)(u64 now_ms));

/* In the child: there is none. */
void kshrinkd_after_fork(void);

/* Times it woke up, and answered the kernel. */
extern unsigned long kshrinkd_wakeups;
