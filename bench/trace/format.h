/* SPDX-License-Identifier: MIT */
/*
 * format.h - the file that slabmalloc-record writes and slabmalloc-replay reads: format 1.
 *
 * 1. Layout
 *
 * The file is a row of chunks of 64 KiB. The first begins with a struct trace_file. A chunk holds
 * sections, each a struct trace_section and behind it the records of one thread; the next section
 * begins at the next multiple of 8, and where no section begins (the magic word is not there) the
 * chunk ends. A thread's sections follow each other in the file in the order in which it wrote
 * them. Numbers of the two structs are in the byte order of the machine that recorded, which the
 * magic number shows.
 *
 * The recorder maps the chunk that a thread fills, shared, and counts a record in `used` when it
 * is whole. So there is nothing to flush: what a program did before it was killed is in the file.
 *
 * 2. Records
 *
 *	byte	kind in the low four bits; in the high four the step from the thread's previous
 *		number to this one, or 0: a varint with the step follows
 *	then	MALLOC		size, block
 *		CALLOC		count, size of one, block
 *		ALIGNED		log2 of the alignment, size, block
 *		REALLOC		old block, size, block, step to a second number
 *		FREE		block
 *		FREE_NULL, END	nothing
 *
 * All are varints: seven bits a byte, the lowest first, the top bit set in all but the last. A
 * block is its address, turned right by three bits (so that alignment costs nothing), less that of
 * the section's previous block (at first 0), in zigzag (the sign is the lowest bit). Address 0
 * means NULL and is no previous block. END: the thread ends, and the process goes on.
 *
 * 3. Numbers
 *
 * One counter numbers the calls of all threads. A birth takes its number after the allocator
 * returned the block, a death before the allocator is called; realloc, which is both, takes one
 * before and one after. If block p of thread A is freed by B, then B got p from A somehow, so A's
 * birth number was taken before, in the sense of happens-before, and is lower. If p is given out
 * again, to C, the allocator itself saw to it that this happened after B's free was called, so
 * B's number is lower than C's. Hence in the order of numbers each address is born, dies and is
 * born again by turns, and every death finds its birth: neither identifiers nor clocks are needed.
 * (The counter is one atomic addition, relaxed: the modifications of one variable keep the order of
 * happens-before.) Calls whose order is not visible to the program may get their numbers in any.
 *
 * Time is kept by section: microseconds since the start of the trace, of its first record and of
 * about its last. Replay does not need it.
 */
#ifndef TRACE_FORMAT_H
#define TRACE_FORMAT_H

#include <stddef.h>
#include <stdint.h>

enum {
	TRACE_VERSION = 1,
	TRACE_CHUNK = 64 << 10,
	TRACE_RECORD_MAX = 64, /* no record is longer */
};

#define TRACE_MAGIC 0x0a636172746d6c73ull /* "slmtrac\n" in memory, on a little-endian machine */
#define TRACE_SECTION 0x74636573u /* "sect" */

struct trace_file {
	uint64_t magic;
	uint32_t version;
	uint32_t pid;
	uint64_t chunks; /* that were begun: the file is not shorter */
	char program[40]; /* its name, cut off; ends with a zero */
};

struct trace_section {
	uint32_t magic;
	uint32_t thread; /* 0 … */
	uint32_t used; /* bytes of records */
	uint32_t offset; /* of this struct in its chunk */
	uint64_t number; /* what the first record's step is added to */
	uint64_t first_us, last_us;
};

enum trace_kind {
	TRACE_MALLOC = 1,
	TRACE_CALLOC,
	TRACE_ALIGNED,
	TRACE_REALLOC,
	TRACE_FREE,
	TRACE_FREE_NULL,
	TRACE_END,
	TRACE_KINDS
};

static inline uint8_t *varint_write(uint8_t *at, uint64_t value)
{
	for (; value >= 128; value >>= 7)
		*at++ = (uint8_t)(value | 128);
	*at++ = (uint8_t)value;
	return at;
}

/* Returns where the next begins; NULL: it does not end before `end`, or is too large. */
static inline const uint8_t *varint_read(const uint8_t *at, const uint8_t *end, uint64_t *value)
{
	*value = 0;
	for (unsigned int shift = 0; at < end && shift < 64; shift += 7) {
		*value |= (uint64_t)(*at & 127) << shift;
		if (!(*at++ & 128))
			return at;
	}
	return NULL;
}

/* A block as the difference from the section's previous one, and back. */
static inline uint64_t block_pack(uint64_t block, uint64_t *previous)
{
	uint64_t turned = block >> 3 | block << 61, step = turned - *previous;

	if (block)
		*previous = turned;
	return step << 1 ^ (0 - (step >> 63));
}

static inline uint64_t block_unpack(uint64_t packed, uint64_t *previous)
{
	uint64_t turned = *previous + (packed >> 1 ^ (0 - (packed & 1)));

	if (turned)
		*previous = turned;
	return turned << 3 | turned >> 61;
}

/* From one section to where the next one begins. */
static inline uint32_t section_end(const struct trace_section *s)
{
	return (s->offset + (uint32_t)sizeof(*s) + s->used + 7) & ~7u;
}

#endif
