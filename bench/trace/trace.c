// SPDX-License-Identifier: MIT
/*
 * trace.c - the sections of a trace, merged by the numbers of their records.
 *
 * Every byte is looked at before it is believed: sections against their chunk, records against
 * their section, numbers against their order.
 */
#include "trace.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../workloads/workload.h"

struct cursor {
	const uint8_t *at, *end;
	uint32_t first, last, section; /* indices + 1; 0: none */
	uint64_t number, block;
	uint64_t birth; /* the second number of a REALLOC whose first half is told; or 0 */
	struct record record; /* the next one */
};

void trace_die(const char *path, const char *format, ...)
{
	char line[512];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	dprintf(STDERR_FILENO, "slabmalloc-replay: %s: %s\n", path, line);
	_exit(1);
}

static void damaged(const struct trace *t, const void *at)
{
	trace_die(t->path, "damaged at byte %td", (const uint8_t *)at - t->map);
}

/* A table doubles when it is full: `used` elements of this size, a power of two or 0. */
void *table_grow(void *table, size_t used, size_t size)
{
	void *p;

	if (used == 0)
		return table_map(size);
	if (used & (used - 1))
		return table;
	p = mremap(table, used * size, 2 * used * size, MREMAP_MAYMOVE);
	if (p == MAP_FAILED)
		die("no memory for a table");
	return p;
}

/* --- The file --- */

static void file_check(const struct trace *t)
{
	const struct trace_file *f = t->file;

	if (t->size < sizeof(*f))
		trace_die(t->path, "not a trace");
	if (f->magic == __builtin_bswap64(TRACE_MAGIC))
		trace_die(t->path, "a trace of a machine with the other byte order");
	if (f->magic != TRACE_MAGIC)
		trace_die(t->path, "not a trace");
	if (f->version != TRACE_VERSION)
		trace_die(t->path, "a trace of format %u, and this program reads %d", f->version,
			  TRACE_VERSION);
	if (t->size % TRACE_CHUNK || t->size / TRACE_CHUNK < f->chunks)
		trace_die(t->path, "cut short: %zu bytes of at least %llu", t->size,
			  (unsigned long long)f->chunks * TRACE_CHUNK);
	if (!memchr(f->program, 0, sizeof(f->program)))
		damaged(t, f->program);
}

static void section_add(struct trace *t, const struct trace_section *s)
{
	t->section = table_grow(t->section, t->sections, sizeof(*t->section));
	t->section[t->sections++] = s;
	if (s->thread >= t->threads)
		t->threads = s->thread + 1;
	if (s->last_us > t->last_us)
		t->last_us = s->last_us;
}

static void chunk_index(struct trace *t, size_t chunk)
{
	uint32_t at = chunk ? 0 : sizeof(struct trace_file);

	while (at + sizeof(struct trace_section) <= TRACE_CHUNK) {
		const struct trace_section *s = (const void *)(t->map + chunk + at);

		if (s->magic != TRACE_SECTION)
			break;
		if (s->offset != at || s->used > TRACE_CHUNK - at - sizeof(*s) ||
		    s->thread == UINT32_MAX)
			damaged(t, s);
		section_add(t, s);
		at = section_end(s);
	}
}

/* Threads are counted from 0, and each has a section, but those that found no memory for it. */
static void threads_index(struct trace *t)
{
	if (t->threads > t->sections + TRACE_CHUNK)
		damaged(t, t->map);
	t->cursor = table_map((t->threads + 1ul) * sizeof(*t->cursor));
	t->heap = table_map((t->threads + 1ul) * sizeof(*t->heap));
	t->following = table_map((t->sections + 1ul) * sizeof(*t->following));
	for (uint32_t i = 0; i < t->sections; i++) {
		struct cursor *c = &t->cursor[t->section[i]->thread];

		if (c->first)
			t->following[c->last - 1] = i + 1;
		else
			c->first = i + 1;
		c->last = i + 1;
	}
}

/* --- One thread --- */

static void section_enter(const struct trace *t, struct cursor *c, uint32_t section)
{
	const struct trace_section *s = t->section[section - 1];

	if (s->number < c->number)
		damaged(t, s);
	c->section = section;
	c->number = s->number;
	c->block = 0;
	c->at = (const uint8_t *)(s + 1);
	c->end = c->at + s->used;
}

static uint64_t value(const struct trace *t, struct cursor *c)
{
	const uint8_t *at = c->at;
	uint64_t v;

	c->at = varint_read(at, c->end, &v);
	if (!c->at)
		damaged(t, at);
	return v;
}

/* A number is taken for each record, or two: there are fewer numbers than bytes. */
static void step(const struct trace *t, struct cursor *c, uint64_t by)
{
	if (by == 0 || by > t->size || c->number + by > t->size)
		damaged(t, c->at);
	c->number += by;
}

static void record_fields(const struct trace *t, struct cursor *c, struct record *r)
{
	switch (r->kind) {
	case TRACE_CALLOC:
	case TRACE_ALIGNED:
		r->count = value(t, c);
		if (r->kind == TRACE_ALIGNED && r->count > 63)
			damaged(t, c->at);
		break;
	case TRACE_REALLOC:
	case TRACE_FREE:
		r->old = block_unpack(value(t, c), &c->block);
		break;
	default:
		break;
	}
	if (r->kind <= TRACE_REALLOC) {
		r->size = value(t, c);
		r->block = block_unpack(value(t, c), &c->block);
	}
}

/* Decodes the thread's next record; false: there is none. */
static bool cursor_step(const struct trace *t, struct cursor *c, uint32_t thread)
{
	struct record *r = &c->record;
	uint8_t head;

	if (c->birth) {
		r->birth = true;
		r->number = c->birth;
		c->birth = 0;
		return true;
	}
	while (!c->section || c->at == c->end) {
		uint32_t section = c->section ? t->following[c->section - 1] : c->first;

		if (!section)
			return false;
		section_enter(t, c, section);
	}
	head = *c->at++;
	*r = (struct record){ .kind = head & 15, .thread = thread, .count = 1 };
	if (r->kind < TRACE_MALLOC || r->kind >= TRACE_KINDS)
		damaged(t, c->at - 1);
	step(t, c, head >> 4 ? head >> 4 : value(t, c));
	r->number = c->number;
	record_fields(t, c, r);
	if (r->kind == TRACE_REALLOC) {
		step(t, c, value(t, c));
		c->birth = c->number;
	}
	return true;
}

/* --- All threads: a heap of those that have a record --- */

static uint64_t heap_key(const struct trace *t, uint32_t i)
{
	return t->cursor[t->heap[i]].record.number;
}

static void heap_sink(struct trace *t, uint32_t i)
{
	for (uint32_t child; (child = 2 * i + 1) < t->active; i = child) {
		uint32_t thread = t->heap[i];

		if (child + 1 < t->active && heap_key(t, child + 1) < heap_key(t, child))
			child++;
		if (heap_key(t, i) <= heap_key(t, child))
			return;
		t->heap[i] = t->heap[child];
		t->heap[child] = thread;
	}
}

/* The next record of the whole trace; false at its end. */
bool trace_next(struct trace *t, struct record *r)
{
	uint32_t thread;

	if (!t->active)
		return false;
	thread = t->heap[0];
	*r = t->cursor[thread].record;
	if (!cursor_step(t, &t->cursor[thread], thread))
		t->heap[0] = t->heap[--t->active];
	heap_sink(t, 0);
	return true;
}

void trace_open(struct trace *t, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	*t = (struct trace){ .path = path };
	if (fd < 0 || fstat(fd, &st) != 0)
		trace_die(path, "%m");
	if (!S_ISREG(st.st_mode) || st.st_size < (off_t)sizeof(struct trace_file))
		trace_die(path, "not a trace");
	t->size = (size_t)st.st_size;
	t->map = mmap(NULL, t->size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (t->map == MAP_FAILED)
		trace_die(path, "%m");
	close(fd);
	t->file = (const void *)t->map;
	file_check(t);
	for (size_t chunk = 0; chunk < t->size; chunk += TRACE_CHUNK)
		chunk_index(t, chunk);
	threads_index(t);
	for (uint32_t thread = 0; thread < t->threads; thread++)
		if (cursor_step(t, &t->cursor[thread], thread))
			t->heap[t->active++] = thread;
	for (uint32_t i = t->active / 2; i-- > 0;)
		heap_sink(t, i);
}
