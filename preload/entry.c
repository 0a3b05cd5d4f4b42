// SPDX-License-Identifier: MIT
#include "preload/entry.h"

#include <errno.h>
#include <string.h>

#include "base/options.h"
#include "base/platform.h"
#include "debug/harden.h"
#include "debug/kfence.h"
#include "debug/profile.h"
#include "debug/slub_debug.h"
#include "debug/zero_size.h"
#include "init/boot.h"
#include "page/large.h"
#include "page/vmalloc.h"
#include "preload/mismatch.h"
#include "reclaim/pressure.h"
#include "reclaim/reclaim.h"
#include "stat/stat.h"

enum {
	ANSWERS = 3, /* of the program's own, before an allocation fails */
	TICKS = 8, /* slow paths of small objects */
};

void *entry_no_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

bool entry_retry(gfp_t gfp, unsigned int *tries)
{
	if (!(gfp & __GFP_DIRECT_RECLAIM) || gfp & __GFP_NORETRY)
		return false;
	if (!*tries) {
		pressure_failed();
		entry_trim(false);
	} else if (*tries <= ANSWERS && pressure_has_listeners()) {
		pressure_answer(FAILURE, SLABMALLOC_PRESSURE_CRITICAL);
	} else if (gfp & __GFP_NOFAIL) {
		platform_yield();
		entry_trim(false);
	} else {
		return false;
	}
	++*tries;
	return true;
}

/* No process has so many addresses: that can be known without trimming the heap. */
static bool beyond_addresses(size_t n)
{
	return n >> ADDRESS_BITS;
}

/* No shrinker can make so much room: what the heap gives up and as much again, which may be there beside it. */
static bool hopeless(size_t n)
{
	if (options.limit > LIMIT_AUTO)
		return n > options.limit;
	return n / 2 > (zones_used() << FRAME_SHIFT) + READ_ONCE(vm.used_bytes);
}

size_t entry_trim(bool all)
{
	struct kmem_percpu *c = boot_thread();
	size_t bytes = reclaim_all(c, all);

	percpu_put(c);
	return bytes;
}

/* After a slow path. */
static __always_inline void tick(struct kmem_percpu *c)
{
	reclaim_tick(c);
	if (unlikely(options.stats_interval || options.stats_signal))
		stat_tick();
}

/* A look costs as much as a refill. */
static __always_inline void tick_seldom(struct kmem_percpu *c)
{
	if (!c || ++c->ticks % TICKS == 0)
		tick(c);
}

/* A large block changes how much is dirty, and every time; how much the sheaves may hold, only in the long run. */
void entry_tick(void)
{
	struct kmem_percpu *c = boot_thread();

	tick(c && ++c->ticks % TICKS ? NULL : c);
	percpu_put(c);
}

/* What can be had without a system call: not sheaves for a thread that has none, or not now. */
static void *take_atomic(u32 id)
{
	struct kmem_percpu *c = percpu_attached(this_cpu) ? percpu_get() : NULL;
	void *object = sheaf_alloc_atomic(c, id);

	percpu_put(c);
	return object;
}

void *entry_take(u32 id, gfp_t gfp)
{
	unsigned int tries = 0;
	struct kmem_percpu *c;
	void *object;

	if (unlikely(!(gfp & __GFP_DIRECT_RECLAIM))) {
		object = take_atomic(id);
		return object ? object : entry_no_memory();
	}
	c = boot_thread();
	do
		object = c ? sheaf_alloc_slow(c, id) : sheaf_alloc_one(id);
	while (unlikely(!object) && entry_retry(gfp, &tries));
	if (unlikely(!object) && !(gfp & __GFP_THISNODE))
		object = sheaf_alloc_fallback(c, id, percpu_nid(c));
	if (likely(object))
		tick_seldom(c);
	percpu_put(c);
	return likely(object) ? object : entry_no_memory();
}

/*
 * From a sheaf's entry to the program's block of n bytes. One that was never handed out reads as zero and
 * carries no key: it is not touched, so its memory does not exist until the program writes.
 */
static __always_inline void *hand_out(void *entry, size_t n, bool zero)
{
	uintptr_t *object = entry;

	if ((uintptr_t)entry & OBJECT_FRESH)
		return (char *)entry - OBJECT_FRESH;
	if (!entry)
		return NULL;
	object[1] = 0;
	return zero ? memset(object, 0, n) : object;
}

void entry_count(void *p, size_t n, size_t size, const void *caller)
{
	struct kmem_percpu *c = boot_thread();

	profile_count(c, p, n, size, caller);
	percpu_put(c);
}

/* Profiling is on: every miss of the class comes here, and the rest of the run is handed out without us. */
static void *kmalloc_counted(u32 id, size_t n, gfp_t gfp, const void *caller)
{
	struct kmem_percpu *c = boot_thread();
	struct sheaf_slot *slot = c ? slot_of(c, id) : NULL;
	/* There is something left where the miss came of a look at this thread while it slept (sheaf/asleep.c). */
	void *p = c ? counted_next(c, id) : NULL;
	struct kmem_cache *s = NULL;
	u32 run;

	if (unlikely(p)) {
		percpu_put(c);
		return hand_out(p, n, gfp & __GFP_ZERO);
	}
	run = c && gfp & __GFP_DIRECT_RECLAIM ? profile_reserve(c, id) : 1;
	if (unlikely(!run) && (s = profile_cache(id)) && (p = cache_alloc(s, n, gfp, caller))) {
		profile_sample(p, n, cache_of(id)->size, caller);
	} else {
		p = c && slot->top != slot->base ? sheaf_pop(slot, slot->top) : entry_take(id, gfp);
		p = hand_out(p, n, gfp & __GFP_ZERO);
		/* Where there is no memory either cache gives what it has left: its free finds no sample. */
		if (unlikely(!p) && (s = profile_cache(id)))
			p = cache_alloc(s, n, gfp, caller);
		if (run-- > 1)
			counted_return(c, id, run - counted_run(c, id, run));
	}
	percpu_put(c);
	return p;
}

static void *kmalloc_diverted(u32 id, size_t n, gfp_t gfp, const void *caller)
{
	struct kmem_cache *instead = kmalloc_divert[id];
	void *p;

	if (likely(instead->flags & SLAB_SAMPLED)) {
		if (unlikely(kfence_wanted()) && (p = kfence_alloc(cache_of(id), n, gfp, caller))) {
			entry_count(p, n, cache_of(id)->size, caller);
			return p;
		}
		return kmalloc_counted(id, n, gfp, caller);
	}
	return cache_alloc(unlikely(harden.copies) ? harden_pick(id, instead, caller) : instead, n,
			   gfp, caller);
}

/* The thread has none at hand. */
static noinline void *kmalloc_miss(u32 id, size_t n, gfp_t gfp, const void *caller)
{
	void *p;

	if (unlikely(kmalloc_divert[id]))
		return kmalloc_diverted(id, n, gfp, caller);
	if (unlikely(kfence_wanted()) && (p = kfence_alloc(cache_of(id), n, gfp, caller)))
		return p;
	p = sheaf_swap_alloc(id);
	if (unlikely(!p)) {
		slab_note_asked(id, n);
		p = entry_take(id, gfp);
	}
	return hand_out(p, n, gfp & __GFP_ZERO);
}

static __always_inline void *kmalloc_class(u32 id, size_t n, gfp_t gfp, const void *caller)
{
	struct sheaf_slot *slot = &READ_FAST(this_thread.near)[id];
	void **top = slot->top;

	if (likely(top != slot->base))
		return hand_out(sheaf_pop(slot, top), n, gfp & __GFP_ZERO);
	return kmalloc_miss(id, n, gfp, caller);
}

/* Counted where it lies in frames of a node; areas lie where they are touched. */
static void *count_large(u32 wanted, void *p)
{
	struct page *page = likely(!numa_many()) ? NULL : virt_to_page((uintptr_t)p);

	if (page)
		entry_count_frames(wanted, region_of(page)->nid, page->frames);
	return p;
}

/* From the nearest node that has some; the address space is the same for all, so this is the last resort. */
static void *large_elsewhere(u32 nid, size_t n, size_t align, bool zero)
{
	u32 walk = 0, next;
	void *p = NULL;

	while (!p && numa_next(nid, &walk, &next))
		p = large_alloc(node_zone(next), n, align, zero);
	return p;
}

static void *large_bound(size_t n, gfp_t gfp, u32 nid, const void *caller)
{
	bool zero = gfp & __GFP_ZERO || harden.init_on_alloc;
	unsigned int tries = 0;
	void *p;

	if (beyond_addresses(n))
		return entry_no_memory();
	do
		p = large_alloc_bound(node_zone(nid), n, zero);
	while (unlikely(!p) && !(tries && hopeless(n)) && entry_retry(gfp, &tries));
	if (unlikely(!p) && !(gfp & __GFP_THISNODE))
		p = large_elsewhere(nid, n, FRAME_SIZE, zero);
	if (unlikely(!p))
		return entry_no_memory();
	entry_tick();
	if (profile_on())
		entry_count(p, n, n, caller);
	return count_large(nid, p);
}

/* What this thread freed last, if it is of this size: nothing changed then that a tick would look at. */
static void *take_kept(const struct zone *z, size_t n, size_t align, bool zero)
{
	struct kmem_percpu *c;
	void *p = NULL;

	if (n > KEPT_MAX)
		return NULL;
	c = boot_thread();
	if (likely(c) && !c->interleaves) {
		busy_begin(c, BUSY_PCP);
		p = large_alloc_kept(&c->pcp, z, n, align, zero);
		busy_end(c);
	}
	percpu_put(c);
	return p;
}

/* Areas are in no region. */
static bool keep(void *p)
{
	struct kmem_percpu *c;
	bool kept = false;

	if (!region_at((uintptr_t)p))
		return false;
	c = boot_thread();
	if (likely(c) && !c->interleaves) {
		busy_begin(c, BUSY_PCP);
		kept = large_free_kept(&c->pcp, node_zone(c->nid), p);
		busy_end(c);
	}
	if (kept)
		tick_seldom(c);
	percpu_put(c);
	return kept;
}

void entry_drop_kept(void)
{
	struct kmem_percpu *c = boot_thread();

	if (likely(c)) {
		busy_begin(c, BUSY_PCP);
		pcp_drop_kept(&c->pcp);
		busy_end(c);
	}
	percpu_put(c);
}

/* NULL: no memory, wherever. */
static void *large_new(u32 nid, size_t n, size_t align, bool zero, gfp_t gfp)
{
	unsigned int tries = 0;
	void *p;

	do
		p = large_alloc(node_zone(nid), n, align, zero);
	while (unlikely(!p) && !(tries && hopeless(n)) && entry_retry(gfp, &tries));
	if (unlikely(!p))
		p = large_elsewhere(nid, n, align, zero);
	if (likely(p))
		entry_tick();
	return p;
}

static noinline void *large(size_t n, size_t align, gfp_t gfp, const void *caller)
{
	u32 nid = entry_node(gfp);
	struct zone *z = node_zone(nid);
	bool zero = gfp & __GFP_ZERO || harden.init_on_alloc;
	void *p;

	if (beyond_addresses(n | align))
		return entry_no_memory();
	if (unlikely(!(gfp & __GFP_DIRECT_RECLAIM))) {
		p = large_alloc_frames(z, n, zero, true);
		return p ? count_large(nid, p) : entry_no_memory();
	}
	p = take_kept(z, n, align, zero);
	if (!p)
		p = large_new(nid, n, align, zero, gfp);
	if (unlikely(!p))
		return entry_no_memory();
	if (profile_on())
		entry_count(p, n, n, caller);
	return count_large(nid, p);
}

static void *large_guarded(size_t n, gfp_t gfp, const void *caller)
{
	void *p = kfence_alloc(&kmalloc_caches[0], n, gfp, caller);

	if (p && profile_on())
		entry_count(p, n, n, caller);
	return p;
}

/* What has no class: more than the largest's size, or 0 (0 - 1 is more). */
static noinline void *classless(size_t n, gfp_t gfp, const void *caller)
{
	void *p;

	if (n && unlikely(kfence_wanted()) && (p = large_guarded(n, gfp, caller)))
		return p;
	if (n)
		return large(n, FRAME_SIZE, gfp, caller);
	p = zero_size_alloc();
	return p ? p : kmalloc_class(kmalloc_index(1), 0, gfp, caller);
}

void *entry_kmalloc_node(size_t n, gfp_t gfp, u32 nid, const void *caller)
{
	u32 id;

	if (n > KMALLOC_MAX)
		return gfp & __GFP_DIRECT_RECLAIM ? large_bound(n, gfp, nid, caller)
						  : large(n, FRAME_SIZE, gfp, caller);
	id = kmalloc_index(n);
	/* What is watched, or sampled, lies where it lies. */
	if (unlikely(kmalloc_divert[id] || kfence_wanted()))
		return kmalloc_miss(id, n, gfp, caller);
	return hand_out(entry_take_node(id, gfp, nid), n, gfp & __GFP_ZERO);
}

noinline void *entry_malloc_slow(size_t n)
{
	if (unlikely(n - 1 >= KMALLOC_MAX))
		return classless(n, GFP_KERNEL, CALLER);
	return kmalloc_class(kmalloc_index(n), n, GFP_KERNEL, CALLER);
}

noinline void *entry_calloc_slow(size_t n)
{
	if (unlikely(n - 1 >= KMALLOC_MAX))
		return classless(n, GFP_KERNEL | __GFP_ZERO, CALLER);
	return kmalloc_class(kmalloc_index(n), n, GFP_KERNEL | __GFP_ZERO, CALLER);
}

void *entry_kmalloc(size_t n, gfp_t gfp, const void *caller)
{
	if (unlikely(n - 1 >= KMALLOC_MAX))
		return classless(n, gfp, caller);
	return kmalloc_class(kmalloc_index(n), n, gfp, caller);
}

void *entry_memalign(size_t align, size_t n)
{
	u32 id;

	if (!is_power_of_2(align)) {
		errno = EINVAL;
		return NULL;
	}
	if (align <= KMALLOC_GRAIN)
		return entry_malloc(n);
	if (n > PTRDIFF_MAX || align > PTRDIFF_MAX)
		return entry_no_memory();
	n = max(n, (size_t)1);
	id = align <= FRAME_SIZE ? kmalloc_index_aligned(n, align) : 0;
	if (!id)
		return large(n, max(align, FRAME_SIZE), GFP_KERNEL, CALLER);
	/* A multiple, so that it is aligned at either end of a guarded page too. Debugging watches what is behind n. */
	return kmalloc_class(id, kmalloc_divert[id] ? n : ALIGN(n, align), GFP_KERNEL, CALLER);
}

static __cold bool object_is_bad(u32 id, void *p, const char *function)
{
	const struct call call = { function, p };
	struct object o = slab_object(p);

	if (o.state == OBJECT_USED && sheaf_holds(id, p))
		o.state = OBJECT_FREE;
	if (o.state == OBJECT_USED)
		return false;
	slab_report(&call, &o);
	return true;
}

bool entry_in_use(u32 id, void *p, const char *function)
{
	return likely(slab_object_used(id, p) && ((uintptr_t *)p)[1] != object_key()) ||
	       !object_is_bad(id, p, function);
}

void entry_give(u32 id, void *p)
{
	struct kmem_percpu *c = boot_thread();

	if (c)
		sheaf_free_slow(c, id, p);
	else
		sheaf_free_one(id, p);
	tick_seldom(c);
	percpu_put(c);
}

static void free_object(u32 id, void *p)
{
	((uintptr_t *)p)[1] = object_key();
	entry_give(id, p);
}

/* Is p still to be freed after hardening has zeroed the large block there, if it is one? Always. */
static bool wiped(void *p)
{
	if (unlikely(harden.init_on_free))
		memset(p, 0, large_size(p));
	return true;
}

static void free_large(void *p, const struct call *call)
{
	if (large_free(p))
		entry_tick();
	else
		entry_report(call);
}

/* What is no kmalloc object: a typed one, guarded, large, or nobody's. */
static void free_other(void *p, const char *function, const void *caller)
{
	const struct call call = { function, p };
	struct kmem_cache *s = cache_at(p);

	if (profile_on() && !s)
		profile_free(p);
	if (s)
		cache_free(s, p, function, caller);
	else if (unlikely(is_kfence_address(p)))
		kfence_free(p, &call, caller);
	else if (is_zero_size(p))
		zero_size_free(&call);
	else if (wiped(p) && !keep(p))
		free_large(p, &call);
}

void entry_free_from(void *p, const char *function, const void *caller)
{
	int saved;
	u32 id;

	if (!p)
		return;
	saved = errno;
	id = object_class(p);
	if (!id)
		free_other(p, function, caller);
	else if (!sheaf_swap_free(id, p) && entry_in_use(id, p, function))
		free_object(id, p);
	errno = saved;
}

noinline void entry_free_slow(void *p, const char *function)
{
	if (likely(!mismatch_watched()) ||
	    mismatch_origin(&(struct call){ function, p }, ORIGIN_MALLOC, CALLER))
		entry_free_from(p, function, CALLER);
}

static size_t other_size(void *p)
{
	struct kmem_cache *s = cache_at(p);

	if (s)
		return cache_usable(s, p);
	return is_kfence_address(p) ? kfence_ksize(p) : large_size(p);
}

size_t entry_block_size(void *p, u32 id, const char *function)
{
	size_t size = id ? cache_of(id)->size : other_size(p);

	if (id ? !entry_in_use(id, p, function) : !size) {
		if (!id)
			entry_report(&(struct call){ function, p });
		return 0;
	}
	return size;
}

size_t entry_usable_size(void *p, const char *function)
{
	if (unlikely(is_zero_size(p))) {
		zero_size_in_use(&(struct call){ function, p });
		return 0;
	}
	return p ? entry_block_size(p, object_class(p), function) : 0;
}
