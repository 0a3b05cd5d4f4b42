/* SPDX-License-Identifier: MIT */
/*
 * profile_tables.h - what the files profile*.c share: sites, frames, and sums.
 */
#pragma once

#include "base/options.h"
#include "debug/profile.h"

enum {
	PROFILE_DEPTH = 64, /* frames of a call stack */
	PROFILE_UNIT = 1024, /* weights are sums of 1 / PROFILE_UNIT */
};

/* Estimates: weights. */
struct profile_sums {
	u64 allocs, alloc_bytes; /* ever */
	u64 frees, freed_bytes;
};

/* A call stack that allocated. */
struct profile_site {
	struct profile_site *next; /* in its bucket */
	struct profile_site *older; /* all of them, from profile_sites on */
	u32 hash;
	u32 nr;
	u64 samples, freed; /* as they were taken, not estimated */
	struct profile_sums sums;
	const void *pc[]; /* return addresses, the innermost first */
};

/* A return address that occurs in one. */
struct profile_frame {
	struct profile_frame *next, *older;
	const void *pc;
};

extern struct profile_site *profile_sites;
extern struct profile_frame *profile_frames;

struct profile_trace {
	u32 nr;
	const void *pc[PROFILE_DEPTH];
};

/* profile_stack.c: from `caller` outwards, or (NULL) from the first frame that is not the library's. */
void profile_trace(struct profile_trace *t, const void *caller);

/* profile_options.c */
struct profile_settings {
	size_t interval; /* 0: off */
	char path[OPTION_PATH_MAX]; /* with %p; empty: nothing is written at exit */
	bool leaks;
};

extern struct profile_settings profile_set;

void profile_parse(const char *text, struct profile_settings *set);

/* profile_exit.c: writes the profile to its path if somebody asked for it from outside. */
void profile_look_for_trigger(void);

/* The sum of a site, in whole objects and bytes. */
static inline u64 profile_whole(u64 weight)
{
	return (weight + PROFILE_UNIT / 2) / PROFILE_UNIT;
}

/* Under the lock of the sample's bucket. Release: who sees it sees the allocations, too. */
static inline void profile_count_freed(struct profile_site *s, u64 weight, size_t n)
{
	__atomic_store_n(&s->freed, s->freed + 1, __ATOMIC_RELEASE);
	__atomic_store_n(&s->sums.frees, s->sums.frees + weight, __ATOMIC_RELEASE);
	__atomic_store_n(&s->sums.freed_bytes, s->sums.freed_bytes + weight * n, __ATOMIC_RELEASE);
}

/* What was freed was allocated before: read in this order the difference is never less than nothing. */
static inline u64 profile_less(const u64 *allocated, const u64 *freed)
{
	u64 less = __atomic_load_n(freed, __ATOMIC_ACQUIRE);

	return READ_ONCE(*allocated) - less;
}

static inline u64 profile_live(const struct profile_site *s)
{
	return profile_whole(profile_less(&s->sums.allocs, &s->sums.frees));
}

static inline u64 profile_live_bytes(const struct profile_site *s)
{
	return profile_whole(profile_less(&s->sums.alloc_bytes, &s->sums.freed_bytes));
}

#define for_each_profile_site(s) \
	for (s = __atomic_load_n(&profile_sites, __ATOMIC_ACQUIRE); s; s = s->older)

#define for_each_profile_frame(f) \
	for (f = __atomic_load_n(&profile_frames, __ATOMIC_ACQUIRE); f; f = f->older)
