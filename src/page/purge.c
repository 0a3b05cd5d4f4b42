// SPDX-License-Identifier: MIT
/*
 * purge.c - giving the memory of free blocks back to the system.
 *
 * madvise takes microseconds a page, so it never runs under the zone lock: a batch of blocks is isolated
 * (taken off the free lists, nobody else can see it), given back, and freed again as clean.
 *
 * Largest blocks first: one long call costs a quarter of many short ones, and small free blocks are the
 * next to be used. What is free of a huge page that is partly in use (BLOCK_HUGE) is left alone unless the
 * caller says `tear`: then the page ceases to be huge, and its free parts are dirty blocks.
 */
#include "base/bug.h"
#include "os/mem.h"
#include "page/section.h"
#include "page/zone.h"

enum { BATCH = 128 };

struct batch {
	struct page *page[BATCH];
	bool kept[BATCH]; /* its memory is still there */
	u32 n;
};

static char *frame_address(const struct region *r, u32 index)
{
	return (char *)(r->base + ((uintptr_t)index << FRAME_SHIFT));
}

/*
 * The 2 MiB around a block cease to be a huge page; without the advice khugepaged will not put back what
 * is given. All of it was populated, so every free frame of it is dirty now. Zone lock held.
 */
static bool tear_huge(struct zone *z, struct page *page)
{
	struct region *r = region_of(page);
	u32 h = page_index(page) >> HUGE_ORDER, end = (h + 1) << HUGE_ORDER, bit = 1u << h;

	if (!os_hugepage(frame_address(r, h << HUGE_ORDER), HUGE_SIZE, false))
		return false;
	z->nr_huge--;
	r->advised &= ~bit;
	r->huge &= ~bit;
	r->torn |= bit;
	for (u32 i = h << HUGE_ORDER; i < end; i++) {
		struct page *block = &r->page[i];
		unsigned int order = block->order;

		if (block->type != PAGE_BUDDY)
			continue;
		buddy_isolate(z, block);
		bitmap_set(r->dirty, i, 1u << order);
		buddy_free(z, r, i, order);
		i += (1u << order) - 1;
	}
	return true;
}

static void tear_all(struct zone *z)
{
	lock(&z->lock, RANK_ZONE);
	for (unsigned int order = 0; order < HUGE_ORDER; order++) {
		struct hlist_head *list = &z->free_area[order].list[BLOCK_HUGE];
		struct page *page;

		while ((page = hlist_first_entry(list, struct page, link)))
			if (!tear_huge(z, page))
				break;
	}
	unlock(&z->lock, RANK_ZONE);
}

/* Takes dirty blocks of one order until there are `frames` frames of memory. Zone lock held. */
static void isolate(struct zone *z, unsigned int order, unsigned long frames, struct batch *b)
{
	unsigned long sum = 0;

	b->n = 0;
	while (b->n < BATCH && sum < frames) {
		struct page *page =
			hlist_first_entry(&z->free_area[order].list[BLOCK_DIRTY], struct page, link);

		if (!page)
			break;
		buddy_isolate(z, page);
		sum += page->resident;
		b->page[b->n++] = page;
	}
}

/* The runs of dirty frames, each one call; runs that a short clean gap parts are one run. */
static bool purge_runs(struct region *r, u32 index, u32 n)
{
	enum { GAP = 16 };
	u32 end = index + n, unit = (u32)(os_page_size() >> FRAME_SHIFT);
	u32 from = bitmap_next(r->dirty, index, end, true);
	bool ok = true;

	while (from < end) {
		u32 to = bitmap_next(r->dirty, from, end, false), next;

		while ((next = bitmap_next(r->dirty, to, end, true)) < end && next - to <= GAP)
			to = bitmap_next(r->dirty, next, end, false);
		from = ALIGN_DOWN(from, unit);
		to = ALIGN(to, unit);
		ok &= os_purge(frame_address(r, from), (size_t)(to - from) << FRAME_SHIFT);
		from = bitmap_next(r->dirty, to, end, true);
	}
	return ok;
}

/* The bits of the 2 MiB blocks that a block of HUGE_ORDER or more covers. */
static u32 huge_mask(u32 index, unsigned int order)
{
	return (~0u >> (32 - (1u << (order - HUGE_ORDER)))) << (index >> HUGE_ORDER);
}

/* False: the system would not take it. The block is isolated: no lock. */
static bool purge_block(struct page *page, unsigned int order)
{
	struct region *r = region_of(page);
	u32 index = page_index(page);

	if (order >= HUGE_ORDER && r->huge & huge_mask(index, order))
		return os_purge(frame_address(r, index), FRAME_SIZE << order);
	return purge_runs(r, index, 1u << order);
}

/* Notes under the zone lock what purge_block did; returns the frames that are gone. */
static unsigned long account(struct zone *z, struct page *page, unsigned int order)
{
	struct region *r = region_of(page);
	u32 index = page_index(page), mask;

	bitmap_clear(r->dirty, index, 1u << order);
	if (order >= HUGE_ORDER) {
		mask = huge_mask(index, order);
		z->nr_huge -= (unsigned long)__builtin_popcount(r->huge & mask);
		r->huge &= ~mask;
		r->torn &= ~mask;
	}
	return page->resident;
}

/*
 * A whole region that holds no memory gives its address space and metadata back too, but for the last
 * one. Zone lock held; the block is isolated.
 */
static bool release_region(struct zone *z, struct page *page)
{
	struct region *r = region_of(page);

	if (z->nr_regions <= 1 || r->frames != FRAMES_PER_REGION || !region_put(r))
		return false;
	hlist_del_init(&r->link);
	z->nr_regions--;
	z->nr_present -= FRAMES_PER_REGION;
	os_unmap(r, REGION_META_SIZE);
	return true;
}

/* Gives back and frees what can be; the rest moves to the front of the batch. */
static unsigned long purge_batch(struct zone *z, unsigned int order, struct batch *b)
{
	unsigned long gone = 0;
	u32 kept = 0;

	for (u32 i = 0; i < b->n; i++)
		b->kept[i] = !purge_block(b->page[i], order);
	lock(&z->lock, RANK_ZONE);
	for (u32 i = 0; i < b->n; i++) {
		if (b->kept[i]) {
			b->page[kept++] = b->page[i];
			continue;
		}
		gone += account(z, b->page[i], order);
		if (order < MAX_ORDER || !release_region(z, b->page[i]))
			buddy_free_range(z, region_of(b->page[i]), page_index(b->page[i]), 1u << order);
	}
	b->n = kept;
	unlock(&z->lock, RANK_ZONE);
	return gone;
}

/*
 * Blocks whose memory the system refuses would come off the list again and again: they stay isolated,
 * chained by their links, until the order is done.
 */
static unsigned long purge_order(struct zone *z, unsigned int order, unsigned long target)
{
	struct hlist_head kept = { NULL };
	unsigned long gone = 0;
	struct batch b;
	struct page *page;

	do {
		lock(&z->lock, RANK_ZONE);
		isolate(z, order, target - gone, &b);
		unlock(&z->lock, RANK_ZONE);
		if (!b.n)
			break;
		gone += purge_batch(z, order, &b);
		for (u32 i = 0; i < b.n; i++)
			hlist_add_head(&b.page[i]->link, &kept);
	} while (gone < target);

	lock(&z->lock, RANK_ZONE);
	while ((page = hlist_first_entry(&kept, struct page, link))) {
		hlist_del_init(&page->link);
		buddy_free_range(z, region_of(page), page_index(page), 1u << order);
	}
	unlock(&z->lock, RANK_ZONE);
	return gone;
}

/* Regions that came together from clean parts. */
static void release_clean_regions(struct zone *z)
{
	struct page *page;

	lock(&z->lock, RANK_ZONE);
	while (z->nr_regions > 1 &&
	       (page = hlist_first_entry(&z->free_area[MAX_ORDER].list[BLOCK_CLEAN], struct page, link))) {
		buddy_isolate(z, page);
		if (!release_region(z, page)) {
			buddy_free_range(z, region_of(page), 0, FRAMES_PER_REGION);
			break;
		}
	}
	unlock(&z->lock, RANK_ZONE);
}

unsigned long zone_purge(struct zone *z, unsigned long target, bool tear)
{
	int smallest = (int)ilog2(os_page_size() >> FRAME_SHIFT);
	unsigned long gone = 0;

	if (tear)
		tear_all(z);
	for (int order = MAX_ORDER; order >= smallest && gone < target; order--)
		gone += purge_order(z, (unsigned int)order, target - gone);
	release_clean_regions(z);
	return gone;
}
