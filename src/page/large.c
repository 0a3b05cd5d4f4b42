// SPDX-License-Identifier: MIT
#include "page/large.h"

#include <string.h>

#include "base/bug.h"
#include "base/options.h"
#include "page/huge.h"
#include "page/vmalloc.h"

static const size_t BUDDY_MAX = 4 * MIB;

/* size <= REGION_SIZE. */
static u32 frames_for(size_t size)
{
	return (u32)DIV_ROUND_UP(size, FRAME_SIZE);
}

/* The head of the large block that starts at p, or NULL. */
static struct page *large_page(const void *p)
{
	struct page *page = virt_to_page((uintptr_t)p);

	if (!page || page->type != PAGE_LARGE || (uintptr_t)p % FRAME_SIZE)
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

static void *buddy_large(struct zone *z, size_t size, size_t align, bool zero)
{
	u32 n = frames_for(size);
	unsigned int align_order = align > FRAME_SIZE ? order_base_2(align >> FRAME_SHIFT) : 0;
	struct page *page;
	bool clean;

	page = zone_alloc(z, n, align_order, &clean);
	if (!page)
		return NULL;
	page->type = PAGE_LARGE;
	page->frames = n;
	if (zero && !clean)
		zero_frames(page, n);
	return page_address(page);
}

static bool huge_area(const struct zone *z, size_t size)
{
	size_t heap = ((READ_ONCE(z->nr_present) - READ_ONCE(z->nr_free)) << FRAME_SHIFT) +
		      READ_ONCE(vm.used_bytes) + size;

	if (size < HUGE_SIZE || options.thp == THP_NEVER)
		return false;
	return (options.thp == THP_ALWAYS || heap >= options.thp_start) && huge_pays();
}

void *large_alloc(struct zone *z, size_t size, size_t align, bool zero)
{
	void *p = NULL;

	if (size > PTRDIFF_MAX)
		return NULL;
	if (size <= BUDDY_MAX && align <= BUDDY_MAX)
		p = buddy_large(z, size, align, zero);
	if (!p)
		p = vmalloc(size, align, zero, huge_area(z, size));
	if (!p && size > BUDDY_MAX && size <= REGION_SIZE && align <= REGION_SIZE)
		p = buddy_large(z, size, align, zero);
	return p;
}

bool large_free(void *p)
{
	struct page *page = large_page(p);
	u8 large = PAGE_LARGE;

	if (!page)
		return vfree(p);
	/* Of two threads that free it at once, one is wrong and must find out. */
	if (!__atomic_compare_exchange_n(&page->type, &large, PAGE_NONE, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_RELAXED))
		return false;
	zone_free(node_zone(region_of(page)->nid), page, page->frames, false);
	return true;
}

size_t large_size(const void *p)
{
	struct page *page = large_page(p);

	return page ? (size_t)page->frames << FRAME_SHIFT : vsize(p);
}

static void *resize_frames(struct page *page, void *p, size_t size)
{
	struct zone *z = node_zone(region_of(page)->nid);
	u32 old = page->frames, n;
	bool clean;
	void *q;

	if (size <= REGION_SIZE) {
		n = frames_for(size);
		if (n < old) {
			page->frames = n;
			zone_free(z, page + n, old - n, false);
			return p;
		}
		if (n == old)
			return p;
		if (zone_extend(z, page + old, n - old, &clean)) {
			page->frames = n;
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

	if (size > PTRDIFF_MAX)
		return NULL;
	return page ? resize_frames(page, p, size) : vrealloc(p, size);
}
