/* SPDX-License-Identifier: MIT */
/*
 * unit.h - what the programs of tests/unit share: cmocka, random numbers, children, and a system
 * that fails and a clock that stands still when told to.
 *
 * Each program links all rooms and none of malloc's names: the malloc below cmocka is libc's.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/compiler.h"

/* The name says the promise. */
#define TEST(name) static void name(__attribute__((unused)) void **state)

/* For children and threads: cmocka's assertions jump to a frame that is not theirs. */
#define check(cond)                                              \
	do {                                                     \
		if (!(cond))                                     \
			check_failed(__FILE__, __LINE__, #cond); \
	} while (0)

_Noreturn void check_failed(const char *file, int line, const char *what);

/* xorshift64*: the same sequence in each run. */
u64 random_u64(u64 *rng);

static inline u32 random_below(u64 *rng, u32 n)
{
	return (u32)((random_u64(rng) >> 32) * n >> 32);
}

bool all_bytes_are(const void *p, size_t n, u8 value);

/* Memcheck sees addresses, but the kernel calls that it does not know fail. */
bool under_valgrind(void);

struct outcome {
	int status; /* as waitpid tells it */
	char err[4000]; /* what it wrote to descriptor 2 */
};

/* fn in a child of fork, which ends with status 0 when fn returns. */
struct outcome run_in_child(void (*fn)(void));

/* fn, and nothing else, must do well there: for what would spoil this process. */
void assert_child_succeeds(void (*fn)(void));

/* ... or must abort, with exactly this on descriptor 2. */
void assert_child_aborts(void (*fn)(void), const char *err);

/* What fn writes to descriptor 2, in this process. The text is valid until the next call. */
const char *stderr_of(void (*fn)(void));

/*
 * The os room as the other rooms see it: each of these calls fails while its field is 0, after
 * as many successes as the field says (negative: always succeeds). Zero time: the real clock.
 */
struct weather {
	int os_map, os_map_aligned, os_reserve_aligned, os_reserve_guarded, os_commit, os_unmap,
		os_purge, os_hugepage, os_remap, os_protect;
	u64 now_ms;
	u64 touch_ns, small_ns; /* what os_touch and os_small_touch say */
};

extern struct weather weather;

/* All calls succeed again, and the real clock runs. */
void clear_weather(void);
