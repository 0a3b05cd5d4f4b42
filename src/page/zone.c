// SPDX-License-Identifier: MIT
#include "page/zone.h"

#include "base/bug.h"
#include "base/options.h"
#include "os/mem.h"
#include "page/huge.h"
#include "page/section.h"

struct zone zones[MAX_NUMNODES];

static const size_t MIN_PIECE = 256 * KIB;

enum { RUN_ORDERS = 3 };

/* Frames [first, first + n) of r are there now, clean. committed: writable already. */
static void add_frames(struct zone *z, struct region *r, u32 first, u32 n, bool committed)
{
	if (!r->frames) {
		hlist_add_head(&r->link, &z->regions);
		z->nr_regions++;
	}
	r->frames += n;
	if (committed)
		r->committed = ~0u;
	z->nr_present += n;
	buddy_free_range(z, r, first, n, false);
}

static bool add_region(struct zone *z)
{
	void *p = os_reserve_aligned(REGION_SIZE, REGION_SIZE);
	struct region *r;

	if (!p)
		return false;
	r = region_get((uintptr_t)p, z->nid);
	if (!r || r->frames) {
		os_unmap(p, REGION_SIZE);
		return false;
	}
	add_frames(z, r, 0, FRAMES_PER_REGION, false);
	return true;
}

/* The frames of a mapping, as parts of the one or two regions it lies in; false: no metadata for the first. */
static bool add_mapping(struct zone *z, uintptr_t start, uintptr_t end)
{
	for (uintptr_t p = start, next; p < end; p = next) {
		struct region *r = region_get(p, z->nid);

		if (!r || r->nid != z->nid) {
			os_unmap((void *)p, end - p);
			return p != start;
		}
		next = min(r->base + REGION_SIZE, end);
		add_frames(z, r, (u32)(p >> FRAME_SHIFT) % FRAMES_PER_REGION,
			   (u32)((next - p) >> FRAME_SHIFT), true);
	}
	return true;
}

/*
 * Where 64 MiB cannot be had (RLIMIT_AS, a small address space): the largest mapping that can and leaves
 * room for its metadata, at any address. A region of such pieces is never given back as a whole.
 */
static bool add_pieces(struct zone *z, size_t wanted)
{
	for (size_t size = REGION_SIZE / 2; size >= max(2 * wanted, MIN_PIECE); size /= 2) {
		uintptr_t p = (uintptr_t)os_map(size);

		if (p && add_mapping(z, p, p + size))
			return true;
	}
	return false;
}

/* A heap that has grown past thp_start takes its new 2 MiB blocks as huge pages; a small one never. */
static bool huge_wanted(const struct zone *z)
{
	if (options.thp == THP_AUTO)
		return (z->nr_present - z->nr_free) << FRAME_SHIFT >= options.thp_start;
	return options.thp == THP_ALWAYS;
}

static bool commit_blocks(struct region *r, u32 first, u32 last)
{
	for (u32 h = first; h <= last; h++) {
		u32 from = h;

		while (h <= last && !(r->committed >> h & 1))
			h++;
		if (h == from)
			continue;
		if (!os_commit((void *)(r->base + from * HUGE_SIZE), (h - from) * HUGE_SIZE))
			return false;
		r->committed |= (~0u >> (32 - (h - from))) << from;
	}
	return true;
}

/*
 * Makes frames [index, index + n) of r writable, and in a growing heap an eighth of it in advance: what is not
 * committed is free, so this is in nobody's way.
 */
static bool commit(struct zone *z, struct region *r, u32 index, u32 n)
{
	u32 first = index >> HUGE_ORDER, last = (index + n - 1) >> HUGE_ORDER;
	unsigned long ahead = (z->nr_present - z->nr_free) >> (HUGE_ORDER + 3);
	u32 end = (u32)min(last + ahead, (unsigned long)HUGE_PER_REGION - 1);

	if (likely(!(~r->committed & ((~0u >> (31 - (last - first))) << first))))
		return true;
	return commit_blocks(r, first, end) || commit_blocks(r, first, last);
}

/*
 * A free block of 2 MiB or more is about to be carved: ask for huge pages before its first touch, if the
 * heap wants them. A mapping that carries the advice from before will be populated whole in any case. The
 * 2 MiB are free as a whole here, so no return of memory is undone. True: the first of them is to be touched.
 */
static bool ask_huge(struct zone *z, struct region *r, u32 index, u32 n, bool wanted)
{
	u32 first = index >> HUGE_ORDER, last = (index + n - 1) >> HUGE_ORDER;
	bool asked = false;

	for (u32 h = first; h <= last; h++) {
		u32 bit = 1u << h;

		if (r->huge & bit || bitmap_any(r->dirty, h << HUGE_ORDER, FRAMES_PER_HUGE))
			continue;
		if (!(r->advised & bit)) {
			if (!wanted || !huge_pays())
				continue;
			if (!os_hugepage((void *)(r->base + h * HUGE_SIZE), HUGE_SIZE, true))
				break;
			r->advised |= bit;
		}
		r->huge |= bit;
		z->nr_huge++;
		asked |= h == first;
	}
	return asked;
}

/* A block that left the buddy. */
struct taken {
	struct page *page; /* NULL: none */
	bool clean; /* every byte reads as zero */
	bool touch; /* a huge page from its first touch on, which is now (huge_touch) */
};

/*
 * Do the frames reach into 2 MiB that carry the advice and hold nothing yet? One touch would populate all of it,
 * around free blocks that count as clean.
 */
static bool unpopulated(const struct region *r, u32 index, u32 n)
{
	u32 first = index >> HUGE_ORDER,
	    last = min((index + n - 1) >> HUGE_ORDER, HUGE_PER_REGION - 1);

	return first <= last && r->advised & ~r->huge & ((~0u >> (31 - (last - first))) << first);
}

/* Exactly these free frames, committed, or nothing. Zone lock held. */
static struct taken take_range(struct zone *z, struct region *r, u32 index, u32 n)
{
	struct taken t = { .page = NULL };

	if (unpopulated(r, index, n) || !buddy_take_range(z, r, index, n))
		return t;
	if (!commit(z, r, index, n)) {
		buddy_free_range(z, r, index, n, bitmap_any(r->dirty, index, n));
		return t;
	}
	z->nr_taken += n;
	t.page = &r->page[index];
	t.clean = !bitmap_any(r->dirty, index, n);
	return t;
}

/*
 * Before a larger block is split, or memory touched that the heap does not have: is there a run of smaller ones?
 * Zone lock held.
 */
static struct taken take_run(struct zone *z, u32 n, unsigned int order)
{
	struct page *page = NULL;

	if (z->free_area[order].list[BLOCK_HUGE].first ||
	    z->free_area[order].list[BLOCK_DIRTY].first)
		return (struct taken){ .page = NULL };
	for (unsigned int o = order; !page && o-- > 0 && o + RUN_ORDERS >= order;)
		page = buddy_find_run(z, o, n);
	return page ? take_range(z, region_of(page), page_index(page), n)
		    : (struct taken){ .page = NULL };
}

/* One block out of the buddy, committed; zone lock held. */
static struct taken take_block(struct zone *z, u32 n, unsigned int order)
{
	bool wanted = huge_wanted(z), dirty;
	struct taken t = { .page = NULL };
	unsigned int found;
	struct page *page = buddy_find(z, order, &found);
	struct region *r;
	u32 index;

	if (!page)
		return t;
	r = region_of(page);
	index = page_index(page);
	dirty = page->kind == BLOCK_DIRTY;
	if (found >= HUGE_ORDER && r->frames == FRAMES_PER_REGION)
		t.touch = ask_huge(z, r, index, n, wanted);
	buddy_expand(z, page, found, order);
	if (unlikely(!commit(z, r, index, n))) {
		buddy_free_range(z, r, index, 1u << order, dirty);
		return t;
	}
	if (n < 1u << order)
		buddy_free_range(z, r, index + n, (1u << order) - n, dirty);
	z->nr_taken += n;
	t.page = page;
	t.clean = !bitmap_any(r->dirty, index, n);
	return t;
}

/* Was it for want of frames, or of memory to commit them, that take_block failed? */
static bool has_block(const struct zone *z, unsigned int order)
{
	while (order <= MAX_ORDER)
		if (z->free_area[order++].nr)
			return true;
	return false;
}

struct page *zone_alloc(struct zone *z, u32 n, unsigned int align_order, bool *clean)
{
	unsigned int order = max(order_base_2(n), align_order);
	struct taken t;

	if (order > MAX_ORDER)
		return NULL;
	lock(&z->lock, RANK_ZONE);
	t = align_order ? (struct taken){ .page = NULL } : take_run(z, n, order);
	if (!t.page)
		t = take_block(z, n, order);
	if (unlikely(!t.page) && !has_block(z, order) &&
	    (add_region(z) || add_pieces(z, (size_t)FRAME_SIZE << order)))
		t = take_block(z, n, order);
	unlock(&z->lock, RANK_ZONE);
	if (unlikely(t.page && t.touch))
		huge_touch(page_address(t.page));
	*clean = t.clean;
	return t.page;
}

u32 zone_alloc_bulk(struct zone *z, unsigned int order, u32 want, struct page **pages, bool *clean)
{
	struct page *touch = NULL;
	u32 got = 0;

	lock(&z->lock, RANK_ZONE);
	while (got < want) {
		struct taken t = take_run(z, 1u << order, order);

		if (!t.page)
			t = take_block(z, 1u << order, order);
		if (!t.page)
			break;
		if (t.touch)
			touch = t.page;
		pages[got] = t.page;
		clean[got++] = t.clean;
	}
	unlock(&z->lock, RANK_ZONE);
	if (unlikely(touch))
		huge_touch(page_address(touch));
	return got;
}

void zone_free(struct zone *z, struct page *page, u32 n, bool clean)
{
	struct region *r = region_of(page);
	u32 index = page_index(page);

	lock(&z->lock, RANK_ZONE);
	page->type = PAGE_NONE;
	if (clean)
		bitmap_clear(r->dirty, index, n);
	else
		bitmap_set(r->dirty, index, n);
	buddy_free_range(z, r, index, n, !clean);
	unlock(&z->lock, RANK_ZONE);
}

bool zone_extend(struct zone *z, struct page *end, u32 n, bool *clean)
{
	struct taken t;

	lock(&z->lock, RANK_ZONE);
	t = take_range(z, region_of(end - 1), page_index(end - 1) + 1, n);
	unlock(&z->lock, RANK_ZONE);
	*clean = t.clean;
	return t.page;
}
