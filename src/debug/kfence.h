/* SPDX-License-Identifier: MIT */
/*
 * kfence.h - the kernel's electric fence: a few of the program's objects between pages that fault.
 *
 * Every sample_interval milliseconds one allocation gets a page of its own from the pool instead of an object of a
 * slab. The pages beside it cannot be touched, nor can its own after it was freed, until the pool needs it again, the
 * longest freed first. What is left of its page is filled with canary bytes, which free() and exit() compare. So an
 * overflow or a use after free faults at once, in production, for next to nothing; a bug that happens often is found soon.
 *
 *	page	0	1	2	3	4	...	2 n
 *		guard	#0	guard	#1	guard		guard
 *
 * Behind these n = num_objects lie num_large with 4 MiB each, and a guard page after each. What an object does not need
 * of them stays closed. It costs as much memory as the object, once it is freed none.
 *
 * An object lies at the left or the right end of its page, by chance: its alignment leaves up to 15 bytes between a
 * right one and the guard.
 *
 * States of an object. Whoever changes the first arrow owns it until the next.
 *
 *	UNUSED, FREED -> ALLOCATED	kfence_alloc, who took it from the queue
 *	ALLOCATED -> FREEING -> FREED	kfence_free, who puts it into the queue
 *	ALLOCATED -> CHECKING -> ALLOCATED	kfence_exit; kfence_free waits for it
 *
 * Lock: kfence_lock (RANK_KFENCE, the innermost) guards the queue and the random numbers. The fault handler takes none.
 *
 * When is a sample taken? Only slow paths look at the clock, that is, where a thread's sheaf of a class ran empty. So a
 * class is sampled in proportion to its misses: by how much the number of its live objects swings, sheaves being small. Which
 * call site meets the empty sheaf is as good as chance, since the point at which one empties depends on all calls
 * before. What a program allocates and frees in turns without such swings stays within its sheaves, and is sampled only
 * after they were taken away (an idle class, a new thread).
 *
 * Off (option kfence not set): one flag is read on slow paths; nothing is mapped or touched.
 */
#pragma once

#include "base/bug.h"
#include "base/lock.h"
#include "base/printk.h"
#include "debug/slub_debug.h"
#include "os/thread.h"
#include "slab/slab.h"

enum { KFENCE_LARGE_MAX = 4 << 20 };

struct kfence_gate {
	uintptr_t pool; /* address of the pool ... */
	size_t size; /* ... and its bytes; 0: off */
	u64 next_ms; /* when the next sample is due */
	u32 burst; /* samples that may follow the last one at once */
};

extern struct kfence_gate kfence_gate;
extern struct lock kfence_lock;

static inline bool is_kfence_address(const void *p)
{
	return unlikely((uintptr_t)p - kfence_gate.pool < READ_ONCE(kfence_gate.size));
}

/* Is a sample due? Then the caller tries kfence_alloc. */
static inline bool kfence_wanted(void)
{
	return unlikely(READ_ONCE(kfence_gate.size)) &&
	       (READ_ONCE(kfence_gate.burst) || os_now_ms() >= READ_ONCE(kfence_gate.next_ms));
}

/*
 * size bytes of cache s, guarded, at a multiple of 16 (of s->align in a typed cache), zeroed if gfp or the cache says so; NULL: not this
 * time, take an object of the cache. Makes system calls: not for atomic requests, which get NULL.
 */
void *kfence_alloc(const struct kmem_cache *s, size_t size, gfp_t gfp, const void *caller);

/* p is_kfence_address. What is no object in use is reported, as are canary bytes that have changed. */
void kfence_free(void *p, const struct call *call, const void *caller);

/*
 * As debug_set_origin and debug_check_origin (slub_debug.h), of objects of caches with tracks. Elsewhere nothing is
 * kept, and every origin is right.
 */
void kfence_set_origin(void *p, enum origin origin);
bool kfence_check_origin(const struct call *call, enum origin origin, const void *caller);

/* At exit, where it is on: looks around every object in use, as kfence_free does. */
void kfence_exit(void);

/* Bytes that were asked for; 0: no object in use starts at p (kfence_report_bad tells). */
size_t kfence_ksize(const void *p);

/* The report of a function that was called with no object in use. */
void kfence_report_bad(const struct call *call, const void *caller);

/* Objects of the cache that are in use, beside those that its slabs know of. */
u32 kfence_objects(const struct kmem_cache *s);

/* Reads option kfence, and starts. Again: nothing. */
void kfence_init(void);

/* For the dump (stat/fields.c says what they are). False: it is off. */
struct kfence_counts {
	unsigned long allocated, allocations, frees, bugs;
	unsigned long skipped_unfit, skipped_full, skipped_covered;
};

bool kfence_counts(struct kfence_counts *counts);
