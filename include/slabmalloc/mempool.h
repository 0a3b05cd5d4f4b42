/* SPDX-License-Identifier: MIT */
/*
 * mempool.h - the kernel's memory pools: allocations that succeed when there is no memory.
 *
 * A pool keeps a reserve of min_nr elements. mempool_alloc() asks the pool's alloc_fn first, without direct
 * reclaim; if that fails it takes an element of the reserve; if there is none, it asks alloc_fn again as
 * the caller's flags permit; then it waits until an element comes back. So a caller that may wait
 * always gets its element, as long as those who hold elements give them back without needing another one of
 * the same pool: that is how an I/O path goes on, a request at a time, while memory is out.
 *
 * What it takes to keep that promise in a process:
 *
 *	- Each page of an element is written to before the element goes into the reserve, so that using it needs no
 *	  memory, not even for a page fault. The size is known for the slab, kmalloc and page pools, and for
 *	  elements that are blocks of this heap (malloc, kmalloc, kmem_cache_alloc); others are alloc_fn's care.
 *	- mempool_alloc() gives away what alloc_fn returned only if it is resident too, or if the process's memory
 *	  cgroups have room for it; otherwise it counts as a failure of alloc_fn, since touching it could get the
 *	  process killed. (Callers that may not wait get reserve elements first while memory is that short.)
 *	- Swapping can still take resident pages out. Where there is swap, mlockall(MCL_CURRENT) or mlock() of the
 *	  elements keeps them in; MADV_PAGEOUT, MADV_DONTNEED or MADV_FREE on an element is the caller's own act.
 *	- After fork() parent and child share the reserve's pages until one of them writes, which takes memory.
 *
 * Waiters are served in the order in which they came, each handed its element by the thread that frees one. One
 * that waits asks alloc_fn again every 100 ms (the kernel: 5 s), and keeps its place.
 *
 * All functions may be called by any thread; none in a signal handler. No function of the pool's user is called
 * with a lock held.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slabmalloc/gfp_types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kmem_cache;
struct mempool_waiter;

/* NULL: no memory. Without __GFP_DIRECT_RECLAIM in gfp_mask it must not wait. */
typedef void *(mempool_alloc_t)(gfp_t gfp_mask, void *pool_data);
typedef void(mempool_free_t)(void *element, void *pool_data);

/* Fields may be read at any time, for what they are worth; only the functions change them. */
typedef struct mempool {
	int min_nr; /* the reserve when it is full */
	int curr_nr; /* elements in it */
	void **elements;
	void *pool_data;
	mempool_alloc_t *alloc;
	mempool_free_t *free;

	/* The library's own. */
	size_t element_size; /* bytes; 0: alloc_fn knows */
	unsigned long id; /* in the order of their making; 0: not in use */
	struct mempool *next, **pprev; /* list of all pools */
	struct mempool_waiter *waiters, **tail; /* first come, first served */
	char name[32];
	long out; /* allocated and not freed */
} mempool_t;

/**
 * mempool_init_node() - make a pool in memory of the caller's
 * @pool: where; whatever it contains
 * @min_nr: elements of the reserve, from 0
 * @alloc_fn: makes an element
 * @free_fn: frees one
 * @pool_data: passed to both
 * @gfp_mask: for making the reserve
 * @node: passed over: nodes are alloc_fn's matter
 *
 * Return: 0; -ENOMEM: the reserve could not be had, nothing is left of it; -EINVAL: @min_nr is negative.
 */
int mempool_init_node(mempool_t *pool, int min_nr, mempool_alloc_t *alloc_fn,
		      mempool_free_t *free_fn, void *pool_data, gfp_t gfp_mask,
		      int node) __asm__("slabmalloc_mempool_init_node");

/* The same with GFP_KERNEL. */
int mempool_init(mempool_t *pool, int min_nr, mempool_alloc_t *alloc_fn, mempool_free_t *free_fn,
		 void *pool_data) __asm__("slabmalloc_mempool_init");

/**
 * mempool_exit() - end a pool made by mempool_init()
 * @pool: the pool; one that is all zero, or ended already, is left alone
 *
 * Frees the reserve. All elements should have come back: those that are out are told of in a line with their
 * number, and must be freed by other means than this pool.
 */
void mempool_exit(mempool_t *pool) __asm__("slabmalloc_mempool_exit");

/**
 * mempool_create_node() - make a pool
 *
 * Arguments as mempool_init_node().
 *
 * Return: the pool, the caller's until mempool_destroy(); NULL and errno.
 */
mempool_t *mempool_create_node(int min_nr, mempool_alloc_t *alloc_fn, mempool_free_t *free_fn,
			       void *pool_data, gfp_t gfp_mask,
			       int node) __asm__("slabmalloc_mempool_create_node");

/* The same with GFP_KERNEL. */
mempool_t *mempool_create(int min_nr, mempool_alloc_t *alloc_fn, mempool_free_t *free_fn,
			  void *pool_data) __asm__("slabmalloc_mempool_create");

/**
 * mempool_destroy() - end a pool made by mempool_create()
 * @pool: the pool, or NULL: nothing happens
 *
 * If elements are still out, a line tells their number, the reserve is freed and the pool itself is
 * kept, so that freeing them into it later does no damage (the kernel frees the pool).
 */
void mempool_destroy(mempool_t *pool) __asm__("slabmalloc_mempool_destroy");

/**
 * mempool_resize() - change the size of the reserve
 * @pool: the pool; others may use it meanwhile, and nobody may end it
 * @new_min_nr: elements, from 0
 *
 * Return: 0. The reserve may not be full yet when memory is short: elements that are freed fill it. -ENOMEM:
 * as it was. -EINVAL: @new_min_nr is negative.
 */
int mempool_resize(mempool_t *pool, int new_min_nr) __asm__("slabmalloc_mempool_resize");

/**
 * mempool_alloc() - allocate an element
 * @pool: the pool
 * @gfp_mask: GFP_KERNEL, GFP_NOIO: never fails, may wait. Without __GFP_DIRECT_RECLAIM (GFP_ATOMIC,
 * GFP_NOWAIT): never waits. __GFP_ZERO is not for pools: a line says so once, and it is dropped.
 *
 * Return: the element, the caller's until mempool_free(); NULL only if the caller may not wait.
 */
void *mempool_alloc(mempool_t *pool, gfp_t gfp_mask) __asm__("slabmalloc_mempool_alloc");

/* Only from the reserve: at once, without alloc_fn; NULL: it is empty, or others wait for it. */
void *mempool_alloc_preallocated(mempool_t *pool) __asm__("slabmalloc_mempool_alloc_preallocated");

/**
 * mempool_alloc_bulk() - allocate many elements
 * @pool: the pool
 * @elems: @count pointers; those that are NULL are filled
 * @count: how many; of those to be filled not more than min_nr, or two callers may each hold half and wait for
 * the other
 * @allocated: how many are filled already
 *
 * What alloc_fn cannot give comes out of the reserve all at once, so that two callers never share a reserve that
 * is enough for one. Waits as mempool_alloc() with GFP_KERNEL.
 *
 * Return: 0.
 */
int mempool_alloc_bulk(mempool_t *pool, void **elems, unsigned int count,
		       unsigned int allocated) __asm__("slabmalloc_mempool_alloc_bulk");

/**
 * mempool_free() - free an element
 * @element: from mempool_alloc() of this pool, or NULL
 * @pool: the pool
 *
 * To the first waiter, else into the reserve, else to free_fn. An element that lies in the reserve already is
 * reported (where the pool knows the size: two may well be the same where they are no memory), and the program
 * aborted (option abort).
 */
void mempool_free(void *element, mempool_t *pool) __asm__("slabmalloc_mempool_free");

/**
 * mempool_free_bulk() - fill the reserve
 * @pool: the pool
 * @elems: elements
 * @count: how many
 *
 * Return: how many of them, from the start of @elems, went into the reserve; the caller frees the others.
 */
unsigned int mempool_free_bulk(mempool_t *pool, void **elems,
			       unsigned int count) __asm__("slabmalloc_mempool_free_bulk");

/* Is the reserve full? */
static inline bool mempool_is_saturated(mempool_t *pool)
{
	return __atomic_load_n(&pool->curr_nr, __ATOMIC_RELAXED) >=
	       __atomic_load_n(&pool->min_nr, __ATOMIC_RELAXED);
}

static inline bool mempool_initialized(mempool_t *pool)
{
	return pool->elements != NULL;
}

/* Elements that are objects of a slab cache; pool_data: the cache. */
void *mempool_alloc_slab(gfp_t gfp_mask, void *pool_data) __asm__("slabmalloc_mempool_alloc_slab");
void mempool_free_slab(void *element, void *pool_data) __asm__("slabmalloc_mempool_free_slab");

static inline int mempool_init_slab_pool(mempool_t *pool, int min_nr, struct kmem_cache *kc)
{
	return mempool_init(pool, min_nr, mempool_alloc_slab, mempool_free_slab, (void *)kc);
}

static inline mempool_t *mempool_create_slab_pool(int min_nr, struct kmem_cache *kc)
{
	return mempool_create(min_nr, mempool_alloc_slab, mempool_free_slab, (void *)kc);
}

/* Elements of kmalloc; pool_data: their size. */
void *mempool_kmalloc(gfp_t gfp_mask, void *pool_data) __asm__("slabmalloc_mempool_kmalloc");
void mempool_kfree(void *element, void *pool_data) __asm__("slabmalloc_mempool_kfree");

static inline int mempool_init_kmalloc_pool(mempool_t *pool, int min_nr, size_t size)
{
	return mempool_init(pool, min_nr, mempool_kmalloc, mempool_kfree, (void *)(uintptr_t)size);
}

static inline mempool_t *mempool_create_kmalloc_pool(int min_nr, size_t size)
{
	return mempool_create(min_nr, mempool_kmalloc, mempool_kfree, (void *)(uintptr_t)size);
}

/* Elements that are struct page * of 2^order pages; pool_data: the order. */
void *mempool_alloc_pages(gfp_t gfp_mask,
			  void *pool_data) __asm__("slabmalloc_mempool_alloc_pages");
void mempool_free_pages(void *element, void *pool_data) __asm__("slabmalloc_mempool_free_pages");

static inline int mempool_init_page_pool(mempool_t *pool, int min_nr, int order)
{
	return mempool_init(pool, min_nr, mempool_alloc_pages, mempool_free_pages,
			    (void *)(intptr_t)order);
}

static inline mempool_t *mempool_create_page_pool(int min_nr, int order)
{
	return mempool_create(min_nr, mempool_alloc_pages, mempool_free_pages,
			      (void *)(intptr_t)order);
}

#ifdef __cplusplus
}
#endif
