/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "api.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void check_failed(const char *file, int line, const char *what)
{
	char text[512];
	int n = snprintf(text, sizeof(text), "%s:%d: errno %d: not true: %s\n", file, line, errno,
			 what);

	if (write(STDERR_FILENO, text, (size_t)n) < 0)
		_exit(2);
	_exit(1);
}

void require_library(void)
{
	static const char complaint[] = "this test runs on libslabmalloc only: is it preloaded?\n";

	if (dlsym(RTLD_DEFAULT, "slabmalloc_version") || getenv("SLABMALLOC_TEST_PEER"))
		return;
	if (write(STDERR_FILENO, complaint, sizeof(complaint) - 1) < 0)
		_exit(2);
	_exit(99);
}

int heap_inconsistencies(void)
{
	int (*walk)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, "slabmalloc_check");

	return walk ? walk() : 0;
}

static void *free_sized_found, *free_aligned_sized_found;

static void *looked_up(void **found, const char *name)
{
	void *p = __atomic_load_n(found, __ATOMIC_RELAXED);

	if (!p) {
		int saved = errno;

		p = dlsym(RTLD_DEFAULT, name);
		errno = saved;
		__atomic_store_n(found, p, __ATOMIC_RELAXED);
	}
	return p;
}

void call_free_sized(void *p, size_t size)
{
	void (*fn)(void *, size_t) =
		(void (*)(void *, size_t))looked_up(&free_sized_found, "free_sized");

	if (fn)
		fn(p, size);
	else
		free(p);
}

void call_free_aligned_sized(void *p, size_t align, size_t size)
{
	void (*fn)(void *, size_t, size_t) =
		(void (*)(void *, size_t, size_t))looked_up(&free_aligned_sized_found,
							    "free_aligned_sized");

	if (fn)
		fn(p, align, size);
	else
		free(p);
}

/* A line of /proc/self/status such as "VmRSS:     1234 kB", in bytes; no stdio, which mallocs. */
static size_t status_bytes(const char *name)
{
	char text[8192];
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	const char *line;

	if (fd >= 0)
		close(fd);
	check(n > 0);
	text[n] = '\0';
	line = strstr(text, name);
	check(line);
	return strtoul(line + strlen(name), NULL, 10) * KIB;
}

size_t rss_bytes(void)
{
	return status_bytes("VmRSS:");
}

size_t rss_room(size_t bytes)
{
	bool more = getenv("SLABMALLOC_DEBUG") || getenv("SLABMALLOC_NUMA");

	return more ? 4 * bytes : bytes;
}

size_t rss_peak_bytes(void)
{
	return status_bytes("VmHWM:");
}

size_t mapped_bytes(void)
{
	return status_bytes("VmSize:");
}

void *opaque(const void *p)
{
	void *q = (void *)(uintptr_t)p;

	__asm__ volatile("" : "+r"(q) : : "memory");
	return q;
}

/*
 * Each word of eight bytes is a function of the seed and of its offset, so that any part can be
 * checked alone: also after a realloc to another size.
 */
static uint64_t pattern_word(uint64_t seed, size_t offset)
{
	uint64_t z = (seed ^ (offset >> 3)) * 0x9e3779b97f4a7c15;

	return z ^ (z >> 29);
}

static void fill_range(unsigned char *p, size_t from, size_t to, uint64_t seed)
{
	size_t i = from;
	uint64_t word;

	for (; i + 8 <= to; i += 8) {
		word = pattern_word(seed, i);
		__builtin_memcpy(p + i, &word, 8);
	}
	word = pattern_word(seed, i);
	if (i < to)
		memcpy(p + i, &word, to - i);
}

/* Whole words without calls: that is most of the work of the tests that use it. */
static bool range_holds(const unsigned char *p, size_t from, size_t to, uint64_t seed)
{
	size_t i = from;
	uint64_t word, found;

	for (; i + 8 <= to; i += 8) {
		__builtin_memcpy(&found, p + i, 8);
		if (found != pattern_word(seed, i))
			return false;
	}
	word = pattern_word(seed, i);
	return i >= to || memcmp(p + i, &word, to - i) == 0;
}

#define PATTERN_END ((size_t)512)
#define PATTERN_STRIDE (64 * KIB)

/* The last range starts at a multiple of 8: words are counted from the start of the block. */
static size_t pattern_tail(size_t size)
{
	return (size - PATTERN_END) & ~(size_t)7;
}

void pattern_fill(void *p, size_t size, uint64_t seed)
{
	if (size <= PATTERN_WHOLE) {
		fill_range(p, 0, size, seed);
		return;
	}
	fill_range(p, 0, PATTERN_END, seed);
	for (size_t i = PATTERN_STRIDE; i + 8 <= size; i += PATTERN_STRIDE)
		fill_range(p, i, i + 8, seed);
	fill_range(p, pattern_tail(size), size, seed);
}

bool pattern_prefix_holds(const void *p, size_t old_size, size_t kept, uint64_t seed)
{
	if (kept > old_size)
		kept = old_size;
	if (old_size <= PATTERN_WHOLE)
		return range_holds(p, 0, kept, seed);
	if (!range_holds(p, 0, kept < PATTERN_END ? kept : PATTERN_END, seed))
		return false;
	for (size_t i = PATTERN_STRIDE; i + 8 <= kept; i += PATTERN_STRIDE)
		if (!range_holds(p, i, i + 8, seed))
			return false;
	return range_holds(p, pattern_tail(old_size), kept, seed);
}

bool pattern_holds(const void *p, size_t size, uint64_t seed)
{
	return pattern_prefix_holds(p, size, size, seed);
}
