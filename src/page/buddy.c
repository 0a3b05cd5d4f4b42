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

/* Runs that begin in the 2 MiB before, and reach here, are longer now, too. */
static void mark(struct zone *z, struct region *r, enum run run, u32 index, u32 n)
{
	u32 first = index >> HUGE_ORDER, h = (index + n - 1) >> HUGE_ORDER;

	bitmap_set(r->map[run], index, n);
	r->contig[run][h] = FRAMES_PER_REGION;
	while (h && (h > first || test_bit(r->map[run], h << HUGE_ORDER)))
		r->contig[run][--h] = FRAMES_PER_REGION;
	z->runs[r->index].longest[run] = FRAMES_PER_REGION;
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
	mark(z, region_of(page), RUN_FREE, page_index(page), 1u << order);
	if (kind != BLOCK_CLEAN)
		mark(z, region_of(page), RUN_HELD, page_index(page), 1u << order);
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
	bitmap_clear(region_of(page)->map[RUN_FREE], page_index(page), 1u << page->order);
	if (page->kind != BLOCK_CLEAN)
		bitmap_clear(region_of(page)->map[RUN_HELD], page_index(page), 1u << page->order);
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
 * A free block of at least 2^order frames, which stays where it is: the smallest of the first kind that has one, huge before
 * dirty before clean.
 */
struct page *buddy_peek(struct zone *z, unsigned int order)
{
	for (int kind = NR_KINDS - 1; kind >= 0; kind--) {
		for (unsigned int o = order; o <= MAX_ORDER; o++) {
			struct page *page =
				hlist_first_entry(&z->free_area[o].list[kind], struct page, link);

			if (page)
				return page;
		}
	}
	return NULL;
}

/* Takes it. */
struct page *buddy_find(struct zone *z, unsigned int order, unsigned int *found)
{
	struct page *page = buddy_peek(z, order);

	if (!page)
		return NULL;
	*found = page->order;
	free_area_del(z, page);
	return page;
}

static bool is_committed(const struct page *page, unsigned int order)
{
	u32 first = page_index(page) >> HUGE_ORDER;
	u32 n = order > HUGE_ORDER ? 1u << (order - HUGE_ORDER) : 1;

	return page->kind != BLOCK_CLEAN ||
	       page_index(page) + (1u << order) <= region_of(page)->open ||
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

bool buddy_range_free(const struct region *r, u32 index, u32 n)
{
	u32 end = index + n;

	return end <= FRAMES_PER_REGION && bitmap_next(r->map[RUN_FREE], index, end, false) == end;
}

/* Takes exactly [index, index + n) out of the free blocks, or nothing (false). */
bool buddy_take_range(struct zone *z, struct region *r, u32 index, u32 n)
{
	struct page *page;
	u32 end = index + n;

	if (!buddy_range_free(r, index, n))
		return false;
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

/* The first run of n frames that begins in block h of 2 MiB, on a multiple of `align`, or FRAMES_PER_REGION. */
static u32 run_in(struct region *r, enum run run, u32 h, u32 n, u32 align)
{
	const unsigned long *map = r->map[run];
	u32 end = (h + 1) << HUGE_ORDER, longest = 0;
	u32 from = bitmap_next(map, h << HUGE_ORDER, end, true);

	while (from < end) {
		u32 start = ALIGN(from + (n < BEGAN_MIN && test_bit(r->began, from)), align);
		u32 to = bitmap_next(map, from, min(start + n, FRAMES_PER_REGION), false);

		if (to == start + n)
			return start;
		longest = max(longest, to - from);
		from = bitmap_next(map, to, end, true);
	}
	r->contig[run][h] = (u16)longest;
	return FRAMES_PER_REGION;
}

/* The same, of several blocks. */
static u32 run_among(struct region *r, enum run run, u32 blocks, u32 n, u32 align)
{
	u32 from = FRAMES_PER_REGION;

	for (; blocks && from == FRAMES_PER_REGION; blocks &= blocks - 1)
		if (r->contig[run][__ffs(blocks)] >= n)
			from = run_in(r, run, __ffs(blocks), n, align);
	return from;
}

static u16 longest_of(const struct region *r, enum run run)
{
	u16 longest = 0;

	for (u32 h = 0; h < HUGE_PER_REGION; h++)
		longest = max(longest, r->contig[run][h]);
	return longest;
}

/*
 * Neighbours that are no buddies, or not of one kind: the run of n frames at the lowest address of the first region that
 * has one (first fit by address leaves the fewest holes, and the last regions empty: Wilson et al. 1995, 3.5). What is
 * free in huge pages, memory that cannot be given back, comes before what is held elsewhere. Takes nothing. NULL: there
 * is none in some regions that may have one.
 */
struct page *buddy_find_run(struct zone *z, enum run run, u32 n, unsigned int align_order)
{
	int tries = TRIES;

	for (u32 i = 1; i < z->nr_runs && tries; i++) {
		struct region *r = z->runs[i].region;
		u32 from;

		if (z->runs[i].longest[run] < n)
			continue;
		from = run_among(r, run, run == RUN_HELD ? r->huge : ~0u, n, 1u << align_order);
		if (from == FRAMES_PER_REGION && run == RUN_HELD)
			from = run_among(r, run, ~r->huge, n, 1u << align_order);
		if (from < FRAMES_PER_REGION)
			return &r->page[from];
		z->runs[i].longest[run] = longest_of(r, run);
		tries--;
	}
	return NULL;
}
