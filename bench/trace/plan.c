// SPDX-License-Identifier: MIT
/* plan.c - from the calls of a trace to steps of threads, one pass: plan.h says what for. */
#include "plan.h"

#include <stdlib.h>
#include <unistd.h>

#include "../workloads/workload.h"

struct stream {
	struct plan_block *block; /* not written yet; NULL: the thread has not begun */
	uint32_t number, filled, round;
};

struct maker {
	int fd;
	bool sequential;
	uint32_t blocks; /* numbers given out */
	uint32_t latest; /* the thread of the previous call */
	struct plan plan;
	struct plan_thread *thread;
	struct stream *stream;
	uint32_t *round; /* threads that take part in it */
};

static void write_at(const struct maker *m, const void *data, size_t size, uint64_t at)
{
	for (const char *p = data; size;) {
		ssize_t n = pwrite(m->fd, p, size, (off_t)at);

		if (n <= 0)
			die("slabmalloc-replay: no memory for the plan");
		p += n;
		at += (uint64_t)n;
		size -= (size_t)n;
	}
}

static void flush(struct maker *m, const struct stream *s)
{
	write_at(m, s->block, sizeof(*s->block), (uint64_t)s->number * sizeof(*s->block));
}

static void emit(struct maker *m, uint32_t thread, struct step step)
{
	struct stream *s = &m->stream[thread];

	if (s->filled == PLAN_STEPS) {
		s->block->next = m->blocks++;
		flush(m, s);
		s->number = s->block->next;
		s->filled = 0;
	}
	s->block->step[s->filled++] = step;
}

static void thread_begin(struct maker *m, uint32_t thread)
{
	struct stream *s = &m->stream[thread];

	if (m->plan.calls == 0)
		m->plan.main = thread;
	else {
		emit(m, m->latest, (struct step){ .kind = PLAN_THREAD, .other = thread });
		m->plan.running++;
	}
	s->block = table_map(sizeof(*s->block));
	s->number = m->thread[thread].first = m->blocks++;
	s->round = UINT32_MAX;
}

static void round_begin(struct maker *m, uint32_t thread, uint32_t round)
{
	while (m->plan.rounds <= round)
		m->round = table_grow(m->round, m->plan.rounds++, sizeof(*m->round));
	m->round[round]++;
	m->stream[thread].round = round;
	emit(m, thread, (struct step){ .kind = PLAN_ROUND, .other = round });
}

static void plan_call(void *arg, const struct calls *now, const struct call *call)
{
	struct maker *m = arg;
	const struct record *r = call->record;
	uint32_t thread = m->sequential ? 0 : r->thread;
	uint32_t round = (uint32_t)(r->number / TRACE_ROUND);

	if (!m->stream[thread].block)
		thread_begin(m, thread);
	m->latest = thread;
	m->plan.slots = now->blocks;
	m->plan.calls++;
	if (r->kind == TRACE_END) {
		m->thread[thread].ends = true;
		return;
	}
	if (!m->sequential && m->stream[thread].round != round)
		round_begin(m, thread, round);
	emit(m, thread,
	     (struct step){
		     .kind = (uint8_t)r->kind,
		     .remote = call->remote && !m->sequential,
		     .failed = r->kind <= TRACE_REALLOC && !r->block,
		     .born = call->born,
		     .died = call->died,
		     .size = r->kind == TRACE_FREE ? call->died_size : r->size,
		     .extra = r->kind == TRACE_REALLOC ? call->died_size : r->count,
	     });
}

/* One thread waits for nobody: its rounds are empty. */
void plan_make(const char *path, int fd, bool sequential)
{
	struct maker m = { .fd = fd, .sequential = sequential, .blocks = 1 };
	struct trace t;

	trace_open(&t, path);
	m.sequential = sequential || t.threads <= 1;
	m.plan.threads = m.sequential ? 1 : t.threads;
	m.thread = table_map((m.plan.threads + 1) * sizeof(*m.thread));
	m.stream = table_map((m.plan.threads + 1) * sizeof(*m.stream));
	calls_each(&t, plan_call, &m);
	if (m.plan.calls == 0)
		trace_die(path, "a trace without calls");
	for (uint32_t i = 0; i < m.plan.threads; i++)
		if (m.stream[i].block) {
			emit(&m, i, (struct step){ .kind = PLAN_END });
			flush(&m, &m.stream[i]);
		}
	m.plan.tables = (uint64_t)m.blocks * sizeof(struct plan_block);
	write_at(&m, m.thread, m.plan.threads * sizeof(*m.thread), m.plan.tables);
	write_at(&m, m.round, m.plan.rounds * sizeof(*m.round),
		 m.plan.tables + m.plan.threads * sizeof(*m.thread));
	write_at(&m, &m.plan, sizeof(m.plan), 0);
}
