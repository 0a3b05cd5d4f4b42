/* SPDX-License-Identifier: MIT */
/*
 * fence.h - a fence whose clock stands still unless a test moves it: for the tests of debug/kfence*.c, each in a child,
 * since a process starts KFENCE once.
 */
#pragma once

#include "debug/kfence_pool.h"
#include "unit.h"

#define HERE __builtin_return_address(0)

/* Stands in stacks under its own name, and what it calls stands above it. */
#ifdef __clang__
#define SHOWN noinline
#else
#define SHOWN noinline __attribute__((noclone))
#endif
#define AND_BACK __asm__ volatile("")

/* Reads these settings and starts. */
void start(const char *settings);

/* The kmalloc cache of a size. */
const struct kmem_cache *cache(size_t size);

/* The next sample: time passes until it is due. NULL: none is to be had. */
void *sample(size_t size);
void *sample_zeroed(size_t size, gfp_t gfp);

/* One that lies at the wanted end of its page; others go back. */
char *sample_at(bool right, size_t size);

void give(void *p);
