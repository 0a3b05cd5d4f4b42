// SPDX-License-Identifier: MIT
#include "preload/elements.h"

#include "base/printk.h"
#include "os/mem.h"
#include "page/large.h"
#include "preload/entry.h"
#include "slab/slab.h"

/* The room's names are not the program's: only alloc_pages and __free_pages are wanted here. */
#define page_address api_page_address
#define virt_to_page api_virt_to_page
#include "slabmalloc/gfp.h"
#undef page_address
#undef virt_to_page
#include "slabmalloc/slab.h"

static unsigned int order_of(void *pool_data)
{
	return (unsigned int)(uintptr_t)pool_data;
}

EXPORT void *mempool_alloc_slab(gfp_t gfp, void *pool_data)
{
	return kmem_cache_alloc(pool_data, gfp);
}

EXPORT void mempool_free_slab(void *element, void *pool_data)
{
	kmem_cache_free(pool_data, element);
}

EXPORT void *mempool_kmalloc(gfp_t gfp, void *pool_data)
{
	return kmalloc((size_t)(uintptr_t)pool_data, gfp);
}

EXPORT void mempool_kfree(void *element, void *pool_data)
{
	(void)pool_data;
	kfree(element);
}

EXPORT void *mempool_alloc_pages(gfp_t gfp, void *pool_data)
{
	return alloc_pages(gfp, order_of(pool_data));
}

EXPORT void mempool_free_pages(void *element, void *pool_data)
{
	__free_pages(element, order_of(pool_data));
}

static void set_name(struct mempool *pool, const char *fmt, ...) __printf(2, 3);

static void set_name(struct mempool *pool, const char *fmt, ...)
{
	struct seq_file m;
	va_list ap;

	seq_open(&m, -1);
	seq_puts(&m, "mempool-");
	va_start(ap, fmt);
	seq_vprintf(&m, fmt, ap);
	va_end(ap);
	m.len = min(m.len, (unsigned int)sizeof(pool->name) - 1);
	__builtin_memcpy(pool->name, m.buf, m.len);
	pool->name[m.len] = 0;
}

void element_describe(struct mempool *pool)
{
	static u32 others;

	if (pool->alloc == mempool_alloc_slab) {
		pool->element_size = kmem_cache_size(pool->pool_data);
		set_name(pool, "%s", ((const struct kmem_cache *)pool->pool_data)->name);
	} else if (pool->alloc == mempool_kmalloc) {
		pool->element_size = (size_t)(uintptr_t)pool->pool_data;
		set_name(pool, "kmalloc-%zu", pool->element_size);
	} else if (pool->alloc == mempool_alloc_pages) {
		pool->element_size = FRAME_SIZE << order_of(pool->pool_data);
		set_name(pool, "pages-%u", order_of(pool->pool_data));
	} else {
		set_name(pool, "%u", __atomic_add_fetch(&others, 1, __ATOMIC_RELAXED));
	}
}

bool element_is_known(const struct mempool *pool)
{
	return pool->element_size;
}

/* A block of this heap: what lies behind its start up to the end of it, whatever that is. */
static struct span block_span(void *p)
{
	struct object o = slab_object(p);

	if (o.cache)
		return (struct span){ p, o.cache->size - o.offset };
	return (struct span){ p, large_size(p) };
}

struct span element_span(const struct mempool *pool, void *element)
{
	if (!pool->element_size)
		return block_span(element);
	if (pool->alloc == mempool_alloc_pages)
		return (struct span){ page_address(element), pool->element_size };
	return (struct span){ element, pool->element_size };
}

bool span_is_resident(struct span span)
{
	const uintptr_t page = os_page_size();
	uintptr_t start = ALIGN_DOWN((uintptr_t)span.start, page);
	size_t size = ALIGN((uintptr_t)span.start + span.size, page) - start;

	return !span.size || os_resident_in((void *)start, size) == size;
}

/*
 * Atomic, since the memory may be somebody's who writes to it now. The compiler must not know that nothing is added: a
 * read would do then, and a page that was only read has no memory of its own.
 */
void span_fault_in(struct span span)
{
	const size_t page = os_page_size();
	char *end = span.start + span.size, nothing = 0;

	__asm__("" : "+r"(nothing));
	for (char *p = span.start; p < end; p = (char *)ALIGN_DOWN((uintptr_t)p, page) + page)
		__atomic_fetch_or(p, nothing, __ATOMIC_RELAXED);
}
