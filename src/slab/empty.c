// SPDX-License-Identifier: MIT
#include "slab/empty.h"

#include "base/memcheck.h"
#include "base/probe.h"
#include "slab/purge.h"

enum {
	KEEP_FRAMES = 16, /* of empty slabs that a cache node keeps */
	SURPLUS_SHARE = 16, /* of a zone's frames in use, or ... */
	SURPLUS_FRAMES = 128, /* ... so many, if those are more */
};

u32 slab_empty_kept(const struct kmem_cache *s)
{
	return max(KEEP_FRAMES / (u32)s->frames, 1u);
}

/* Without RCU's word for it, readers may still be looking at what was an object. */
static u32 always_kept(u32 id)
{
	u32 min_partial = cache_nodes[id].min_partial;

	if (unlikely(cache_of(id)->flags & SLAB_TYPESAFE_BY_RCU))
		return UINT32_MAX;
	return unlikely(min_partial) ? min_partial - 1 : slab_empty_kept(cache_of(id));
}

static void count_surplus(struct kmem_cache_node *n, u32 id)
{
	u32 keep = always_kept(id), surplus = n->nr_empty - min(n->nr_empty, keep);

	if (surplus == n->nr_surplus)
		return;
	counter_add(zone_surplus, ((unsigned long)surplus - n->nr_surplus) * cache_of(id)->frames);
	WRITE_ONCE(n->nr_surplus, surplus);
}

void empty_count(struct kmem_cache_node *n, u32 id, int change)
{
	ADD_ONCE(n->nr_empty, (u32)change);
	count_surplus(n, id);
}

u32 empty_kept(const struct kmem_cache_node *n, u32 id, const struct zone *z)
{
	unsigned long used = READ_ONCE(z->nr_present) - READ_ONCE(z->nr_free);

	if (n->nr_surplus && !cache_nodes[id].min_partial &&
	    counter_read(zone_surplus) <= max(used / SURPLUS_SHARE, (unsigned long)SURPLUS_FRAMES))
		return UINT32_MAX;
	return always_kept(id);
}

void empty_trim(struct kmem_cache_node *n, u32 id, u32 keep, struct hlist_head *out)
{
	const struct kmem_cache *s = cache_of(id);

	if (n->nr_empty <= keep)
		return;
	while (n->nr_empty > keep) {
		struct page *slab = hlist_first_entry(&n->slabs[0], struct page, link);

		hlist_del_init(&slab->link);
		slab_unmake(s, slab);
		hlist_add_head(&slab->link, out);
		SUB_ONCE(n->nr_empty, 1);
		SUB_ONCE(n->nr_slabs, 1);
		SUB_ONCE(n->nr_free, s->objects);
	}
	count_surplus(n, id);
}

unsigned long empty_free(u32 id, struct hlist_head *list, struct page_source src)
{
	const struct kmem_cache *s = cache_of(id);
	unsigned long frames = 0;
	struct page *slab;

	while ((slab = hlist_first_entry(list, struct page, link))) {
		hlist_del_init(&slab->link);
		PROBE3(slabmalloc, slab_free, s->name, page_address(slab), s->frames);
		memcheck_reused(page_address(slab), (size_t)s->frames << FRAME_SHIFT);
		slab_free_frames(src, slab, s->frames, slab_given(slab));
		frames += s->frames;
	}
	return frames;
}

void zone_take_surplus(void)
{
	for_each_cache(id) {
		for_each_node(nid) {
			struct kmem_cache_node *n = cache_node(id, nid);
			struct hlist_head out = { NULL };

			if (!READ_ONCE(n->nr_surplus))
				continue;
			lock(&n->lock, RANK_NODE);
			empty_trim(n, id, always_kept(id), &out);
			unlock(&n->lock, RANK_NODE);
			empty_free(id, &out, (struct page_source){ .zone = node_zone(nid) });
		}
	}
}

static unsigned long free_all(u32 id, struct page_source src, void (*grace_period)(void))
{
	struct hlist_head out = { NULL };

	for_each_node(nid) {
		struct kmem_cache_node *n = cache_node(id, nid);

		lock(&n->lock, RANK_NODE);
		empty_trim(n, id, 0, &out);
		unlock(&n->lock, RANK_NODE);
	}
	if (grace_period)
		grace_period();
	return empty_free(id, &out, src);
}

unsigned long slab_shrink(u32 id, struct page_source src)
{
	if (!cache_empty_slabs(id) || cache_of(id)->flags & SLAB_TYPESAFE_BY_RCU)
		return 0;
	return free_all(id, src, NULL);
}

unsigned long slab_shrink_after(u32 id, struct page_source src, void (*grace_period)(void))
{
	return free_all(id, src, grace_period);
}

unsigned long slab_close(u32 id, struct page_source src)
{
	free_all(id, src, NULL);
	return cache_slabs(id) * cache_of(id)->objects - cache_free_objects(id);
}
