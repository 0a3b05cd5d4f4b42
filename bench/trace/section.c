// SPDX-License-Identifier: MIT
/*
 * section.c - chunks of the trace, and which thread writes where.
 *
 * MALLOC_RECORD=PID:FILE names the trace. The process PID writes FILE, and so does what it becomes
 * by execve(), anew: the trace is of the last program. Every other process that executes a program
 * writes FILE.ITSPID. A forked child is not recorded until then: its chunks would be its parent's.
 *
 * Nothing is locked. A thread owns its section; chunks are numbered by an atomic counter, and the
 * rest of a chunk whose thread has ended goes to the next new thread through an array of atomics.
 */
#include "section.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
	SPARES = 64,
	TIMED = 256, /* the time is looked at once in so many records */
	SECTION_LEAST = 1024, /* a rest that is smaller is not worth a section */
};

static struct {
	char name[4096];
	struct trace_file *file; /* the first chunk, always mapped */
	struct timespec began;
	pthread_key_t key; /* its destructor sees the end of a thread */
	atomic_uint_fast32_t chunks, threads;
	_Atomic(struct trace_section *) spare[SPARES]; /* the last section of a chunk with room */
} trace;

/* Its own cache line: every thread writes it at every call. */
static struct {
	_Alignas(64) atomic_uint_fast64_t value;
	char rest[56];
} number;

static atomic_int state; /* of the process: */
enum { RECORD_NOT_YET, RECORD_ON, RECORD_OFF };

static __thread struct writer self;
static __thread unsigned int rounds; /* of thread_end() */

static void stop(const char *why)
{
	char line[200];
	int n = snprintf(line, sizeof(line), "slabmalloc-record: %s: %m\n", why);

	atomic_store(&state, RECORD_OFF);
	if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)((t.tv_sec - trace.began.tv_sec) * 1000000 +
			  (t.tv_nsec - trace.began.tv_nsec) / 1000);
}

/*
 * The file is open only here: a program that closes every descriptor, or counts them, is not
 * disturbed. Its blocks are allocated now: a full disk is an error here, not SIGBUS later.
 */
static void *chunk_map(void)
{
	off_t at = (off_t)atomic_fetch_add(&trace.chunks, 1) * TRACE_CHUNK;
	int fd = open(trace.name, O_RDWR | O_CLOEXEC);
	void *p = MAP_FAILED;

	if (fd < 0)
		return NULL;
	errno = posix_fallocate(fd, at, TRACE_CHUNK);
	if (!errno)
		p = mmap(NULL, TRACE_CHUNK, PROT_READ | PROT_WRITE, MAP_SHARED, fd, at);
	close(fd);
	if (p == MAP_FAILED)
		return NULL;
	if (trace.file)
		__atomic_fetch_add(&trace.file->chunks, 1, __ATOMIC_RELAXED);
	return p;
}

static void chunk_drop(struct trace_section *last)
{
	void *chunk = (char *)last - last->offset;

	if (chunk != trace.file)
		munmap(chunk, TRACE_CHUNK);
}

/* A thread has ended: the next may use what is left of its chunk. */
static void chunk_spare(struct trace_section *last)
{
	struct trace_section *none = NULL;
	bool kept = false;

	if (section_end(last) + SECTION_LEAST < TRACE_CHUNK)
		for (int i = 0; i < SPARES && !kept; i++, none = NULL)
			kept = atomic_compare_exchange_strong(&trace.spare[i], &none, last);
	if (!kept)
		chunk_drop(last);
}

static bool section_begin(struct writer *w, void *chunk, uint32_t offset)
{
	struct trace_section *s;

	if (!chunk)
		return false;
	s = (struct trace_section *)((char *)chunk + offset);
	s->thread = w->thread;
	s->offset = offset;
	s->number = w->number;
	s->first_us = s->last_us = now_us();
	__atomic_store_n(&s->magic, TRACE_SECTION, __ATOMIC_RELEASE);
	w->section = s;
	w->at = (uint8_t *)(s + 1);
	w->end = (uint8_t *)chunk + TRACE_CHUNK - TRACE_RECORD_MAX;
	w->block = 0;
	w->records = 0;
	return true;
}

static bool section_first(struct writer *w)
{
	struct trace_section *last = NULL;

	for (int i = 0; i < SPARES && !last; i++)
		last = atomic_exchange(&trace.spare[i], NULL);
	w->thread = (uint32_t)atomic_fetch_add(&trace.threads, 1);
	rounds = 0;
	pthread_setspecific(trace.key, w);
	if (last)
		return section_begin(w, (char *)last - last->offset, section_end(last));
	if (w->thread == 0)
		return section_begin(w, trace.file, sizeof(struct trace_file));
	return section_begin(w, chunk_map(), 0);
}

/* The destructors of the thread's other keys may free: END is written in the last round. */
static void thread_end(void *arg)
{
	struct writer *w = arg;

	if (++rounds < PTHREAD_DESTRUCTOR_ITERATIONS) {
		pthread_setspecific(trace.key, w);
		return;
	}
	if (record_begin(TRACE_END, record_number())) {
		record_end(w);
		chunk_spare(w->section);
	}
	w->state = WRITER_ENDED;
}

static void forked(void)
{
	atomic_store(&state, RECORD_OFF);
}

static bool trace_open(const char *where)
{
	const size_t room = sizeof(trace.name);
	char *file;
	long pid = strtol(where, &file, 10);
	int n, fd;

	if (*file++ != ':')
		return errno = EINVAL, false;
	n = pid == (long)getpid() ? snprintf(trace.name, room, "%s", file)
				  : snprintf(trace.name, room, "%s.%d", file, (int)getpid());
	if (n < 0 || (size_t)n >= room)
		return errno = ENAMETOOLONG, false;
	fd = open(trace.name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* The first call comes from the dynamic linker or a constructor, when there is one thread only. */
static void trace_start(void)
{
	const char *where = secure_getenv("MALLOC_RECORD");

	atomic_store(&state, RECORD_OFF);
	if (!where)
		return;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &trace.began);
	if (!trace_open(where) || !(trace.file = chunk_map()))
		return stop("nothing is recorded");
	trace.file->version = TRACE_VERSION;
	trace.file->pid = (uint32_t)getpid();
	trace.file->chunks = 1;
	snprintf(trace.file->program, sizeof(trace.file->program), "%s",
		 program_invocation_short_name);
	trace.file->magic = TRACE_MAGIC;
	pthread_key_create(&trace.key, thread_end);
	pthread_atfork(NULL, NULL, forked);
	atomic_store(&state, RECORD_ON);
}

/* The slow path: has this thread a section with room? The program's errno stays as it is. */
static bool section_ready(struct writer *w)
{
	int before = errno;

	if (w->state == WRITER_BUSY || w->state == WRITER_ENDED || !environ)
		return false;
	w->state = WRITER_BUSY;
	if (atomic_load(&state) == RECORD_NOT_YET)
		trace_start();
	if (atomic_load(&state) == RECORD_ON) {
		struct trace_section *full = w->section;

		if (full ? section_begin(w, chunk_map(), 0) : section_first(w))
			w->state = WRITER_READY;
		else
			stop("no further call is recorded");
		if (full)
			chunk_drop(full);
	}
	errno = before;
	if (w->state == WRITER_READY)
		return true;
	w->state = atomic_load(&state) == RECORD_NOT_YET ? WRITER_NEW : WRITER_ENDED;
	return false;
}

uint64_t record_number(void)
{
	return atomic_fetch_add_explicit(&number.value, 1, memory_order_relaxed) + 1;
}

struct writer *record_begin(enum trace_kind kind, uint64_t n)
{
	struct writer *w = &self;
	uint64_t step;

	if (atomic_load_explicit(&state, memory_order_relaxed) == RECORD_OFF)
		return NULL;
	if ((w->state != WRITER_READY || w->at >= w->end) && !section_ready(w))
		return NULL;
	step = n - w->number;
	w->number = n;
	*w->at++ = (uint8_t)(kind | (step < 16 ? step << 4 : 0));
	if (step >= 16)
		record_value(w, step);
	return w;
}

/* The record is whole: only now is it counted. */
void record_end(struct writer *w)
{
	if (++w->records % TIMED == 0)
		w->section->last_us = now_us();
	__atomic_store_n(&w->section->used, (uint32_t)(w->at - (uint8_t *)(w->section + 1)),
			 __ATOMIC_RELEASE);
}

__attribute__((constructor)) static void constructed(void)
{
	if (atomic_load(&state) == RECORD_NOT_YET)
		section_ready(&self);
}
