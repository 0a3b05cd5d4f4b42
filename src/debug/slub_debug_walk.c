// SPDX-License-Identifier: MIT
/*
 * slub_debug_walk.c - all objects of a cache: are they sound, and whose are those that are out?
 *
 * Full slabs are on no list, so the walk goes over the regions, in the order of their addresses. The node's lock is
 * held while a slab is looked at, which keeps it a slab of the cache and its free objects free; the section's
 * lock, while a region's struct pages are, which keeps them mapped.
 *
 * Objects in use are looked at while their owners use them: what is written by nobody but alloc and free is judged
 * only if the state word says "in use" before and after.
 */
#include "base/memcheck.h"
#include "base/options.h"
#include "base/platform.h"
#include "debug/slub_debug_internal.h"
#include "debug/slub_debug_users.h"
#include "page/section.h"

/* The first slab of the cache in a region that ends above addr. */
static struct page *slab_in(struct region *r, u32 id, uintptr_t addr)
{
	u32 i = addr > r->base ? (u32)((addr - r->base) >> FRAME_SHIFT) : 0;

	for (; i < FRAMES_PER_REGION; i++) {
		struct page *page = &r->page[i];

		if (READ_ONCE(page->type) == PAGE_SLAB && page->cache == id)
			return page;
	}
	return NULL;
}

/* The first slab of the cache on node nid that begins at or above addr, or NULL. The node's lock is held. */
static struct page *next_slab(u32 id, u32 nid, uintptr_t addr)
{
	struct page *slab = NULL;

	lock(&section_lock, RANK_SECTION);
	while (!slab && !(addr >> ADDRESS_BITS)) {
		struct mem_section *section = section_of(addr);
		struct region *r = region_at(addr);

		if (r && r->nid == nid)
			slab = slab_in(r, id, addr);
		addr = section == &mem.none ? ALIGN(addr + 1, 1ul << SECTION_SHIFT)
					    : ALIGN(addr + 1, REGION_SIZE);
	}
	unlock(&section_lock, RANK_SECTION);
	return slab;
}

/*
 * Is the object with this index one to be reported? A free one is then taken in hand, so that nobody
 * uses it before it is repaired. The node's lock is held.
 */
static bool is_wrong(struct kmem_cache *s, struct page *slab, u32 index, bool *used)
{
	u8 *p = debug_object(s, slab, index);
	struct tail *t = debug_tail(s, p);
	u32 state = __atomic_load_n(&t->state, __ATOMIC_SEQ_CST);
	bool valid = state_valid(state);
	struct area fault;

	*used = !debug_is_free(slab, index);
	/* On its way to or from its owner, or in another validation's hand. */
	if (valid && phase_of(state) != (*used ? PHASE_USED : PHASE_FREE))
		return false;
	if (!debug_find_fault(s, p, *used, &fault))
		return false;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (*used)
		return READ_ONCE(t->state) == state && !debug_is_free(slab, index);
	return !valid || debug_move(t, state, PHASE_MOVING);
}

static void repair(struct kmem_cache *s, u8 *p, bool used)
{
	struct tail *t = debug_tail(s, p);

	debug_check_object(s, p, used, NULL);
	if (!used && phase_of(t->state) == PHASE_MOVING)
		debug_move(t, t->state, PHASE_FREE);
}

/* Where a walk over a node's slabs is: the next object to look at. */
struct cursor {
	u32 nid;
	uintptr_t slab;
	u32 index;
};

/* The next object that is wrong, in hand; NULL: there is no more. */
static u8 *next_wrong(struct kmem_cache *s, struct cursor *c, bool *used)
{
	struct kmem_cache_node *n = cache_node(s->id, c->nid);
	struct page *slab;
	u8 *wrong = NULL;

	for (;;) {
		lock(&n->lock, RANK_NODE);
		slab = next_slab(s->id, c->nid, c->slab);
		if (slab && c->slab != (uintptr_t)page_address(slab))
			*c = (struct cursor){ c->nid, (uintptr_t)page_address(slab), 0 };
		for (; slab && !wrong && c->index < s->objects; c->index++)
			if (is_wrong(s, slab, c->index, used))
				wrong = debug_object(s, slab, c->index);
		unlock(&n->lock, RANK_NODE);
		if (!slab || wrong)
			return wrong;
		*c = (struct cursor){ c->nid, c->slab + FRAME_SIZE, 0 };
	}
}

long debug_validate(struct kmem_cache *s)
{
	long wrong = 0;
	bool used;
	u8 *p;

	if (!(s->flags & SLAB_DEBUG_FLAGS) || !cache_slabs(s->id))
		return 0;
	memcheck_hush(true);
	for_each_node(nid)
		for (struct cursor c = { .nid = nid }; (p = next_wrong(s, &c, &used)); wrong++)
			repair(s, p, used);
	memcheck_hush(false);
	return wrong;
}

/* Every object in use is shown to the list of users. */
static void collect(struct kmem_cache *s, u32 nid, struct users *users, enum track_item item)
{
	struct kmem_cache_node *n = cache_node(s->id, nid);
	uintptr_t addr = 0;
	struct page *slab;

	do {
		lock(&n->lock, RANK_NODE);
		slab = next_slab(s->id, nid, addr);
		for (u32 i = 0; slab && i < s->objects; i++) {
			u8 *p = debug_object(s, slab, i);

			if (!debug_is_free(slab, i) &&
			    phase_of(debug_tail(s, p)->state) == PHASE_USED)
				users_add(users, debug_track(s, p, item));
		}
		addr = slab ? (uintptr_t)page_address(slab) + FRAME_SIZE : 0;
		unlock(&n->lock, RANK_NODE);
	} while (slab);
}

void debug_list_users(struct kmem_cache *s, struct seq_file *m, bool alloc)
{
	struct users *users = s->track ? users_new() : NULL;

	if (!users) {
		seq_puts(m, "No data\n");
		return;
	}
	for_each_node(nid)
		collect(s, nid, users, alloc ? TRACK_ALLOC : TRACK_FREE);
	users_show(users, m);
	users_delete(users);
}

void debug_report_leaks(struct kmem_cache *s)
{
	struct seq_file m;

	seq_open(&m, 2);
	debug_list_users(s, &m, true);
	seq_flush(&m);
}

void debug_exit(void)
{
	long wrong = 0;

	for (u32 id = TYPED_FIRST; id < READ_ONCE(cache_end); id++)
		wrong += debug_validate(typed_of(id));
	if (wrong && options.abort)
		platform_abort();
}
