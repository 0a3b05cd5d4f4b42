// SPDX-License-Identifier: MIT
/*
 * thread.c - a thread's sheaves: given at its first slow path, taken back at its end.
 *
 * this_cpu goes from percpu_none[0] (not yet) to a block of the thread's own to percpu_none[1] (no
 * more: the calls that other destructors still make go to the slabs one by one).
 */
#include "page/memblock.h"
#include "sheaf/barn.h"
#include "sheaf/sheaf.h"

struct kmem_percpu percpu_none[2];

__thread struct kmem_percpu *this_cpu = &percpu_none[0];

struct lock threads_lock;
struct hlist_head threads, orphans;
u32 nr_threads;

struct kmem_percpu *sheaf_attach(void)
{
	struct kmem_percpu *c = this_cpu;

	if (percpu_attached(c))
		return c;
	if (c == &percpu_none[1] || !(c = memblock_zalloc(sizeof(*c))))
		return NULL;
	lock(&threads_lock, RANK_THREADS);
	hlist_add_head(&c->link, &threads);
	WRITE_ONCE(nr_threads, nr_threads + 1);
	unlock(&threads_lock, RANK_THREADS);
	this_cpu = c;
	return c;
}

/*
 * A sheaf that is at least half full is worth a place in the barn, if it is sound: its thread will not
 * be there to be told. The objects of others go home, with the checks of the slabs.
 */
static void give_up_sheaf(u32 id, struct slab_sheaf *sheaf, struct page_source src)
{
	if (2 * sheaf->size >= sheaf->capacity && objects_sound(id, sheaf->objects, sheaf->size) &&
	    barn_put(id, sheaf))
		return;
	if (sheaf->size)
		slab_free_batch(id, src, sheaf->objects, sheaf->size);
	sheaf_delete(sheaf);
}

/*
 * The slot is empty before its sheaves go elsewhere, and busy meanwhile: whoever looks at this thread then
 * (a child of fork, sheaf_holds) must not find them twice.
 */
static void give_up_slot(struct kmem_percpu *c, u32 id)
{
	struct sheaf_slot slot = c->slot[id];
	struct slab_sheaf *sheaf;

	if (!slot.base)
		return;
	busy_begin(c, id);
	c->slot[id] = (struct sheaf_slot){ 0 };
	sheaf = container_of(slot.base, struct slab_sheaf, objects);
	sheaf->size = (u32)(slot.top - slot.base);
	give_up_sheaf(id, sheaf, percpu_pages(c));
	if (slot.spare)
		give_up_sheaf(id, slot.spare, percpu_pages(c));
	busy_end(c);
}

void sheaf_detach(void)
{
	struct kmem_percpu *c = this_cpu;

	if (!percpu_attached(c))
		return;
	this_cpu = &percpu_none[1];
	for (u32 id = 1; id < NR_CACHES; id++)
		give_up_slot(c, id);
	percpu_drain_pages(c);
	lock(&threads_lock, RANK_THREADS);
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
		for (u32 id = 1; id < NR_CACHES; id++)
			if (id != busy)
				give_up_slot(c, id);
		percpu_drain_pages(c);
		memblock_free(c, sizeof(*c));
	}
}

static bool in_array(void *const *objects, size_t n, const void *p)
{
	for (size_t i = 0; i < n; i++)
		if (READ_ONCE(objects[i]) == p)
			return true;
	return false;
}

/* The objects of a sheaf that may change under us: sheaves are never unmapped, so any read is safe. */
static u32 racy_size(const struct slab_sheaf *sheaf)
{
	return sheaf ? min(READ_ONCE(sheaf->size), (u32)READ_ONCE(sheaf->capacity)) : 0;
}

static size_t racy_count(const struct sheaf_slot *slot, void ***base)
{
	size_t n;

	*base = READ_ONCE(slot->base);
	n = (size_t)(READ_ONCE(slot->top) - *base);
	return *base && n <= UINT8_MAX ? n : 0;
}

/*
 * An object that the caller holds is in no sheaf: whoever took it out did so before handing it on. So a
 * hit in another thread's sheaf is a double free however the reads race with pushes and pops of others.
 */
bool sheaf_holds(u32 id, const void *p)
{
	struct kmem_percpu *c;
	bool found = false;

	lock(&threads_lock, RANK_THREADS);
	for_each_percpu(c) {
		struct slab_sheaf *spare = READ_ONCE(c->slot[id].spare);
		void **base;
		size_t n = racy_count(&c->slot[id], &base);

		found |= in_array(base, n, p);
		found |= spare && in_array(spare->objects, min(racy_size(spare), 255u), p);
	}
	unlock(&threads_lock, RANK_THREADS);
	return found || barn_holds(id, p);
}

unsigned long sheaf_objects(u32 id)
{
	unsigned long sum = barn_objects(id);
	struct kmem_percpu *c;

	lock(&threads_lock, RANK_THREADS);
	for_each_percpu(c) {
		void **base;

		sum += racy_count(&c->slot[id], &base);
		sum += min(racy_size(READ_ONCE(c->slot[id].spare)), 255u);
	}
	unlock(&threads_lock, RANK_THREADS);
	return sum;
}

u32 sheaf_verify(struct kmem_percpu *c)
{
	u32 bad = 0;

	for (u32 id = 1; id < NR_CACHES; id++) {
		struct sheaf_slot *slot = &c->slot[id];

		if (slot->base)
			bad += verify_objects(slot->base, (u32)(slot->top - slot->base));
		if (slot->spare)
			bad += verify_objects(slot->spare->objects, slot->spare->size);
		bad += barn_verify(id);
	}
	return bad;
}
