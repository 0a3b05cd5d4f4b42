// SPDX-License-Identifier: MIT
/*
 * mempool.c - memory pools: who is asked for an element, and in which order (pool/mempool.h has the reserve).
 */
#include "slabmalloc/mempool.h"

#include <errno.h>
#include <string.h>

#include "base/bug.h"
#include "base/printk.h"
#include "os/limit.h"
#include "os/mem.h"
#include "pool/mempool.h"
#include "preload/elements.h"
#include "preload/entry.h"

enum { RETRY_MS = 100 };

/*
 * Where the memory cgroup has more room than AMPLE, an element may be touched without a look at whether it is resident;
 * one that is not, and would leave less than MARGIN, is not handed out.
 */
#define AMPLE (64 * MIB)
#define MARGIN MIB

static void *ask(struct mempool *pool, gfp_t gfp)
{
	return pool->alloc(gfp, pool->pool_data);
}

/*
 * Is using this element certain to need no memory, or is there enough? May touch it. A pool without a reserve
 * promises nothing, and has nothing better to give.
 */
static bool affordable(const struct mempool *pool, void *element)
{
	struct span span;

	if (!READ_ONCE(pool->min_nr) || os_memory_room_lately() >= AMPLE)
		return true;
	span = element_span(pool, element);
	if (span_is_resident(span))
		return true;
	if (os_memory_room() < span.size + MARGIN)
		return false;
	span_fault_in(span);
	return true;
}

/* Fills the NULL entries by alloc_fn. False: not all. */
static bool gather(struct mempool *pool, gfp_t gfp, bool wary, void **elems, u32 *want)
{
	for (; *want; elems++) {
		if (*elems)
			continue;
		*elems = ask(pool, gfp);
		if (*elems && wary && !affordable(pool, *elems)) {
			pool->free(*elems, pool->pool_data);
			*elems = NULL;
		}
		if (!*elems)
			return false;
		--*want;
	}
	return true;
}

/* In the queue until the elements are there; alloc_fn is asked now and then, and its elements count. */
static void wait_for(struct mempool *pool, gfp_t gfp, void **elems, u32 want)
{
	struct mempool_waiter w = { .elems = elems, .want = want };
	void *e = NULL;

	if (pool_queue(pool, &w))
		return;
	while (!pool_sleep(&w, e ? 0 : RETRY_MS)) {
		e = ask(pool, gfp);
		if (e && (!affordable(pool, e) || !pool_serve(pool, &w, e))) {
			pool->free(e, pool->pool_data);
			e = NULL;
		}
	}
}

/*
 * The first try is without direct reclaim. To the library's own allocators that can be said more exactly: they
 * may ask the system for memory, but may not give any back for it.
 */
static gfp_t without_reclaim(const struct mempool *pool, gfp_t gfp)
{
	return element_is_known(pool) ? gfp | __GFP_NORETRY : gfp & ~__GFP_DIRECT_RECLAIM;
}

static bool allocate(struct mempool *pool, gfp_t gfp, void **elems, u32 count)
{
	bool may_wait = gfp & __GFP_DIRECT_RECLAIM;
	u32 want = 0;

	for (u32 i = 0; i < count; i++)
		want += !elems[i];
	counter_add(pool->out, want);
	gfp |= __GFP_NOWARN;
	if (!may_wait && os_memory_room_last() < AMPLE && pool_take(pool, elems, want))
		return true;
	if (gather(pool, without_reclaim(pool, gfp), may_wait, elems, &want) ||
	    pool_take(pool, elems, want))
		return true;
	if (may_wait) {
		if (!gather(pool, gfp, true, elems, &want))
			wait_for(pool, gfp, elems, want);
		return true;
	}
	counter_sub(pool->out, want);
	return false;
}

EXPORT void *mempool_alloc(mempool_t *pool, gfp_t gfp)
{
	static bool said;
	void *element = NULL;

	if (unlikely(gfp & __GFP_ZERO)) {
		if (!__atomic_exchange_n(&said, true, __ATOMIC_RELAXED))
			printk("mempool_alloc(%p): __GFP_ZERO dropped: the reserve of %s is not zeroed",
			       (void *)pool, pool->name);
		gfp &= ~__GFP_ZERO;
	}
	return allocate(pool, gfp, &element, 1) ? element : entry_no_memory();
}

EXPORT void *mempool_alloc_preallocated(mempool_t *pool)
{
	void *element = NULL;

	if (!pool_take(pool, &element, 1))
		return entry_no_memory();
	counter_add(pool->out, 1);
	return element;
}

EXPORT int mempool_alloc_bulk(mempool_t *pool, void **elems, unsigned int count,
			      unsigned int allocated)
{
	(void)allocated;
	allocate(pool, GFP_KERNEL, elems, count);
	return 0;
}

/* True: the pool, or who waits for it, has the element. */
static bool put(struct mempool *pool, void *element, const char *function)
{
	if (likely(!pool_wants(pool)))
		return false;
	span_fault_in(element_span(pool, element));
	switch (pool_put(pool, element, pool->element_size)) {
	case POOL_KEPT:
		return true;
	case POOL_FULL:
		return false;
	case POOL_TWICE:
		counter_add(pool->out, 1);
		report_bad(&(struct call){ function, element },
			   "double free: in the reserve of %s already", pool->name);
	}
	return true;
}

EXPORT void mempool_free(void *element, mempool_t *pool)
{
	if (!element)
		return;
	counter_sub(pool->out, 1);
	if (!put(pool, element, "mempool_free"))
		pool->free(element, pool->pool_data);
}

EXPORT unsigned int mempool_free_bulk(mempool_t *pool, void **elems, unsigned int count)
{
	unsigned int n = 0;

	counter_sub(pool->out, count);
	while (n < count && put(pool, elems[n], "mempool_free_bulk"))
		elems[n++] = NULL;
	return n;
}

/* Written to, so that putting an element into it needs no memory either. */
static void **make_array(int nr)
{
	size_t size = (size_t)max(nr, 1) * sizeof(void *);
	void **elements = entry_malloc(size);

	if (elements)
		memset(elements, 0, size);
	return elements;
}

static void *make_reserved(struct mempool *pool, gfp_t gfp)
{
	void *element = ask(pool, gfp);

	if (element)
		span_fault_in(element_span(pool, element));
	return element;
}

static void free_reserve(struct mempool *pool)
{
	void *element;

	while ((element = pool_shrink(pool, 0)))
		pool->free(element, pool->pool_data);
}

EXPORT int mempool_init_node(mempool_t *pool, int min_nr, mempool_alloc_t *alloc_fn,
			     mempool_free_t *free_fn, void *pool_data, gfp_t gfp, int node)
{
	(void)node;
	memset(pool, 0, sizeof(*pool));
	if (min_nr < 0) {
		printk("mempool_init(%p): min_nr %d is negative", (void *)pool, min_nr);
		return -EINVAL;
	}
	pool->min_nr = min_nr;
	pool->pool_data = pool_data;
	pool->alloc = alloc_fn;
	pool->free = free_fn;
	element_describe(pool);
	pool->elements = make_array(min_nr);
	if (!pool->elements)
		return -ENOMEM;
	while (pool->curr_nr < min_nr) {
		void *element = make_reserved(pool, gfp);

		if (!element) {
			free_reserve(pool);
			entry_free(pool->elements);
			pool->elements = NULL;
			return -ENOMEM;
		}
		pool->elements[pool->curr_nr++] = element;
	}
	pool_register(pool);
	return 0;
}

EXPORT int mempool_init(mempool_t *pool, int min_nr, mempool_alloc_t *alloc_fn,
			mempool_free_t *free_fn, void *pool_data)
{
	return mempool_init_node(pool, min_nr, alloc_fn, free_fn, pool_data, GFP_KERNEL, -1);
}

EXPORT mempool_t *mempool_create_node(int min_nr, mempool_alloc_t *alloc_fn,
				      mempool_free_t *free_fn, void *pool_data, gfp_t gfp, int node)
{
	mempool_t *pool = entry_malloc(sizeof(*pool));
	int error;

	if (!pool)
		return NULL;
	error = mempool_init_node(pool, min_nr, alloc_fn, free_fn, pool_data, gfp, node);
	if (!error)
		return pool;
	entry_free(pool);
	errno = -error;
	return NULL;
}

EXPORT mempool_t *mempool_create(int min_nr, mempool_alloc_t *alloc_fn, mempool_free_t *free_fn,
				 void *pool_data)
{
	return mempool_create_node(min_nr, alloc_fn, free_fn, pool_data, GFP_KERNEL, -1);
}

/* The number of elements that are out, after a line about them. */
static long count_out(const struct mempool *pool, const char *function, const char *then)
{
	long out = counter_read(pool->out);

	if (out > 0)
		printk("%s(%p): %ld elements of %s are still out%s", function,
		       (void *)(uintptr_t)pool, out, pool->name, then);
	return out;
}

static void end_pool(struct mempool *pool)
{
	free_reserve(pool);
	pool_unregister(pool);
	entry_free(pool->elements);
	pool->elements = NULL;
}

EXPORT void mempool_exit(mempool_t *pool)
{
	if (!pool->elements)
		return;
	count_out(pool, "mempool_exit", "");
	end_pool(pool);
}

EXPORT void mempool_destroy(mempool_t *pool)
{
	if (!pool)
		return;
	if (count_out(pool, "mempool_destroy", "; the pool is kept") > 0) {
		free_reserve(pool);
		return;
	}
	end_pool(pool);
	entry_free(pool);
}

EXPORT int mempool_resize(mempool_t *pool, int nr)
{
	void **elements, **old, *element;

	if (nr < 0) {
		printk("mempool_resize(%p): new_min_nr %d is negative", (void *)pool, nr);
		return -EINVAL;
	}
	if (nr <= READ_ONCE(pool->min_nr)) {
		while ((element = pool_shrink(pool, nr)))
			pool->free(element, pool->pool_data);
		return 0;
	}
	elements = make_array(nr);
	if (!elements)
		return -ENOMEM;
	old = pool_grow(pool, elements, nr);
	entry_free(old);
	while (old != elements && pool_wants(pool) && (element = make_reserved(pool, GFP_KERNEL)))
		if (pool_put(pool, element, false) != POOL_KEPT)
			pool->free(element, pool->pool_data);
	return 0;
}
