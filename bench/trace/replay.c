// SPDX-License-Identifier: MIT
/*
 * replay.c - does what the plan says, under whichever malloc is preloaded.
 *
 * Each new block is written, page by page; what realloc adds too. Time in calls and time of that
 * writing are told apart by reading the clock around one call in STRIDE, and around every one of
 * LARGE bytes or more, since these are rare and differ; what the clock itself takes is subtracted.
 * The times are sums over all threads, and hold what the scheduler took within a call.
 *
 * The table of slots is filled with pages before the replay begins, and subtracted from the
 * resident memory.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "../workloads/workload.h"
#include "plan.h"

enum {
	STRIDE = 13, /* programs repeat themselves, but seldom every 13 calls */
	LARGE = 32 << 10,
	STACK = 256 << 10,
	SPINS = 100,
};

struct worker {
	pthread_t id;
	struct worker *next; /* in the list of the ended */
	uint32_t thread, turn;
	uint64_t failed;
	double call_ns, touch_ns;
};

static struct {
	int fd;
	struct plan plan;
	struct plan_thread *thread;
	struct worker *worker;
	_Atomic(void *) *slot;
	atomic_uint *left; /* by round: threads that are not done with it */
	atomic_uint done; /* all rounds below it are */
	atomic_uint running; /* threads, beside the main one */
	_Atomic(struct worker *) ended;
	double clock_ns;
} replay;

static void read_at(void *data, size_t size, uint64_t at)
{
	for (char *p = data; size;) {
		ssize_t n = pread(replay.fd, p, size, (off_t)at);

		if (n <= 0)
			die("slabmalloc-replay: the plan cannot be read");
		p += n;
		at += (uint64_t)n;
		size -= (size_t)n;
	}
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* --- Waiting --- */

/* Sleeps while the word has this value; a wake-up for round n wakes those that wait for it. */
static void sleep_while(atomic_uint *word, unsigned int value, unsigned int n)
{
	syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value, NULL, NULL, 1u << n % 32);
}

static void wake(atomic_uint *word, unsigned int n)
{
	syscall(SYS_futex, word, FUTEX_WAKE_BITSET_PRIVATE, INT_MAX, NULL, NULL, 1u << n % 32);
}

static void round_leave(uint32_t round)
{
	unsigned int done;

	if (atomic_fetch_sub(&replay.left[round], 1) != 1)
		return;
	while ((done = atomic_load(&replay.done)) < replay.plan.rounds &&
	       atomic_load(&replay.left[done]) == 0)
		if (atomic_compare_exchange_strong(&replay.done, &done, done + 1))
			wake(&replay.done, done + 1);
}

static void round_enter(uint32_t round)
{
	unsigned int done;

	while ((done = atomic_load(&replay.done)) + 1 < round)
		sleep_while(&replay.done, done, round - 1);
}

/* --- One call --- */

/* A request that failed in the replay alone: its block is there, and is not. */
#define ABSENT ((void *)1)

static void *slot_take(const struct step *s)
{
	_Atomic(void *) *slot = &replay.slot[s->died];
	unsigned int spins = 0;
	void *p;

	if (s->died == BLOCK_NONE)
		return NULL;
	while (!(p = atomic_load_explicit(slot, memory_order_acquire)) && s->remote)
		if (++spins > SPINS)
			sched_yield();
	atomic_store_explicit(slot, NULL, memory_order_relaxed);
	return p == ABSENT ? NULL : p;
}

static void *request(const struct step *s, void *old)
{
	void *p;

	switch (s->kind) {
	case TRACE_MALLOC:
		return malloc(s->size);
	case TRACE_CALLOC:
		return calloc(s->extra, s->size);
	case TRACE_ALIGNED:
		/* NULL for alignments that posix_memalign does not know. */
		if (s->extra < 3)
			return malloc(s->size);
		return posix_memalign(&p, 1ul << s->extra, s->size) == 0 ? p : NULL;
	case TRACE_REALLOC:
		return realloc(old, s->size);
	default:
		free(old);
		return NULL;
	}
}

static size_t step_bytes(const struct step *s)
{
	return s->kind == TRACE_CALLOC ? s->size * s->extra : s->size;
}

/* The bytes that are new. */
static void write_block(const struct step *s, char *p)
{
	size_t had = s->kind == TRACE_REALLOC ? s->extra : 0, size = step_bytes(s);

	if (size > had)
		touch(p + had, size - had);
}

/* A block that the recorded program did not get is given back. */
static void keep(struct worker *w, const struct step *s, void *p)
{
	if (s->failed)
		free(p);
	else
		w->failed += !p;
	if (s->born != BLOCK_NONE)
		atomic_store_explicit(&replay.slot[s->born], p ? p : ABSENT, memory_order_release);
}

static void call(struct worker *w, const struct step *s)
{
	bool large = step_bytes(s) >= LARGE, timed = large || ++w->turn % STRIDE == 0;
	double weight = large ? 1 : STRIDE, begin = 0, end = 0;
	void *p = slot_take(s);

	if (timed)
		begin = now_ns();
	p = request(s, p);
	if (timed) {
		end = now_ns();
		w->call_ns += weight * (end - begin - replay.clock_ns);
	}
	if (p && !s->failed)
		write_block(s, p);
	if (p && timed)
		w->touch_ns += weight * (now_ns() - end - replay.clock_ns);
	if (s->kind <= TRACE_REALLOC)
		keep(w, s, p);
}

/* --- Threads --- */

static void *thread_run(void *arg);

/* Whoever starts a thread sees to those that have ended, as programs do that join. */
static void threads_reap(void)
{
	struct worker *w = atomic_exchange(&replay.ended, NULL);

	for (struct worker *next; w; w = next) {
		next = w->next;
		pthread_join(w->id, NULL);
	}
}

static void thread_begin(uint32_t thread)
{
	struct worker *w = &replay.worker[thread];
	pthread_attr_t attr;

	threads_reap();
	w->thread = thread;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	if (pthread_create(&w->id, &attr, thread_run, w) != 0)
		die("slabmalloc-replay: no thread");
}

/* The thread's plan, block by block. */
static void steps_run(struct worker *w)
{
	struct plan_block *b = table_map(sizeof(*b));
	uint32_t block = replay.thread[w->thread].first, round = UINT32_MAX, i = 0;

	for (;; i++) {
		const struct step *s;

		if (i % PLAN_STEPS == 0) {
			read_at(b, sizeof(*b), (uint64_t)block * sizeof(*b));
			block = b->next;
		}
		s = &b->step[i % PLAN_STEPS];
		if (s->kind == PLAN_ROUND || s->kind == PLAN_END) {
			if (round != UINT32_MAX)
				round_leave(round);
			if (s->kind == PLAN_END)
				break;
			round_enter(round = s->other);
		} else if (s->kind == PLAN_THREAD) {
			thread_begin(s->other);
		} else {
			call(w, s);
		}
	}
	munmap(b, sizeof(*b));
}

static void *thread_run(void *arg)
{
	struct worker *w = arg;
	bool ends = replay.thread[w->thread].ends;

	steps_run(w);
	if (ends) {
		w->next = atomic_load(&replay.ended);
		while (!atomic_compare_exchange_weak(&replay.ended, &w->next, w))
			;
	}
	if (atomic_fetch_sub(&replay.running, 1) == 1)
		wake(&replay.running, 0);
	while (!ends)
		pause();
	return NULL;
}

static void replay_run(void)
{
	unsigned int running;

	replay.worker[replay.plan.main].thread = replay.plan.main;
	steps_run(&replay.worker[replay.plan.main]);
	while ((running = atomic_load(&replay.running)))
		sleep_while(&replay.running, running, 0);
	threads_reap();
}

/* --- The whole --- */

static void clock_calibrate(void)
{
	replay.clock_ns = 1e9;
	for (int i = 0; i < 1000; i++) {
		double begin = now_ns(), took = now_ns() - begin;

		if (took < replay.clock_ns)
			replay.clock_ns = took;
	}
}

/* By a process of its own, whose memory is gone when it ends. */
static void plan_read(const char *path, bool sequential)
{
	pid_t child;
	int status;
	struct plan *p = &replay.plan;
	size_t rounds, threads;

	replay.fd = memfd_create("slabmalloc-replay", MFD_CLOEXEC);
	child = replay.fd < 0 ? -1 : fork();
	if (child < 0)
		die("slabmalloc-replay: no memory for the plan");
	if (child == 0) {
		plan_make(path, replay.fd, sequential);
		_exit(0);
	}
	if (waitpid(child, &status, 0) != child || status != 0)
		exit(1);
	read_at(p, sizeof(*p), 0);
	threads = p->threads * sizeof(*replay.thread);
	rounds = p->rounds * sizeof(*replay.left);
	replay.thread = table_map(threads);
	read_at(replay.thread, threads, p->tables);
	replay.left = table_map(rounds + 1);
	read_at(replay.left, rounds, p->tables + threads);
	replay.worker = table_map(p->threads * sizeof(*replay.worker));
	atomic_store(&replay.running, p->running);
}

static unsigned long slots_map(void)
{
	size_t size = (replay.plan.slots * sizeof(void *) | 4095) + 1;

	replay.slot = mmap(NULL, size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (replay.slot == MAP_FAILED)
		die("slabmalloc-replay: no memory for the table of blocks");
	return size >> 10;
}

static void replay_file(const char *path, bool sequential)
{
	struct worker sum = { 0 };
	struct measure begin, end;
	unsigned long slots_kib;

	plan_read(path, sequential);
	slots_kib = slots_map();
	clock_calibrate();
	begin = measure_begin();
	replay_run();
	end = measure_begin();
	for (uint32_t i = 0; i < replay.plan.threads; i++) {
		sum.failed += replay.worker[i].failed;
		sum.call_ns += replay.worker[i].call_ns;
		sum.touch_ns += replay.worker[i].touch_ns;
	}
	result("seconds", end.wall - begin.wall);
	result("cpu_seconds", end.cpu - begin.cpu);
	result("call_seconds", sum.call_ns * 1e-9);
	result("touch_seconds", sum.touch_ns * 1e-9);
	result("minor_faults", (double)(end.minor_faults - begin.minor_faults));
	result("major_faults", (double)(end.major_faults - begin.major_faults));
	result("peak_rss_kib", (double)(status_kib("VmHWM:") - slots_kib));
	result("final_rss_kib", (double)(status_kib("VmRSS:") - slots_kib));
	result("calls", (double)replay.plan.calls);
	result("failed_requests", (double)sum.failed);
	result("operations_per_second", (double)replay.plan.calls / (end.wall - begin.wall));
}

int main(int argc, char **argv)
{
	const char *mode = argc == 3 ? argv[1] : argc == 2 && argv[1][0] != '-' ? "--threads" : "";
	const char *file = argv[argc - 1];

	if (!strcmp(mode, "--threads") || !strcmp(mode, "--sequential"))
		return replay_file(file, mode[2] == 's'), 0;
	if (!strcmp(mode, "--info"))
		return info_print(file), 0;
	dprintf(STDERR_FILENO,
		"usage: slabmalloc-replay [--threads | --sequential | --info] FILE\n");
	return 2;
}
