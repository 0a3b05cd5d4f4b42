// SPDX-License-Identifier: MIT
/*
 * buddy.c - the buddy system (Knowlton 1965; Knuth, TAOCP 1, 2.5): a block of 2^k frames starts at a
 * multiple of 2^k, its buddy is the block whose index differs in bit k alone.
 *
 * Everything here runs under the zone lock.
 */
#include "base/bug.h"
#include "page/zone.h"

/* Which list a free block belongs on. dirty: it was written to. */
static enum block_kind classify(const struct region *r, u32 index, unsigned int order, bool dirty)
{
	u32 h = index >> HUGE_ORDER;

	if (order < HUGE_ORDER)
		return r->huge >> h & 1 ? BLOCK_HUGE : dirty ? BLOCK_DIRTY : BLOCK_CLEAN;
	return dirty || r->huge & huge_mask(index, order) ? BLOCK_DIRTY : BLOCK_CLEAN;
}

enum { TRIES = 8 };

/* A run that begins in the 2 MiB before may have become longer, too. */
static void hold(struct region *r, u32 index, u32 n)
{
	u32 last = (index + n - 1) >> HUGE_ORDER;

	bitmap_set(r->held, index, n);
	for (u32 h = (index ? index - 1 : 0) >> HUGE_ORDER; h <= last; h++)
		r->contig[h] = FRAMES_PER_HUGE;
}

static void free_area_add(struct zone *z, struct page *page, unsigned int order,
			  enum block_kind kind)
{
	struct free_area *area = &z->free_area[order];

	WRITE_ONCE(page->type, PAGE_BUDDY);
	WRITE_ONCE(page->order, (u8)order);
	WRITE_ONCE(page->kind, kind);
	WRITE_ONCE(page->bare, false);
	hlist_add_head(&page->link, &area->list[kind]);
	if (kind != BLOCK_CLEAN)
		hold(region_of(page), page_index(page), 1u << order);
	ADD_ONCE(area->nr, 1);
	ADD_ONCE(z->nr_free, 1ul << order);
	if (kind == BLOCK_DIRTY)
		ADD_ONCE(z->nr_dirty, 1ul << order);
	else if (kind == BLOCK_HUGE)
		ADD_ONCE(z->nr_huge_free, 1ul << order);
}

static void free_area_del(struct zone *z, struct page *page)
{
	VM_BUG_ON(READ_ONCE(page->type) != PAGE_BUDDY);
	hlist_del_init(&page->link);
	WRITE_ONCE(page->type, PAGE_NONE);
	if (page->kind != BLOCK_CLEAN)
		bitmap_clear(region_of(page)->held, page_index(page), 1u << page->order);
	SUB_ONCE(z->free_area[page->order].nr, 1);
	SUB_ONCE(z->nr_free, 1ul << page->order);
	if (page->kind == BLOCK_DIRTY)
		SUB_ONCE(z->nr_dirty, 1ul << page->order);
	else if (page->kind == BLOCK_HUGE)
		SUB_ONCE(z->nr_huge_free, 1ul << page->order);
}

void buddy_isolate(struct zone *z, struct page *page)
{
	free_area_del(z, page);
}

/* Returns the block that it is part of now. */
struct page *buddy_free(struct zone *z, struct region *r, u32 index, unsigned int order, bool dirty)
{
	enum block_kind kind = classify(r, index, order, dirty);

	VM_BUG_ON(index & ((1u << order) - 1));
	VM_BUG_ON(r->page[index].type != PAGE_NONE);
	while (order < MAX_ORDER) {
		struct page *buddy = &r->page[index ^ (1u << order)];

		if (READ_ONCE(buddy->type) != PAGE_BUDDY || buddy->order != order ||
		    buddy->kind != kind)
			break;
		free_area_del(z, buddy);
		index &= ~(1u << order);
		order++;
		/* Two halves of a huge page are a whole one, which can be given back. */
		if (kind == BLOCK_HUGE)
			kind = classify(r, index, order, dirty);
	}
	free_area_add(z, &r->page[index], order, kind);
	return &r->page[index];
}

/* Any run of frames, as the largest aligned blocks that it holds. */
void buddy_free_range(struct zone *z, struct region *r, u32 index, u32 n, bool dirty)
{
	while (n) {
		unsigned int order = ilog2(n);

		if (index)
			order = min(order, __ffs(index));
		buddy_free(z, r, index, order, dirty);
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
			struct page *page =
				hlist_first_entry(&z->free_area[o].list[kind], struct page, link);

			if (!page)
				continue;
			free_area_del(z, page);
			*found = o;
			return page;
		}
	}
	return NULL;
}

static bool is_committed(const struct page *page, unsigned int order)
{
	u32 first = page_index(page) >> HUGE_ORDER;
	u32 n = order > HUGE_ORDER ? 1u << (order - HUGE_ORDER) : 1;

	return page->kind != BLOCK_CLEAN ||
	       !(~region_of(page)->committed & ((~0u >> (32 - n)) << first));
}

/* The same, of which 2^order frames can be written to without asking the system. Looks at a few of each list. */
struct page *buddy_find_committed(struct zone *z, unsigned int order, unsigned int *found)
{
	for (int kind = NR_KINDS - 1; kind >= 0; kind--) {
		for (unsigned int o = order; o <= MAX_ORDER; o++) {
			struct page *page;
			int tries = TRIES;

			hlist_for_each_entry(page, &z->free_area[o].list[kind], link) {
				if (!is_committed(page, order)) {
					if (--tries)
						continue;
					break;
				}
				free_area_del(z, page);
				*found = o;
				return page;
			}
		}
	}
	return NULL;
}

/* Of a block that was found, keeps the lower half until it has the order that is wanted. */
void buddy_expand(struct zone *z, struct page *page, unsigned int found, unsigned int order)
{
	struct region *r = region_of(page);
	bool dirty = page->kind == BLOCK_DIRTY;
	u32 index = page_index(page);

	while (found > order) {
		u32 half = 1u << --found;

		free_area_add(z, &r->page[index + half], found,
			      classify(r, index + half, found, dirty));
	}
}

/* The free block that frame `index` lies in, or NULL. */
static struct page *buddy_of_frame(struct region *r, u32 index)
{
	for (unsigned int order = 0; order <= MAX_ORDER; order++) {
		struct page *page = &r->page[index & ~((1u << order) - 1)];

		if (READ_ONCE(page->type) == PAGE_BUDDY && page->order >= order)
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
		bool dirty;

		page = buddy_of_frame(r, i);
		first = page_index(page);
		last = first + (1u << page->order);
		dirty = page->kind == BLOCK_DIRTY;
		free_area_del(z, page);
		if (first < index)
			buddy_free_range(z, r, first, index - first, dirty);
		if (last > end)
			buddy_free_range(z, r, end, last - end, dirty);
		i = last;
	}
	return true;
}

/* The first run of n held frames that begins in block h of 2 MiB, or FRAMES_PER_REGION. */
static u32 run_in(struct region *r, u32 h, u32 n)
{
	u32 end = (h + 1) << HUGE_ORDER, longest = 0;
	u32 from = bitmap_next(r->held, h << HUGE_ORDER, end, true);

	while (from < end) {
		u32 to = bitmap_next(r->held, from, min(from + n, FRAMES_PER_REGION), false);

		if (to - from == n)
			return from;
		longest = max(longest, to - from);
		from = bitmap_next(r->held, to, end, true);
	}
	r->contig[h] = (u16)longest;
	return FRAMES_PER_REGION;
}

static u32 first_run(struct region *r, u32 blocks, u32 n)
{
	u32 from = FRAMES_PER_REGION;

	for (; blocks && from == FRAMES_PER_REGION; blocks &= blocks - 1)
		if (r->contig[__ffs(blocks)] >= n)
			from = run_in(r, __ffs(blocks), n);
	return from;
}

/*
 * Neighbours that are no buddies, or not of one kind: the run of n <= FRAMES_PER_HUGE held frames at the lowest address of
 * a region (first fit by address leaves the fewest holes: Wilson et al. 1995, 3.5). Looks into some regions; takes
 * nothing.
 */
struct page *buddy_find_run(struct zone *z, u32 n)
{
	int tries = TRIES;
	struct region *r;

	hlist_for_each_entry(r, &z->regions, link) {
		/* Huge pages first: what is free in them is memory that cannot be given back. */
		u32 from = first_run(r, r->huge, n);

		if (from == FRAMES_PER_REGION)
			from = first_run(r, ~r->huge, n);
		if (from < FRAMES_PER_REGION)
			return &r->page[from];
		if (!--tries)
			break;
	}
	return NULL;
}

/* How many frames from `index` on are free, up to n. */
static u32 free_run(const struct region *r, u32 index, u32 n)
{
	u32 sum = 0;

	while (sum < n && index + sum < FRAMES_PER_REGION) {
		const struct page *page = &r->page[index + sum];

		if (READ_ONCE(page->type) != PAGE_BUDDY)
			break;
		sum += 1u << page->order;
	}
	return min(sum, n);
}

/*
 * A run of n free frames that begins with a block of 2^order < n frames that holds memory. In so large a one some new memory
 * beside the old costs less than all new. Looks at a few only; takes nothing.
 */
struct page *buddy_find_large_run(struct zone *z, unsigned int order, u32 n)
{
	for (int kind = BLOCK_HUGE; kind >= BLOCK_DIRTY; kind--) {
		struct page *page;
		int tries = TRIES;

		hlist_for_each_entry(page, &z->free_area[order].list[kind], link) {
			if (free_run(region_of(page), page_index(page), n) == n)
				return page;
			if (!--tries)
				break;
		}
	}
	return NULL;
}
