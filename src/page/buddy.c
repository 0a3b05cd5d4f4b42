// SPDX-License-Identifier: MIT
/*
 * buddy.c - the buddy system (Knowlton 1965; Knuth, TAOCP 1, 2.5): a block of 2^k frames starts at a
 * multiple of 2^k, its buddy is the block whose index differs in bit k alone.
 *
 * Everything here runs under the zone lock.
 */
#include "base/bug.h"
#include "page/zone.h"

/* Does a free block hold memory? Either its frames may, or a populated huge page around them does. */
bool block_resident(const struct region *r, u32 index, u32 n)
{
	u32 first = index >> HUGE_ORDER, last = (index + n - 1) >> HUGE_ORDER;
	u32 huge = r->huge >> first;

	if (last - first < 31)
		huge &= (2u << (last - first)) - 1;
	return huge || bitmap_any(r->dirty, index, n);
}

static void free_area_add(struct zone *z, struct page *page, unsigned int order, bool resident)
{
	struct free_area *area = &z->free_area[order];

	page->type = PAGE_BUDDY;
	page->order = (u8)order;
	page->resident = resident;
	hlist_add_head(&page->link, &area->list[resident]);
	area->nr++;
	z->nr_free += 1ul << order;
}

static void free_area_del(struct zone *z, struct page *page)
{
	VM_BUG_ON(page->type != PAGE_BUDDY);
	hlist_del_init(&page->link);
	page->type = PAGE_NONE;
	z->free_area[page->order].nr--;
	z->nr_free -= 1ul << page->order;
}

void buddy_isolate(struct zone *z, struct page *page)
{
	free_area_del(z, page);
}

void buddy_free(struct zone *z, struct region *r, u32 index, unsigned int order, bool resident)
{
	VM_BUG_ON(index & ((1u << order) - 1));
	VM_BUG_ON(r->page[index].type != PAGE_NONE);
	while (order < MAX_ORDER) {
		struct page *buddy = &r->page[index ^ (1u << order)];

		if (buddy->type != PAGE_BUDDY || buddy->order != order)
			break;
		resident |= buddy->resident;
		free_area_del(z, buddy);
		index &= ~(1u << order);
		order++;
	}
	free_area_add(z, &r->page[index], order, resident);
}

/* Any run of frames, as the largest aligned blocks that it holds. */
void buddy_free_range(struct zone *z, struct region *r, u32 index, u32 n)
{
	while (n) {
		unsigned int order = ilog2(n);

		if (index)
			order = min(order, __ffs(index));
		buddy_free(z, r, index, order, block_resident(r, index, 1u << order));
		index += 1u << order;
		n -= 1u << order;
	}
}

/* Keeps the lower half until the block has the order that is wanted. */
static void expand(struct zone *z, struct region *r, u32 index, unsigned int from, unsigned int to)
{
	while (from > to) {
		u32 half = 1u << --from;

		free_area_add(z, &r->page[index + half], from,
			      block_resident(r, index + half, half));
	}
}

/*
 * A block of 2^order frames; *found is the order of the free block that it came from. Resident blocks
 * go first; among clean ones the smallest that fits.
 */
struct page *buddy_alloc(struct zone *z, unsigned int order, unsigned int *found)
{
	for (int resident = 1; resident >= 0; resident--) {
		for (unsigned int o = order; o <= MAX_ORDER; o++) {
			struct page *page = hlist_first_entry(&z->free_area[o].list[resident],
							      struct page, link);

			if (!page)
				continue;
			free_area_del(z, page);
			expand(z, region_of(page), page_index(page), o, order);
			*found = o;
			return page;
		}
	}
	return NULL;
}

/* The free block that frame `index` lies in, or NULL. */
static struct page *buddy_of_frame(struct region *r, u32 index)
{
	for (unsigned int order = 0; order <= MAX_ORDER; order++) {
		struct page *page = &r->page[index & ~((1u << order) - 1)];

		if (page->type == PAGE_BUDDY && page->order >= order)
			return page;
	}
	return NULL;
}

/* Takes exactly [index, index + n) out of the free blocks, or nothing (false). */
bool buddy_take_range(struct zone *z, struct region *r, u32 index, u32 n)
{
	struct page *page;
	u32 end = index + n;

	if (end > FRAMES_PER_REGION)
		return false;
	for (u32 i = index; i < end; i = page_index(page) + (1u << page->order)) {
		page = buddy_of_frame(r, i);
		if (!page)
			return false;
	}
	for (u32 i = index; i < end;) {
		u32 first, last;

		page = buddy_of_frame(r, i);
		first = page_index(page);
		last = first + (1u << page->order);
		free_area_del(z, page);
		if (first < index)
			buddy_free_range(z, r, first, index - first);
		if (last > end)
			buddy_free_range(z, r, end, last - end);
		i = last;
	}
	return true;
}
