// SPDX-License-Identifier: MIT
/*
 * pressure.c - memory that was needed once, and is needed elsewhere now.
 *
 * Threads fill a heap with 16 to 1024 bytes and free most of it at random. Three programs in one:
 *
 *	hold 1     The heap's threads then sleep, but for those that are "busy": they go on to malloc
 *	           and free. It prints "held 1" and obeys its input: each line ends a period, for which
 *	           it prints how long the thousandth slowest call of the busy threads took; the end
 *	           of the input ends the program, and what it held is looked at then.
 *	take 1     The other program: it writes need_mib, block by block, and says how long that took
 *	           and how long the slowest block had to wait.
 *	neither    One process whose phases alternate: fill and free, rest, take and give back, again.
 *
 * Who is short of memory is up to the memory cgroup that they run in.
 */
#include <stdatomic.h>

#include "object.h"

enum { BUCKETS = 32 * 16, OPERATIONS = 256 /* of a busy thread at a time */ };

static struct knob knobs[] = {
	{ "mib", 700, 4 },  { "keep_percent", 7, 7 }, { "threads", 8, 2 }, { "need_mib", 600, 4 },
	{ "phases", 3, 2 }, { "idle_ms", 1000, 10 },  { "busy", 0, 0 },    { "hold", 0, 0 },
	{ "take", 0, 0 },   { "pace_us", 0, 0 }, /* after each MiB taken */
	{ NULL, 0, 0 },
};

/* Times of calls, in buckets of a sixteenth of a doubling. */
struct times {
	_Atomic unsigned long count[BUCKETS];
};

struct worker {
	size_t bytes;
	unsigned long keep; /* of 100 */
	unsigned int number;
	bool busy;
	struct object *kept;
	struct times times;
};

static pthread_barrier_t filled, held, end;
static _Atomic bool ending;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void times_add(struct times *t, uint64_t ns)
{
	unsigned int log = 63u - (unsigned int)__builtin_clzl(ns | 16);
	unsigned int bucket = (log - 4) * 16 + ((unsigned int)(ns >> (log - 4)) & 15);

	t->count[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
}

/* The upper end of a bucket. */
static double bucket_ns(unsigned int bucket)
{
	return (double)((17ul + bucket % 16) << (bucket / 16));
}

/* Of all workers together; the next period begins. */
static double slowest_thousandth(struct worker *w, unsigned long n)
{
	unsigned long count[BUCKETS] = { 0 }, all = 0, slower = 0;
	unsigned int b = BUCKETS - 1;

	for (unsigned long i = 0; i < n; i++) {
		for (unsigned int j = 0; j < BUCKETS; j++) {
			unsigned long found = atomic_exchange(&w[i].times.count[j], 0);

			count[j] += found;
			all += found;
		}
	}
	while (b && (slower += count[b]) * 1000 <= all)
		b--;
	return all ? bucket_ns(b) : 0;
}

/* All heaps fill before any frees. What is left is a list; the table of what there was is gone. */
static struct object *fill_and_free(size_t bytes, unsigned long keep, struct rng *rng)
{
	size_t n = 0, room = bytes / 64 * sizeof(struct object *);
	struct object **table = table_map(room), *kept = NULL;

	for (size_t live = 0; live < bytes; n++) {
		table[n] = object_new(rng_between(rng, 16, 1024));
		live += table[n]->size;
	}
	pthread_barrier_wait(&filled);
	while (n--) {
		if (rng_below(rng, 100) < keep) {
			table[n]->next = kept;
			kept = table[n];
		} else {
			object_free(table[n]);
		}
	}
	munmap(table, room);
	return kept;
}

static void churn(struct worker *w, struct rng *rng)
{
	struct object *slot[64] = { NULL };

	while (!ending) {
		for (int i = 0; i < OPERATIONS; i++) {
			struct object **o = &slot[rng_below(rng, 64)];
			size_t size = rng_between(rng, 16, 1024);
			uint64_t before;

			object_free(*o);
			before = now_ns();
			*o = must_malloc(size);
			times_add(&w->times, now_ns() - before);
			(*o)->size = (uint32_t)size;
			__builtin_memcpy(object_tail(*o), &(*o)->size, sizeof((*o)->size));
		}
	}
	for (int i = 0; i < 64; i++)
		object_free(slot[i]);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct rng rng = rng_seed(w->number);

	w->kept = fill_and_free(w->bytes, w->keep, &rng);
	pthread_barrier_wait(&held);
	if (w->busy)
		churn(w, &rng);
	pthread_barrier_wait(&end);
	object_free_list(w->kept);
	return NULL;
}

static void heap_begin(struct worker *workers, pthread_t *threads, unsigned long n)
{
	pthread_barrier_init(&filled, NULL, (unsigned int)n);
	pthread_barrier_init(&held, NULL, (unsigned int)n + 1);
	pthread_barrier_init(&end, NULL, (unsigned int)n + 1);
	ending = false;
	for (unsigned long i = 0; i < n; i++) {
		workers[i].bytes = knob(knobs, "mib") * MIB / n;
		workers[i].keep = knob(knobs, "keep_percent");
		workers[i].number = (unsigned int)i;
		workers[i].busy = i < knob(knobs, "busy");
	}
	threads_start(threads, n, work, workers, sizeof(*workers));
	pthread_barrier_wait(&held);
}

static void heap_end(pthread_t *threads, unsigned long n)
{
	ending = true;
	pthread_barrier_wait(&end);
	threads_join(threads, n);
	pthread_barrier_destroy(&filled);
	pthread_barrier_destroy(&held);
	pthread_barrier_destroy(&end);
}

static void obey(struct worker *workers, unsigned long n)
{
	char order[64];
	ssize_t got;

	result("held", 1);
	while ((got = read(STDIN_FILENO, order, sizeof(order))) > 0)
		for (ssize_t i = 0; i < got; i++)
			if (order[i] == '\n')
				result("slowest_thousandth_ns", slowest_thousandth(workers, n));
}

/* How long the slowest block took, in ns. */
static uint64_t take(unsigned long mib)
{
	struct object *list = NULL;
	uint64_t longest = 0;

	for (unsigned long i = 0; i < mib; i++) {
		uint64_t before = now_ns();
		struct object *o = object_new(MIB);

		if (now_ns() - before > longest)
			longest = now_ns() - before;
		o->next = list;
		list = o;
		if (knob(knobs, "pace_us"))
			usleep((useconds_t)knob(knobs, "pace_us"));
	}
	object_free_list(list);
	return longest;
}

static void alternate(struct worker *workers, pthread_t *threads, unsigned long n,
		      struct measure *m)
{
	double rss_kib = 0;
	uint64_t longest = 0;

	for (unsigned long i = 0; i < knob(knobs, "phases"); i++) {
		uint64_t waited;

		heap_begin(workers, threads, n);
		measure_sleep(m, knob(knobs, "idle_ms"));
		rss_kib += (double)status_kib("VmRSS:");
		waited = take(knob(knobs, "need_mib"));
		longest = waited > longest ? waited : longest;
		heap_end(threads, n);
	}
	result("idle_kib", rss_kib / (double)knob(knobs, "phases"));
	result("longest_wait_ms", (double)longest * 1e-6);
}

int main(int argc, char **argv)
{
	static struct worker workers[MAX_THREADS];
	pthread_t threads[MAX_THREADS];
	struct measure m;
	unsigned long n;

	knobs_read(knobs, argc, argv);
	n = knob_threads(knobs);
	m = measure_begin();
	if (knob(knobs, "take")) {
		result("longest_wait_ms", (double)take(knob(knobs, "need_mib")) * 1e-6);
	} else if (knob(knobs, "hold")) {
		heap_begin(workers, threads, n);
		obey(workers, n);
		heap_end(threads, n);
		return 0;
	} else {
		alternate(workers, threads, n, &m);
	}
	measure_end(&m);
	return 0;
}
