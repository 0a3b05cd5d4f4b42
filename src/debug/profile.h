/* SPDX-License-Identifier: MIT */
/*
 * profile.h - heap profiles: who allocated what is in use, and all that was ever allocated, by sampling.
 *
 * On average one sample is taken every `interval` bytes allocated. The sample points are a Poisson process over the bytes
 * that are handed out: each allocation of s bytes is a sample with the probability 1 - exp(-s / interval), whoever makes it,
 * and stands for 1 / (1 - exp(-s / interval)) of its kind. The sums are therefore right on average, for any pattern of
 * calls. (s is the size of the class for what malloc takes from one, since that is known before the call.)
 *
 * malloc's classes are counted without an instruction more on the fast paths: see sheaf/counted.c. A thread reserves
 * the bytes of a run of objects before it hands them out. Where a sample point falls into them, the run ends before that
 * object, and the miss that follows is the sample. A sampled object comes from a cache of its class that has
 * nothing else in it and is behind the gate (slab/slab.h), so the free of one, and of nothing else, comes here.
 * Large blocks, caches by name, and what is debugged or hardened are counted one by one on their slow paths; while
 * profiling is on, caches by name are behind the gate too, and their frees are looked up.
 *
 * A sample is kept with its call stack until it is freed; call stacks (sites) are kept for ever, each once. A realloc
 * that moves a block, or any of a large one, counts as a free and an allocation.
 *
 * Lock: profile_lock (RANK_PROFILE, innermost) guards the tables. Sites and frames are only added, and complete before they are
 * linked, so that writers of profiles take no lock: allocation goes on meanwhile, and a profile of a running program
 * has each site as it was when its turn came.
 *
 * Off: nothing is mapped or touched.
 */
#pragma once

#include "base/lock.h"
#include "base/printk.h"
#include "sheaf/sheaf.h"

extern size_t profile_interval; /* bytes; 0: off; 1: every allocation */
extern struct lock profile_lock;

static inline bool profile_on(void)
{
	return unlikely(READ_ONCE(profile_interval));
}

/* Once the options are known, and before any cache is made for debugging; again: nothing. */
void profile_init(void);

/* After it: the classes that nobody else diverted are counted. */
void profile_divert(void);

/* At normal exit: the profile, the leaks. */
void profile_exit(void);

/*
 * Objects of a kmalloc class that may be handed out before the next sample, up to a run; 0: the next one is it. They are
 * counted as handed out: what is not goes back by counted_return.
 */
u32 profile_reserve(struct kmem_percpu *c, u32 id);

/* The cache of a class's sampled objects; NULL: it cannot be made. */
struct kmem_cache *profile_cache(u32 id);

/* n bytes were allocated at p, a sample: one of those of size bytes. */
void profile_sample(void *p, size_t n, size_t size, const void *caller);

/* The same, if it is a sample. c: the calling thread's sheaves; NULL: it is none. */
void profile_count(struct kmem_percpu *c, void *p, size_t n, size_t size, const void *caller);

/* Before the block at p is given back. It may be none, and no sample. */
void profile_free(void *p);

/* Can be passed to profile_write. */
enum profile_format {
	PROFILE_PPROF,
	PROFILE_HEAP,
	PROFILE_COLLAPSED,
	PROFILE_COLLAPSED_ALLOC,
	NR_PROFILE_FORMATS
};

/* The format of a name ("pprof", "heap", "collapsed", "collapsed-alloc"), or NR_PROFILE_FORMATS. */
enum profile_format profile_format_of(const char *name);

/* False: some of it could not be written. */
bool profile_write(int fd, enum profile_format format);
