// SPDX-License-Identifier: MIT
/*
 * slub.c - slabs: made, cut into batches of objects, refilled and given back.
 *
 * Lock: the cache node's. Frames are taken and given back outside it, so a zone's lock is never waited
 * for by a cache's other users; they become a slab, and cease to be one, inside it, so a child of fork finds
 * each slab counted.
 */
#include <string.h>

#include "base/memcheck.h"
#include "base/platform.h"
#include "base/probe.h"
#include "os/mem.h"
#include "slab/empty.h"
#include "slab/purge.h"
#include "slab/slab.h"

enum { CACHE_LINE = 64 };

struct kmem_cache_node cache_nodes[NR_CACHES];

/* Address space only, until a cache is used there. */
static void *map_for_node(size_t size, u32 nid)
{
	void *p = os_map(ALIGN(size, os_page_size()));

	if (p)
		os_bind(p, ALIGN(size, os_page_size()), nid);
	return p;
}

bool caches_divide(const struct numa *n)
{
	for (u32 i = 0; i < n->nr; i++) {
		u32 nid = n->nid[i];

		if (!node_events[nid])
			node_events[nid] = map_for_node(NR_CACHES * sizeof(*node_events[0]), nid);
		if (nid && !node_caches[nid])
			node_caches[nid] = map_for_node(NR_CACHES * sizeof(*node_caches[0]), nid);
		if (!node_events[nid] || (nid && !node_caches[nid]))
			return false;
	}
	return true;
}

#define SUM(name, field)                                              \
	unsigned long name(u32 id)                                    \
	{                                                             \
		unsigned long sum = 0;                                \
                                                                      \
		for_each_node(nid)                                    \
			sum += READ_ONCE(cache_node(id, nid)->field); \
		return sum;                                           \
	}

SUM(cache_slabs, nr_slabs)
SUM(cache_free_objects, nr_free)
SUM(cache_empty_slabs, nr_empty)

struct slab_bytes slab_bytes(void)
{
	struct slab_bytes sum = { 0, 0 };

	for_each_cache(id) {
		for_each_node(nid) {
			const struct kmem_cache_node *n = cache_node(id, nid);

			sum.free += READ_ONCE(n->nr_free) * cache_of(id)->size;
			sum.given += READ_ONCE(n->nr_given) << FRAME_SHIFT;
		}
	}
	return sum;
}

/* Page sets hold frames of the normal zone. */
static bool through_pcp(struct page_source src, u32 n)
{
	return src.pcp && is_power_of_2(n) && n < 1u << PCP_ORDERS && !src.zone->limit;
}

static struct page *alloc_frames(struct page_source src, u32 n, bool *clean)
{
	bool pcp = through_pcp(src, n);
	struct page *page;

	if (src.atomic) {
		page = pcp ? pcp_alloc_atomic(src.pcp, ilog2(n), clean) : NULL;
		return page ? page : zone_alloc_atomic(src.zone, n, 0, clean);
	}
	if (pcp)
		return pcp_alloc(src.pcp, src.zone, ilog2(n), clean);
	if (src.pcp)
		pcp_drop_kept(src.pcp);
	return zone_alloc(src.zone, n, 0, clean);
}

/* Frames that hold no memory are clean. */
static void free_given(struct zone *z, struct page *page, u32 n, u32 given)
{
	for (u32 i = 0, run; i < n; i += run) {
		bool clean = given >> i & 1;

		run = __ffs((clean ? ~given : given) >> i | 1ul << (n - i));
		zone_free(z, page + i, run, clean);
	}
}

void slab_free_frames(struct page_source src, struct page *page, u32 n, u32 given)
{
	struct zone *z = page_zone(page);

	if (unlikely(given))
		free_given(z, page, n, given);
	else if (through_pcp(src, n) && z == src.zone)
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
	if (unlikely(slab->isolated))
		return;
	if (was_on)
		hlist_del_init(&slab->link);
	if (is_on)
		hlist_add_head(&slab->link, &n->slabs[fullness(s, inuse)]);
	if ((inuse == 0) != (before == 0))
		empty_count(n, slab->cache, inuse == 0 ? 1 : -1);
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
	WRITE_ONCE(slab->cache, (u16)id);
	slab->inuse = 0;
	slab->isolated = false;
	WRITE_ONCE(slab->tails, s->frames > 1);
	slab->colour = (u8)colour;
	slab->fresh = clean && s->size > KMALLOC_FINE_MAX && id < NR_KMALLOC ? 0 : FRESH_NONE;
	for (u32 w = 0; w * BITS_PER_LONG < s->objects; w++)
		*slab_map_word(slab, w) = word_mask(w, 0, s->objects);
	for (u32 i = 1; i < s->frames; i++) {
		WRITE_ONCE(slab[i].type, PAGE_TAIL);
		WRITE_ONCE(slab[i].head, i);
		WRITE_ONCE(slab[i].given, 0);
	}
	WRITE_ONCE(slab->type, PAGE_SLAB);
	set_classes(slab, s->frames, class_of_slab(slab));
	for (u32 i = 1; i < s->frames && s->size > FRAME_SIZE; i++)
		set_classes(slab + i, 1, class_of_frame(s, slab, i));
}

void slab_unmake(const struct kmem_cache *s, struct page *slab)
{
	SUB_ONCE(slab_node(slab)->nr_given, (unsigned long)__builtin_popcount(slab_given(slab)));
	set_classes(slab, s->frames, 0);
	for (u32 i = 0; i < s->frames; i++)
		WRITE_ONCE(slab[i].type, PAGE_NONE);
	if (slab->tails)
		slab[1].link = (struct hlist_node){ NULL, NULL };
}

static char *slab_start(const struct kmem_cache *s, const struct page *slab)
{
	return (char *)page_address(slab) + slab->colour * s->colour_unit;
}

void slab_isolate(struct page *slab)
{
	struct kmem_cache_node *n = slab_node(slab);

	hlist_del_init(&slab->link);
	slab->isolated = true;
	ADD_ONCE(n->nr_isolated, 1);
	if (!slab->inuse)
		empty_count(n, slab->cache, -1);
}

void slab_putback(const struct kmem_cache *s, struct page *slab)
{
	struct kmem_cache_node *n = slab_node(slab);

	slab->isolated = false;
	WRITE_ONCE(n->nr_isolated, n->nr_isolated - 1);
	hlist_add_head(&slab->link, &n->slabs[fullness(s, slab->inuse)]);
	if (!slab->inuse)
		empty_count(n, slab->cache, 1);
}

/*
 * Of free objects that are less than a cache line those whose lines are free as a whole: a free neighbour of an object in
 * use would bring its line to two processors.
 */
static unsigned long whole_lines(const struct kmem_cache *s, unsigned long bits)
{
	unsigned long pairs = bits & bits >> 1 & ~0ul / 3;

	if (s->size == CACHE_LINE / 2)
		return pairs * 3;
	/* Four to a line, or four to three lines. */
	return (pairs & pairs >> 2 & ~0ul / 15) * 15;
}

/* Free bits become pointers at end[-1], end[-2], ... in address order; whole lines first. */
static u32 take(const struct kmem_cache *s, struct page *slab, void **end, u32 want)
{
	char *start = slab_start(s, slab);
	u32 fresh = slab->fresh == FRESH_NONE ? UINT32_MAX : slab->fresh;
	u32 got = 0;

	for (int whole = s->size < CACHE_LINE; whole >= 0; whole--) {
		for (u32 w = 0; w * BITS_PER_LONG < s->objects && got < want; w++) {
			unsigned long *word = slab_map_word(slab, w), all = *word;
			unsigned long bits = whole ? whole_lines(s, all) : all, left = bits;

			for (; left && got < want; left &= left - 1) {
				u32 i = w * BITS_PER_LONG + __ffs(left);
				char *object = start + (size_t)i * s->size;

				if (i >= fresh) {
					slab->fresh = (u8)(i + 1);
					object += OBJECT_FRESH;
				}
				*--end = object;
				got++;
			}
			WRITE_ONCE(*word, all & ~(bits & ~left));
		}
	}
	slab->inuse = (u16)(slab->inuse + got);
	if (unlikely(slab_given(slab)))
		slab_set_given(s, slab, slab_given(slab) & slab_idle_frames(s, slab));
	return got;
}

/* Before anybody can see the frames as a slab. */
static void set_up(const struct kmem_cache *s, struct page *frames, u32 colour)
{
	char *object = (char *)page_address(frames) + colour * s->colour_unit;

	for (u32 i = 0; i < s->objects; i++, object += s->size)
		s->setup(s, object);
}

/* Does one more slab keep the cache within its limit? A hint: two threads may both find that it does. */
static bool within_limit(const struct kmem_cache *s, u32 id)
{
	return !s->limit || (cache_slabs(id) + 1) * ((size_t)s->frames << FRAME_SHIFT) <= s->limit;
}

static bool lock_node(struct kmem_cache_node *n, struct page_source src)
{
	if (src.atomic)
		return lock_try(&n->lock, RANK_NODE);
	lock(&n->lock, RANK_NODE);
	return true;
}

/* One more slab, of which up to `want` objects are taken. */
static u32 new_slab(u32 id, struct page_source src, u32 colour, void **end, u32 want)
{
	const struct kmem_cache *s = cache_of(id);
	struct kmem_cache_node *n;
	struct page *slab;
	bool clean;
	u32 got;

	if (unlikely(!within_limit(s, id)))
		return 0;
	slab = alloc_frames(src, s->frames, &clean);
	if (!slab)
		return 0;
	if (unlikely(s->setup))
		set_up(s, slab, colour);
	n = cache_node(id, region_of(slab)->nid);
	if (unlikely(!lock_node(n, src))) {
		slab_free_frames(src, slab, s->frames, 0);
		return 0;
	}
	make_slab(s, id, slab, colour, clean);
	got = take(s, slab, end, want);
	ADD_ONCE(n->nr_slabs, 1);
	ADD_ONCE(n->nr_made, 1);
	ADD_ONCE(n->nr_free, s->objects - got);
	ADD_ONCE(n->nr_refills, 1);
	ADD_ONCE(n->nr_refilled, got);
	if (got < s->objects)
		hlist_add_head(&slab->link, &n->slabs[fullness(s, got)]);
	unlock(&n->lock, RANK_NODE);
	PROBE3(slabmalloc, slab_new, s->name, page_address(slab), s->frames);
	return got;
}

u32 slab_alloc_batch(u32 id, struct page_source src, void **end, u32 want)
{
	const struct kmem_cache *s = cache_of(id);
	struct kmem_cache_node *n = cache_node(id, src.zone->nid);
	struct page *slab;
	u32 got = 0, colour;

	if (!lock_node(n, src))
		return 0;
	for (int f = NR_FULLNESS - 1; f >= 0 && got < want; f--) {
		while (got < want && (slab = hlist_first_entry(&n->slabs[f], struct page, link))) {
			u32 before = slab->inuse;

			got += take(s, slab, end - got, want - got);
			move_slab(n, s, slab, before);
		}
	}
	SUB_ONCE(n->nr_free, got);
	ADD_ONCE(n->nr_refills, got != 0);
	ADD_ONCE(n->nr_refilled, got);
	colour = n->next_colour;
	n->next_colour = colour + 1 < s->colours ? colour + 1 : 0;
	unlock(&n->lock, RANK_NODE);
	return got ? got : new_slab(id, src, colour, end, want);
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
	i = object_index(s, (u32)offset);
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

u32 object_nid(const void *p)
{
	const struct region *r = region_at((uintptr_t)p);

	return r ? r->nid : 0;
}

enum { ALL_NODES = MAX_NUMNODES };

/*
 * Those of the objects that lie on node nid, or all of them, if `only` is ALL_NODES. Objects of one slab often follow each
 * other: it is looked up, and put on its list, once.
 */
static void free_to_node(u32 id, u32 nid, u32 only, struct page_source src, void *const *objects,
			 u32 count)
{
	const struct kmem_cache *s = cache_of(id);
	struct kmem_cache_node *n = cache_node(id, nid);
	u32 before = 0, flushed = 0;
	struct hlist_head out = { NULL };
	struct slab_range r = { .slab = NULL };

	lock(&n->lock, RANK_NODE);
	for (u32 i = 0; i < count; i++) {
		void *p = (void *)((uintptr_t)objects[i] & ~(uintptr_t)OBJECT_FRESH);

		if ((size_t)((char *)p - r.start) >= r.bytes) {
			if (unlikely(only != ALL_NODES) && object_nid(p) != only)
				continue;
			if (r.slab)
				move_slab(n, s, r.slab, before);
			r = range_of(id, s, p);
			before = r.slab ? r.slab->inuse : 0;
		}
		flushed++;
		if (likely(put_object(s, &r, p))) {
			ADD_ONCE(n->nr_free, 1);
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
	ADD_ONCE(n->nr_flushes, 1);
	ADD_ONCE(n->nr_flushed, flushed);
	empty_trim(n, id, empty_kept(n, id, src.zone), &out);
	unlock(&n->lock, RANK_NODE);
	empty_free(id, &out, src);
}

/* One node after the other. */
void slab_free_batch(u32 id, struct page_source src, void *const *objects, u32 count)
{
	unsigned long done[BITS_TO_LONGS(MAX_NUMNODES)];

	if (likely(!numa_many())) {
		free_to_node(id, 0, ALL_NODES, src, objects, count);
		return;
	}
	memset(done, 0, sizeof(done));
	for (u32 i = 0; i < count; i++) {
		u32 nid = object_nid(objects[i]);

		if (test_bit(done, nid))
			continue;
		bitmap_set(done, nid, 1);
		free_to_node(id, nid, nid, src, objects, count);
	}
}

struct object slab_object(const void *p)
{
	struct page *slab = virt_to_slab((uintptr_t)p);
	struct object o = { .state = OBJECT_NONE };
	size_t at;
	u32 i;

	if (!slab || !cache_known(slab->cache))
		return o;
	o.cache = cache_of(slab->cache);
	at = (size_t)((const char *)p - slab_start(o.cache, slab));
	if (at >= (size_t)o.cache->objects * o.cache->size)
		return o;
	/* The inverse is exact for starts of objects; in the last bytes of large ones it may be 1 too high. */
	i = min(object_index(o.cache, (u32)at), o.cache->objects - 1u);
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
