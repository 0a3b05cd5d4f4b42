/* SPDX-License-Identifier: MIT */
/*
 * pressure.h - being told when memory is short.
 */
#ifndef SLABMALLOC_PRESSURE_H
#define SLABMALLOC_PRESSURE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * enum slabmalloc_pressure_level - how short
 * @SLABMALLOC_PRESSURE_LOW: a limit comes nearer
 * @SLABMALLOC_PRESSURE_MEDIUM: processes wait for memory
 * @SLABMALLOC_PRESSURE_CRITICAL: an allocation failed, or the kernel is about to kill
 */
enum slabmalloc_pressure_level {
	SLABMALLOC_PRESSURE_LOW,
	SLABMALLOC_PRESSURE_MEDIUM,
	SLABMALLOC_PRESSURE_CRITICAL
};

/**
 * struct slabmalloc_pressure - what the callback is told
 * @level: how short memory is
 * @source: who says so: "psi", "psi_cgroup", "cgroup_level", "mem_available", "cgroup_room", "soft_limit", "failure"
 * @returnable: bytes that the heap itself is about to give back, about
 */
struct slabmalloc_pressure {
	enum slabmalloc_pressure_level level;
	const char *source;
	size_t returnable;
};

/**
 * slabmalloc_on_pressure() - call a function when memory is short
 * @fn: the function, or NULL for none; it replaces the one before
 * @arg: handed on to @fn
 *
 * The heap gives back what it keeps by itself; the function is for what only the program knows: caches, buffers,
 * requests that can wait. (For a cache with countable entries a shrinker is better, see slabmalloc/shrinker.h.)
 * It is called before the heap's own shrinkers, at most every 100 ms, but for failed allocations.
 *
 * Context: @fn runs in kshrinkd, or in any thread that is just allocating, with no lock of the library held. It may
 * allocate and free. It must not wait for a lock that a thread may hold while it allocates: use trylock. It is not called
 * again inside itself.
 */
void slabmalloc_on_pressure(void (*fn)(const struct slabmalloc_pressure *p, void *arg), void *arg);

#ifdef __cplusplus
}
#endif

#endif
