// SPDX-License-Identifier: MIT
/*
 * slub.c - slabs: made, cut into batches of objects, refilled and given back.
 *
 * Lock: the cache node's. Frames are taken and given back outside it, so a zone's lock is never waited
 * for by a cache's other users; they become a slab, and cease to be one, inside it, so a child of fork finds
 * each slab counted.
 */
#include <string.h>

#include "slab/slab.h"

enum {
	KEEP_FRAMES = 16, /* of empty slabs that a cache node keeps */
};

struct kmem_cache_node cache_nodes[NR_CACHES];

static struct page *alloc_frames(struct page_source src, u32 n, bool *clean)
{
	if (src.pcp && is_power_of_2(n) && n < 1u << PCP_ORDERS)
		return pcp_alloc(src.pcp, src.zone, ilog2(n), clean);
	return zone_alloc(src.zone, n, 0, clean);
}

static void free_frames(struct page_source src, struct page *page, u32 n)
{
	struct zone *z = node_zone(region_of(page)->nid);

	if (src.pcp && is_power_of_2(n) && n < 1u << PCP_ORDERS && z == src.zone)
		pcp_free(src.pcp, z, page, ilog2(n), false);
	else
		zone_free(z, page, n, false);
}

static u32 fullness(const struct kmem_cache *s, u32 inuse)
{
	if (!inuse)
		return 0;
	return min(1 + (inuse * s->quarter >> 16), (u32)NR_FULLNESS - 1);
}

/* Puts a slab where `inuse` objects belong, after it had `before`. Node lock held. */
static void move_slab(struct kmem_cache_node *n, const struct kmem_cache *s, struct page *slab,
		      u32 before)
{
	u32 inuse = slab->inuse;
	bool was_on = before < s->objects, is_on = inuse < s->objects;

	if (was_on && is_on && fullness(s, before) == fullness(s, inuse))
		return;
	if (was_on)
		hlist_del_init(&slab->link);
	if (is_on)
		hlist_add_head(&slab->link, &n->slabs[fullness(s, inuse)]);
	n->nr_empty += (inuse == 0) - (before == 0);
}

static void set_classes(struct page *slab, u32 frames, u16 class)
{
	/* A region lies in one section, and so does its part of the class map. */
	u16 *classes = class_of((uintptr_t)page_address(slab));

	for (u32 i = 0; i < frames; i++)
		WRITE_ONCE(classes[i], class);
}

/* Frames become a slab of the cache, on no list, every object free. Node lock held. */
static void make_slab(const struct kmem_cache *s, u32 id, struct page *slab, u32 colour, bool clean)
{
	slab->cache = (u16)id;
	slab->inuse = 0;
	slab->colour = (u8)colour;
	slab->fresh = clean && s->size > KMALLOC_FINE_MAX ? 0 : FRESH_NONE;
	for (u32 w = 0; w * BITS_PER_LONG < s->objects; w++)
		*slab_map_word(slab, w) = word_mask(w, 0, s->objects);
	for (u32 i = 1; i < s->frames; i++) {
		slab[i].type = PAGE_TAIL;
		slab[i].head = i;
	}
	slab->type = PAGE_SLAB;
	set_classes(slab, s->frames, (u16)(id * CLASS_UNIT));
}

/* The slab is on no list and none of its objects is out. Node lock held. */
static void unmake_slab(const struct kmem_cache *s, struct page *slab)
{
	set_classes(slab, s->frames, 0);
	for (u32 i = 0; i < s->frames; i++)
		slab[i].type = PAGE_NONE;
}

static char *slab_start(const struct kmem_cache *s, const struct page *slab)
{
	return (char *)page_address(slab) + slab->colour * s->colour_unit;
}

/* Free bits become pointers at end[-1], end[-2], ... in address order. */
static u32 take(const struct kmem_cache *s, struct page *slab, void **end, u32 want)
{
	char *start = slab_start(s, slab);
	u32 fresh = slab->fresh == FRESH_NONE ? UINT32_MAX : slab->fresh;
	u32 got = 0;

	for (u32 w = 0; w * BITS_PER_LONG < s->objects && got < want; w++) {
		unsigned long *word = slab_map_word(slab, w), bits = *word;

		for (; bits && got < want; bits &= bits - 1) {
			u32 i = w * BITS_PER_LONG + __ffs(bits);
			char *object = start + (size_t)i * s->size;

			if (i >= fresh) {
				slab->fresh = (u8)(i + 1);
				object += OBJECT_FRESH;
			}
			*--end = object;
			got++;
		}
		WRITE_ONCE(*word, bits);
	}
	slab->inuse = (u16)(slab->inuse + got);
	return got;
}

u32 slab_alloc_batch(u32 id, struct page_source src, void **end, u32 want)
{
	const struct kmem_cache *s = cache_of(id);
	struct kmem_cache_node *n = &cache_nodes[id];
	struct page *slab;
	u32 got = 0, colour;
	bool clean;

	lock(&n->lock, RANK_NODE);
	for (int f = NR_FULLNESS - 1; f >= 0 && got < want; f--) {
		while (got < want && (slab = hlist_first_entry(&n->slabs[f], struct page, link))) {
			u32 before = slab->inuse;

			got += take(s, slab, end - got, want - got);
			move_slab(n, s, slab, before);
		}
	}
	n->nr_free -= got;
	colour = n->next_colour;
	n->next_colour = colour + 1 < s->colours ? colour + 1 : 0;
	unlock(&n->lock, RANK_NODE);
	if (got)
		return got;

	slab = alloc_frames(src, s->frames, &clean);
	if (!slab)
		return 0;
	lock(&n->lock, RANK_NODE);
	make_slab(s, id, slab, colour, clean);
	got = take(s, slab, end, want);
	n->nr_slabs++;
	n->nr_free += s->objects - got;
	if (got < s->objects)
		hlist_add_head(&slab->link, &n->slabs[fullness(s, got)]);
	unlock(&n->lock, RANK_NODE);
	return got;
}

static u32 object_index(const struct kmem_cache *s, size_t offset)
{
	return (u32)((u64)(u32)offset * s->inverse >> 32);
}

/* Where a slab's objects lie: what a walk over pointers keeps of the slab that it was in last. */
struct slab_range {
	struct page *slab; /* NULL: none of this cache */
	char *start;
	size_t bytes; /* of its objects */
};

static struct slab_range range_of(u32 id, const struct kmem_cache *s, const void *p)
{
	struct page *slab = virt_to_slab((uintptr_t)p);

	if (unlikely(!slab || slab->cache != id))
		return (struct slab_range){ .slab = NULL };
	return (struct slab_range){ slab, slab_start(s, slab), (size_t)s->objects * s->size };
}

/* The index of the object that starts at p, or `objects`: none does. */
static __always_inline u32 object_at(const struct kmem_cache *s, const struct slab_range *r,
				     const void *p)
{
	size_t offset = (size_t)((const char *)p - r->start);
	u32 i;

	if (unlikely(!r->slab || offset >= r->bytes))
		return s->objects;
	i = object_index(s, offset);
	return likely((size_t)i * s->size == offset) ? i : s->objects;
}

/* The checks at the border from pointer to slab: together they prove that p is ours and in use. */
static __always_inline bool put_object(const struct kmem_cache *s, const struct slab_range *r,
				       const void *p)
{
	u32 i = object_at(s, r, p);
	unsigned long *word, bit;

	if (unlikely(i == s->objects))
		return false;
	word = slab_map_word(r->slab, i / BITS_PER_LONG);
	bit = 1ul << i % BITS_PER_LONG;
	if (unlikely(*word & bit))
		return false;
	WRITE_ONCE(*word, *word | bit);
	r->slab->inuse--;
	return true;
}

bool slab_object_used(u32 id, const void *p)
{
	const struct kmem_cache *s = cache_of(id);
	struct slab_range r = range_of(id, s, p);
	u32 i = object_at(s, &r, p);

	return i < s->objects &&
	       !(READ_ONCE(*slab_map_word(r.slab, i / BITS_PER_LONG)) >> i % BITS_PER_LONG & 1);
}

static void report_free(u32 id, void *p)
{
	struct call call = { "free", p };
	struct object o = slab_object(p);

	if (o.state == OBJECT_USED || o.state == OBJECT_NONE)
		report_bad(&call, "double free: it was an object of %s, since freed and reused",
			   cache_of(id)->name);
	else
		slab_report(&call, &o);
}

/* Frames of empty slabs beyond those to keep, chained by their links; node lock held. */
static void trim_empty(struct kmem_cache_node *n, const struct kmem_cache *s, u32 keep,
		       struct hlist_head *out)
{
	while (n->nr_empty > keep) {
		struct page *slab = hlist_first_entry(&n->slabs[0], struct page, link);

		hlist_del_init(&slab->link);
		unmake_slab(s, slab);
		hlist_add_head(&slab->link, out);
		n->nr_empty--;
		n->nr_slabs--;
		n->nr_free -= s->objects;
	}
}

static unsigned long free_slab_frames(const struct kmem_cache *s, struct hlist_head *list,
				      struct page_source src)
{
	unsigned long frames = 0;
	struct page *slab;

	while ((slab = hlist_first_entry(list, struct page, link))) {
		hlist_del_init(&slab->link);
		free_frames(src, slab, s->frames);
		frames += s->frames;
	}
	return frames;
}

/* Objects of one slab often follow each other: it is looked up, and put on its list, once. */
void slab_free_batch(u32 id, struct page_source src, void *const *objects, u32 count)
{
	const struct kmem_cache *s = cache_of(id);
	struct kmem_cache_node *n = &cache_nodes[id];
	u32 keep = max(KEEP_FRAMES / (u32)s->frames, 1u), before = 0;
	struct hlist_head surplus = { NULL };
	struct slab_range r = { .slab = NULL };

	lock(&n->lock, RANK_NODE);
	for (u32 i = 0; i < count; i++) {
		void *p = (void *)((uintptr_t)objects[i] & ~(uintptr_t)OBJECT_FRESH);

		if ((size_t)((char *)p - r.start) >= r.bytes) {
			if (r.slab)
				move_slab(n, s, r.slab, before);
			r = range_of(id, s, p);
			before = r.slab ? r.slab->inuse : 0;
		}
		if (likely(put_object(s, &r, p))) {
			n->nr_free++;
			continue;
		}
		if (r.slab)
			move_slab(n, s, r.slab, before);
		r = (struct slab_range){ .slab = NULL };
		/* Without the lock: a handler of SIGABRT may malloc. */
		unlock(&n->lock, RANK_NODE);
		report_free(id, p);
		lock(&n->lock, RANK_NODE);
	}
	if (r.slab)
		move_slab(n, s, r.slab, before);
	trim_empty(n, s, keep, &surplus);
	unlock(&n->lock, RANK_NODE);
	free_slab_frames(s, &surplus, src);
}

unsigned long slab_shrink(u32 id, struct page_source src)
{
	struct kmem_cache_node *n = &cache_nodes[id];
	struct hlist_head surplus = { NULL };

	if (!READ_ONCE(n->nr_empty))
		return 0;
	lock(&n->lock, RANK_NODE);
	trim_empty(n, cache_of(id), 0, &surplus);
	unlock(&n->lock, RANK_NODE);
	return free_slab_frames(cache_of(id), &surplus, src);
}

struct object slab_object(const void *p)
{
	struct page *slab = virt_to_slab((uintptr_t)p);
	struct object o = { .state = OBJECT_NONE };
	size_t at;
	u32 i;

	if (!slab)
		return o;
	o.cache = cache_of(slab->cache);
	at = (size_t)((const char *)p - slab_start(o.cache, slab));
	if (at >= (size_t)o.cache->objects * o.cache->size)
		return o;
	/* The inverse is exact for starts of objects; in the last bytes of large ones it may be 1 too high. */
	i = min(object_index(o.cache, at), o.cache->objects - 1u);
	o.start = slab_start(o.cache, slab) + (size_t)i * o.cache->size;
	o.offset = (size_t)((const char *)p - (char *)o.start);
	if (o.offset)
		o.state = OBJECT_INSIDE;
	else if (READ_ONCE(*slab_map_word(slab, i / BITS_PER_LONG)) >> i % BITS_PER_LONG & 1)
		o.state = OBJECT_FREE;
	else
		o.state = OBJECT_USED;
	return o;
}

void slab_report(const struct call *call, const struct object *o)
{
	if (o->state == OBJECT_NONE)
		report_bad(call, "invalid pointer: in a slab, but in no object");
	else if (o->offset % KMALLOC_GRAIN)
		report_bad(call, "invalid pointer: misaligned, object of %s", o->cache->name);
	else if (o->offset)
		report_bad(call, "invalid pointer: %zu bytes inside an object of %s", o->offset,
			   o->cache->name);
	else
		report_bad(call, "double free: object of %s", o->cache->name);
}
