// SPDX-License-Identifier: MIT
/*
 * kmalloc.c - the kmalloc family (include/slabmalloc/slab.h), on malloc's caches.
 *
 * GFP_DMA and GFP_DMA32 ask for low addresses: those requests have caches of their own, dma-kmalloc-N and
 * dma32-kmalloc-N, each made at its first use.
 */
#include <errno.h>
#include <string.h>

#include "debug/zero_size.h"
#include "init/boot.h"
#include "page/large.h"
#include "preload/entry.h"
#include "slab/kmem_cache.h"
#include "slabmalloc/slab.h"

_Static_assert(KMALLOC_MAX_CACHE_SIZE == KMALLOC_MAX, "slab.h says where pages begin");

static const gfp_t LOW = __GFP_DMA | __GFP_DMA32;

static struct kmem_cache *low_caches[2][NR_KMALLOC];

static struct kmem_cache *make_low_cache(u32 id, bool dma)
{
	const struct kmem_cache *like = cache_of(id);
	struct cache_shape shape = {
		.size = like->size,
		.align = like->size & -like->size,
		.flags = SLAB_NO_MERGE | (dma ? SLAB_CACHE_DMA : SLAB_CACHE_DMA32),
	};
	char name[CACHE_NAME_MAX] = "dma32-";

	shape.align = min(shape.align, FRAME_SIZE);
	memcpy(name + (dma ? 0 : 6), dma ? "dma-" : "", dma ? 5 : 1);
	strcat(name, like->name);
	shape.name = name;
	return kmem_cache_new(&shape, NULL);
}

/* Two threads may both make one: the second takes its own back. */
static struct kmem_cache *low_cache(u32 id, bool dma)
{
	struct kmem_cache **slot = &low_caches[dma][id], *s, *none = NULL;

	s = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
	if (s)
		return s;
	s = make_low_cache(id, dma);
	if (s && !__atomic_compare_exchange_n(slot, &none, s, false, __ATOMIC_ACQ_REL,
					      __ATOMIC_ACQUIRE)) {
		kmem_cache_forget(s);
		s = none;
	}
	return s;
}

static void *low_frames(size_t n, gfp_t gfp)
{
	struct zone *z = zone_of(0, gfp & __GFP_DMA ? ZONE_DMA : ZONE_DMA32);
	bool atomic = !(gfp & __GFP_DIRECT_RECLAIM);
	unsigned int tries = 0;
	void *p;

	do
		p = large_alloc_frames(z, n, gfp & __GFP_ZERO, atomic);
	while (!p && entry_retry(gfp, &tries));
	return p ? p : entry_no_memory();
}

static noinline void *low_alloc(size_t n, gfp_t gfp, const void *caller)
{
	struct kmem_cache *s;

	if (n > KMALLOC_MAX)
		return low_frames(n, gfp);
	s = low_cache(kmalloc_index(n), gfp & __GFP_DMA);
	return s ? cache_alloc(s, n, gfp, caller) : entry_no_memory();
}

static noinline void *kmalloc_slow(size_t n, gfp_t gfp, const void *caller)
{
	void *p;

	if (!n)
		return ZERO_SIZE_PTR;
	if (unlikely(gfp & LOW))
		return low_alloc(n, gfp, caller);
	p = sheaf_malloc(n);
	if (p)
		return gfp & __GFP_ZERO ? memset(p, 0, n) : p;
	return entry_kmalloc(n, gfp, caller);
}

EXPORT HOT void *__kmalloc(size_t n, gfp_t gfp)
{
	void *p = likely(!(gfp & (LOW | __GFP_ZERO))) ? sheaf_malloc(n) : NULL;

	return likely(p) ? p : kmalloc_slow(n, gfp, CALLER);
}

/* What the caller's compiler has made of a constant size: no more to compute than for a cache by name. */
EXPORT HOT void *__kmalloc_cache(size_t class, gfp_t gfp, size_t n)
{
	struct sheaf_slot *slot = (void *)((char *)READ_FAST(this_thread.near) + class);
	void **top = slot->top;
	uintptr_t *object;

	if (unlikely(top == slot->base || gfp & (LOW | __GFP_ZERO)))
		return kmalloc_slow(n, gfp, CALLER);
	object = sheaf_pop(slot, top);
	object[1] = 0;
	return object;
}

EXPORT void *__kmalloc_node(size_t n, gfp_t gfp, int node)
{
	u32 nid;

	if (!n || node == NUMA_NO_NODE || (!numa_many() && !node))
		return kmalloc_slow(n, gfp, CALLER);
	if (!entry_node_named(node, gfp, &nid))
		return entry_no_memory();
	/* There is one zone of low addresses, on node 0. */
	if (gfp & LOW)
		return nid && gfp & __GFP_THISNODE ? entry_no_memory() : low_alloc(n, gfp, CALLER);
	return entry_kmalloc_node(n, gfp, nid, CALLER);
}

static noinline void kfree_slow(void *p, const char *function, const void *caller)
{
	if (!ZERO_OR_NULL_PTR(p))
		entry_free_from(p, function, caller);
}

EXPORT HOT void kfree(const void *p)
{
	if (unlikely(!sheaf_free((void *)(uintptr_t)p)))
		kfree_slow((void *)(uintptr_t)p, "kfree", CALLER);
}

EXPORT size_t ksize(const void *p)
{
	return ZERO_OR_NULL_PTR(p) ? 0 : entry_usable_size((void *)(uintptr_t)p, "ksize");
}

EXPORT void kfree_sensitive(const void *p)
{
	void *block = (void *)(uintptr_t)p;
	size_t n = ZERO_OR_NULL_PTR(p) ? 0 : entry_usable_size(block, "kfree_sensitive");

	if (!n)
		return;
	explicit_bzero(block, n);
	kfree_slow(block, "kfree_sensitive", CALLER);
}

EXPORT size_t kmalloc_size_roundup(size_t n)
{
	if (!n || n > PTRDIFF_MAX)
		return n;
	return n <= KMALLOC_MAX ? cache_of(kmalloc_index(n))->size : ALIGN(n, FRAME_SIZE);
}

static void *resize(void *old, size_t n, gfp_t gfp, const char *function, const void *caller)
{
	size_t had;
	void *p;

	if (ZERO_OR_NULL_PTR(old))
		return kmalloc_slow(n, gfp, caller);
	if (!n) {
		kfree_slow(old, function, caller);
		return ZERO_SIZE_PTR;
	}
	had = entry_usable_size(old, function);
	if ((!had && !is_zero_size(old)) || had >= n)
		return had ? old : NULL;
	p = kmalloc_slow(n, gfp & ~__GFP_ZERO, caller);
	if (!p)
		return NULL;
	memcpy(p, old, had);
	if (gfp & __GFP_ZERO)
		memset((char *)p + had, 0, n - had);
	kfree_slow(old, function, caller);
	return p;
}

EXPORT void *krealloc(const void *p, size_t n, gfp_t gfp)
{
	return resize((void *)(uintptr_t)p, n, gfp, "krealloc", CALLER);
}

EXPORT void *kvrealloc(const void *p, size_t n, gfp_t gfp)
{
	return resize((void *)(uintptr_t)p, n, gfp, "kvrealloc", CALLER);
}

EXPORT void *kvmalloc_node(size_t n, gfp_t gfp, int node)
{
	return __kmalloc_node(n, gfp, node);
}

EXPORT void kvfree(const void *p)
{
	kfree_slow((void *)(uintptr_t)p, "kvfree", CALLER);
}

EXPORT void kvfree_sensitive(const void *p, size_t n)
{
	if (ZERO_OR_NULL_PTR(p))
		return;
	explicit_bzero((void *)(uintptr_t)p, n);
	kfree_slow((void *)(uintptr_t)p, "kvfree_sensitive", CALLER);
}

static void *duplicate(const void *src, size_t n, size_t zeroes, gfp_t gfp, const void *caller)
{
	char *p = kmalloc_slow(n + zeroes, gfp & ~__GFP_ZERO, caller);

	if (!p || !(n + zeroes))
		return p;
	memcpy(p, src, n);
	memset(p + n, 0, zeroes);
	return p;
}

EXPORT char *kstrdup(const char *s, gfp_t gfp)
{
	return s ? duplicate(s, strlen(s), 1, gfp, CALLER) : NULL;
}

EXPORT char *kstrndup(const char *s, size_t most, gfp_t gfp)
{
	return s ? duplicate(s, strnlen(s, most), 1, gfp, CALLER) : NULL;
}

EXPORT void *kmemdup(const void *src, size_t n, gfp_t gfp)
{
	return duplicate(src, n, 0, gfp, CALLER);
}

EXPORT char *kmemdup_nul(const char *s, size_t n, gfp_t gfp)
{
	return s ? duplicate(s, n, 1, gfp, CALLER) : NULL;
}
