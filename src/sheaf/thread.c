// SPDX-License-Identifier: MIT
/*
 * thread.c - a thread's sheaves: given at its first slow path, taken back at its end.
 *
 * this_thread goes from percpu_none[NOT_YET] to a block of the thread's own to percpu_none[NO_MORE] (the calls
 * that other destructors still make go to the slabs one by one). Both steps are under threads_lock: who holds it may point the
 * this_thread of a thread on the list elsewhere (asleep.c).
 */
#include <string.h>

#include "base/platform.h"
#include "os/thread.h"
#include "page/memblock.h"
#include "sheaf/barn.h"
#include "sheaf/sheaf.h"

enum { WALKS = 4, LOOKS = 64 };

struct kmem_percpu percpu_none[NR_ABSENT];

__thread struct this_thread this_thread = { &percpu_none[NOT_YET], percpu_none[NOT_YET].slot };

struct lock threads_lock, slots_lock;
struct hlist_head threads, orphans;
u32 nr_threads, nr_threads_most;
struct sheaf_events ended_events;

/* There are no instructions of ours outside the library's text between reading this_cpu and saying so. */
struct kmem_percpu *percpu_get(void)
{
	struct kmem_percpu *c;

	while (unlikely((c = __atomic_load_n(&this_thread.cpu, __ATOMIC_ACQUIRE)) ==
			&percpu_none[ELSEWHERE])) {
		lock(&threads_lock, RANK_THREADS);
		unlock(&threads_lock, RANK_THREADS);
	}
	if (!percpu_attached(c))
		return NULL;
	__atomic_store_n(&c->inside, c->inside + 1, __ATOMIC_RELEASE);
	barrier();
	return c;
}

struct kmem_percpu *sheaf_attach(void)
{
	struct kmem_percpu *c = percpu_get();

	if (c)
		return c;
	if (this_cpu == &percpu_none[NO_MORE] || !(c = memblock_alloc(sizeof(*c))))
		return NULL;
	/* The typed caches' part and the panels are zero: new, or as a thread that ended left them. */
	memset(c, 0, offsetof(struct kmem_percpu, typed_slot));
	c->tid = os_thread_id();
	c->home = &this_thread;
	c->inside = 1;
	c->looks = 1;
	lock(&threads_lock, RANK_THREADS);
	hlist_add_head(&c->link, &threads);
	WRITE_ONCE(nr_threads, nr_threads + 1);
	WRITE_ONCE(nr_threads_most, max(nr_threads_most, nr_threads));
	point_to(&this_thread, c);
	unlock(&threads_lock, RANK_THREADS);
	sheaf_allow();
	/* Before it frees: what it then takes again must be of its node. */
	this_node(c);
	return c;
}

/*
 * A sheaf that is at least half full is worth a place in the barn, if it is sound: its thread will not
 * be there to be told. The objects of others go home, with the checks of the slabs.
 */
static void give_up_sheaf(u32 nr, struct slab_sheaf *sheaf, struct page_source src)
{
	u32 id = slot_cache(nr);
	int nid;

	if (2 * sheaf->size >= sheaf->capacity && objects_sound(id, sheaf->objects, sheaf->size) &&
	    (nid = objects_nid(nr, sheaf->objects, sheaf->size)) >= 0 &&
	    barn_put(id, (u32)nid, sheaf))
		return;
	if (sheaf->size)
		slab_free_batch(id, src, sheaf->objects, sheaf->size);
	sheaf_delete(sheaf);
}

static void close_slot(struct kmem_percpu *c, u32 nr, struct page_source src)
{
	void **top = READ_FAST(slot_of(c, nr)->top);
	struct sheaf_slot slot = *slot_of(c, nr);
	struct sheaf_meta *m = meta_of(c, nr);
	struct slab_sheaf *sheaf = container_of(slot.base, struct slab_sheaf, objects);
	const struct kmem_cache *s = cache_of(slot_cache(nr));

	counted_end_run(c, nr, src);
	slot_set(slot_of(c, nr), (struct sheaf_slot){ 0 });
	counter_sub(*sheaf_bytes_at(c, s), sheaf_cost(s, m->capacity));
	*m = (struct sheaf_meta){ 0 };
	WRITE_ONCE(sheaf->size, (u32)(top - slot.base));
	c->events.given += (u64)(sheaf->size + (slot.spare ? slot.spare->size : 0)) * s->size;
	give_up_sheaf(nr, sheaf, src);
	if (slot.spare)
		give_up_sheaf(nr, slot.spare, src);
}

/*
 * The slot is empty before its sheaves go elsewhere, and busy meanwhile: whoever looks at this thread then
 * (a child of fork, sheaf_holds) must not find them twice.
 */
static void give_up_slot(struct kmem_percpu *c, u32 nr)
{
	u32 id = slot_cache(nr);
	bool typed = id >= TYPED_FIRST;

	if (typed)
		lock(&slots_lock, RANK_SLOTS);
	busy_begin(c, nr);
	if (slot_of(c, nr)->base)
		close_slot(c, nr, cache_pages(c, id));
	busy_end(c);
	if (typed)
		unlock(&slots_lock, RANK_SLOTS);
}

/* Not with the other threads' page sets: those are theirs. */
void sheaf_close(u32 id)
{
	struct page_source src = cache_pages(NULL, id);
	struct kmem_percpu *c;

	sheaf_adopt();
	lock(&threads_lock, RANK_THREADS);
	lock(&slots_lock, RANK_SLOTS);
	for_each_percpu(c)
		if (slot_of(c, id)->base)
			close_slot(c, id, src);
	unlock(&slots_lock, RANK_SLOTS);
	unlock(&threads_lock, RANK_THREADS);
}

void sheaf_empty(struct kmem_percpu *c)
{
	/* An open slot has a top, which fast paths write last. */
	for_each_slot(nr)
		if (READ_FAST(slot_of(c, nr)->top))
			give_up_slot(c, nr);
	percpu_drain_pages(c);
}

static void add_events(struct sheaf_events *sum, const struct sheaf_events *e)
{
	sum->swaps += e->swaps;
	sum->barn_gets += e->barn_gets;
	sum->barn_puts += e->barn_puts;
	sum->refills += e->refills;
	sum->flushes += e->flushes;
	sum->taken += e->taken;
	sum->given += e->given;
}

void sheaf_detach(void)
{
	struct kmem_percpu *c = percpu_get();

	if (!c)
		return;
	lock(&threads_lock, RANK_THREADS);
	c->home = NULL;
	point_to(&this_thread, &percpu_none[NO_MORE]);
	unlock(&threads_lock, RANK_THREADS);
	sheaf_empty(c);
	lock(&threads_lock, RANK_THREADS);
	add_events(&ended_events, &c->events);
	hlist_del_init(&c->link);
	WRITE_ONCE(nr_threads, nr_threads - 1);
	unlock(&threads_lock, RANK_THREADS);
	memblock_free(c, sizeof(*c));
}

/* Interrupted in the middle of the list itself, the child leaves it alone. */
void sheaf_after_fork(void)
{
	struct hlist_node *next;

	if (lock_is_mine(&threads_lock))
		return;
	for (struct hlist_node *n = threads.first; n; n = next) {
		next = n->next;
		if (hlist_entry(n, struct kmem_percpu, link) == this_cpu)
			continue;
		hlist_del_init(n);
		hlist_add_head(n, &orphans);
		nr_threads--;
	}
}

static struct kmem_percpu *next_orphan(void)
{
	struct kmem_percpu *c;

	lock(&threads_lock, RANK_THREADS);
	c = hlist_first_entry(&orphans, struct kmem_percpu, link);
	if (c)
		hlist_del_init(&c->link);
	unlock(&threads_lock, RANK_THREADS);
	return c;
}

/*
 * The sheaves of threads that are no more are consistent at every instruction but inside a slow path
 * (busy_begin), since top moves after the object is stored and before it is read (in the order of x86 stores;
 * elsewhere an object may be lost or the child stopped by a check). What a thread was busy with is lost: a
 * slot's sheaves, or its page sets.
 */
void sheaf_adopt(void)
{
	struct kmem_percpu *c;

	while ((c = next_orphan())) {
		u32 busy = c->busy;

		/* A slow path may be changing the page sets too. */
		if (busy)
			c->pcp = (struct per_cpu_pages){ 0 };
		/* The next thread that gets this memory finds it as if nobody had had it. */
		if (busy && busy != BUSY_PCP) {
			*slot_of(c, busy) = (struct sheaf_slot){ 0 };
			*meta_of(c, busy) = (struct sheaf_meta){ 0 };
		}
		sheaf_empty(c);
		memblock_free(c, sizeof(*c));
	}
}

static __reads_anything bool in_array(void *const *objects, size_t n, const void *p)
{
	for (size_t i = 0; i < n; i++)
		if (READ_ONCE(objects[i]) == p)
			return true;
	return false;
}

/* The objects of a sheaf that may change under us: sheaves are never unmapped, so any read is safe. */
static __reads_anything u32 racy_size(const struct slab_sheaf *sheaf)
{
	u32 n = sheaf ? min(READ_ONCE(sheaf->size), READ_ONCE(sheaf->capacity)) : 0;

	return min(n, (u32)SHEAF_MAX);
}

static size_t racy_count(const struct sheaf_slot *slot, void ***base)
{
	size_t n;

	*base = READ_ONCE(slot->base);
	n = (size_t)(READ_ONCE(slot->top) - *base);
	return *base && n <= SHEAF_MAX ? n : 0;
}

enum sight { ABSENT, PRESENT, UNCLEAR };

/* A hit counts only if its sheaf was the slot's from before to after, and the owner was not just changing that. */
static enum sight slot_holds(const struct kmem_percpu *c, const struct sheaf_slot *slot, u32 nr,
			     const void *p)
{
	struct slab_sheaf *spare = READ_ONCE(slot->spare);
	bool busy = READ_ONCE(c->busy) == nr;
	void **base;
	size_t n = racy_count(slot, &base);

	if (!in_array(base, n, p) && !(spare && in_array(spare->objects, racy_size(spare), p)))
		return ABSENT;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	busy |= READ_ONCE(c->busy) == nr;
	return busy || READ_ONCE(slot->base) != base || READ_ONCE(slot->spare) != spare ? UNCLEAR
											: PRESENT;
}

static enum sight look_for(u32 id, const void *p)
{
	enum sight sight = ABSENT;
	struct kmem_percpu *c;

	lock(&threads_lock, RANK_THREADS);
	for_each_percpu(c) {
		for_each_slot_of(id, nr)
			sight = max(sight, slot_holds(c, slot_of(c, nr), nr, p));
		if (kmalloc_shift && id < NR_KMALLOC)
			sight = max(sight, slot_holds(c, &c->slot[id], id, p));
	}
	unlock(&threads_lock, RANK_THREADS);
	return sight;
}

/*
 * An object that the caller holds is in no sheaf: whoever took it out did so before handing it on. But where a sheaf
 * ends may be read as it was and where it begins as it is, and behind its end, or in one that was given up, there are
 * objects of earlier. So a hit counts when it is seen twice in sheaves that nobody changes; what cannot be seen that
 * clearly is innocent.
 */
bool sheaf_holds(u32 id, const void *p)
{
	u32 seen = 0;

	for (u32 i = 0; i < LOOKS; i++) {
		enum sight sight = look_for(id, p);

		if (sight == ABSENT)
			break;
		seen = sight == PRESENT ? seen + 1 : 0;
		if (seen == 2)
			return true;
		platform_yield();
	}
	return barn_holds(id, p);
}

static unsigned long slot_objects(const struct sheaf_slot *slot)
{
	void **base;

	return racy_count(slot, &base) + racy_size(READ_ONCE(slot->spare));
}

unsigned long percpu_objects(const struct kmem_percpu *c, u32 id)
{
	unsigned long sum = 0;

	for_each_slot_of(id, nr)
		sum += slot_objects(slot_of((struct kmem_percpu *)c, nr));
	if (kmalloc_shift && id < NR_KMALLOC)
		sum += slot_objects(&c->slot[id]);
	return sum;
}

/* Objects of several nodes that lie in one slot count as of the node that the thread is on. */
static unsigned long objects_of_node(const struct kmem_percpu *c, u32 id, u32 nid)
{
	if (id >= NR_KMALLOC || kmalloc_shift)
		return c->nid == nid ? percpu_objects(c, id) : 0;
	if (numa.index[nid] >= NR_PANELS)
		return 0;
	return slot_objects(slot_of((struct kmem_percpu *)c, node_panel(nid) + id));
}

enum { ALL_NODES = MAX_NUMNODES };

/* A thread that ends cuts the walk short: then once more. */
static unsigned long count_objects(u32 id, u32 nid)
{
	unsigned long sum;
	struct kmem_percpu *c = NULL;
	u32 seen, tries = 0;

	do {
		sum = nid == ALL_NODES ? barn_objects(id) : barn_objects_on(id, nid);
		seen = 0;
		for_each_percpu_racy(c) {
			sum += nid == ALL_NODES ? percpu_objects(c, id)
						: objects_of_node(c, id, nid);
			seen++;
		}
	} while (seen < READ_ONCE(nr_threads) && ++tries < WALKS);
	return sum;
}

unsigned long sheaf_objects(u32 id)
{
	return count_objects(id, ALL_NODES);
}

unsigned long sheaf_objects_on(u32 id, u32 nid)
{
	return count_objects(id, nid);
}

u32 sheaf_verify(struct kmem_percpu *c)
{
	u32 bad = 0;

	for_each_slot(nr) {
		struct sheaf_slot *slot = slot_of(c, nr);

		if (slot->base)
			bad += verify_objects(slot->base, (u32)(slot->top - slot->base));
		if (kmalloc_shift && nr < NR_KMALLOC)
			bad += verify_objects(c->slot[nr].base,
					      (u32)(c->slot[nr].top - c->slot[nr].base));
		if (slot->spare)
			bad += verify_objects(slot->spare->objects, slot->spare->size);
	}
	for_each_cache(id)
		bad += barn_verify(id);
	return bad;
}
