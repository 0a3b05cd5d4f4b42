/* SPDX-License-Identifier: MIT */
/*
 * trace.h - reading a trace: the calls of all threads in one order, and which block each is about.
 *
 * A file that is none, or damaged, ends the process with one line. Memory for tables is mapped and
 * never given back: whoever reads a trace does nothing else, and ends.
 */
#ifndef TRACE_TRACE_H
#define TRACE_TRACE_H

#include <stdbool.h>

#include "format.h"

enum { BLOCK_NONE = UINT32_MAX };

/* So many numbers are a round: threads of a replay are at most two rounds apart (plan.h). */
enum { TRACE_ROUND = 1024 };

struct record {
	enum trace_kind kind;
	bool birth; /* the second half of a REALLOC, at the higher of its two numbers */
	uint32_t thread;
	uint64_t number;
	uint64_t size, count; /* count: CALLOC's, else 1; the log2 of an alignment */
	uint64_t block, old; /* addresses */
};

struct cursor;

struct trace {
	const char *path;
	const uint8_t *map;
	size_t size;
	const struct trace_file *file;
	struct cursor *cursor; /* by thread */
	const struct trace_section **section; /* in the order of the file */
	uint32_t *following; /* the same thread's next section; 0: none */
	uint32_t *heap; /* threads, that with the lowest number first */
	uint32_t threads, active, sections;
	uint64_t last_us; /* time stamp of the latest section */
};

void trace_open(struct trace *t, const char *path);
bool trace_next(struct trace *t, struct record *r);

/* What became of the call: identifiers instead of addresses. */
struct call {
	const struct record *record;
	uint32_t born, died; /* blocks, or BLOCK_NONE */
	uint64_t died_size;
	bool remote; /* another thread gave birth to the block that died */
	bool unknown; /* a block died that was born before the recording */
};

struct calls {
	uint32_t blocks; /* identifiers are below it */
	uint64_t live_bytes, live_blocks;
};

typedef void call_seen(void *arg, const struct calls *now, const struct call *call);
void calls_each(struct trace *t, call_seen *see, void *arg);

void info_print(const char *path);

void trace_die(const char *path, const char *format, ...)
	__attribute__((format(printf, 2, 3), noreturn));
void *table_grow(void *table, size_t used, size_t size);

#endif
