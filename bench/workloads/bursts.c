// SPDX-License-Identifier: MIT
/*
 * bursts.c - work comes in bursts, and between them the program idles.
 *
 * In a burst, threads allocate 256 MiB together and free it. In the idle phase they sleep, and the
 * main thread answers a small request every ten milliseconds, as a server's health check. The next
 * burst wants the memory again: who keeps it is fast, who gives it back is small. Resident memory
 * is read at the end of each idle phase, and its mean above the start is shown; idle phases do not
 * count as time.
 */
#include "object.h"

enum { TICK_MS = 10, REQUEST = 20 /* objects */ };

static struct knob knobs[] = {
	{ "threads", 2, 2 },    { "mib", 256, 1 }, { "bursts", 6, 2 },
	{ "idle_ms", 500, 10 }, { NULL, 0, 0 },
};

struct worker {
	size_t bytes;
	unsigned long bursts;
	unsigned int number;
};

static pthread_barrier_t begin, end;

static struct object *draw(struct rng *rng)
{
	bool small = rng_below(rng, 64) != 0;

	return object_new(small ? rng_size(rng, 16, 2048) : rng_size(rng, 2048, 262144));
}

static void burst(size_t bytes, struct rng *rng)
{
	struct object *list = NULL;

	for (size_t live = 0; live < bytes;) {
		struct object *o = draw(rng);

		live += o->size;
		o->next = list;
		list = o;
	}
	object_free_list(list);
}

static void *work(void *arg)
{
	const struct worker *w = arg;
	struct rng rng = rng_seed(w->number);

	for (unsigned long i = 0; i < w->bursts; i++) {
		pthread_barrier_wait(&begin);
		burst(w->bytes, &rng);
		pthread_barrier_wait(&end);
	}
	return NULL;
}

static void idle(struct measure *m, unsigned long ms, struct rng *rng)
{
	for (unsigned long at = 0; at < ms; at += TICK_MS) {
		struct object *list = NULL;

		for (int i = 0; i < REQUEST; i++) {
			struct object *o = draw(rng);

			o->next = list;
			list = o;
		}
		object_free_list(list);
		measure_sleep(m, TICK_MS);
	}
}

int main(int argc, char **argv)
{
	static struct worker workers[MAX_THREADS];
	pthread_t threads[MAX_THREADS];
	struct rng rng = rng_seed(MAX_THREADS);
	unsigned long n, bursts, start_kib;
	struct measure m;
	double idle_kib = 0;

	knobs_read(knobs, argc, argv);
	n = knob_threads(knobs);
	bursts = knob(knobs, "bursts");
	pthread_barrier_init(&begin, NULL, (unsigned int)n + 1);
	pthread_barrier_init(&end, NULL, (unsigned int)n + 1);
	for (unsigned long i = 0; i < n; i++) {
		workers[i].bytes = knob(knobs, "mib") * MIB / n;
		workers[i].bursts = bursts;
		workers[i].number = (unsigned int)i;
	}
	start_kib = status_kib("VmRSS:");

	m = measure_begin();
	threads_start(threads, n, work, workers, sizeof(*workers));
	for (unsigned long i = 0; i < bursts; i++) {
		pthread_barrier_wait(&begin);
		pthread_barrier_wait(&end);
		idle(&m, knob(knobs, "idle_ms"), &rng);
		idle_kib += (double)status_kib("VmRSS:") - (double)start_kib;
	}
	threads_join(threads, n);
	measure_end(&m);
	result("idle_kib_above_start", idle_kib / (double)bursts);
	return 0;
}
