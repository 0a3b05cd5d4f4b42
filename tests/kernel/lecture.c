/* SPDX-License-Identifier: MIT */
/*
 * A module as it is written in a lecture on the kernel's memory: a cache of named records that are counted by
 * reference, a shrinker that gives up the ones nobody uses, a mempool for the requests. Only its includes are not
 * those of the lecture (linux/slab.h, linux/kref.h, linux/shrinker.h, linux/mempool.h), and printk is printf.
 */
#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "slabmalloc/gfp.h"
#include "slabmalloc/kref.h"
#include "slabmalloc/mempool.h"
#include "slabmalloc/shrinker.h"
#include "slabmalloc/slab.h"
#include "slabmalloc/vmalloc.h"

#define printk printf
#define mutex_lock pthread_mutex_lock
#define mutex_unlock pthread_mutex_unlock

struct record {
	struct kref ref; /* the table's own, and one for each user */
	struct record *next;
	char *name;
	unsigned long hits;
};

struct request {
	char text[120];
};

static struct kmem_cache *record_cache, *request_cache;
static mempool_t *request_pool;
static struct record *table;
static unsigned long nr_unused;
static pthread_mutex_t table_mutex = PTHREAD_MUTEX_INITIALIZER;

static void record_release(struct kref *ref)
{
	struct record *r = container_of(ref, struct record, ref);

	kfree(r->name);
	kmem_cache_free(record_cache, r);
}

static struct record *record_get(const char *name)
{
	struct record *r;

	mutex_lock(&table_mutex);
	for (r = table; r && strcmp(r->name, name); r = r->next)
		;
	if (!r && (r = kmem_cache_zalloc(record_cache, GFP_KERNEL))) {
		kref_init(&r->ref);
		r->name = kstrdup(name, GFP_KERNEL);
		r->next = table;
		table = r;
		nr_unused++;
	}
	if (r) {
		if (kref_read(&r->ref) == 1)
			nr_unused--;
		kref_get(&r->ref);
		r->hits++;
	}
	mutex_unlock(&table_mutex);
	return r;
}

static void record_put(struct record *r)
{
	mutex_lock(&table_mutex);
	if (kref_read(&r->ref) == 2)
		nr_unused++;
	kref_put(&r->ref, record_release);
	mutex_unlock(&table_mutex);
}

static unsigned long record_count(struct shrinker *s, struct shrink_control *sc)
{
	(void)s;
	(void)sc;
	return nr_unused ? nr_unused : SHRINK_EMPTY;
}

static unsigned long record_scan(struct shrinker *s, struct shrink_control *sc)
{
	unsigned long freed = 0;
	struct record **link = &table, *r;

	(void)s;
	mutex_lock(&table_mutex);
	while ((r = *link) && freed < sc->nr_to_scan) {
		if (kref_read(&r->ref) > 1) {
			link = &r->next;
			continue;
		}
		*link = r->next;
		nr_unused--;
		freed++;
		kref_put(&r->ref, record_release);
	}
	mutex_unlock(&table_mutex);
	return freed;
}

/* As lectures teach it, and as the kernel of today wants it. */
static struct shrinker record_shrinker = {
	.count_objects = record_count,
	.scan_objects = record_scan,
	.seeks = DEFAULT_SEEKS,
};
static struct shrinker *new_shrinker;

static int records_init(void)
{
	record_cache = KMEM_CACHE(record, SLAB_HWCACHE_ALIGN | SLAB_PANIC);
	request_cache = kmem_cache_create("request", sizeof(struct request), 0, 0, NULL);
	if (!request_cache)
		return -1;
	request_pool = mempool_create_slab_pool(8, request_cache);
	if (!request_pool)
		return -1;
	new_shrinker = shrinker_alloc(0, "records-new");
	if (!new_shrinker)
		return -1;
	new_shrinker->count_objects = record_count;
	new_shrinker->scan_objects = record_scan;
	shrinker_register(new_shrinker);
	return register_shrinker(&record_shrinker, "records");
}

static void records_exit(void)
{
	struct shrink_control all = { .nr_to_scan = ~0ul };

	unregister_shrinker(&record_shrinker);
	shrinker_free(new_shrinker);
	record_scan(NULL, &all);
	mempool_destroy(request_pool);
	kmem_cache_destroy(request_cache);
	kmem_cache_destroy(record_cache);
}

int main(void)
{
	struct record *held;
	unsigned long before;

	if (records_init())
		return 1;
	for (int i = 0; i < 10000; i++) {
		struct request *q = mempool_alloc(request_pool, GFP_KERNEL);

		snprintf(q->text, sizeof(q->text), "record %d", i % 3000);
		record_put(record_get(q->text));
		mempool_free(q, request_pool);
	}
	held = record_get("record 7");
	before = nr_unused;
	printk("%lu unused records, \"%s\" was used %lu times\n", before, held->name, held->hits);
	for (int priority = 12; priority >= 0; priority--)
		slabmalloc_shrink(priority);
	assert(nr_unused < before / 2);
	printk("after shrinking: fewer than half, and \"%s\" is still there\n", held->name);
	record_put(held);
	records_exit();
	return 0;
}
