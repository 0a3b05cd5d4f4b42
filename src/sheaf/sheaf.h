/* SPDX-License-Identifier: MIT */
/*
 * sheaf.h - each thread's free objects at hand, and the way of every malloc and free that hits.
 *
 * A sheaf is an array of pointers to free objects of one cache (SLAB's array_cache, Bonwick's magazine,
 * Linux 6.18's slab_sheaf). A thread has a main sheaf for each cache, used last in first out, and a
 * spare that is either full or empty, so that alternating malloc and free at an edge swaps the two and touches
 * nobody else. Full sheaves that are left over go to the cache node's barn whole.
 *
 *	slot->base <= slot->top <= slot->limit
 *	objects in the main sheaf	= top - base
 *	a cache never used, slot 0, and the slots of percpu_none: base == top == limit == NULL
 *
 * The last line is why the fast paths ask nothing else: a thread's first call of either kind, a size without
 * a class and a pointer without one all find "empty" or "full" and fall into the slow path.
 *
 * Double frees: a free object carries a key in its second word, the address of mem. malloc clears
 * it, free that finds it looks closer (sheaf_holds, slab_object) before it accuses: the word may be the program's own.
 *
 * Nobody but its thread touches a sheaf. Two exceptions read or take them: reports (racy, counts only) and
 * the child after fork, in which the other threads do not exist.
 */
#pragma once

#include "page/pcp.h"
#include "slab/slab.h"

struct slab_sheaf {
	struct slab_sheaf *next; /* in the barn */
	u32 size; /* objects, while it is not a main sheaf */
	u32 capacity;
	void *objects[];
};

struct sheaf_slot {
	void **top; /* one above the next object to hand out */
	void **base; /* of the main sheaf's objects[], or NULL */
	void **limit;
	struct slab_sheaf *spare;
};

_Static_assert(sizeof(struct sheaf_slot) == CLASS_UNIT, "the class map holds slot offsets");

enum { BUSY_PCP = NR_CACHES };

struct kmem_percpu {
	struct sheaf_slot slot[NR_CACHES];
	u16 capacity[NR_CACHES]; /* of the next sheaf of each cache */
	u8 misses[NR_CACHES]; /* since the last ageing, up to 255 */
	u8 exit_rounds; /* of its destructor (init/thread_exit.c) */
	u16 busy; /* the cache whose slot is being changed, for fork; 0: none, BUSY_PCP: page sets */
	u32 bytes; /* sum of 2 * capacity * size over open caches: what the sheaves may hold */
	u64 aged_ms;
	struct per_cpu_pages pcp;
	struct hlist_node link; /* in the list of threads */
};

/*
 * Around every change of a slot (id), or of the page sets, that is not one of the two steps of the fast
 * paths: what a child of fork finds between the two it leaves alone. On one thread's own memory an order for the
 * compiler is enough.
 */
static inline void busy_begin(struct kmem_percpu *c, u32 id)
{
	WRITE_ONCE(c->busy, (u16)id);
	barrier();
}

static inline void busy_end(struct kmem_percpu *c)
{
	barrier();
	WRITE_ONCE(c->busy, 0);
}

/* What a thread has before its first call (0) and after its destructors (1); never written. */
extern struct kmem_percpu percpu_none[2];

extern __thread struct kmem_percpu *this_cpu __attribute__((tls_model("initial-exec")));

/* True where this_cpu is a thread's own. */
static inline bool percpu_attached(const struct kmem_percpu *c)
{
	return c != &percpu_none[0] && c != &percpu_none[1];
}

static __always_inline uintptr_t object_key(void)
{
	return (uintptr_t)&mem;
}

static __always_inline void *sheaf_pop(struct sheaf_slot *slot, void **top)
{
	slot->top = top - 1;
	return top[-1];
}

/*
 * The object is in the array before top says so: a child of fork may find this thread between the two.
 * The empty statement keeps the compiler to it.
 */
static __always_inline void sheaf_push(struct sheaf_slot *slot, void **top, void *object)
{
	*top = object;
	__asm__("" : "+r"(top) : "m"(*top));
	slot->top = top + 1;
}

/* NULL: not here, take the slow path. */
static __always_inline void *sheaf_malloc(size_t n)
{
	struct sheaf_slot *slot;
	uintptr_t *object;
	void **top;

	if (unlikely(n > KMALLOC_FINE_MAX))
		return NULL;
	/* The slot of class (n + 15) / 16: a slot is twice as long as the classes are apart. */
	slot = (void *)((char *)this_cpu + ((2 * n + 30) & ~31ul));
	top = slot->top;
	if (unlikely(top == slot->base))
		return NULL;
	object = sheaf_pop(slot, top);
	object[1] = 0;
	return object;
}

/* False: not here, take the slow path. */
static __always_inline bool sheaf_free(void *p)
{
	uintptr_t address = (uintptr_t)p, *object = p;
	/* Rotated by the four bits that must be zero: one compare finds them set, or an address too high. */
	uintptr_t section = (address >> 4 | address << 60) >> (SECTION_SHIFT - 4);
	struct sheaf_slot *slot;
	void **top;

	if (unlikely(section >= NR_SECTIONS))
		return false;
	slot = (void *)((char *)this_cpu + *class_in(section, address));
	top = slot->top;
	if (unlikely(top == slot->limit))
		return false;
	if (unlikely(object[1] == object_key()))
		return false;
	object[1] = object_key();
	sheaf_push(slot, top, p);
	return true;
}

/* refill.c: the misses. c is the calling thread's, attached. */

/* An object of cache id as it lies in a sheaf (it may carry OBJECT_FRESH), or NULL: no memory. */
void *sheaf_alloc_slow(struct kmem_percpu *c, u32 id);

/* Puts an object where the sheaf was full. */
void sheaf_free_slow(struct kmem_percpu *c, u32 id, void *object);

/* One object at a time, for threads without sheaves. */
void *sheaf_alloc_one(u32 id);
void sheaf_free_one(u32 id, void *object);

/* Gives all objects of the thread's sheaves and its page sets back. */
void sheaf_flush_all(struct kmem_percpu *c);

/* Its page sets alone. */
void percpu_drain_pages(struct kmem_percpu *c);

/* Sheaves without a miss for a while shrink, and all of them after the heap did. Cheap when neither is due. */
void sheaf_age(struct kmem_percpu *c, u64 now_ms);

/* sheaf.c: a sheaf by itself. */

struct slab_sheaf *sheaf_new(u32 capacity);
void sheaf_delete(struct slab_sheaf *sheaf);

/* Is each of them an object of cache id in use? */
bool objects_sound(u32 id, void *const *objects, u32 n);

/* The same, and each that is not is reported; how many. */
u32 verify_objects(void *const *objects, u32 n);

/* thread.c: a thread's sheaves, and looking into those of all. */

extern struct lock threads_lock;
extern struct hlist_head threads, orphans;
extern u32 nr_threads;

/* Gives the calling thread its sheaves; NULL: no memory, or its destructors have run. */
struct kmem_percpu *sheaf_attach(void);

/* Takes them back: the thread's last call but for one-at-a-time ones. */
void sheaf_detach(void);

/* In the child: the threads that did not come along become orphans. Takes no lock. */
void sheaf_after_fork(void);

/* Takes what the orphans held; at the latest on the next slow path. The caller holds no lock. */
void sheaf_adopt(void);

/* Reports every pointer in the thread's sheaves and the barns that is no object in use; how many. */
u32 sheaf_verify(struct kmem_percpu *c);

/* Is p in a sheaf of cache id, of any thread or in the barn? */
bool sheaf_holds(u32 id, const void *p);

/* Objects of cache id in all sheaves, about. */
unsigned long sheaf_objects(u32 id);

#define for_each_percpu(c) hlist_for_each_entry(c, &threads, link)

static inline struct page_source percpu_pages(struct kmem_percpu *c)
{
	return (struct page_source){ c ? &c->pcp : NULL, node_zone((u32)numa_node_id()) };
}
