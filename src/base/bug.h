/* SPDX-License-Identifier: MIT */
/*
 * bug.h - asserts in three ranks.
 *
 *	BUG_ON		always on, and only where going on would damage memory
 *	VM_BUG_ON	internal invariants: debug builds (buildtype=debug)
 *	report_bad	the program's own error, named in one line; abort or go on as option `abort` says
 */
#pragma once

#include "base/compiler.h"

_Noreturn void bug(const char *fmt, ...) __printf(1, 2) __cold;

#define BUG_ON(cond, ...)                 \
	do {                              \
		if (unlikely(cond))       \
			bug(__VA_ARGS__); \
	} while (0)

#define VM_BUG_ON(cond)                                                     \
	do {                                                                \
		if (config_debug && unlikely(cond))                         \
			bug("BUG at %s:%d: %s", __FILE__, __LINE__, #cond); \
	} while (0)

/* What an entry point was called with: the name that a report gives. */
struct call {
	const char *function;
	const void *ptr;
};

/*
 * One line on stderr, "slabmalloc: free(0x...): what", then abort(), unless option abort:0 lets the
 * program go on; the caller must then leave memory as it is.
 */
void report_bad(const struct call *call, const char *fmt, ...) __printf(2, 3) __cold;
