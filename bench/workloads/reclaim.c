// SPDX-License-Identifier: MIT
/*
 * reclaim.c - many threads only malloc, and one frees for all of them.
 *
 * As where readers and writers retire what they unlink, and a thread of its own frees it when
 * nobody looks any more. Every free is remote, and the one thread that frees has the objects of
 * sixteen in turn. The queue is bounded, so the peak of resident memory shows whether the objects
 * find back to those who need them.
 */
#include "object.h"

enum {
	BATCH = 256, /* objects retired together */
	QUEUE = 64, /* batches that wait to be freed, at most */
};

static struct knob knobs[] = {
	{ "threads", 16, 16 }, /* that produce */
	{ "objects", 12000000, 16384 }, /* of all of them */
	{ NULL, 0, 0 },
};

struct producer {
	unsigned long batches;
	unsigned int number;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t filled, drained;
	struct object *batch[QUEUE];
	size_t in, out;
} queue = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.filled = PTHREAD_COND_INITIALIZER,
	.drained = PTHREAD_COND_INITIALIZER,
};

static void queue_put(struct object *batch)
{
	pthread_mutex_lock(&queue.lock);
	while (queue.in - queue.out == QUEUE)
		pthread_cond_wait(&queue.drained, &queue.lock);
	queue.batch[queue.in++ % QUEUE] = batch;
	pthread_cond_signal(&queue.filled);
	pthread_mutex_unlock(&queue.lock);
}

static struct object *queue_take(void)
{
	struct object *batch;

	pthread_mutex_lock(&queue.lock);
	while (queue.in == queue.out)
		pthread_cond_wait(&queue.filled, &queue.lock);
	batch = queue.batch[queue.out++ % QUEUE];
	pthread_cond_signal(&queue.drained);
	pthread_mutex_unlock(&queue.lock);
	return batch;
}

static void *produce(void *arg)
{
	const struct producer *p = arg;
	struct rng rng = rng_seed(p->number);

	for (unsigned long i = 0; i < p->batches; i++) {
		struct object *batch = NULL;

		for (int j = 0; j < BATCH; j++) {
			struct object *o = object_new(rng_size(&rng, 16, 512));

			o->next = batch;
			batch = o;
		}
		queue_put(batch);
	}
	return NULL;
}

static void *reclaim(void *arg)
{
	const unsigned long *batches = arg;

	for (unsigned long i = 0; i < *batches; i++)
		object_free_list(queue_take());
	return NULL;
}

int main(int argc, char **argv)
{
	static struct producer producers[MAX_THREADS];
	pthread_t threads[MAX_THREADS], reclaimer;
	unsigned long n, batches;
	struct measure m;
	double seconds;

	knobs_read(knobs, argc, argv);
	n = knob_threads(knobs);
	for (unsigned long i = 0; i < n; i++) {
		producers[i].batches = knob(knobs, "objects") / BATCH / n;
		producers[i].number = (unsigned int)i;
	}
	batches = n * producers[0].batches;

	m = measure_begin();
	reclaimer = thread_start(reclaim, &batches);
	threads_start(threads, n, produce, producers, sizeof(*producers));
	threads_join(threads, n);
	pthread_join(reclaimer, NULL);
	seconds = measure_end(&m);
	result("objects_per_second", (double)(batches * BATCH) / seconds);
	return 0;
}
