/* SPDX-License-Identifier: MIT */
/*
 * slab.h - kmalloc and slab caches: the kernel's include/linux/slab.h for a program.
 *
 * Names and meanings are the kernel's; each function says where user space differs. All of them may be
 * called by any thread at any time, also in constructors and between fork and exec; none of them in a handler
 * of a signal that can interrupt one of them. A request without __GFP_DIRECT_RECLAIM (GFP_ATOMIC, GFP_NOWAIT) makes
 * no system call and waits for no lock. A request that fails returns NULL and sets errno to ENOMEM.
 *
 * Memory of kmalloc and of malloc is the same: free() takes what kmalloc gave, kfree() what malloc gave, and
 * both take objects of caches.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "slabmalloc/slab_types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define NUMA_NO_NODE (-1)

/* What kmalloc(0) returns: it may be freed, and nothing else. */
#define ZERO_SIZE_PTR ((void *)16)
#define ZERO_OR_NULL_PTR(p) ((uintptr_t)(p) <= (uintptr_t)ZERO_SIZE_PTR)

/* Above this an allocation has whole pages of its own. */
#define KMALLOC_MAX_CACHE_SIZE ((size_t)256 << 10)
/* What the buddy allocator serves; kmalloc of more works, too, with a mapping of its own. */
#define KMALLOC_MAX_SIZE ((size_t)4 << 20)
#define ARCH_KMALLOC_MINALIGN 16

struct kmem_cache;
struct slab_sheaf;

/**
 * struct kmem_cache_args - what a cache may be told beside name, size and flags
 * @align: bytes, a power of two up to 4096; 0: 8, or more as SLAB_HWCACHE_ALIGN says
 * @useroffset: accepted: there is no copy to user space to be checked here
 * @usersize: accepted
 * @freeptr_offset: accepted: nothing of the allocator lies in a free object of a cache with a constructor
 * @use_freeptr_offset: accepted
 * @ctor: run once on each object when its slab is made; objects must be freed in the state in which it left them
 * @sheaf_capacity: objects in a thread's sheaf of this cache, up to 254; 0: chosen by size and use
 */
struct kmem_cache_args {
	unsigned int align;
	unsigned int useroffset;
	unsigned int usersize;
	unsigned int freeptr_offset;
	bool use_freeptr_offset;
	void (*ctor)(void *object);
	unsigned int sheaf_capacity;
};

/* The two forms of kmem_cache_create, by name. */
struct kmem_cache *__kmem_cache_create_args(
	const char *name, size_t object_size, const struct kmem_cache_args *args,
	slab_flags_t flags) __asm__("slabmalloc_kmem_cache_create_args");

static inline struct kmem_cache *__kmem_cache_create(const char *name, size_t size, size_t align,
						     slab_flags_t flags, void (*ctor)(void *))
{
	struct kmem_cache_args args;

	memset(&args, 0, sizeof(args));
	args.align = align > UINT32_MAX ? UINT32_MAX : (unsigned int)align;
	args.ctor = ctor;
	return __kmem_cache_create_args(name, size, &args, flags);
}

static inline struct kmem_cache *__kmem_cache_default_args(const char *name, size_t size,
							   const void *args, slab_flags_t flags)
{
	(void)args;
	return __kmem_cache_create_args(name, size, NULL, flags);
}

/**
 * kmem_cache_create() - make a cache of objects of one size
 * @name: for slabinfo and reports; copied, of which 39 characters count
 * @object_size: bytes, up to 1 MiB
 * @...: (struct kmem_cache_args *args, flags), (NULL, flags), or (align, flags, ctor)
 *
 * A cache that is like an existing one in size, alignment and zone, and has no constructor, is the same cache
 * under another name (SLAB_NO_MERGE prevents that): the number of caches that are not is 768. Caches are not
 * merged with those of malloc, unlike the kernel's with kmalloc's.
 *
 * Objects lie on a multiple of 8 at least and take 16 bytes at least. A thread keeps free ones at hand,
 * as malloc does (its sheaves).
 *
 * Return: the cache; NULL and errno EINVAL for a name, size, alignment or flags that cannot be, ENOSPC
 * where there are too many caches, each with a line on stderr. With SLAB_PANIC the program ends instead.
 * Context: not in a signal handler.
 */
#ifndef __cplusplus
#define kmem_cache_create(name, object_size, args, ...) \
	_Generic((args),                                              \
		struct kmem_cache_args *: __kmem_cache_create_args,   \
		const struct kmem_cache_args *: __kmem_cache_create_args, \
		void *: __kmem_cache_default_args,                    \
		default: __kmem_cache_create)(name, object_size, args, __VA_ARGS__)
#endif

static inline struct kmem_cache *__kmem_cache_create_aligned(const char *name, size_t size,
							     size_t align, slab_flags_t flags)
{
	return __kmem_cache_create(name, size, align, flags, NULL);
}

/* KMEM_CACHE() - a cache for a struct, with its name, size and alignment */
#define KMEM_CACHE(type, flags) \
	__kmem_cache_create_aligned(#type, sizeof(struct type), __alignof__(struct type), (flags))
#define KMEM_CACHE_USERCOPY(type, flags, field) KMEM_CACHE(type, flags)

/**
 * kmem_cache_destroy() - end a cache
 * @s: the cache, or NULL: nothing happens. Nobody may be using it.
 *
 * Objects that are still out are told of in one line with their number (and with U, where they were allocated), and
 * the cache stays as it is, as in the kernel. An alias goes by itself.
 * With SLAB_TYPESAFE_BY_RCU no reader may be left (call synchronize_rcu() before).
 */
void kmem_cache_destroy(struct kmem_cache *s) __asm__("slabmalloc_kmem_cache_destroy");

/**
 * kmem_cache_shrink() - give back a cache's empty slabs, and what the barn and the calling thread keep of it
 * @s: the cache
 *
 * Return: 0 if no slab is left; else 1: some object is out, or at hand in another thread.
 */
int kmem_cache_shrink(struct kmem_cache *s) __asm__("slabmalloc_kmem_cache_shrink");

/**
 * kmem_cache_alloc() - an object of a cache
 * @s: the cache
 * @gfp: GFP_KERNEL, GFP_ATOMIC ...; with __GFP_ZERO all bytes are 0 (not in a cache with a constructor: its
 * objects come constructed, and a line says so)
 *
 * Return: the object, which belongs to the caller until kmem_cache_free(); NULL: no memory, or the cache's limit.
 */
void *kmem_cache_alloc(struct kmem_cache *s, gfp_t gfp) __asm__("slabmalloc_kmem_cache_alloc");

/**
 * kmem_cache_alloc_node() - an object from a node's memory
 * @s: the cache
 * @gfp: flags; with __GFP_THISNODE from that node or not at all
 * @node: a node's number or NUMA_NO_NODE
 *
 * Return: as kmem_cache_alloc().
 */
void *kmem_cache_alloc_node(struct kmem_cache *s, gfp_t gfp,
			    int node) __asm__("slabmalloc_kmem_cache_alloc_node");

static inline void *kmem_cache_zalloc(struct kmem_cache *s, gfp_t gfp)
{
	return kmem_cache_alloc(s, gfp | __GFP_ZERO);
}

/**
 * kmem_cache_free() - return an object
 * @s: its cache (an alias will do)
 * @object: the object, or NULL
 *
 * An object of another cache, one that is free, and what is no object at all are reported in a line that names
 * @s, and the program is aborted (option abort).
 */
void kmem_cache_free(struct kmem_cache *s, void *object) __asm__("slabmalloc_kmem_cache_free");

/**
 * kmem_cache_alloc_bulk() - many objects at once
 * @s: the cache
 * @gfp: flags
 * @n: how many
 * @p: where their addresses go
 *
 * Return: @n; or 0: they could not all be had, and none is.
 */
int kmem_cache_alloc_bulk(struct kmem_cache *s, gfp_t gfp, size_t n,
			  void **p) __asm__("slabmalloc_kmem_cache_alloc_bulk");

/**
 * kmem_cache_free_bulk() - return many objects at once
 * @s: their cache; NULL: they are kmalloc's, or of several caches
 * @n: how many
 * @p: their addresses
 */
void kmem_cache_free_bulk(struct kmem_cache *s, size_t n,
			  void **p) __asm__("slabmalloc_kmem_cache_free_bulk");

/* Bytes of an object as the program may use them. */
unsigned int kmem_cache_size(struct kmem_cache *s) __asm__("slabmalloc_kmem_cache_size");

/**
 * kmem_cache_set_limit() - bound the memory of a cache made with SLAB_ACCOUNT
 * @s: the cache
 * @bytes: of its slabs; 0: no limit
 *
 * (The kernel charges such a cache to a memory cgroup; a program has none of its own.) Two threads that make a
 * slab at the same moment may exceed it by one. What is over a limit that was lowered stays until it is freed.
 *
 * Return: 0, or -1 and errno EINVAL: the cache was made without SLAB_ACCOUNT.
 */
int kmem_cache_set_limit(struct kmem_cache *s,
			 size_t bytes) __asm__("slabmalloc_kmem_cache_set_limit");

/**
 * kmem_cache_synchronize() - let the empty slabs of a SLAB_TYPESAFE_BY_RCU cache go
 * @s: the cache
 * @grace_period: returns when no reader is left that began before it was called: liburcu's synchronize_rcu, or
 * the program's own
 *
 * An object of such a cache may be freed and handed out again while a reader still looks at it, but its
 * memory stays an object of this cache: empty slabs are kept. This takes those that are empty now, calls
 * @grace_period with no lock held, and then gives them back. (In the kernel every such slab waits for RCU by itself;
 * here the program says when.)
 *
 * Return: bytes given back.
 */
size_t kmem_cache_synchronize(struct kmem_cache *s, void (*grace_period)(void)) __asm__(
	"slabmalloc_kmem_cache_synchronize");

/**
 * kmem_cache_prefill_sheaf() - set objects aside
 * @s: the cache
 * @gfp: flags
 * @size: how many at least, up to 2,000
 *
 * kmem_cache_alloc_from_sheaf() cannot fail as long as they last.
 *
 * Return: the sheaf, the caller's until kmem_cache_return_sheaf(); NULL: no memory.
 */
struct slab_sheaf *kmem_cache_prefill_sheaf(
	struct kmem_cache *s, gfp_t gfp,
	unsigned int size) __asm__("slabmalloc_kmem_cache_prefill_sheaf");

/**
 * kmem_cache_refill_sheaf() - make a sheaf hold at least @size objects again
 * @s: the cache
 * @gfp: flags
 * @sheaf: the sheaf; a larger one may take its place
 * @size: how many at least
 *
 * Return: 0, or -ENOMEM: the sheaf is as it was.
 */
int kmem_cache_refill_sheaf(struct kmem_cache *s, gfp_t gfp, struct slab_sheaf **sheaf,
			    unsigned int size) __asm__("slabmalloc_kmem_cache_refill_sheaf");

/* Returns the sheaf and the objects that it still holds. */
void kmem_cache_return_sheaf(struct kmem_cache *s, gfp_t gfp, struct slab_sheaf *sheaf) __asm__(
	"slabmalloc_kmem_cache_return_sheaf");

/* An object out of the sheaf; of gfp only __GFP_ZERO counts. NULL: it is empty. */
void *kmem_cache_alloc_from_sheaf(
	struct kmem_cache *s, gfp_t gfp,
	struct slab_sheaf *sheaf) __asm__("slabmalloc_kmem_cache_alloc_from_sheaf");

/* Objects in the sheaf. */
unsigned int kmem_cache_sheaf_size(struct slab_sheaf *sheaf) __asm__(
	"slabmalloc_kmem_cache_sheaf_size");

/* kmalloc of a size known at compile time up to 1 KiB (slot: what the size comes to), and of any size. */
void *__kmalloc_cache(size_t slot, gfp_t gfp, size_t size) __asm__("slabmalloc_kmalloc_cache");
void *__kmalloc(size_t size, gfp_t gfp) __asm__("slabmalloc_kmalloc");
void *__kmalloc_node(size_t size, gfp_t gfp, int node) __asm__("slabmalloc_kmalloc_node");

/**
 * kmalloc() - allocate memory
 * @size: bytes; 0 gives ZERO_SIZE_PTR
 * @gfp: flags; with GFP_DMA or GFP_DMA32 the address is below 16 MiB or 4 GiB
 *
 * Aligned to 16 bytes, and a power of two up to 4 KiB to itself. Unlike the kernel's it has no upper limit.
 *
 * Return: the memory, the caller's until kfree(); NULL: no memory.
 */
static inline __attribute__((always_inline)) void *kmalloc(size_t size, gfp_t gfp)
{
	if (__builtin_constant_p(size) && size && size <= 1024)
		return __kmalloc_cache((size + 15) / 16 * 32, gfp, size);
	return __kmalloc(size, gfp);
}

static inline __attribute__((always_inline)) void *kzalloc(size_t size, gfp_t gfp)
{
	return __kmalloc(size, gfp | __GFP_ZERO);
}

static inline void *kmalloc_node(size_t size, gfp_t gfp, int node)
{
	return __kmalloc_node(size, gfp, node);
}

static inline void *kzalloc_node(size_t size, gfp_t gfp, int node)
{
	return __kmalloc_node(size, gfp | __GFP_ZERO, node);
}

/* An array of n elements; NULL where n * size is more than a size_t holds. */
static inline void *kmalloc_array(size_t n, size_t size, gfp_t gfp)
{
	size_t bytes;

	return __builtin_mul_overflow(n, size, &bytes) ? NULL : __kmalloc(bytes, gfp);
}

static inline void *kcalloc(size_t n, size_t size, gfp_t gfp)
{
	return kmalloc_array(n, size, gfp | __GFP_ZERO);
}

static inline void *kmalloc_array_node(size_t n, size_t size, gfp_t gfp, int node)
{
	size_t bytes;

	return __builtin_mul_overflow(n, size, &bytes) ? NULL : __kmalloc_node(bytes, gfp, node);
}

static inline void *kcalloc_node(size_t n, size_t size, gfp_t gfp, int node)
{
	return kmalloc_array_node(n, size, gfp | __GFP_ZERO, node);
}

/**
 * krealloc() - resize
 * @p: kmalloc's memory, ZERO_SIZE_PTR or NULL
 * @size: the new size; 0 frees and returns ZERO_SIZE_PTR
 * @gfp: flags; with __GFP_ZERO what is added reads as zero (what lay behind the old size within ksize() keeps its bytes)
 *
 * Return: the memory, which may have moved; NULL: no memory, and @p is as it was.
 */
void *krealloc(const void *p, size_t size, gfp_t gfp) __asm__("slabmalloc_krealloc");

static inline void *krealloc_array(void *p, size_t n, size_t size, gfp_t gfp)
{
	size_t bytes;

	return __builtin_mul_overflow(n, size, &bytes) ? NULL : krealloc(p, bytes, gfp);
}

/**
 * kfree() - free what kmalloc, kmem_cache_alloc or malloc gave
 * @p: the memory, ZERO_SIZE_PTR or NULL
 */
void kfree(const void *p) __asm__("slabmalloc_kfree");

/* Overwrites the memory with zeroes before it is freed, all ksize() bytes of it. */
void kfree_sensitive(const void *p) __asm__("slabmalloc_kfree_sensitive");

/* Usable bytes of kmalloc's memory or of a cache's object; 0 for NULL and ZERO_SIZE_PTR. */
size_t ksize(const void *p) __asm__("slabmalloc_ksize");

/* The size that kmalloc would round @size up to. */
size_t kmalloc_size_roundup(size_t size) __asm__("slabmalloc_kmalloc_size_roundup");

static inline void kfree_bulk(size_t n, void **p)
{
	kmem_cache_free_bulk(NULL, n, p);
}

/*
 * kvmalloc(): kmalloc up to KMALLOC_MAX_SIZE, else an area of vmalloc. kvfree() frees both.
 */
void *kvmalloc_node(size_t size, gfp_t gfp, int node) __asm__("slabmalloc_kvmalloc_node");
void *kvrealloc(const void *p, size_t size, gfp_t gfp) __asm__("slabmalloc_kvrealloc");
void kvfree(const void *p) __asm__("slabmalloc_kvfree");
void kvfree_sensitive(const void *p, size_t size) __asm__("slabmalloc_kvfree_sensitive");

static inline void *kvmalloc(size_t size, gfp_t gfp)
{
	return kvmalloc_node(size, gfp, NUMA_NO_NODE);
}

static inline void *kvzalloc(size_t size, gfp_t gfp)
{
	return kvmalloc(size, gfp | __GFP_ZERO);
}

static inline void *kvmalloc_array(size_t n, size_t size, gfp_t gfp)
{
	size_t bytes;

	return __builtin_mul_overflow(n, size, &bytes) ? NULL : kvmalloc(bytes, gfp);
}

static inline void *kvcalloc(size_t n, size_t size, gfp_t gfp)
{
	return kvmalloc_array(n, size, gfp | __GFP_ZERO);
}

/* Copies: of a string (at most max bytes of it), of len bytes, of len bytes with a 0 behind them. */
char *kstrdup(const char *s, gfp_t gfp) __asm__("slabmalloc_kstrdup");
char *kstrndup(const char *s, size_t max, gfp_t gfp) __asm__("slabmalloc_kstrndup");
void *kmemdup(const void *src, size_t len, gfp_t gfp) __asm__("slabmalloc_kmemdup");
char *kmemdup_nul(const char *s, size_t len, gfp_t gfp) __asm__("slabmalloc_kmemdup_nul");

#ifdef __cplusplus
}

static inline struct kmem_cache *kmem_cache_create(const char *name, size_t size,
						   const struct kmem_cache_args *args,
						   slab_flags_t flags)
{
	return __kmem_cache_create_args(name, size, args, flags);
}

static inline struct kmem_cache *kmem_cache_create(const char *name, size_t size, decltype(nullptr),
						   slab_flags_t flags)
{
	return __kmem_cache_create_args(name, size, nullptr, flags);
}

static inline struct kmem_cache *kmem_cache_create(const char *name, size_t size, size_t align,
						   slab_flags_t flags, void (*ctor)(void *))
{
	return __kmem_cache_create(name, size, align, flags, ctor);
}
#endif
