/* SPDX-License-Identifier: MIT */
/*
 * thread.h - threads, processes and time as the system has them (and platform.h's services).
 */
#pragma once

#include <pthread.h>

#include "base/compiler.h"

/* Milliseconds of a clock that only goes forward; coarse, and no system call. */
u64 os_now_ms(void);

/* Nanoseconds of the same clock, not coarse. */
u64 os_now_ns(void);

/* Microseconds of processor time that the process has used. */
u64 os_cpu_us(void);

/* Milliseconds since 1970. */
u64 os_wall_ms(void);

/* Sleep while *word == value, at the most ms milliseconds; may wake for no reason. */
void os_futex_wait_ms(u32 *word, u32 value, u32 ms);

/* Wake all sleepers on word. */
void os_futex_wake_all(u32 *word);

/* The calling thread's number and the processor that it is on, as the system has them. */
u32 os_thread_id(void);
u32 os_cpu(void);

/* That and its node; 0 where it is not known. */
void os_getcpu(unsigned int *cpu, unsigned int *node);

/* A word that nobody can guess, or nearly: where the system has none to give, one that differs. */
u64 os_random(void);

/* Makes a detached thread with all signals blocked but a sandbox's SIGSYS, by a function like pthread_create; false: it cannot. */
bool os_thread_create(int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *),
		      void *(*fn)(void *), size_t stack);

/* What ps shows for the calling thread, up to 15 characters. */
void os_thread_name(const char *name);

/* Threads of this process; 0: nobody knows. */
u32 os_thread_count(void);

/* Is there still a thread of this number in the process? */
bool os_thread_exists(u32 tid);

/* True where only one thread exists for certain. */
bool os_single_threaded(void);

/* What glibc's functions of these names do. */
int os_unshare(int flags);
int os_setns(int fd, int type);

/* A private copy of a descriptor, out of the program's way, or -1. */
int os_dup(int fd);

void os_close(int fd);
