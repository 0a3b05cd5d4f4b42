// SPDX-License-Identifier: MIT
/*
 * typed.c - objects of two types: by malloc, or from slab caches of their own.
 *
 * Records are 40 bytes, a million of them live, replaced at random. Connections have two mutexes, a
 * condition, list heads and a table, which are made once in a cache with a constructor, and each
 * time after malloc (Bonwick 1994, section 2: object caching). With "typed 1" the caches are used if
 * the malloc that is linked or preloaded has them; with another it is malloc all the same.
 */
#include <dlfcn.h>

#include "workload.h"

static struct knob knobs[] = {
	{ "typed", 0, 1 },
	{ "records", 1000000, 1000 }, /* live */
	{ "replaced", 10000000, 2000 },
	{ "connections", 200, 20 }, /* live */
	{ "served", 4000000, 500 },
	{ NULL, 0, 0 },
};

struct record {
	unsigned long key, value[4];
};

struct connection {
	pthread_mutex_t in, out;
	pthread_cond_t ready;
	struct connection *next, *previous;
	unsigned int state, window[60];
};

enum { CLOSED = 7, OPEN };

static void connection_make(void *p)
{
	struct connection *c = p;

	pthread_mutex_init(&c->in, NULL);
	pthread_mutex_init(&c->out, NULL);
	pthread_cond_init(&c->ready, NULL);
	c->next = c->previous = c;
	c->state = CLOSED;
	for (unsigned int i = 0; i < 60; i++)
		c->window[i] = i * i;
}

static void connection_end(struct connection *c)
{
	pthread_cond_destroy(&c->ready);
	pthread_mutex_destroy(&c->out);
	pthread_mutex_destroy(&c->in);
}

/* The library's symbols, found at run time: this program runs under any malloc. */
struct kmem_cache_args {
	unsigned int align, useroffset, usersize, freeptr_offset;
	bool use_freeptr_offset;
	void (*ctor)(void *object);
	unsigned int sheaf_capacity;
};

enum { GFP_KERNEL = 0x30 };

static void *(*cache_create)(const char *, size_t, const struct kmem_cache_args *, unsigned int);
static void *(*cache_alloc)(void *cache, unsigned int gfp);
static void (*cache_free)(void *cache, void *object);

static void *records, *connections; /* caches, or NULL: malloc */

static void find_caches(void)
{
	struct kmem_cache_args args = { .ctor = connection_make };

	*(void **)&cache_create = dlsym(RTLD_DEFAULT, "slabmalloc_kmem_cache_create_args");
	*(void **)&cache_alloc = dlsym(RTLD_DEFAULT, "slabmalloc_kmem_cache_alloc");
	*(void **)&cache_free = dlsym(RTLD_DEFAULT, "slabmalloc_kmem_cache_free");
	if (!cache_create || !cache_alloc || !cache_free)
		return;
	records = cache_create("record", sizeof(struct record), NULL, 0);
	connections = cache_create("connection", sizeof(struct connection), &args, 0);
}

static struct record *record_new(unsigned long key)
{
	struct record *r = records ? cache_alloc(records, GFP_KERNEL) : must_malloc(sizeof(*r));

	*r = (struct record){ .key = key, .value = { key, ~key } };
	return r;
}

static void record_free(struct record *r)
{
	if (r->value[1] != ~r->key)
		die("a record was overwritten");
	if (records)
		cache_free(records, r);
	else
		free(r);
}

static struct connection *connection_new(void)
{
	struct connection *c;

	if (connections) {
		c = cache_alloc(connections, GFP_KERNEL);
	} else {
		c = must_malloc(sizeof(*c));
		connection_make(c);
	}
	if (c->state != CLOSED || c->next != c || c->window[59] != 59 * 59)
		die("a connection is not as it was made");
	c->state = OPEN;
	return c;
}

static void connection_free(struct connection *c)
{
	c->state = CLOSED;
	if (connections) {
		cache_free(connections, c);
		return;
	}
	connection_end(c);
	free(c);
}

int main(int argc, char **argv)
{
	struct rng rng = rng_seed(0);
	unsigned long n, live, replaced, served;
	struct connection **connection;
	struct record **record;
	struct measure m;
	double seconds;

	knobs_read(knobs, argc, argv);
	n = knob(knobs, "records");
	live = knob(knobs, "connections");
	replaced = knob(knobs, "replaced");
	served = knob(knobs, "served");
	record = table_map(n * sizeof(*record));
	connection = table_map(live * sizeof(*connection));
	m = measure_begin();
	if (knob(knobs, "typed"))
		find_caches();
	for (unsigned long i = 0; i < n; i++)
		record[i] = record_new(i);
	for (unsigned long i = 0; i < replaced; i++) {
		unsigned long k = rng_below(&rng, n);

		record_free(record[k]);
		record[k] = record_new(i);
	}
	for (unsigned long i = 0; i < live; i++)
		connection[i] = connection_new();
	for (unsigned long i = 0; i < served; i++) {
		unsigned long k = rng_below(&rng, live);

		connection_free(connection[k]);
		connection[k] = connection_new();
	}
	seconds = measure_end(&m);
	result("operations_per_second", (double)(replaced + served) / seconds);
	return 0;
}
