// SPDX-License-Identifier: MIT
/*
 * purge.c - giving the memory of free blocks back to the system.
 *
 * The system takes microseconds a page, so it is never asked runs under the zone lock: a batch of blocks is isolated
 * (taken off the free lists, nobody else can see it), given back, and freed again as clean.
 *
 * Largest blocks first: one long call costs a quarter of many short ones, and small free blocks are the
 * next to be used. What is free of a huge page that is partly in use (BLOCK_HUGE) is left alone, until
 * zone_tear says that the page is no longer worth its memory.
 */
#include "base/bug.h"
#include "os/mem.h"
#include "page/section.h"
#include "page/zone.h"

enum {
	BATCH = OS_RANGES,
	BARE_ORDER = MAX_ORDER - 3, /* 8 MiB: 64 KiB of struct pages */
};

struct batch {
	struct page *page[BATCH];
	bool kept[BATCH]; /* its memory is still there */
	u32 n;
};

static char *frame_address(const struct region *r, u32 index)
{
	return (char *)(r->base + ((uintptr_t)index << FRAME_SHIFT));
}

/* Takes dirty blocks of one order until there are `frames` frames of memory. Zone lock held. */
static void isolate(struct zone *z, unsigned int order, unsigned long frames, struct batch *b)
{
	unsigned long sum = 0;

	b->n = 0;
	while (b->n < BATCH && sum < frames) {
		struct page *page = hlist_first_entry(&z->free_area[order].list[BLOCK_DIRTY],
						      struct page, link);

		if (!page)
			break;
		buddy_isolate(z, page);
		sum += 1ul << order;
		b->page[b->n++] = page;
	}
}

/* The blocks are isolated: no lock. */
static void purge_blocks(unsigned int order, struct batch *b)
{
	struct os_range range[BATCH];

	for (u32 i = 0; i < b->n; i++)
		range[i] = (struct os_range){ page_address(b->page[i]), FRAME_SIZE << order };
	os_purge_ranges(range, b->n, b->kept);
}

/* Notes under the zone lock what purge_blocks did. */
static void account(struct zone *z, struct page *page, unsigned int order)
{
	struct region *r = region_of(page);
	u32 index = page_index(page), mask;

	bitmap_clear(r->dirty, index, 1u << order);
	if (order >= HUGE_ORDER) {
		mask = huge_mask(index, order);
		SUB_ONCE(z->nr_huge, (unsigned long)__builtin_popcount(r->huge & mask));
		WRITE_ONCE(r->huge, r->huge & ~mask);
	}
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
	z->runs[r->index] = (struct region_runs){ .region = NULL };
	hlist_del_init(&r->link);
	SUB_ONCE(z->nr_regions, 1);
	SUB_ONCE(z->nr_present, FRAMES_PER_REGION);
	os_unmap(r, REGION_META_SIZE);
	return true;
}

/* Gives back and frees what can be; the rest moves to the front of the batch. */
static unsigned long purge_batch(struct zone *z, unsigned int order, struct batch *b)
{
	unsigned long gone = 0;
	u32 kept = 0;

	purge_blocks(order, b);
	lock(&z->lock, RANK_ZONE);
	for (u32 i = 0; i < b->n; i++) {
		if (b->kept[i]) {
			b->page[kept++] = b->page[i];
			continue;
		}
		account(z, b->page[i], order);
		gone += 1ul << order;
		if (order < MAX_ORDER || !release_region(z, b->page[i]))
			buddy_free(z, region_of(b->page[i]), page_index(b->page[i]), order, false);
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
		buddy_free(z, region_of(page), page_index(page), order, true);
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
	       (page = hlist_first_entry(&z->free_area[MAX_ORDER].list[BLOCK_CLEAN], struct page,
					 link))) {
		buddy_isolate(z, page);
		if (!release_region(z, page)) {
			buddy_free(z, region_of(page), 0, MAX_ORDER, false);
			break;
		}
	}
	unlock(&z->lock, RANK_ZONE);
}

/* Behind a free block's head there is nothing but PAGE_NONE, which is zero. The block is isolated. */
static void purge_metadata(struct page *page, unsigned int order)
{
	struct region *r = region_of(page);
	u32 index = page_index(page), end = index + (1u << order);

	os_purge_inside(page + 1, r->page + end);
	os_purge_inside(r->map_ext[index], r->map_ext[end]);
}

/* Takes clean blocks of one order whose struct pages may hold memory. Zone lock held. */
static void isolate_covered(struct zone *z, unsigned int order, struct batch *b)
{
	struct hlist_node *next;

	b->n = 0;
	for (struct hlist_node *n = z->free_area[order].list[BLOCK_CLEAN].first; n; n = next) {
		struct page *page = hlist_entry(n, struct page, link);

		next = n->next;
		if (page->bare || b->n == BATCH)
			continue;
		buddy_isolate(z, page);
		b->page[b->n++] = page;
	}
}

/* The struct pages of large clean blocks: once for each, as long as it stays what it is. */
static void trim_metadata(struct zone *z)
{
	struct batch b;

	for (unsigned int order = BARE_ORDER; order <= MAX_ORDER; order++) {
		lock(&z->lock, RANK_ZONE);
		isolate_covered(z, order, &b);
		unlock(&z->lock, RANK_ZONE);
		if (!b.n)
			continue;
		for (u32 i = 0; i < b.n; i++)
			purge_metadata(b.page[i], order);
		lock(&z->lock, RANK_ZONE);
		/* What it merges with now is as large as it or not there: half of it at least is bare. */
		for (u32 i = 0; i < b.n; i++)
			buddy_free(z, region_of(b.page[i]), page_index(b.page[i]), order, false)
				->bare = true;
		unlock(&z->lock, RANK_ZONE);
	}
}

unsigned long zone_purge(struct zone *z, unsigned long target)
{
	int smallest = (int)ilog2(os_page_size() >> FRAME_SHIFT);
	unsigned long gone = 0;

	for (int order = MAX_ORDER; order >= smallest && gone < target; order--)
		gone += purge_order(z, (unsigned int)order, target - gone);
	release_clean_regions(z);
	trim_metadata(z);
	return gone;
}

/*
 * Blocks are in whole units of 2 MiB here, so nobody's frame is in them. Under the lock: the kernel has
 * nothing to do for memory that zone_purge has given back before.
 */
size_t zone_decommit(struct zone *z)
{
	size_t bytes = 0;
	struct page *page;

	lock(&z->lock, RANK_ZONE);
	for (unsigned int order = HUGE_ORDER; order <= MAX_ORDER; order++) {
		hlist_for_each_entry(page, &z->free_area[order].list[BLOCK_CLEAN], link) {
			struct region *r = region_of(page);
			u32 mask = huge_mask(page_index(page), order);

			if (r->frames != FRAMES_PER_REGION || !(r->committed & mask) ||
			    !os_decommit(page_address(page), FRAME_SIZE << order))
				continue;
			/* It is another mapping now. */
			if (unlikely(numa_many()))
				os_bind(page_address(page), FRAME_SIZE << order, z->nid);
			bytes += (size_t)__builtin_popcount(r->committed & mask) * HUGE_SIZE;
			r->committed &= ~mask;
			r->open = mask & 1 ? 0 : r->open;
			r->advised &= ~mask;
		}
	}
	unlock(&z->lock, RANK_ZONE);
	return bytes;
}

static u32 free_frames(const struct region *r, u32 from, u32 end)
{
	u32 sum = 0;

	for (u32 i = from; i < end; i++) {
		const struct page *page = &r->page[i];
		u32 n = READ_ONCE(page->type) == PAGE_BUDDY ? 1u << page->order : 0;

		sum += n;
		i += n ? n - 1 : 0;
	}
	return sum;
}

/*
 * The 2 MiB cease to be a huge page; without the advice khugepaged will not put back what is given. All
 * of it was populated, so every free frame of it is dirty now. Zone lock held.
 */
static bool tear_huge(struct zone *z, struct region *r, u32 h)
{
	u32 end = (h + 1) << HUGE_ORDER, bit = 1u << h;

	if (!os_hugepage(frame_address(r, h << HUGE_ORDER), HUGE_SIZE, false))
		return false;
	SUB_ONCE(z->nr_huge, 1);
	r->advised &= ~bit;
	WRITE_ONCE(r->huge, r->huge & ~bit);
	for (u32 i = h << HUGE_ORDER; i < end; i++) {
		struct page *block = &r->page[i];
		unsigned int order = READ_ONCE(block->order);

		if (READ_ONCE(block->type) != PAGE_BUDDY)
			continue;
		buddy_isolate(z, block);
		bitmap_set(r->dirty, i, 1u << order);
		buddy_free(z, r, i, order, true);
		i += (1u << order) - 1;
	}
	return true;
}

/* A page that is free as a whole is a dirty block already: it need not be torn. */
u32 zone_tear(struct zone *z, u32 min_free)
{
	struct region *r;
	u32 torn = 0;

	lock(&z->lock, RANK_ZONE);
	hlist_for_each_entry(r, &z->regions, link) {
		for (u32 huge = r->huge; huge; huge &= huge - 1) {
			u32 h = __ffs(huge), from = h << HUGE_ORDER;
			u32 n = free_frames(r, from, from + FRAMES_PER_HUGE);

			if (n >= min_free && n < FRAMES_PER_HUGE)
				torn += tear_huge(z, r, h);
		}
	}
	unlock(&z->lock, RANK_ZONE);
	return torn;
}

bool zone_tear_block(struct zone *z, struct region *r, u32 h)
{
	bool torn;

	lock(&z->lock, RANK_ZONE);
	torn = r->huge >> h & 1 && tear_huge(z, r, h);
	unlock(&z->lock, RANK_ZONE);
	return torn;
}
