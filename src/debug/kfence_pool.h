/* SPDX-License-Identifier: MIT */
/*
 * kfence_pool.h - what the files of KFENCE share: settings, objects, errors.
 */
#pragma once

#include "debug/kfence.h"
#include "debug/stack.h"

struct kfence_settings {
	size_t sample_interval; /* milliseconds between samples */
	size_t num_objects; /* in the pool: twice as many pages of address space */
	size_t num_large; /* more of them, for what is larger than a page, up to KFENCE_LARGE_MAX */
	size_t burst; /* samples that follow one at once */
	size_t skip_covered_thresh; /* per cent of the pool in use above which stacks in it are not sampled again */
	size_t handler; /* 1: SIGSEGV is handled */
};

/* "1" (the defaults), "all" or "key:value,...", into settings; false: "0", off. Warns of what it does not know. */
bool kfence_parse(const char *text, struct kfence_settings *settings);

enum kfence_state {
	KFENCE_UNUSED,
	KFENCE_ALLOCATED,
	KFENCE_FREEING,
	KFENCE_FREED,
	KFENCE_CHECKING
};

struct kfence_track {
	u64 ns;
	u32 thread, cpu;
	struct stack stack;
};

struct kfence_metadata {
	u32 state; /* enum kfence_state */
	u32 hash; /* of the stack that allocated it */
	uintptr_t address, size; /* 0: never used */
	enum origin origin; /* NR_ORIGINS: nobody asks */
	uintptr_t unprotected; /* a page that an error opened */
	u16 cache;
	char name[CACHE_NAME_MAX]; /* of the cache, which may be gone */
	struct kfence_track alloc, free;
};

/* Objects that have so many pages each. */
struct kfence_room {
	size_t pages;
	u32 first, nr; /* their numbers */
	uintptr_t start; /* of the guard page before the first */
	u32 *queue; /* numbers of free objects, a ring */
	u32 head, queued;
};

enum { KFENCE_PAGE, KFENCE_LARGE, NR_KFENCE_ROOMS };

struct kfence_pool {
	struct kfence_settings set;
	struct kfence_metadata *object; /* those of a page first */
	struct kfence_room room[NR_KFENCE_ROOMS];
	u32 queued; /* in both rooms */
	u64 random;
	u16 *covered; /* how many objects in use have a stack of this hash */
	unsigned long allocations, frees, bugs, skipped_other, skipped_full, skipped_covered;
};

extern struct kfence_pool kfence;

static inline size_t kfence_total(void)
{
	return kfence.set.num_objects + kfence.set.num_large;
}

enum kfence_error {
	KFENCE_OUT_OF_BOUNDS,
	KFENCE_USE_AFTER_FREE,
	KFENCE_CORRUPTION,
	KFENCE_INVALID, /* a guard page that no object lies beside */
	KFENCE_INVALID_FREE,
	KFENCE_MISMATCH, /* another function's block */
};

static inline u32 kfence_number(const struct kfence_metadata *m)
{
	return (u32)(m - kfence.object);
}

/* Each byte of an object's page that is not the object's. */
static inline u8 kfence_canary(uintptr_t address)
{
	return (u8)(0xaa ^ (address & 7));
}

struct kfence_report {
	enum kfence_error error;
	uintptr_t address;
	const struct kfence_metadata *object; /* NULL: none */
	const char *
		access; /* "read", "write", "access", or what was called; all that is said of a mismatch */
	const void *pc; /* where the walk of the stack begins */
};

/* Writes the report on stderr; then abort(), unless option abort:0. */
void kfence_report(const struct kfence_report *r);
