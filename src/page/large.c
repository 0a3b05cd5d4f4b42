// SPDX-License-Identifier: MIT
#include "page/large.h"

#include <string.h>

#include "base/bug.h"
#include "base/memcheck.h"
#include "os/latency.h"
#include "page/huge.h"
#include "page/vmalloc.h"

struct large_stats large_stats;

/* size <= REGION_SIZE. */
static u32 frames_for(size_t size)
{
	return (u32)DIV_ROUND_UP(size, FRAME_SIZE);
}

/* The head of the large block that starts at p, or NULL. */
static struct page *large_page(const void *p)
{
	struct page *page = virt_to_page((uintptr_t)p);

	if (!page || READ_ONCE(page->type) != PAGE_LARGE || (uintptr_t)p % FRAME_SIZE)
		return NULL;
	return page;
}

static void zero_frames(struct page *page, u32 n)
{
	struct region *r = region_of(page);
	u32 first = page_index(page), end = first + n;
	u32 from = bitmap_next(r->dirty, first, end, true);

	while (from < end) {
		u32 to = bitmap_next(r->dirty, from, end, false);

		memset((char *)r->base + from * FRAME_SIZE, 0, (to - from) * FRAME_SIZE);
		from = bitmap_next(r->dirty, to, end, true);
	}
}

static void *large_block(struct page *page, u32 n, bool zero, bool clean)
{
	WRITE_ONCE(page->type, PAGE_LARGE);
	WRITE_ONCE(page->frames, n);
	if (zero && !clean)
		zero_frames(page, n);
	return page_address(page);
}

static void *buddy_large(struct zone *z, size_t size, size_t align, bool zero)
{
	u32 n = frames_for(size);
	unsigned int align_order = align > FRAME_SIZE ? order_base_2(align >> FRAME_SHIFT) : 0;
	struct page *page;
	bool clean;

	page = zone_alloc(z, n, align_order, &clean);
	return page ? large_block(page, n, zero, clean) : NULL;
}

static void *count_alloc(void *p, size_t size, bool zero)
{
	if (!p)
		return NULL;
	memcheck_allocated(p, size, 0, zero);
	counter_add(large_stats.allocs, 1);
	counter_add(large_stats.asked, size);
	counter_add(large_stats.rounded, ALIGN(size, FRAME_SIZE));
	return p;
}

void *large_alloc_frames(struct zone *z, size_t size, bool zero, bool atomic)
{
	struct page *page;
	bool clean;
	u32 n;

	if (size > REGION_SIZE)
		return NULL;
	n = frames_for(size);
	page = atomic ? zone_alloc_atomic(z, n, 0, &clean) : zone_alloc(z, n, 0, &clean);
	return page ? count_alloc(large_block(page, n, zero, clean), size, zero) : NULL;
}

static bool huge_area(const struct zone *z, size_t size)
{
	size_t heap = ((READ_ONCE(z->nr_present) - READ_ONCE(z->nr_free)) << FRAME_SHIFT) +
		      READ_ONCE(vm.used_bytes) + size;

	return size >= HUGE_SIZE && huge_wanted(heap) && huge_pays();
}

static void *alloc_anywhere(struct zone *z, size_t size, size_t align, bool zero)
{
	void *p = NULL;

	if (size <= LARGE_FRAMES_MAX && align <= LARGE_FRAMES_MAX)
		p = buddy_large(z, size, align, zero);
	if (!p)
		p = vmalloc(z->nid, size, align, zero, huge_area(z, size));
	if (!p && size > LARGE_FRAMES_MAX && size <= REGION_SIZE && align <= REGION_SIZE)
		p = buddy_large(z, size, align, zero);
	return p;
}

void *large_alloc_bound(struct zone *z, size_t size, bool zero)
{
	void *p;

	if (size > PTRDIFF_MAX)
		return NULL;
	p = size <= LARGE_FRAMES_MAX ? buddy_large(z, size, FRAME_SIZE, zero)
				     : vmalloc_bound(z->nid, size, zero);
	return count_alloc(p, size, zero);
}

/* The tick is everybody's: threads that count at once time one call less. */
void *large_alloc(struct zone *z, size_t size, size_t align, bool zero)
{
	u64 start;
	void *p;

	if (size > PTRDIFF_MAX)
		return NULL;
	start = latency_sample(&large_stats.tick);
	p = alloc_anywhere(z, size, align, zero);
	latency_end(SLOW_LARGE_ALLOC, start);
	return count_alloc(p, size, zero);
}

static bool free_anywhere(void *p)
{
	struct page *page = large_page(p);
	u8 large = PAGE_LARGE;

	if (!page)
		return vfree(p);
	/* Of two threads that free it at once, one is wrong and must find out. */
	if (!__atomic_compare_exchange_n(&page->type, &large, PAGE_NONE, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_RELAXED))
		return false;
	zone_free(page_zone(page), page, page->frames, false);
	return true;
}

bool large_free(void *p)
{
	u64 start = latency_sample(&large_stats.tick);

	if (unlikely(memcheck_on))
		memcheck_freed(p, large_size(p), 0);
	if (!free_anywhere(p))
		return false;
	latency_end(SLOW_LARGE_FREE, start);
	counter_add(large_stats.frees, 1);
	return true;
}

void *large_alloc_kept(struct per_cpu_pages *pcp, const struct zone *z, size_t size, size_t align,
		       bool zero)
{
	struct page *page;

	if (!pcp->kept || size > KEPT_MAX)
		return NULL;
	page = pcp_take_kept(pcp, z, frames_for(size));
	if (!page)
		return NULL;
	WRITE_ONCE(page->type, PAGE_LARGE);
	if ((uintptr_t)page_address(page) % align) {
		large_free(page_address(page));
		return NULL;
	}
	if (zero)
		memset(page_address(page), 0, (size_t)page->frames << FRAME_SHIFT);
	return count_alloc(page_address(page), size, zero);
}

/* Not under memcheck: it is told of what comes from the zone and goes there. */
bool large_free_kept(struct per_cpu_pages *pcp, const struct zone *z, void *p)
{
	struct page *page = large_page(p);

	if (!page || page_zone(page) != z || page->frames > KEPT_MAX >> FRAME_SHIFT ||
	    unlikely(memcheck_on) || !pcp_keep(pcp, page))
		return false;
	counter_add(large_stats.frees, 1);
	return true;
}

size_t large_size(const void *p)
{
	struct page *page = large_page(p);

	return page ? (size_t)page->frames << FRAME_SHIFT : vsize(p);
}

static void *resize_frames(struct page *page, void *p, size_t size)
{
	struct zone *z = page_zone(page);
	u32 old = page->frames, n;
	bool clean;
	void *q;

	if (size <= REGION_SIZE) {
		n = frames_for(size);
		if (n < old) {
			WRITE_ONCE(page->frames, n);
			zone_free(z, page + n, old - n, false);
			return p;
		}
		if (n == old)
			return p;
		if (zone_extend(z, page + old, n - old, &clean)) {
			WRITE_ONCE(page->frames, n);
			return p;
		}
	}
	q = vmalloc_from(p, (size_t)old << FRAME_SHIFT, size);
	if (q)
		zone_free(z, page, old, true);
	return q;
}

void *large_resize(void *p, size_t size)
{
	struct page *page = large_page(p);

	/* memcheck knows of no block that grows: the caller makes another. */
	if (size > PTRDIFF_MAX || unlikely(memcheck_on))
		return NULL;
	return page ? resize_frames(page, p, size) : vrealloc(p, size);
}
