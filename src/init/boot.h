/* SPDX-License-Identifier: MIT */
/*
 * boot.h - how a process and its threads come to their heap, and how they leave it.
 *
 * There is no initialisation to wait for: zones, caches, lists and locks are ready when they are
 * all zero. What is left happens on the first slow path of a thread, in this order, each step safe to be entered
 * again by the malloc that a later one may call:
 *
 *	1. options, as soon as there is an environment
 *	2. the thread's sheaves; from here on its malloc works
 *	3. once: the fork handlers and the key whose destructor ends a thread
 *	4. the thread's value of that key
 *
 * At normal exit: the exiting thread's sheaves are verified, the statistics written (option stats).
 */
#pragma once

#include "sheaf/sheaf.h"

/* The calling thread's sheaves, made if need be, as by percpu_get; NULL: work without. */
struct kmem_percpu *boot_thread(void);

/* fork.c: the three handlers of pthread_atfork. */
void fork_prepare(void);
void fork_parent(void);
void fork_child(void);

/* thread_exit.c */
bool thread_exit_init(void);
void thread_exit_arm(struct kmem_percpu *c);
