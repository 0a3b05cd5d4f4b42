/* SPDX-License-Identifier: MIT */
/*
 * options.h - what a user can set, in one table.
 *
 * SLABMALLOC_CONF=key:value,key:value sets any of them, SLABMALLOC_<KEY>=value one; a single variable
 * wins. Read once, in one walk over the environment, and never in a setuid program.
 */
#pragma once

#include "base/compiler.h"

enum thp_policy { THP_NEVER, THP_AUTO, THP_ALWAYS };

/* Auto: with the program's first thread. */
enum kshrinkd_policy { KSHRINKD_OFF, KSHRINKD_AUTO, KSHRINKD_ON };

enum { LIMIT_AUTO = 1 };

/* What is larger is a number of nodes that are made up. */
enum numa_policy { NUMA_AUTO, NUMA_OFF, NUMA_FAKE_MAX = 1024 };

enum { OPTION_PATH_MAX = 256 };

struct options {
	bool abort; /* abort() after a report of bad input */
	bool help; /* print the table at start */
	unsigned int thp; /* enum thp_policy */
	size_t thp_start; /* bytes of heap from which thp:auto asks for huge pages */
	size_t dirty_min; /* bytes of free resident memory that are kept without demand */
	size_t dirty_max; /* bytes of free resident memory kept at the most */
	size_t decay_ms; /* age at which unused dirty memory goes back */
	size_t sheaf_bytes; /* bytes of free objects that one thread's sheaves may hold */
	size_t vmalloc_cache; /* bytes of free areas kept mapped for reuse */
	size_t limit; /* bytes of heap beyond which allocations fail; 0: none; LIMIT_AUTO: the cgroup's */
	size_t soft_limit; /* bytes of heap near which memory is given back as under pressure; 0: none */
	unsigned int kshrinkd; /* enum kshrinkd_policy */
	unsigned int numa; /* enum numa_policy, or nodes to make up */
	unsigned int stats_format; /* enum stats_format, stat/stat.h */
	unsigned int stats_signal; /* that asks for a dump; 0: none does */
	size_t stats_interval; /* seconds between dumps; 0: none by time */
	char stats[OPTION_PATH_MAX]; /* where dumps go, one at exit; empty: none at exit */
	char debug[OPTION_PATH_MAX]; /* slab_debug's letters and caches; empty: off (src/debug/) */
	char kfence[OPTION_PATH_MAX]; /* KFENCE's settings; empty: off */
	char failslab[OPTION_PATH_MAX]; /* letter A's settings (src/debug/failslab.h) */
	char profile[OPTION_PATH_MAX]; /* heap profiles: interval and path; empty: off */
	bool leaks; /* at exit: what is still in use, by call stack */
	char harden[OPTION_PATH_MAX]; /* hardening's settings; empty: off */
};

extern struct options options;

/* Reads the environment. Until it is there (very early in a process) nothing happens: call again. */
void options_init(void);

/* Applies "key:value,key:value" (options.c's parser, for tests and fuzzers too). */
void options_parse_conf(const char *conf);
