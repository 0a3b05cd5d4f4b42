// SPDX-License-Identifier: MIT
/*
 * purge.c - giving back the memory of frames inside slabs that hold no object in use.
 *
 * After random frees most memory lies in slabs that still hold a few objects. Nothing of ours lies in a free
 * object, so a frame all of whose objects are free can be given back as it is; it reads as zero when the objects
 * are taken again. Slabs behind the gate stay whole: their objects are constructed, or may be read after
 * their end.
 *
 * The given bits of a slab, one for each such frame until one of its objects is taken, stand in the struct page of
 * its first tail:
 *
 *	given		=> no object that touches the frame is in use
 *	given		=> the frame's class is the gate's
 *	node->nr_given	= sum of given bits over the node's slabs
 *
 * The second is for double frees: the key of an object is gone with its memory, but the gate leads a second free
 * to the slow path, which asks the bitmap.
 *
 * The system takes microseconds a frame, so the node's lock is not held for it: a slab is isolated (off its list, so that
 * nothing is taken from it), a batch of slabs given back in runs of neighbouring frames, and put
 * back. The walk goes by address: neighbours come together, and huge pages are seen whole.
 */
#include "slab/purge.h"

#include "os/mem.h"

enum { BATCH = OS_RANGES };

struct batch {
	struct page *slab[BATCH];
	u16 frames[BATCH]; /* that are to be given, a bit each */
	u32 n;
};

/* Frames that go back together. */
struct runs {
	struct os_range range[OS_RANGES];
	u32 n;
	bool kept; /* the system would not take all of them */
};

/* Are all objects in [first, end) free? */
static bool all_free(struct page *slab, u32 first, u32 end)
{
	for (u32 w = first / BITS_PER_LONG; w * BITS_PER_LONG < end; w++)
		if (~READ_ONCE(*slab_map_word(slab, w)) & word_mask(w, first, end - first))
			return false;
	return true;
}

u32 slab_idle_frames(const struct kmem_cache *s, struct page *slab)
{
	u32 start = slab->colour * s->colour_unit, objects = s->objects, idle = 0;

	for (u32 f = 0; f < s->frames; f++) {
		u32 from = f << FRAME_SHIFT, end = from + (u32)FRAME_SIZE;
		u32 first = from > start ? (from - start) / s->size : 0;
		u32 last = end > start ? min((end - start - 1) / s->size + 1, objects) : 0;

		if (first >= last || all_free(slab, first, last))
			idle |= 1u << f;
	}
	return idle;
}

void slab_set_given(const struct kmem_cache *s, struct page *slab, u32 given)
{
	u16 *classes = class_of((uintptr_t)page_address(slab));
	struct kmem_cache_node *n = slab_node(slab);
	u32 before = slab_given(slab);

	for (u32 f = 0; f < s->frames; f++)
		if ((given ^ before) >> f & 1)
			WRITE_ONCE(classes[f],
				   given >> f & 1 ? GATE * CLASS_UNIT : class_of_frame(s, slab, f));
	WRITE_ONCE(n->nr_given, n->nr_given - (unsigned long)__builtin_popcount(before) +
					(unsigned long)__builtin_popcount(given));
	WRITE_ONCE(slab[1].given, (u16)given);
}

/* Of a slab's frames those that make up whole pages of the system. */
static u32 whole_pages(u32 index, u32 frames, u32 idle)
{
	u32 unit = (u32)(os_page_size() >> FRAME_SHIFT), whole = 0;

	for (u32 f = ALIGN(index, unit) - index; f + unit <= frames; f += unit) {
		u32 page = ((1u << unit) - 1) << f;

		if ((idle & page) == page)
			whole |= page;
	}
	return whole;
}

/* What would be given of a slab, if its memory were no huge page. Without its lock: about. */
static u32 to_give(const struct kmem_cache *s, struct page *slab, u32 quarters)
{
	if (slab->inuse * 4u > quarters * s->objects)
		return 0;
	return whole_pages(page_index(slab), s->frames,
			   slab_idle_frames(s, slab) & ~slab_given(slab));
}

/* Frames inside huge pages. */
static u32 in_huge_pages(const struct page *slab, u32 frames)
{
	u32 index = page_index(slab), mask = 0;

	for (u32 f = 0; f < frames; f++)
		mask |= (READ_ONCE(region_of(slab)->huge) >> ((index + f) >> HUGE_ORDER) & 1) << f;
	return mask;
}

/* The cache of a slab that may be purged; 0: it is none, for all that can be seen without its lock. */
static u32 purgeable(const struct page *page)
{
	u32 id = READ_ONCE(page->cache);

	if (READ_ONCE(page->type) != PAGE_SLAB || !READ_ONCE(page->tails) || !cache_known(id) ||
	    cache_gated(id) || cache_of(id)->frames > SLAB_GIVEN_MAX)
		return 0;
	return id;
}

static void isolate(struct page *slab, u32 quarters, struct batch *b)
{
	u32 id = purgeable(slab), frames;
	const struct kmem_cache *s = cache_of(id);
	struct kmem_cache_node *n;

	if (!id || !to_give(s, slab, quarters))
		return;
	/* Not slab_node: the slab may be none by now, and its words another's. */
	n = cache_node(id, region_of(slab)->nid);
	lock(&n->lock, RANK_NODE);
	if (purgeable(slab) == id) {
		frames = to_give(s, slab, quarters) & ~in_huge_pages(slab, s->frames);
		if (frames) {
			slab_isolate(slab);
			b->slab[b->n] = slab;
			b->frames[b->n++] = (u16)frames;
		}
	}
	unlock(&n->lock, RANK_NODE);
}

static void give_runs(struct runs *runs)
{
	bool kept[OS_RANGES];

	os_purge_ranges(runs->range, runs->n, kept);
	for (u32 i = 0; i < runs->n; i++)
		runs->kept |= kept[i];
	runs->n = 0;
}

static void add_frame(struct runs *runs, char *frame)
{
	struct os_range *last = runs->n ? &runs->range[runs->n - 1] : NULL;

	if (last && (char *)last->addr + last->size == frame) {
		last->size += FRAME_SIZE;
		return;
	}
	if (runs->n == OS_RANGES)
		give_runs(runs);
	runs->range[runs->n++] = (struct os_range){ frame, FRAME_SIZE };
}

/* False: the system would not take all of it. */
static bool give(const struct batch *b)
{
	struct runs runs;

	runs.n = 0;
	runs.kept = false;
	for (u32 i = 0; i < b->n; i++)
		for (u32 f = 0; b->frames[i] >> f; f++)
			if (b->frames[i] >> f & 1)
				add_frame(&runs, (char *)page_address(b->slab[i]) + f * FRAME_SIZE);
	give_runs(&runs);
	return !runs.kept;
}

static unsigned long purge_batch(struct batch *b)
{
	bool given = give(b);
	unsigned long frames = 0;

	for (u32 i = 0; i < b->n; i++) {
		struct page *slab = b->slab[i];
		struct kmem_cache_node *n = slab_node(slab);
		const struct kmem_cache *s = cache_of(slab->cache);

		lock(&n->lock, RANK_NODE);
		if (given)
			slab_set_given(s, slab, slab_given(slab) | b->frames[i]);
		slab_putback(s, slab);
		unlock(&n->lock, RANK_NODE);
		frames += (u32)__builtin_popcount(b->frames[i]);
	}
	b->n = 0;
	return given ? frames : 0;
}

u32 frames_at(const struct page *page)
{
	u32 id;

	switch (READ_ONCE(page->type)) {
	case PAGE_BUDDY:
	case PAGE_PCP:
		return 1u << min(READ_ONCE(page->order), MAX_ORDER);
	case PAGE_LARGE:
	case PAGE_KEPT:
	case PAGE_ALLOC:
		return max(READ_ONCE(page->frames), 1u);
	case PAGE_SLAB:
		id = READ_ONCE(page->cache);
		return cache_known(id) ? max(cache_of(id)->frames, 1u) : 1;
	default:
		return 1;
	}
}

/* How many of these frames would come free with their huge page, about. */
static u32 count(struct region *r, u32 from, u32 end, u32 quarters)
{
	u32 sum = 0, n;

	for (u32 i = from; i < end; i += n) {
		struct page *page = &r->page[i];
		u32 id = purgeable(page);

		n = frames_at(page);
		if (id)
			sum += (u32)__builtin_popcount(to_give(cache_of(id), page, quarters));
		else if (READ_ONCE(page->type) == PAGE_BUDDY)
			sum += n;
	}
	return sum;
}

static bool worth_it(struct zone *z, struct region *r, u32 h, u32 quarters, u32 tear)
{
	u32 from = h << HUGE_ORDER;

	if (!(READ_ONCE(r->huge) >> h & 1))
		return true;
	return tear && count(r, from, from + FRAMES_PER_HUGE, quarters) >= tear &&
	       zone_tear_block(z, r, h);
}

static unsigned long purge_region(struct zone *z, struct region *r, u32 quarters, u32 tear)
{
	struct batch b = { .n = 0 };
	unsigned long frames = 0;

	for (u32 h = 0; h < HUGE_PER_REGION; h++) {
		u32 i = h << HUGE_ORDER, end = i + FRAMES_PER_HUGE;

		if (!worth_it(z, r, h, quarters, tear))
			continue;
		for (; i < end; i += frames_at(&r->page[i])) {
			isolate(&r->page[i], quarters, &b);
			if (b.n == BATCH)
				frames += purge_batch(&b);
		}
	}
	return frames + purge_batch(&b);
}

/* The zone's region with the lowest address above `base`, or NULL. */
static struct region *region_above(struct zone *z, uintptr_t base)
{
	struct region *r, *next = NULL;

	lock(&z->lock, RANK_ZONE);
	hlist_for_each_entry(r, &z->regions, link)
		if (r->base > base && (!next || r->base < next->base))
			next = r;
	unlock(&z->lock, RANK_ZONE);
	return next;
}

/* Regions are given back by zone_purge alone, which has the same caller. */
unsigned long slab_purge(struct zone *z, u32 quarters, u32 tear)
{
	unsigned long frames = 0;
	uintptr_t base = 0;
	struct region *r;

	while ((r = region_above(z, base))) {
		frames += purge_region(z, r, quarters, tear);
		base = r->base;
	}
	return frames;
}
