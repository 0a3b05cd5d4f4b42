/* SPDX-License-Identifier: MIT */
/*
 * clause.h - what a standard says of a function, and a check of it.
 *
 * Each clause runs in a child process of its own: if it ends by a signal, or hangs, that is all that does. The
 * program prints one line of TAP for each, which conformance.py makes a table of.
 */
#pragma once

#include "api.h"

#include <errno.h>

#ifdef __cplusplus
extern "C" {
#endif

struct clause {
	const char *function, *source, *text;
	void (*holds)(void); /* returns if so */
	struct clause *next;
};

void clause_add(struct clause *c);

#define CLAUSE(name, function, source, text)                                         \
	static void name(void);                                                      \
	static struct clause name##_clause = { function, source, text, name, NULL }; \
	__attribute__((constructor)) static void name##_add(void)                    \
	{                                                                            \
		clause_add(&name##_clause);                                          \
	}                                                                            \
	static void name(void)

/*
 * Sizes that no machine has: within 2^14 of PTRDIFF_MAX and of SIZE_MAX, and every multiple of 2^50. (Where size_t
 * has 32 bits: of PTRDIFF_MAX and SIZE_MAX.)
 */
enum { BORDER = 1 << 14, NR_IMPOSSIBLE = 3 * BORDER + (BORDER - 1) * (sizeof(size_t) == 8) };

size_t impossible(size_t i);

/* Each step-th of them, from one on. In the coarse runs, each 37th of those. */
#define for_each_impossible(i, from, step) \
	for (size_t i = (from); i < NR_IMPOSSIBLE; i += (step)*coarseness)

extern size_t coarseness;

/* What posix_memalign's pointer holds before, and must still hold after it has failed. */
#define UNTOUCHED ((void *)0x1234)

#define refused(call)                   \
	do {                            \
		errno = 0;              \
		check(!opaque(call));   \
		check(errno == ENOMEM); \
	} while (0)

#define invalid(call)                   \
	do {                            \
		errno = 0;              \
		check(!opaque(call));   \
		check(errno == EINVAL); \
	} while (0)

/* A small block can be had and used. */
void check_heap_works(void);

#ifdef __cplusplus
}
#endif
