/* SPDX-License-Identifier: MIT */
/*
 * trace.c - files that slabmalloc-replay is given: as traces, and made into plans.
 *
 * The reader's files are compiled with a few of libc's names changed (meson.build). Where it would end the process, it
 * comes back here; tables are blocks of malloc, so that the sanitizer knows their ends, and are freed after each input; the
 * file's mapping ends where no memory is.
 *
 * An input is a byte, and the beginnings of 1 to 4 chunks, of the same length: the rest of each chunk is zero.
 */
#define _GNU_SOURCE
#include "../../bench/trace/trace.h"

#include <assert.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../bench/trace/plan.h"

enum { CHUNKS = 4, BLOCKS = 4096, PAGE = 4096 };

static jmp_buf give_up;
static void *blocks[BLOCKS];
static size_t nr_blocks;
static char *file_map;
static int input = -1, output = -1;

_Noreturn void fuzz_exit(int status);
void *fuzz_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset);
int fuzz_munmap(void *p, size_t size);
void *fuzz_mremap(void *p, size_t old, size_t size, int flags, ...);
int fuzz_dprintf(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));
ssize_t fuzz_pwrite(int fd, const void *data, size_t size, off_t at);

_Noreturn void fuzz_exit(int status)
{
	assert(status == 1);
	longjmp(give_up, 1);
}

int fuzz_dprintf(int fd, const char *format, ...)
{
	assert(fd == STDERR_FILENO && format);
	return 0;
}

/* The plan goes nowhere; that all of it can be read is for the sanitizer to see. */
ssize_t fuzz_pwrite(int fd, const void *data, size_t size, off_t at)
{
	static volatile unsigned char sum;

	assert(fd == output && at >= 0);
	for (size_t i = 0; i < size; i += 8)
		sum = (unsigned char)(sum + ((const unsigned char *)data)[i]);
	return (ssize_t)size;
}

static size_t block_number(const void *p)
{
	size_t i = nr_blocks;

	while (i-- > 0)
		if (blocks[i] == p)
			return i;
	abort();
}

void *fuzz_mmap(void *at, size_t size, int prot, int flags, int fd, off_t offset)
{
	assert(!at && !offset);
	if (fd < 0) {
		assert(nr_blocks < BLOCKS);
		blocks[nr_blocks] = calloc(1, size);
		return blocks[nr_blocks++];
	}
	assert(size % PAGE == 0 && size <= CHUNKS * TRACE_CHUNK);
	return mmap(file_map + CHUNKS * TRACE_CHUNK - size, size, prot, flags | MAP_FIXED, fd, 0);
}

int fuzz_munmap(void *p, size_t size)
{
	size_t i = block_number(p);

	(void)size;
	free(p);
	blocks[i] = blocks[--nr_blocks];
	return 0;
}

void *fuzz_mremap(void *p, size_t old, size_t size, int flags, ...)
{
	size_t i = block_number(p);
	char *q = realloc(p, size);

	assert(flags == MREMAP_MAYMOVE && size > old && q);
	memset(q + old, 0, size - old);
	return blocks[i] = q;
}

static size_t write_input(const uint8_t *data, size_t size)
{
	size_t chunks = size ? 1 + data[0] % CHUNKS : 1;
	size_t part = size ? (size - 1) / chunks : 0;

	if (part > TRACE_CHUNK)
		part = TRACE_CHUNK;
	if (ftruncate(input, 0) || ftruncate(input, (off_t)(chunks * TRACE_CHUNK)))
		abort();
	for (size_t i = 0; i < chunks && part; i++)
		if (pwrite(input, data + 1 + i * part, part, (off_t)(i * TRACE_CHUNK)) < 0)
			abort();
	return chunks;
}

/* What the reader promises of a file that it takes. */
static void read_trace(const char *path)
{
	struct trace t;
	struct record r;
	uint64_t number = 0;

	trace_open(&t, path);
	while (trace_next(&t, &r)) {
		assert(r.number >= number && r.thread < t.threads);
		assert(r.kind >= TRACE_MALLOC && r.kind < TRACE_KINDS);
		number = r.number;
	}
}

static void forget(void)
{
	while (nr_blocks)
		free(blocks[--nr_blocks]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char path[64];

	if (input < 0) {
		input = memfd_create("input", MFD_CLOEXEC);
		output = memfd_create("output", MFD_CLOEXEC);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", input);
		file_map = mmap(NULL, CHUNKS * TRACE_CHUNK + PAGE, PROT_NONE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	}
	write_input(data, size);
	for (volatile int way = 0; way < 3; way++) {
		if (!setjmp(give_up)) {
			if (way == 0)
				read_trace(path);
			else
				plan_make(path, output, way == 2);
		}
		forget();
	}
	return 0;
}
