// SPDX-License-Identifier: MIT
/*
 * buddy.c - the buddy system (Knowlton 1965; Knuth, TAOCP 1, 2.5): a block of 2^k frames starts at a
 * multiple of 2^k, its buddy is the block whose index differs in bit k alone.
 *
 * Everything here runs under the zone lock.
 */
#include "base/bug.h"
#include "page/zone.h"

/* What a free block holds, and with that its kind. */
static enum block_kind classify(struct page *page, unsigned int order)
{
	struct region *r = region_of(page);
	u32 index = page_index(page), h = index >> HUGE_ORDER;

	if (order < HUGE_ORDER && r->huge >> h & 1)
		return BLOCK_HUGE;
	if (order <= HUGE_ORDER || !r->huge) {
		page->resident = order == HUGE_ORDER && r->huge >> h & 1 ?
					 FRAMES_PER_HUGE :
					 bitmap_weight(r->dirty, index, 1u << order);
		return page->resident ? BLOCK_DIRTY : BLOCK_CLEAN;
	}
	page->resident = 0;
	for (u32 i = index; i < index + (1u << order); i += FRAMES_PER_HUGE)
		page->resident += r->huge >> (i >> HUGE_ORDER) & 1 ?
					  FRAMES_PER_HUGE :
					  bitmap_weight(r->dirty, i, FRAMES_PER_HUGE);
	return page->resident ? BLOCK_DIRTY : BLOCK_CLEAN;
}

static void free_area_add(struct zone *z, struct page *page, unsigned int order)
{
	struct free_area *area = &z->free_area[order];

	page->type = PAGE_BUDDY;
	page->order = (u8)order;
	page->kind = classify(page, order);
	hlist_add_head(&page->link, &area->list[page->kind]);
	area->nr++;
	z->nr_free += 1ul << order;
	if (page->kind == BLOCK_DIRTY)
		z->nr_dirty += page->resident;
}

static void free_area_del(struct zone *z, struct page *page)
{
	VM_BUG_ON(page->type != PAGE_BUDDY);
	hlist_del_init(&page->link);
	page->type = PAGE_NONE;
	z->free_area[page->order].nr--;
	z->nr_free -= 1ul << page->order;
	if (page->kind == BLOCK_DIRTY)
		z->nr_dirty -= page->resident;
}

void buddy_isolate(struct zone *z, struct page *page)
{
	free_area_del(z, page);
}

void buddy_free(struct zone *z, struct region *r, u32 index, unsigned int order)
{
	VM_BUG_ON(index & ((1u << order) - 1));
	VM_BUG_ON(r->page[index].type != PAGE_NONE);
	while (order < MAX_ORDER) {
		struct page *buddy = &r->page[index ^ (1u << order)];

		if (buddy->type != PAGE_BUDDY || buddy->order != order)
			break;
		free_area_del(z, buddy);
		index &= ~(1u << order);
		order++;
	}
	free_area_add(z, &r->page[index], order);
}

/* Any run of frames, as the largest aligned blocks that it holds. */
void buddy_free_range(struct zone *z, struct region *r, u32 index, u32 n)
{
	while (n) {
		unsigned int order = ilog2(n);

		if (index)
			order = min(order, __ffs(index));
		buddy_free(z, r, index, order);
		index += 1u << order;
		n -= 1u << order;
	}
}

/*
 * Takes a free block of at least 2^order frames: the smallest of the first kind that has one, huge before
 * dirty before clean.
 */
struct page *buddy_find(struct zone *z, unsigned int order, unsigned int *found)
{
	for (int kind = NR_KINDS - 1; kind >= 0; kind--) {
		for (unsigned int o = order; o <= MAX_ORDER; o++) {
			struct page *page = hlist_first_entry(&z->free_area[o].list[kind],
							      struct page, link);

			if (!page)
				continue;
			free_area_del(z, page);
			*found = o;
			return page;
		}
	}
	return NULL;
}

/* Of a block that was found, keeps the lower half until it has the order that is wanted. */
void buddy_expand(struct zone *z, struct page *page, unsigned int found, unsigned int order)
{
	struct region *r = region_of(page);
	u32 index = page_index(page);

	while (found > order) {
		u32 half = 1u << --found;

		free_area_add(z, &r->page[index + half], found);
	}
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
