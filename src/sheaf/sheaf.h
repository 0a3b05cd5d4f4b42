/* SPDX-License-Identifier: MIT */
/*
 * sheaf.h - each thread's free objects at hand, and the way of every malloc and free that hits.
 *
 * A sheaf is an array of pointers to free objects of one cache (SLAB's array_cache, Bonwick's magazine,
 * Linux 6.18's slab_sheaf). A thread has a main sheaf for each cache, used last in first out, and a
 * spare (of all but large objects) that is either full or empty, so that alternating malloc and free at an edge swaps the two and touches
 * nobody else. Full sheaves that are left over go to the cache node's barn whole.
 *
 *	slot->base <= slot->top <= slot->limit
 *	objects in the main sheaf	= top - base
 *	a cache never used, slot 0, and the slots of percpu_none: base == top == limit == NULL
 *
 * The last line is why the fast paths ask nothing else: a thread's first call of either kind, a size without
 * a class and a pointer without one all find "empty" or "full" and fall into the slow path.
 *
 * On a machine of several nodes a thread has a panel of slots for each. malloc takes from the panel of the node that the
 * thread is on (this_thread.near), free puts where the class map says: what is of this node is used again, and what is
 * another's is gathered by itself and goes there (node.c).
 *
 * Double frees: a free object carries a key in its second word, the address of mem. malloc clears
 * it, free that finds it looks closer (sheaf_holds, slab_object) before it accuses: the word may be the program's own.
 *
 * Nobody but its thread touches a sheaf. Four exceptions read or take them: reports (racy, counts only); the
 * child after fork, in which the other threads do not exist; the end of a typed cache, which nobody uses any
 * more (sheaf_close); and reclaim, while the thread is asleep (asleep.c).
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

/* What a thread keeps whose allocations are counted. */
struct counted {
	size_t until; /* bytes up to the next sample */
	u8 due[NR_KMALLOC]; /* the n-th next object of this class is a sample; 0: none is known to be */
};

enum {
	SHEAF_MAX = 510, /* objects in a thread's sheaf: 4 KiB with the header */
	SHEAF_OBJECTS_MAX = 2000, /* in one that a program sets aside */
	CAPACITY_MAX = 511,
	MISSES_MAX = 127, /* that their fields in sheaf_meta hold */
};

enum { BUSY_PCP = GATE };

struct kmem_percpu;

/* All that a thread has in thread-local storage. */
struct this_thread {
	struct kmem_percpu *cpu;
	struct sheaf_slot *near; /* the panel that malloc takes from */
};

/* What a thread knows of a cache beside its slot. */
struct sheaf_meta {
	u16 capacity : 9; /* of the next sheaf */
	u16 misses : 7; /* since the last ageing, up to MISSES_MAX */
};

/* What happened to a thread's sheaves, for reports. */
struct sheaf_events {
	u64 swaps; /* main sheaf and spare: nobody else was asked */
	u64 barn_gets, barn_puts; /* sheaves */
	u64 refills, flushes; /* batches from and to slabs */
	u64 taken, given; /* bytes of objects, from and to barns and slabs */
};

/* Kmalloc caches' objects of one node other than node 0. */
struct sheaf_panel {
	struct sheaf_slot slot[NR_KMALLOC];
	struct sheaf_meta meta[NR_KMALLOC];
};

_Static_assert(sizeof(struct sheaf_panel) <= PANEL * CLASS_UNIT, "panels lie side by side");

/*
 * A page for the kmalloc caches and the thread itself; what follows is not touched until a typed cache is, or
 * memory of another node.
 */
struct kmem_percpu {
	union {
		struct {
			struct sheaf_slot slot[NR_KMALLOC];
			struct sheaf_meta meta[NR_KMALLOC];
			u16 busy; /* whose slot is being changed, for fork; 0: none, or BUSY_PCP */
			u8 exit_rounds; /* of its destructor (init/thread_exit.c) */
			u32 inside; /* slow paths that the thread is in (percpu_get) */
			u32 tid;
			u32 epoch; /* of the last visit to sleeping threads */
			struct this_thread *home; /* NULL: it is about to end */
			u16 nid; /* where its memory is to come from */
			u16 runs_on; /* where it ran when it looked last */
			u16 panel; /* the first slot of nid's */
			u8 looks; /* counts down to the next look at the program's policy */
			bool interleaves;
			/* Sums of sheaf_cost over open slots, with a spare and without: each <= the bound. */
			u32 bytes[2];
			u8 ticks; /* slow paths since the last look at what is due (entry.c) */
			u64 aged_ms;
			u64 turn; /* events.taken when an interleaving thread came to its node */
			struct per_cpu_pages pcp;
			struct hlist_node link; /* in the list of threads */
			struct sheaf_events events;
			u32 slow_calls; /* which of them are timed */
		};
		struct {
			char room[GATE * CLASS_UNIT];
			struct sheaf_slot gate; /* never opened */
		};
	};
	struct sheaf_slot typed_slot[NR_TYPED];
	struct sheaf_slot
		panels[NR_SLOTS - PANEL_FIRST]; /* struct sheaf_panel, one at every PANEL */
	struct sheaf_meta typed_meta[NR_TYPED];
	struct counted counted;
};

_Static_assert(offsetof(struct kmem_percpu, gate) == GATE * CLASS_UNIT &&
		       offsetof(struct kmem_percpu, typed_slot) == TYPED_FIRST * CLASS_UNIT &&
		       offsetof(struct kmem_percpu, panels) == PANEL_FIRST * CLASS_UNIT,
	       "a slot lies where its class says");
_Static_assert(offsetof(struct kmem_percpu, slow_calls) + sizeof(u32) <= GATE * CLASS_UNIT,
	       "what every thread has fits before the gate");

/* What memblock counts for a thread; most of it is never touched. */
enum { PERCPU_BLOCK = 64 << 10 };
_Static_assert(sizeof(struct kmem_percpu) <= PERCPU_BLOCK &&
		       sizeof(struct kmem_percpu) > PERCPU_BLOCK / 2,
	       "memblock's blocks are powers of two");

/* Of a slot's number: a cache's is that of its slot, or of the first of them. */
static __always_inline struct sheaf_slot *slot_of(struct kmem_percpu *c, u32 slot)
{
	u32 at = slot < NR_KMALLOC ? slot + kmalloc_shift : slot;

	return (void *)((char *)c + (size_t)at * CLASS_UNIT);
}

static inline struct sheaf_meta *meta_of(struct kmem_percpu *c, u32 slot)
{
	struct sheaf_panel *panel;

	if (likely(slot < NR_KMALLOC))
		return &c->meta[slot];
	if (slot < PANEL_FIRST)
		return &c->typed_meta[slot - TYPED_FIRST];
	panel = (struct sheaf_panel *)&c->panels[slot - slot % PANEL - PANEL_FIRST];
	return &panel->meta[slot % PANEL];
}

/*
 * Large objects have one sheaf, half of which is filled and emptied at once: a second one would have to be paid for by
 * other classes, and what it saves is little beside the use of such an object.
 */
static inline bool has_spare(const struct kmem_cache *s)
{
	return s->size <= FRAME_SIZE;
}

/* Bytes of free objects that a cache's sheaves may hold. */
static inline u32 sheaf_cost(const struct kmem_cache *s, u32 capacity)
{
	return capacity * s->size * (has_spare(s) ? 2 : 1);
}

/* Small objects and large ones have a bound each: small ones, which grow sooner, would leave nothing. */
static inline u32 *sheaf_bytes_at(struct kmem_percpu *c, const struct kmem_cache *s)
{
	return &c->bytes[!has_spare(s)];
}

/* One more than the last slot that may be in use. */
static inline u32 slots_end(void)
{
	return PANEL_FIRST + (min(numa_nodes(), (u32)NR_PANELS) - 1) * PANEL;
}

static inline u32 next_slot(u32 slot)
{
	if (slot < PANEL_FIRST) {
		slot = next_cache(slot);
		return slot < READ_ONCE(cache_end) ? slot : PANEL_FIRST + 1;
	}
	slot++;
	return slot % PANEL == NR_KMALLOC ? slot - NR_KMALLOC + PANEL + 1 : slot;
}

/* Every slot that may hold objects. */
#define for_each_slot(slot) for (u32 slot = 1; slot < slots_end(); slot = next_slot(slot))

/* Those of one cache. */
#define for_each_slot_of(id, slot) \
	for (u32 slot = (id); slot < slots_end(); slot = next_slot_of(slot))

static inline u32 next_slot_of(u32 slot)
{
	if (slot < PANEL_FIRST)
		return slot < NR_KMALLOC ? PANEL_FIRST + slot : NR_SLOTS;
	return slot + PANEL;
}

/*
 * Around every change of a slot (its number), or of the page sets, that is not one of the two steps of the fast
 * paths: what a child of fork finds between the two it leaves alone. On one thread's own memory an order for the
 * compiler is enough.
 */
static inline void busy_begin(struct kmem_percpu *c, u32 slot)
{
	WRITE_ONCE(c->busy, (u16)slot);
	barrier();
}

static inline void busy_end(struct kmem_percpu *c)
{
	barrier();
	WRITE_ONCE(c->busy, 0);
}

/* What a thread has that has no sheaves at hand; never written. */
enum percpu_absent {
	NOT_YET, /* before its first call */
	NO_MORE, /* after its destructors */
	ELSEWHERE, /* while reclaim looks at them (asleep.c) */
	NR_ABSENT
};

extern struct kmem_percpu percpu_none[NR_ABSENT];

extern __thread struct this_thread this_thread __attribute__((tls_model("initial-exec")));

#define this_cpu READ_FAST(this_thread.cpu)

/* Where malloc finds its slots. */
static inline struct sheaf_slot *near_panel(struct kmem_percpu *c)
{
	return (struct sheaf_slot *)c + READ_ONCE(c->panel);
}

/* The thread takes and gives there from now on. */
static inline void point_to(struct this_thread *t, struct kmem_percpu *c)
{
	__atomic_store_n(&t->near, near_panel(c), __ATOMIC_SEQ_CST);
	__atomic_store_n(&t->cpu, c, __ATOMIC_SEQ_CST);
}

/* True where this_cpu is a thread's own. */
static inline bool percpu_attached(const struct kmem_percpu *c)
{
	return (uintptr_t)c - (uintptr_t)percpu_none >= sizeof(percpu_none);
}

/*
 * The calling thread's sheaves, to work on for longer than a fast path, until percpu_put; NULL: it has none.
 * Calls nest.
 */
struct kmem_percpu *percpu_get(void);

static inline void percpu_put(struct kmem_percpu *c)
{
	barrier();
	if (c)
		__atomic_store_n(&c->inside, c->inside - 1, __ATOMIC_RELEASE);
}

static __always_inline uintptr_t object_key(void)
{
	return (uintptr_t)&mem;
}

/*
 * Half of the word tells as well, and sooner: programs often write four bytes there last, a count of references say, and a
 * processor that has to put eight together from that and what was there before waits for the store.
 */
static __always_inline bool object_keyed(const void *object)
{
	typedef u32 __attribute__((may_alias)) half; /* of what was written as a word */

	return ((const half *)object)[2] == (u32)object_key();
}

static __always_inline void *sheaf_pop(struct sheaf_slot *slot, void **top)
{
	void *object;

	WRITE_FAST(slot->top, top - 1);
	object = top[-1];
	AFTER_FAST(slot->top);
	return object;
}

/* Others may be counting (percpu_objects). */
static inline void slot_set(struct sheaf_slot *slot, struct sheaf_slot to)
{
	WRITE_ONCE(slot->base, to.base);
	WRITE_ONCE(slot->top, to.top);
	WRITE_ONCE(slot->limit, to.limit);
	WRITE_ONCE(slot->spare, to.spare);
}

/*
 * The object is in the array before top says so: a child of fork may find this thread between the two.
 * The empty statement keeps the compiler to it.
 */
static __always_inline void sheaf_push(struct sheaf_slot *slot, void **top, void *object)
{
	*top = object;
	__asm__("" : "+r"(top) : "m"(*top));
	WRITE_FAST(slot->top, top + 1);
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
	slot = (void *)((char *)READ_FAST(this_thread.near) + ((2 * n + 30) & ~31ul));
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
	if (unlikely(object_keyed(object)))
		return false;
	object[1] = object_key();
	sheaf_push(slot, top, p);
	return true;
}

/*
 * refill.c: the misses. The main sheaf is empty, or full, and the spare is the other way round: the two change places. Where sizes come
 * at random that is what most misses come to. As in the fast paths nobody is told of it (percpu_get), and nothing
 * is looked at that is due. NULL and false: it takes more than that.
 */
void *sheaf_swap_alloc(u32 id);
bool sheaf_swap_free(u32 id, void *object);

/* The others; c is the calling thread's, attached. */

/* An object of cache id as it lies in a sheaf (it may carry OBJECT_FRESH), or NULL: no memory. */
void *sheaf_alloc_slow(struct kmem_percpu *c, u32 id);

/* The same without a system call or waiting for a lock. c may be NULL. */
void *sheaf_alloc_atomic(struct kmem_percpu *c, u32 id);

/* Puts an object where the sheaf was full. */
void sheaf_free_slow(struct kmem_percpu *c, u32 id, void *object);

/* One object at a time, for threads without sheaves. */
void *sheaf_alloc_one(u32 id);

/* An object of a node that has a zone, and of no other; wherever the caller runs. c may be NULL. NULL: no memory. */
void *sheaf_alloc_node(struct kmem_percpu *c, u32 id, u32 nid, bool atomic);

/* The same of the other nodes, the nearest to nid first. */
void *sheaf_alloc_fallback(struct kmem_percpu *c, u32 id, u32 nid);
void sheaf_free_one(u32 id, void *object);

/* Gives the objects of the thread's sheaves of one cache back. */
void sheaf_flush(struct kmem_percpu *c, u32 id);

/* Gives all objects of the thread's sheaves and its page sets back. */
void sheaf_flush_all(struct kmem_percpu *c);

/* Its page sets alone. */
void percpu_drain_pages(struct kmem_percpu *c);

/* Counts what a thread's sheaves may hold, now: a part of the heap, divided among the threads. */
void sheaf_allow(void);

/* Sheaves without a miss for a while shrink, and all of them after the heap did. Cheap when neither is due. */
void sheaf_age(struct kmem_percpu *c, u64 now_ms);

/* node.c: several nodes. */

extern struct lock numa_lock;

/* Looks at the machine, once; then either there is one node, or numa_many() is true for ever. No lock is held. */
void numa_turn_on(void);

/* The node that the calling thread's memory is to come from, by its policy; c is its own. No lock is held. */
u32 numa_look(struct kmem_percpu *c);

static inline u32 this_node(struct kmem_percpu *c)
{
	return likely(READ_ONCE(numa.state) == NUMA_ONE) ? 0 : numa_look(c);
}

/* The same for a thread with no sheaves, or no change of theirs wanted. */
static inline u32 percpu_nid(const struct kmem_percpu *c)
{
	if (likely(!numa_many()))
		return 0;
	return c ? c->nid : numa.near[os_node()];
}

/* What c's thread took, n objects or frames of a node, where `wanted` was asked for. Nothing, on one node. */
void numa_count(const struct kmem_percpu *c, u32 id, u32 wanted, u32 nid, u32 n);

/* The node that n > 0 objects of one slot lie on, or -1: several. */
int objects_nid(u32 slot, void *const *objects, u32 n);

/* c's thread gave n objects of a node away. */
void numa_count_freed(const struct kmem_percpu *c, u32 id, u32 nid, u32 n);

/* sheaf.c: a sheaf by itself. */

struct slab_sheaf *sheaf_new(u32 capacity);
void sheaf_delete(struct slab_sheaf *sheaf);

/* Is each of them an object of cache id in use? */
bool objects_sound(u32 id, void *const *objects, u32 n);

/* The same, and each that is not is reported; how many. */
u32 verify_objects(void *const *objects, u32 n);

/* counted.c: when malloc is to meet the slow path after so many objects. */

enum { RUN_MAX = 62 };

/* From now on, in the whole process; false: it is too late, there are other threads, or nodes. */
bool counted_begin(void);

/* About n objects become those that malloc finds next; there were none. Returns how many, up to n. */
u32 counted_run(struct kmem_percpu *c, u32 id, u32 n);

/* The next of them, as it lies in a sheaf; NULL: malloc has found them all. */
static inline void *counted_next(struct kmem_percpu *c, u32 id)
{
	struct sheaf_slot *run = &c->slot[id];

	return run->top != run->base ? sheaf_pop(run, run->top) : NULL;
}

/* Those that it has not found go back to their slabs, and count as not handed out. */
void counted_end_run(struct kmem_percpu *c, u32 id, struct page_source src);

/*
 * n objects that were reserved (debug/profile.h) were not handed out after all. A sample that is behind them stays that
 * far away: moved forward to the next miss it would be whatever the program allocates when the sheaf is low.
 */
static inline void counted_return(struct kmem_percpu *c, u32 id, u32 n)
{
	struct counted *t = &c->counted;

	if (unlikely(t->due[id]))
		t->due[id] = (u8)(t->due[id] + n);
	else
		t->until += n * (size_t)cache_of(id)->size;
}

/* thread.c: a thread's sheaves, and looking into those of all. */

extern struct lock threads_lock, slots_lock;
extern struct hlist_head threads, orphans;
extern u32 nr_threads, nr_threads_most;

/* Of the threads that ended. */
extern struct sheaf_events ended_events;

/* Gives the calling thread its sheaves, as percpu_get does; NULL: no memory, or its destructors have run. */
struct kmem_percpu *sheaf_attach(void);

/* Takes them back: the thread's last call but for one-at-a-time ones. */
void sheaf_detach(void);

/* In the child: the threads that did not come along become orphans. Takes no lock. */
void sheaf_after_fork(void);

/*
 * Returns what all threads' sheaves hold of a typed cache to its barn and slabs. No thread uses the cache
 * meanwhile; what threads do with the sheaves of all caches is kept out.
 */
void sheaf_close(u32 id);

/* So many objects of a cache a thread takes and gives one by one, before it has a sheaf: not where there is one thread. */
extern u32 sheaf_first;

/* Returns what a thread's sheaves hold: the thread is the caller's own, asleep, or no more. */
void sheaf_empty(struct kmem_percpu *c);

/* asleep.c: returns what the sheaves of threads that are asleep hold; how many bytes, about. */
size_t sheaf_empty_asleep(u32 idle_ms);

/* The same, for about budget_ns at a time: false if it is not through yet, and goes on there next time. */
bool sheaf_empty_some_asleep(u32 idle_ms, u64 budget_ns);

/* Takes what the orphans held; at the latest on the next slow path. The caller holds no lock. */
void sheaf_adopt(void);

/* Reports every pointer in the thread's sheaves and the barns that is no object in use; how many. */
u32 sheaf_verify(struct kmem_percpu *c);

/* Is p in a sheaf of cache id, of any thread or in the barn? */
bool sheaf_holds(u32 id, const void *p);

/*
 * Objects of cache id in all sheaves, about; takes no lock, so it may be called anywhere. And in those of one thread
 * alone.
 */
unsigned long sheaf_objects(u32 id);
unsigned long sheaf_objects_on(u32 id, u32 nid);
unsigned long percpu_objects(const struct kmem_percpu *c, u32 id);

/* The list of threads is walked without its lock: those that come and go meanwhile may be missing, or come twice. */
#define for_each_percpu_racy(c)                                                           \
	for (u32 percpu_left = ((c) = percpu_after(NULL), 2 * READ_ONCE(nr_threads) + 8); \
	     (c) && percpu_left; (c) = percpu_after(c), percpu_left--)

static inline struct kmem_percpu *percpu_after(struct kmem_percpu *c)
{
	struct hlist_node *n =
		__atomic_load_n(c ? &c->link.next : &threads.first, __ATOMIC_ACQUIRE);

	return n ? hlist_entry(n, struct kmem_percpu, link) : NULL;
}

#define for_each_percpu(c) hlist_for_each_entry(c, &threads, link)

static inline struct page_source percpu_pages(struct kmem_percpu *c)
{
	/* The page sets are of one node. */
	return (struct page_source){ .pcp = c && !c->interleaves ? &c->pcp : NULL,
				     .zone = node_zone(percpu_nid(c)) };
}

/* Where slabs of cache id come from. */
static inline struct page_source cache_pages(struct kmem_percpu *c, u32 id)
{
	struct page_source src = percpu_pages(c);

	if (unlikely(id >= TYPED_FIRST))
		src.zone = zone_of(src.zone->nid, (enum zone_type)typed_of(id)->zone);
	return src;
}
