/* SPDX-License-Identifier: MIT */
/*
 * entry.h - the semantics of malloc behind all its names: C's, C++'s, glibc's.
 *
 * The hit is inline (sheaf/sheaf.h); everything else is in entry.c. A function that fails for want of
 * memory has run direct reclaim and tried again; it returns NULL with errno ENOMEM. Functions that free
 * keep errno.
 */
#pragma once

#include "sheaf/sheaf.h"

#define EXPORT __attribute__((visibility("default")))

/* libc's own name for one of malloc's. */
#define LIBC_ALIAS(name) EXPORT extern __typeof__(name) __libc_##name __attribute__((alias(#name)))

/* For what programs call most: it starts a line of the instruction cache (5 % of a malloc and free pair). */
#define HOT __attribute__((aligned(64)))

/* Who called the function that called this one by a jump, as malloc's names call the slow paths. */
#define CALLER __builtin_return_address(0)

/* Any alignment: what fits no class, or is larger than the largest, too. */
void *entry_malloc_slow(size_t n);
void *entry_calloc_slow(size_t n);
void entry_free_slow(void *p, const char *function);

/* n > 0 bytes as gfp says; NULL and errno ENOMEM. (No zones: kmalloc.c.) */
void *entry_kmalloc(size_t n, gfp_t gfp, const void *caller);

/* The node that memory for the calling thread comes from. */
u32 entry_node(gfp_t gfp);

/* The calling thread wanted frames of a node and got another's, or its. */
void entry_count_frames(u32 wanted, u32 nid, size_t frames);

/* n > 0 bytes of a node; with __GFP_THISNODE of no other. */
void *entry_kmalloc_node(size_t n, gfp_t gfp, u32 nid, const void *caller);

/* An object of cache id as it lies in a sheaf, from a node; with __GFP_THISNODE from no other. As entry_take. */
void *entry_take_node(u32 id, gfp_t gfp, u32 nid);

/*
 * Of a function's argument: the node that it names, or where the calling thread's memory comes from: NUMA_NO_NODE, no such
 * node, or one without memory. False: __GFP_THISNODE, and it has none.
 */
bool entry_node_named(int node, gfp_t gfp, u32 *nid);

/* The slow path's free, for whom the caller is not one jump away. */
void entry_free_from(void *p, const char *function, const void *caller);

/* align: a power of two, else EINVAL. */
void *entry_memalign(size_t align, size_t n);

/* Usable bytes of the block at p; 0 after a report: p is none. */
size_t entry_usable_size(void *p, const char *function);

/* The same of a block of class id, or of none (0). */
size_t entry_block_size(void *p, u32 id, const char *function);

/* An object of cache id as it lies in a sheaf; NULL and errno ENOMEM. */
void *entry_take(u32 id, gfp_t gfp);

/* Puts an object that carries its key into a sheaf of cache id, or its slab. */
void entry_give(u32 id, void *p);

/* The large block that the thread freed last and keeps (page/pcp.h) goes back: another one may grow into it. */
void entry_drop_kept(void);

/* After what changed the heap: gives back what is due. */
void entry_tick(void);

/* Gives back all that can be; all: also out of huge pages in use. Returns bytes. */
size_t entry_trim(bool all);

/* After an allocation failed: may it try again? Memory was given back for it. tries begins at 0. */
bool entry_retry(gfp_t gfp, unsigned int *tries);

/* errno, and NULL. */
void *entry_no_memory(void) __cold;

/* n bytes, of size that the cache gives, were allocated at p: is it a sample (debug/profile.h)? Profiling is on. */
void entry_count(void *p, size_t n, size_t size, const void *caller);

/* Is an object of cache id in use at p? Otherwise the line has been written. */
bool entry_in_use(u32 id, void *p, const char *function);

/* The line about a pointer that is no start of an object or block in use. */
void entry_report(const struct call *call) __cold;

/* kmem_cache.c: typed caches, whatever they need; n: bytes asked for, up to object_size. */
void *cache_alloc(struct kmem_cache *s, size_t n, gfp_t gfp, const void *caller);
void cache_free(struct kmem_cache *s, void *p, const char *function, const void *caller);
size_t cache_usable(struct kmem_cache *s, const void *p);

/* The typed cache whose slab p lies in, or NULL. Any pointer. */
static inline struct kmem_cache *cache_at(const void *p)
{
	struct page *slab = virt_to_slab((uintptr_t)p);

	return slab ? typed_of(slab->cache) : NULL;
}

/* The kmalloc cache of the object that starts at p; 0: there is none. */
static __always_inline u32 object_class(void *p)
{
	uintptr_t address = (uintptr_t)p;
	u32 id;

	if (address >> ADDRESS_BITS || address % KMALLOC_GRAIN)
		return 0;
	id = slot_cache(*class_of(address) / CLASS_UNIT) - kmalloc_shift;
	return id < NR_KMALLOC ? id : 0;
}

static __always_inline void *entry_malloc(size_t n)
{
	void *p = sheaf_malloc(n);

	return likely(p) ? p : entry_malloc_slow(n);
}

static __always_inline void entry_free(void *p)
{
	if (unlikely(!sheaf_free(p)))
		entry_free_slow(p, "free");
}
