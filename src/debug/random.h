/* SPDX-License-Identifier: MIT */
/*
 * random.h - numbers that differ from process to process; not for keys.
 *
 * splitmix64 over a counter that any thread moves on: no lock, and no state of a thread's.
 */
#pragma once

#include "os/thread.h"

static inline u64 random_mix(u64 x)
{
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

/* Drawn once in each process; children of fork have their parent's. */
u64 random_seed(void);

u64 get_random_u64(void);

static inline u32 get_random_u32_below(u32 n)
{
	return (u32)((get_random_u64() >> 32) * n >> 32);
}
