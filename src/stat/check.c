// SPDX-License-Identifier: MIT
/*
 * check.c - the equations of zone.h, slab.h and page.h, one function each.
 */
#include "stat/check.h"

#include "base/printk.h"
#include "debug/slub_debug.h"
#include "reclaim/vmscan.h"
#include "sheaf/barn.h"
#include "slab/purge.h"

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

/* What the walk over a node's frames finds of each cache, to be compared with the node's counts. */
struct found {
	unsigned long slabs, empty, free_objects, given;
};

static struct found found[NR_CACHES];

static void check_slab(struct page *slab)
{
	const struct kmem_cache *s = cache_of(slab->cache);
	u16 *classes = class_of((uintptr_t)page_address(slab));
	u32 nr_free = free_bits(slab, s), given = slab_given(slab);

	CHECK(slab->inuse + nr_free == s->objects, "slab %p of %s: %u in use, %u free",
	      page_address(slab), s->name, slab->inuse, nr_free);
	CHECK((nr_free == 0) == hlist_unhashed(&slab->link), "slab %p of %s: %u free",
	      page_address(slab), s->name, nr_free);
	for (u32 i = 0; i < s->frames; i++) {
		u16 class = i < SLAB_GIVEN_MAX && given >> i & 1 ? GATE * CLASS_UNIT
								 : class_of_frame(s, slab, i);

		CHECK(classes[i] == class, "frame %u of slab %p", i, page_address(slab));
		if (i)
			CHECK(slab[i].type == PAGE_TAIL && slab[i].head == i, "frame %u of slab %p",
			      i, page_address(slab));
	}
	CHECK(!given || !(given & ~slab_idle_frames(s, slab)), "slab %p of %s: frames %#x given",
	      page_address(slab), s->name, given);
	found[slab->cache].given += (u32)__builtin_popcount(given);
	found[slab->cache].slabs++;
	found[slab->cache].empty += slab->inuse == 0;
	found[slab->cache].free_objects += nr_free;
}

static void check_region(struct zone *z, struct region *r, unsigned long *free_frames,
			 unsigned long *dirty)
{
	for (u32 i = 0; i < FRAMES_PER_REGION; i += frames_at(&r->page[i])) {
		struct page *page = &r->page[i];
		u32 n = frames_at(page);

		CHECK(page->type != PAGE_TAIL, "frame %u of region %#lx", i, r->base);
		CHECK(page->type != PAGE_SLAB || cache_known(page->cache),
		      "frame %u of region %#lx", i, r->base);
		if (page->type == PAGE_SLAB && cache_known(page->cache))
			check_slab(page);
		for (u32 f = i; f < i + n; f++)
			CHECK(test_bit(r->map[RUN_FREE], f) == (page->type == PAGE_BUDDY) &&
				      test_bit(r->map[RUN_HELD], f) == (page->type == PAGE_BUDDY &&
									page->kind != BLOCK_CLEAN),
			      "frame %u of region %#lx", f, r->base);
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
	CHECK(r->nid == z->nid && r->zone == z, "region %#lx", r->base);
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

static void check_cache(u32 id, u32 nid)
{
	struct kmem_cache_node *n = cache_node(id, nid);

	CHECK(n->nr_slabs == found[id].slabs, "%s: %u counted, %lu found", cache_of(id)->name,
	      n->nr_slabs, found[id].slabs);
	CHECK(n->nr_empty == found[id].empty, "%s: %u counted, %lu found", cache_of(id)->name,
	      n->nr_empty, found[id].empty);
	CHECK(n->nr_free == found[id].free_objects, "%s: %lu counted, %lu found",
	      cache_of(id)->name, n->nr_free, found[id].free_objects);
	CHECK(n->nr_given == found[id].given, "%s: %lu counted, %lu found", cache_of(id)->name,
	      n->nr_given, found[id].given);
	found[id] = (struct found){ 0 };
}

static void check_node(u32 nid)
{
	struct zone *z;

	for_each_zone(z)
		if (z->nid == nid)
			check_zone(z);
	for_each_cache(id)
		check_cache(id, nid);
}

static void check_surplus(void)
{
	unsigned long sum = 0;

	for_each_cache(id)
		for_each_node(nid)
			sum += (unsigned long)cache_node(id, nid)->nr_surplus *
			       cache_of(id)->frames;
	CHECK(sum == counter_read(zone_surplus), "%lu counted, %lu found", zone_surplus, sum);
}

/* What lies in a panel is where free would put it. */
static void check_panels(struct kmem_percpu *c)
{
	for_each_slot(nr) {
		const struct sheaf_slot *slot = slot_of(c, nr);
		u32 panel = nr - slot_cache(nr);

		if (slot_cache(nr) >= NR_KMALLOC)
			continue;
		for (void **o = slot->base; o != slot->top; o++)
			CHECK(node_panel(object_nid(*o)) == panel, "slot %u: %p of node %u", nr, *o,
			      object_nid(*o));
	}
	CHECK(c->panel == node_panel(c->nid), "panel %u, node %u", c->panel, c->nid);
}

unsigned long check_all(void)
{
	struct kmem_percpu *c;

	lock(&vmscan_lock, RANK_VMSCAN);
	broken = 0;
	for_each_node(nid)
		check_node(nid);
	check_surplus();
	unlock(&vmscan_lock, RANK_VMSCAN);
	for (u32 id = TYPED_FIRST; id < READ_ONCE(cache_end); id++)
		broken += (unsigned long)debug_validate(typed_of(id));
	c = percpu_get();
	if (c) {
		broken += sheaf_verify(c);
		check_panels(c);
	}
	percpu_put(c);
	return broken;
}
