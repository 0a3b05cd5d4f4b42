/* SPDX-License-Identifier: MIT */
/*
 * What the programs of tests/api share. They see the library from outside, as any program
 * does: nothing here includes a header of src/, and nothing here calls malloc, so that a
 * broken heap can still be reported.
 */
#ifndef API_H
#define API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/*
 * For threads and for children, where cmocka's assertions cannot be used: they jump to a frame
 * that is another thread's or another process's. A failure ends the whole process with status 1.
 */
#define check(cond)                                              \
	do {                                                     \
		if (!(cond))                                     \
			check_failed(__FILE__, __LINE__, #cond); \
	} while (0)

void check_failed(const char *file, int line, const char *what) __attribute__((noreturn));

/*
 * A preload that is not found only warns, and every promise would then be checked on libc's
 * malloc. So each program asks first, and ends with status 99 if the library is not there.
 * SLABMALLOC_TEST_PEER=1 in the environment permits another malloc, to test the tests.
 */
void require_library(void);

/* slabmalloc_check(), or 0 under another malloc. */
int heap_inconsistencies(void);

/* free_sized and free_aligned_sized: libc does not declare them yet; a peer may lack them. */
void call_free_sized(void *p, size_t size);
void call_free_aligned_sized(void *p, size_t align, size_t size);

/* Resident bytes of this process, now and at most, and its mapped bytes. */
size_t rss_bytes(void);

/* What memory may have grown by: several times as much where every object is watched, or there are several nodes. */
size_t rss_room(size_t bytes);
size_t rss_peak_bytes(void);
size_t mapped_bytes(void);

/* A pointer that the compiler knows nothing about: for sizes and uses that it would warn of. */
void *opaque(const void *p);

/* splitmix64: one word of state, so that a seed is enough to repeat a run. */
struct rng {
	uint64_t state;
};

uint64_t rng_next(struct rng *r);

uint64_t rng_below(struct rng *r, uint64_t n);

/*
 * Contents that tell whose they are: whole up to PATTERN_WHOLE bytes; beyond that, both ends and
 * some words between, since touching all of a large block would make the test a page fault test.
 */
#define PATTERN_WHOLE ((size_t)4096)

void pattern_fill(void *p, size_t size, uint64_t seed);
bool pattern_holds(const void *p, size_t size, uint64_t seed);
/* The block was filled for old_size, and at least its first kept bytes must still be so. */
bool pattern_prefix_holds(const void *p, size_t old_size, size_t kept, uint64_t seed);

/* A child process: fn(arg) and then a normal exit(0), in a process group of its own. */
struct child {
	int status; /* as from waitpid */
	bool timed_out; /* killed, group and all, by the watchdog */
	char err[4096]; /* the start of what it wrote to stderr */
};

void child_run(struct child *c, void (*fn)(void *arg), void *arg, unsigned int seconds);
/* The same for a program; limit_as in bytes, 0: none. */
void child_exec(struct child *c, char *const argv[], size_t limit_as, unsigned int seconds);
/* Ended with status 0 in time; if not, says on stderr what happened. */
bool child_succeeded(const struct child *c);
/* Both in one, for what must simply work. */
bool succeeds_in_child(void (*fn)(void *arg), void *arg, unsigned int seconds);

#ifdef __cplusplus
}
#endif

#endif
