/* SPDX-License-Identifier: MIT */
/*
 * section.h - the recorder's own side: a thread writes its calls into the trace.
 *
 * A thread's calls between record_begin() and record_end() are one record. Where nothing is
 * recorded (before the environment is there, in a forked child, when the disk is full, within the
 * recorder itself) record_begin() returns NULL.
 */
#ifndef TRACE_SECTION_H
#define TRACE_SECTION_H

#include <stdbool.h>

#include "format.h"

struct writer {
	struct trace_section *section; /* NULL: none yet */
	uint8_t *at; /* where the next record goes */
	uint8_t *end; /* no record begins at or after it */
	uint64_t number; /* of the previous record */
	uint64_t block; /* the previous one, see block_pack() */
	unsigned int records; /* in this section */
	uint32_t thread;
	enum { WRITER_NEW, WRITER_READY, WRITER_BUSY, WRITER_ENDED } state;
};

uint64_t record_number(void);
struct writer *record_begin(enum trace_kind kind, uint64_t number);
void record_end(struct writer *w);

static inline void record_value(struct writer *w, uint64_t value)
{
	w->at = varint_write(w->at, value);
}

static inline void record_block(struct writer *w, const void *block)
{
	record_value(w, block_pack((uint64_t)(uintptr_t)block, &w->block));
}

#endif
