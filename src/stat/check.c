// SPDX-License-Identifier: MIT
/*
 * check.c - the equations of zone.h, slab.h and page.h, one function each.
 */
#include "stat/check.h"

#include "base/printk.h"
#include "sheaf/barn.h"

static unsigned long broken;

#define CHECK(cond, fmt, ...)                                                          \
	do {                                                                           \
		if (!(cond)) {                                                         \
			broken++;                                                      \
			printk("check: %s does not hold: " fmt, #cond, ##__VA_ARGS__); \
		}                                                                      \
	} while (0)

static u32 free_bits(struct page *slab, const struct kmem_cache *s)
{
	u32 sum = 0;

	for (u32 w = 0; w * BITS_PER_LONG < s->objects; w++)
		sum += (u32)__builtin_popcountl(*slab_map_word(slab, w));
	return sum;
}

/* What the walk over all frames finds of each cache, to be compared with its node's counts. */
struct found {
	unsigned long slabs, empty, free_objects;
};

static struct found found[NR_CACHES];

static void check_slab(struct page *slab)
{
	const struct kmem_cache *s = cache_of(slab->cache);
	u16 *classes = class_of((uintptr_t)page_address(slab));
	u32 nr_free = free_bits(slab, s);

	CHECK(slab->inuse + nr_free == s->objects, "slab %p of %s: %u in use, %u free",
	      page_address(slab), s->name, slab->inuse, nr_free);
	CHECK((nr_free == 0) == hlist_unhashed(&slab->link), "slab %p of %s: %u free",
	      page_address(slab), s->name, nr_free);
	for (u32 i = 0; i < s->frames; i++) {
		CHECK(classes[i] == slab->cache * CLASS_UNIT, "frame %u of slab %p", i,
		      page_address(slab));
		if (i)
			CHECK(slab[i].type == PAGE_TAIL && slab[i].head == i, "frame %u of slab %p",
			      i, page_address(slab));
	}
	found[slab->cache].slabs++;
	found[slab->cache].empty += slab->inuse == 0;
	found[slab->cache].free_objects += nr_free;
}

static bool known_cache(const struct page *slab)
{
	return slab->cache > 0 && slab->cache < NR_CACHES;
}

/* Frames that the head at `index` speaks for. */
static u32 head_frames(struct region *r, u32 index)
{
	struct page *page = &r->page[index];

	switch (page->type) {
	case PAGE_BUDDY:
	case PAGE_PCP:
		return 1u << page->order;
	case PAGE_LARGE:
		return max(page->frames, 1u);
	case PAGE_SLAB:
		return known_cache(page) ? cache_of(page->cache)->frames : 1;
	default:
		return 1; /* absent from a partial region, or in somebody's hands */
	}
}

static void check_region(struct zone *z, struct region *r, unsigned long *free_frames,
			 unsigned long *dirty)
{
	for (u32 i = 0; i < FRAMES_PER_REGION; i += head_frames(r, i)) {
		struct page *page = &r->page[i];
		u32 n = head_frames(r, i);

		CHECK(page->type != PAGE_TAIL, "frame %u of region %#lx", i, r->base);
		CHECK(page->type != PAGE_SLAB || known_cache(page), "frame %u of region %#lx", i,
		      r->base);
		if (page->type == PAGE_SLAB && known_cache(page))
			check_slab(page);
		if (page->type != PAGE_BUDDY)
			continue;
		CHECK(i % n == 0, "free block %u of region %#lx", i, r->base);
		CHECK(page->order == MAX_ORDER || r->page[i ^ n].type != PAGE_BUDDY ||
			      r->page[i ^ n].order != page->order ||
			      r->page[i ^ n].kind != page->kind,
		      "free buddies %u and %u of region %#lx", i, i ^ n, r->base);
		for (u32 f = 0; f < n; f++)
			CHECK(!*class_of(r->base + ((uintptr_t)(i + f) << FRAME_SHIFT)),
			      "free frame %u of region %#lx has a class", i + f, r->base);
		*free_frames += n;
		if (page->kind == BLOCK_DIRTY)
			*dirty += n;
		CHECK(page->kind != BLOCK_CLEAN || !bitmap_any(r->dirty, i, n),
		      "clean block %u of region %#lx", i, r->base);
		CHECK((page->kind == BLOCK_HUGE) ==
			      (page->order < HUGE_ORDER && r->huge >> (i >> HUGE_ORDER) & 1),
		      "block %u of region %#lx", i, r->base);
	}
	CHECK(r->nid == z->nid, "region %#lx", r->base);
}

static void check_zone(struct zone *z)
{
	unsigned long free_frames = 0, dirty = 0, by_order = 0;
	struct region *r;

	lock(&z->lock, RANK_ZONE);
	hlist_for_each_entry(r, &z->regions, link)
		check_region(z, r, &free_frames, &dirty);
	for (u32 order = 0; order <= MAX_ORDER; order++)
		by_order += z->free_area[order].nr << order;
	CHECK(z->nr_free == free_frames, "%lu counted, %lu found", z->nr_free, free_frames);
	CHECK(z->nr_free == by_order, "%lu counted, %lu by order", z->nr_free, by_order);
	CHECK(z->nr_dirty == dirty, "%lu counted, %lu found", z->nr_dirty, dirty);
	unlock(&z->lock, RANK_ZONE);
}

static void check_node(u32 id)
{
	struct kmem_cache_node *n = &cache_nodes[id];

	CHECK(n->nr_slabs == found[id].slabs, "%s: %u counted, %lu found", cache_of(id)->name,
	      n->nr_slabs, found[id].slabs);
	CHECK(n->nr_empty == found[id].empty, "%s: %u counted, %lu found", cache_of(id)->name,
	      n->nr_empty, found[id].empty);
	CHECK(n->nr_free == found[id].free_objects, "%s: %lu counted, %lu found",
	      cache_of(id)->name, n->nr_free, found[id].free_objects);
	found[id] = (struct found){ 0 };
}

unsigned long check_all(void)
{
	broken = 0;
	for (u32 nid = 0; nid < MAX_NUMNODES; nid++)
		check_zone(node_zone(nid));
	for (u32 id = 1; id < NR_CACHES; id++)
		check_node(id);
	if (percpu_attached(this_cpu))
		broken += sheaf_verify(this_cpu);
	return broken;
}
