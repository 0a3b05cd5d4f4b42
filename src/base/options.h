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
	char stats[OPTION_PATH_MAX]; /* where the dump goes at exit; empty: nowhere */
};

extern struct options options;

/* Reads the environment. Until it is there (very early in a process) nothing happens: call again. */
void options_init(void);

/* Applies "key:value,key:value" (options.c's parser, for tests and fuzzers too). */
void options_parse_conf(const char *conf);
