// SPDX-License-Identifier: MIT
#include "page/zone.h"

#include "base/bug.h"
#include "os/mem.h"
#include "page/huge.h"
#include "page/limit.h"
#include "page/section.h"

struct zone zones[1], low_zones[ZONE_NORMAL];
unsigned long zone_surplus;

/* What is in pieces stays as it is. */
static void bind_regions(struct zone *z)
{
	struct region *r;

	lock(&z->lock, RANK_ZONE);
	hlist_for_each_entry(r, &z->regions, link)
		if (r->frames == FRAMES_PER_REGION)
			os_bind((void *)r->base, REGION_SIZE, z->nid);
	unlock(&z->lock, RANK_ZONE);
}

bool zones_divide(const struct numa *n, bool bind)
{
	size_t size = ALIGN(sizeof(struct zone), os_page_size());

	for (u32 i = 1; i < n->nr; i++) {
		u32 nid = n->nid[i];
		struct zone *z = node_zones[nid] ? node_zones[nid] : os_map(size);

		if (!z)
			return false;
		os_bind(z, size, nid);
		z->nid = nid;
		node_zones[nid] = z;
	}
	if (bind && n->near[0] == 0)
		bind_regions(&zones[0]);
	return true;
}

/* Low addresses are not divided among the nodes, and there is nothing to bind where there is one. */
static void bind_to_node(const struct zone *z, void *p, size_t size)
{
	if (unlikely(numa_many()) && !z->limit)
		os_bind(p, size, z->nid);
}

struct zone *low_zone(enum zone_type type)
{
	struct zone *z = &low_zones[type];

	z->limit = type == ZONE_DMA ? LIMIT_DMA : LIMIT_DMA32;
	return z;
}

static const size_t MIN_PIECE = 256 * KIB, LOW_PIECE = 64 * KIB;

enum { FIRST_FRAMES = 256 };

static void index_region(struct zone *z, struct region *r)
{
	u32 i = 1;

	while (i < NR_INDEXED && z->runs[i].region)
		i++;
	if (i == NR_INDEXED)
		return;
	z->runs[i].region = r;
	z->nr_runs = max(z->nr_runs, i + 1);
	r->index = i;
}

/* Frames [first, first + n) of r are there now, clean. committed: writable already. */
static void add_frames(struct zone *z, struct region *r, u32 first, u32 n, bool committed)
{
	if (!r->frames) {
		r->zone = z;
		hlist_add_head(&r->link, &z->regions);
		ADD_ONCE(z->nr_regions, 1);
		index_region(z, r);
	}
	r->frames += n;
	if (committed)
		r->committed = ~0u;
	ADD_ONCE(z->nr_present, n);
	buddy_free_range(z, r, first, n, false);
}

static bool add_region(struct zone *z)
{
	char *p = os_reserve_guarded(REGION_SIZE, REGION_SIZE, REGION_GUARD);
	struct region *r;

	if (!p)
		return false;
	r = region_get((uintptr_t)p, z->nid);
	if (!r || r->frames) {
		os_unmap(p - REGION_GUARD, REGION_GUARD + REGION_SIZE);
		return false;
	}
	r->guard = REGION_GUARD;
	bind_to_node(z, p, REGION_SIZE);
	add_frames(z, r, 0, FRAMES_PER_REGION, false);
	return true;
}

/* The frames of a mapping, as parts of the one or two regions it lies in; false: no metadata for the first. */
static bool add_mapping(struct zone *z, uintptr_t start, uintptr_t end)
{
	for (uintptr_t p = start, next; p < end; p = next) {
		struct region *r = region_get(p, z->nid);

		if (!r || (r->zone && r->zone != z)) {
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

		if (!p)
			continue;
		bind_to_node(z, (void *)p, size);
		if (add_mapping(z, p, p + size))
			return true;
	}
	return false;
}

/*
 * Address space below the zone's limit, in pieces where nobody else is: from the limit downwards, which programs
 * are placed and grow away from. Not in the first 64 MiB where there is more: those are ZONE_DMA's.
 */
static bool add_low(struct zone *z, size_t wanted)
{
	uintptr_t limit = 1ul << z->limit;
	uintptr_t lowest = z->limit == LIMIT_DMA ? os_page_size() : REGION_SIZE;
	size_t most = z->limit == LIMIT_DMA ? MIB : 4 * MIB;

	for (size_t size = max(wanted, most); size >= max(wanted, LOW_PIECE); size /= 2) {
		for (uintptr_t p = ALIGN_DOWN(limit - size, size); p >= lowest; p -= size)
			if (os_map_at((void *)p, size) && add_mapping(z, p, p + size))
				return true;
		if (size == wanted)
			break;
	}
	return false;
}

/* A block of this order and more can be had then. */
static bool enlarge(struct zone *z, unsigned int order)
{
	size_t wanted = FRAME_SIZE << order;

	return z->limit ? add_low(z, wanted) : add_region(z) || add_pieces(z, wanted);
}

/* A large heap takes its new 2 MiB blocks as huge pages; a small one never. */
static bool wants_huge(const struct zone *z)
{
	return huge_wanted((z->nr_present - z->nr_free) << FRAME_SHIFT);
}

static bool commit_blocks(struct region *r, u32 first, u32 last)
{
	for (u32 h = first; h <= last; h++) {
		size_t done;
		u32 from = h;

		while (h <= last && !(r->committed >> h & 1))
			h++;
		if (h == from)
			continue;
		/* Once more over what is in use, and memcheck takes its red zones for the program's. */
		done = from ? 0 : r->open * FRAME_SIZE;
		if (!os_commit((void *)(r->base + from * HUGE_SIZE + done),
			       (h - from) * HUGE_SIZE - done))
			return false;
		r->committed |= (~0u >> (32 - (h - from))) << from;
	}
	return true;
}

/*
 * A heap's first megabyte is all that a small program can touch: what runs away from it faults, and the rest is not
 * charged. False: it is not to be, or not enough.
 */
static bool commit_some(struct zone *z, struct region *r, u32 end)
{
	if (end > FIRST_FRAMES || z->nr_regions > 1 || wants_huge(z))
		return false;
	if (!r->open && os_commit((void *)r->base, FIRST_FRAMES * FRAME_SIZE))
		r->open = FIRST_FRAMES;
	return end <= r->open;
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
	if (commit_some(z, r, index + n))
		return true;
	return commit_blocks(r, first, end) || commit_blocks(r, first, last);
}

/* Block h of 2 MiB is free, and holds no memory. */
static bool untouched(const struct region *r, u32 h)
{
	u32 first = h << HUGE_ORDER, end = first + FRAMES_PER_HUGE;

	return bitmap_next(r->map[RUN_HELD], first, end, true) == end &&
	       bitmap_next(r->map[RUN_FREE], first, end, false) == end;
}

/*
 * Of the 2 MiB blocks that the frames lie in some may be untouched: ask for huge pages before their first touch, if the
 * heap wants them. A mapping that carries the advice from before will be populated whole in any case. They
 * are free as a whole here, so no return of memory is undone. Returns which.
 */
static u32 ask_huge(struct zone *z, struct region *r, u32 index, u32 n)
{
	bool wanted = wants_huge(z);
	u32 first = index >> HUGE_ORDER, last = (index + n - 1) >> HUGE_ORDER;
	u32 asked = 0;

	for (u32 h = first; h <= last; h++) {
		u32 bit = 1u << h;
		bool advised = r->advised & bit;

		if (r->huge & bit || !(advised || wanted) || !untouched(r, h))
			continue;
		if (!advised) {
			if (!huge_pays())
				continue;
			if (!os_hugepage((void *)(r->base + h * HUGE_SIZE), HUGE_SIZE, true))
				break;
			r->advised |= bit;
		}
		WRITE_ONCE(r->huge, r->huge | bit);
		ADD_ONCE(z->nr_huge, 1);
		asked |= bit;
	}
	return asked;
}

static void count_taken(struct zone *z, u32 n)
{
	ADD_ONCE(z->nr_taken, n);
	WRITE_ONCE(z->nr_used_most, max(z->nr_used_most, z->nr_present - z->nr_free));
}

/* A block that left the buddy. */
struct taken {
	struct page *page; /* NULL: none */
	bool clean; /* every byte reads as zero */
	u32 asked; /* 2 MiB blocks that are huge pages from their first touch on, which is now (touch_huge) */
	struct page *
		fresh; /* a frame of untouched memory, or NULL: with several nodes it is looked where it lies */
};

/*
 * Do the frames reach into 2 MiB that carry the advice, hold little, and are no huge page? One touch would populate all of
 * it, around free blocks that count as clean.
 */
static bool would_populate(const struct region *r, u32 index, u32 n)
{
	u32 first = index >> HUGE_ORDER, last = (index + n - 1) >> HUGE_ORDER;
	u32 blocks = r->advised & ~r->huge & ((~0u >> (31 - (last - first))) << first);

	for (; blocks; blocks &= blocks - 1)
		if (!untouched(r, __ffs(blocks)))
			return true;
	return false;
}

/* The first of the frames that lies in 2 MiB that are untouched, or NULL. */
static struct page *first_untouched(struct region *r, u32 index, u32 n)
{
	for (u32 i = index; i < index + n; i = ALIGN(i + 1, FRAMES_PER_HUGE))
		if (untouched(r, i >> HUGE_ORDER))
			return &r->page[i];
	return NULL;
}

/* Exactly these frames, which are free, committed, or nothing. Zone lock held. */
static struct taken take_range(struct zone *z, struct region *r, u32 index, u32 n)
{
	struct taken t = { .page = NULL };

	if (would_populate(r, index, n))
		return t;
	t.fresh = unlikely(numa_many()) ? first_untouched(r, index, n) : NULL;
	if (r->frames == FRAMES_PER_REGION)
		t.asked = ask_huge(z, r, index, n);
	buddy_take_range(z, r, index, n);
	if (!commit(z, r, index, n)) {
		buddy_free_range(z, r, index, n, bitmap_any(r->dirty, index, n));
		return (struct taken){ .page = NULL };
	}
	bitmap_clear(r->began, index, n);
	count_taken(z, n);
	t.page = &r->page[index];
	t.clean = !bitmap_any(r->dirty, index, n);
	return t;
}

/* Where memory is short of what is wanted, a large run takes as little new as it can. */
static struct page *find_run(struct zone *z, enum run run, u32 n, unsigned int align_order)
{
	if (run == RUN_FREE && n >= FRAMES_PER_HUGE)
		return buddy_find_most_held(z, n, align_order);
	return buddy_find_run(z, run, n, align_order);
}

static struct taken take_run(struct zone *z, enum run run, u32 n, unsigned int align_order)
{
	struct page *page = find_run(z, run, n, align_order);

	return page ? take_range(z, region_of(page), page_index(page), n)
		    : (struct taken){ .page = NULL };
}

static struct taken take_block(struct zone *z, u32 n, unsigned int order)
{
	struct page *page = buddy_peek(z, order);

	return page ? take_range(z, region_of(page), page_index(page), n)
		    : (struct taken){ .page = NULL };
}

/*
 * From where it leaves the fewest holes. Zone lock held; it is let go of for a moment where caches have a surplus that
 * may hold such a run.
 */
static struct taken take(struct zone *z, u32 n, unsigned int align_order)
{
	struct taken t = take_run(z, RUN_HELD, n, align_order);

	if (!t.page && unlikely(counter_read(zone_surplus) >= n)) {
		unlock(&z->lock, RANK_ZONE);
		zone_take_surplus();
		lock(&z->lock, RANK_ZONE);
		t = take_run(z, RUN_HELD, n, align_order);
	}
	if (!t.page)
		t = take_run(z, RUN_FREE, n, align_order);
	if (!t.page)
		t = take_block(z, n, max(order_base_2(n), align_order));
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

/*
 * A full node's memory comes from the next one. To know how much, the first frame of every 2 MiB is asked for its node.
 * It is written to before, as it is about to be: one that is only read is the system's page of zeros, on any node.
 */
static void look_where(struct zone *z, struct taken t)
{
	int node;

	if (likely(!t.page || !t.fresh || !numa_many()) || z->limit)
		return;
	os_touch(page_address(t.fresh));
	node = os_node_of(page_address(t.fresh));
	if (node < 0 || (u32)node == z->nid)
		return;
	counter_add(z->nr_fallback, FRAMES_PER_HUGE);
	counter_add(z->numa[NUMA_FOREIGN], FRAMES_PER_HUGE);
	if (numa_has_memory((u32)node))
		counter_add(node_zone((u32)node)->numa[NUMA_MISS], FRAMES_PER_HUGE);
}

/* The 2 MiB of `blocks` that lie in the n frames as a whole, and so are nobody else's, will be no huge pages. */
static void stay_small(struct zone *z, struct page *page, u32 n, u32 blocks)
{
	struct region *r = region_of(page);
	u32 first = page_index(page), end = first + n;

	lock(&z->lock, RANK_ZONE);
	for (; blocks; blocks &= blocks - 1) {
		u32 h = __ffs(blocks), at = h << HUGE_ORDER;

		if (at < first || at + FRAMES_PER_HUGE > end ||
		    !os_hugepage((void *)(r->base + h * HUGE_SIZE), HUGE_SIZE, false))
			continue;
		r->advised &= ~(1u << h);
		WRITE_ONCE(r->huge, r->huge & ~(1u << h));
		SUB_ONCE(z->nr_huge, 1);
	}
	unlock(&z->lock, RANK_ZONE);
}

/* The first of the huge pages that were asked for is touched: where that is dear, the others need not be. */
static void touch_huge(struct zone *z, struct taken t, u32 n)
{
	u32 rest = t.asked & (t.asked - 1);
	u32 at = max(page_index(t.page), __ffs(t.asked) << HUGE_ORDER);

	if (!huge_touch(page_address(region_of(t.page)->page + at)) && rest)
		stay_small(z, t.page, n, rest);
}

struct page *zone_alloc(struct zone *z, u32 n, unsigned int align_order, bool *clean)
{
	unsigned int order = max(order_base_2(n), align_order);
	struct taken t;

	if (order > MAX_ORDER || !limit_permits((size_t)n << FRAME_SHIFT))
		return NULL;
	lock(&z->lock, RANK_ZONE);
	t = take(z, n, align_order);
	if (unlikely(!t.page) && !has_block(z, order) && enlarge(z, order))
		t = take(z, n, align_order);
	unlock(&z->lock, RANK_ZONE);
	if (unlikely(t.page && t.asked))
		touch_huge(z, t, n);
	look_where(z, t);
	*clean = t.clean;
	return t.page;
}

/* The first n frames of a block of order `found`, which are committed and off their list. Zone lock held. */
static void carve(struct zone *z, struct page *page, unsigned int found, unsigned int order, u32 n)
{
	bool dirty = page->kind == BLOCK_DIRTY;

	buddy_expand(z, page, found, order);
	if (n < 1u << order)
		buddy_free_range(z, region_of(page), page_index(page) + n, (1u << order) - n,
				 dirty);
	count_taken(z, n);
}

struct page *zone_alloc_atomic(struct zone *z, u32 n, unsigned int align_order, bool *clean)
{
	unsigned int order = max(order_base_2(n), align_order), found;
	struct page *page;

	if (order > MAX_ORDER || !limit_permits((size_t)n << FRAME_SHIFT) ||
	    !lock_try(&z->lock, RANK_ZONE))
		return NULL;
	page = buddy_find_committed(z, order, &found);
	if (page) {
		carve(z, page, found, order, n);
		*clean = !bitmap_any(region_of(page)->dirty, page_index(page), n);
	}
	unlock(&z->lock, RANK_ZONE);
	return page;
}

u32 zone_alloc_bulk(struct zone *z, unsigned int order, u32 want, struct page **pages, bool *clean)
{
	struct taken asked = { .page = NULL }, fresh = asked;
	u32 got = 0;

	if (!limit_permits((size_t)want << (order + FRAME_SHIFT)))
		return 0;
	lock(&z->lock, RANK_ZONE);
	while (got < want) {
		struct taken t = take(z, 1u << order, 0);

		if (!t.page)
			break;
		if (t.asked)
			asked = t;
		if (t.fresh)
			fresh = t;
		pages[got] = t.page;
		clean[got++] = t.clean;
	}
	unlock(&z->lock, RANK_ZONE);
	if (unlikely(asked.page))
		touch_huge(z, asked, 1u << order);
	look_where(z, fresh);
	return got;
}

void zone_free(struct zone *z, struct page *page, u32 n, bool clean)
{
	struct region *r = region_of(page);
	u32 index = page_index(page);

	lock(&z->lock, RANK_ZONE);
	WRITE_ONCE(page->type, PAGE_NONE);
	if (clean)
		bitmap_clear(r->dirty, index, n);
	else
		bitmap_set(r->dirty, index, n);
	if (n >= BEGAN_MIN)
		bitmap_set(r->began, index, 1);
	buddy_free_range(z, r, index, n, !clean);
	unlock(&z->lock, RANK_ZONE);
}

bool zone_extend(struct zone *z, struct page *end, u32 n, bool *clean)
{
	struct region *r = region_of(end - 1);
	u32 index = page_index(end - 1) + 1;
	struct taken t = { .page = NULL };

	*clean = false;
	if (!limit_permits((size_t)n << FRAME_SHIFT))
		return false;
	lock(&z->lock, RANK_ZONE);
	if (buddy_range_free(r, index, n))
		t = take_range(z, r, index, n);
	unlock(&z->lock, RANK_ZONE);
	*clean = t.clean;
	return t.page;
}

size_t zone_uncommitted(struct zone *z)
{
	struct region *r;
	size_t bytes = 0;

	if (!lock_peek(&z->lock))
		return ~0ul;
	hlist_for_each_entry(r, &z->regions, link)
		if (r->frames == FRAMES_PER_REGION)
			bytes += (size_t)__builtin_popcount(~r->committed) * HUGE_SIZE -
				 (r->committed & 1 ? 0 : r->open * FRAME_SIZE);
	unlock_peek(&z->lock);
	return bytes;
}
