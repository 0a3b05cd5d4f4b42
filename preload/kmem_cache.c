// SPDX-License-Identifier: MIT
/*
 * kmem_cache.c - caches that programs make (include/slabmalloc/slab.h).
 *
 * A hit is the same few steps as malloc's, with the slot named by the cache. Objects behind the gate (a
 * constructor, RCU, debugging: slab/slab.h) have s->class == GATE, whose slot misses; then gated_hit finds the
 * cache's own slot. Their memory is the program's even while they are free, so no key is written into them:
 * a second free is seen where the object was the last freed, or else when the sheaf is flushed.
 */
#include <errno.h>
#include <string.h>

#include "base/printk.h"
#include "debug/failslab.h"
#include "debug/harden.h"
#include "debug/kfence.h"
#include "debug/profile.h"
#include "debug/slub_debug.h"
#include "init/boot.h"
#include "preload/entry.h"
#include "reclaim/reclaim.h"
#include "sheaf/barn.h"
#include "slab/kmem_cache.h"
#include "slabmalloc/slab.h"

enum { SHEAF_CAPACITY_MAX = 254 };

static const slab_flags_t KNOWN_FLAGS = SLAB_DEBUG_FLAGS | SLAB_HWCACHE_ALIGN | SLAB_CACHE_DMA |
					SLAB_CACHE_DMA32 | SLAB_RECLAIM_ACCOUNT | SLAB_PANIC |
					SLAB_TYPESAFE_BY_RCU | SLAB_NO_MERGE | SLAB_ACCOUNT;

/* Not behind the gate: what is free is not the program's, and the key of double frees lies in it. */
static bool has_key(const struct kmem_cache *s)
{
	return s->class != GATE * CLASS_UNIT || s->flags & SLAB_DIVERTED;
}

/* Is a free object of this thread's at p, whatever was written into it since? */
static bool at_hand(struct kmem_cache *s, const void *p)
{
	const struct sheaf_slot *slot = slot_of(this_cpu, s->id);
	const struct slab_sheaf *spare = slot->spare;
	bool found = false;

	for (void **o = slot->base; o != slot->top; o++)
		found |= *o == p;
	for (u32 i = 0; spare && i < spare->size; i++)
		found |= spare->objects[i] == p;
	return found;
}

static void *gated_hit(struct kmem_cache *s)
{
	struct sheaf_slot *slot = slot_of(this_cpu, s->id);
	void **top = slot->top;

	return top != slot->base ? sheaf_pop(slot, top) : NULL;
}

/* An object of a cache without debugging. */
static void *take(struct kmem_cache *s, gfp_t gfp)
{
	uintptr_t *object = gated_hit(s);

	if (!object && !(object = sheaf_swap_alloc(s->id)))
		object = entry_take(s->id, gfp);
	if (object && has_key(s))
		object[1] = 0;
	return object;
}

static bool wants_zero(const struct kmem_cache *s, gfp_t gfp)
{
	static bool said;

	if (!(gfp & __GFP_ZERO || s->flags & SLAB_INIT_ON_ALLOC))
		return false;
	if (!s->ctor)
		return true;
	if (gfp & __GFP_ZERO && !__atomic_exchange_n(&said, true, __ATOMIC_RELAXED))
		printk("kmem_cache_alloc: __GFP_ZERO has no meaning in %s: its objects are constructed",
		       s->name);
	return false;
}

static void *take_debugged(struct kmem_cache *s, size_t n, gfp_t gfp, const void *caller)
{
	unsigned int tries = 0;
	void *p;

	if (failslab(s, n, gfp, caller))
		return entry_no_memory();
	do
		p = debug_alloc(s, n, gfp, caller);
	while (unlikely(!p) && entry_retry(gfp, &tries));
	if (unlikely(!p))
		return entry_no_memory();
	if (gfp & __GFP_DIRECT_RECLAIM)
		entry_tick();
	return p;
}

/* A constructor's work would be lost, as would a failure, or a line for each call. */
static bool may_be_guarded(const struct kmem_cache *s)
{
	return !s->ctor && !(s->flags & (SLAB_TYPESAFE_BY_RCU | SLAB_FAILSLAB | SLAB_TRACE));
}

noinline void *cache_alloc(struct kmem_cache *s, size_t n, gfp_t gfp, const void *caller)
{
	bool guarded = false;
	void *p;

	if (unlikely(kfence_wanted()) && may_be_guarded(s) && (p = kfence_alloc(s, n, gfp, caller)))
		guarded = true;
	else if (unlikely(s->flags & SLAB_DEBUG_FLAGS))
		p = take_debugged(s, n, gfp, caller);
	else
		p = take(s, gfp);
	if (likely(p) && !guarded && unlikely(wants_zero(s, gfp)))
		memset(p, 0, s->flags & SLAB_INIT_ON_ALLOC ? s->object_size : n);
	if (unlikely(s->flags & SLAB_COUNTED) && p && gfp & __GFP_DIRECT_RECLAIM)
		entry_count(p, n, s->size, caller);
	return p;
}

EXPORT HOT void *kmem_cache_alloc(struct kmem_cache *s, gfp_t gfp)
{
	struct sheaf_slot *slot = (void *)((char *)this_cpu + s->class);
	void **top = slot->top;
	uintptr_t *object;

	if (unlikely(top == slot->base || gfp & __GFP_ZERO))
		return cache_alloc(s, s->object_size, gfp, CALLER);
	object = sheaf_pop(slot, top);
	object[1] = 0;
	return object;
}

/* What is watched, or sampled, lies where it lies. */
static bool lies_anywhere(const struct kmem_cache *s)
{
	return s->flags & SLAB_DEBUG_FLAGS || kfence_wanted();
}

EXPORT void *kmem_cache_alloc_node(struct kmem_cache *s, gfp_t gfp, int node)
{
	uintptr_t *object;
	u32 nid;

	if (node == NUMA_NO_NODE || (!numa_many() && !node))
		return cache_alloc(s, s->object_size, gfp, CALLER);
	if (!entry_node_named(node, gfp, &nid) ||
	    (s->zone < ZONE_NORMAL && nid && gfp & __GFP_THISNODE))
		return entry_no_memory();
	if (!numa_many() || lies_anywhere(s))
		return cache_alloc(s, s->object_size, gfp, CALLER);
	object = entry_take_node(s->id, gfp, nid);
	if (object && has_key(s))
		object[1] = 0;
	if (object && wants_zero(s, gfp))
		memset(object, 0, s->object_size);
	return object;
}

/* Is p an object of s in use? Otherwise the line has been written. */
static bool is_object(struct kmem_cache *s, void *p, const char *function)
{
	struct call call = { function, p };
	struct page *slab = virt_to_slab((uintptr_t)p);
	struct object o;

	if (!slab) {
		entry_report(&call);
		return false;
	}
	if (slab->cache != s->id) {
		report_bad(&call, "an object of %s, not of %s", cache_of(slab->cache)->name,
			   s->name);
		return false;
	}
	o = slab_object(p);
	if (unlikely(s->flags & SLAB_CHECK_FREE) && o.state == OBJECT_USED && at_hand(s, p))
		o.state = OBJECT_FREE;
	else if (has_key(s))
		return entry_in_use(s->id, p, function);
	if (o.state == OBJECT_USED &&
	    slot_of(this_cpu, s->id)->top > slot_of(this_cpu, s->id)->base &&
	    slot_of(this_cpu, s->id)->top[-1] == p)
		o.state = OBJECT_FREE;
	if (o.state == OBJECT_USED)
		return true;
	slab_report(&call, &o);
	return false;
}

static void give(struct kmem_cache *s, void *p)
{
	struct sheaf_slot *slot = slot_of(this_cpu, s->id);
	uintptr_t *object = p;

	if (has_key(s))
		object[1] = object_key();
	if (likely(slot->top != slot->limit))
		sheaf_push(slot, slot->top, p);
	else
		entry_give(s->id, p);
}

/* p lies in a slab of s, or may be guarded. */
noinline void cache_free(struct kmem_cache *s, void *p, const char *function, const void *caller)
{
	const struct call call = { function, p };
	int saved = errno;

	if (unlikely(s->flags & (SLAB_COUNTED | SLAB_SAMPLED)))
		profile_free(p);
	if (unlikely(is_kfence_address(p)))
		kfence_free(p, &call, caller);
	else if (unlikely(s->flags & SLAB_DEBUG_FLAGS))
		debug_free(s, p, &call, caller);
	else if (is_object(s, p, function)) {
		if (unlikely(s->flags & SLAB_INIT_ON_FREE) && !s->ctor)
			memset(p, 0, s->object_size);
		give(s, p);
	}
	errno = saved;
}

size_t cache_usable(struct kmem_cache *s, const void *p)
{
	struct object o;

	if (s->flags & SLAB_DEBUG_FLAGS)
		return debug_ksize(s, p);
	o = slab_object(p);
	/* One in a sheaf counts as used. */
	if (o.state == OBJECT_USED && has_key(s) && ((const uintptr_t *)p)[1] == object_key() &&
	    sheaf_holds(s->id, p))
		return 0;
	return o.state == OBJECT_USED ? s->object_size : 0;
}

static noinline void free_slow(struct kmem_cache *s, void *p)
{
	if (p)
		cache_free(s, p, "kmem_cache_free", CALLER);
}

EXPORT HOT void kmem_cache_free(struct kmem_cache *s, void *p)
{
	uintptr_t address = (uintptr_t)p, *object = p;
	/* As in sheaf_free, but objects may lie on any multiple of 8. */
	uintptr_t section = (address >> 3 | address << 61) >> (SECTION_SHIFT - 3);
	struct sheaf_slot *slot;
	void **top;

	if (unlikely(section >= NR_SECTIONS || *class_in(section, address) != s->class)) {
		free_slow(s, p);
		return;
	}
	slot = (void *)((char *)this_cpu + s->class);
	top = slot->top;
	if (unlikely(top == slot->limit || object_keyed(object))) {
		free_slow(s, p);
		return;
	}
	object[1] = object_key();
	sheaf_push(slot, top, p);
}

EXPORT int kmem_cache_alloc_bulk(struct kmem_cache *s, gfp_t gfp, size_t n, void **p)
{
	size_t i = 0;

	while (i < n && (p[i] = kmem_cache_alloc(s, gfp)))
		i++;
	if (i == n)
		return (int)n;
	while (i--)
		kmem_cache_free(s, p[i]);
	return 0;
}

EXPORT void kmem_cache_free_bulk(struct kmem_cache *s, size_t n, void **p)
{
	for (size_t i = 0; i < n; i++) {
		if (s)
			kmem_cache_free(s, p[i]);
		else
			kfree(p[i]);
	}
}

EXPORT unsigned int kmem_cache_size(struct kmem_cache *s)
{
	return s->object_size;
}

static struct kmem_cache *refused(const char *name, size_t size, slab_flags_t flags, int error,
				  const char *why)
{
	const char *shown = name ? name : "(null)";

	if (flags & SLAB_PANIC)
		bug("kmem_cache_create(%s, %zu): %s", shown, size, why);
	printk("kmem_cache_create(%s, %zu): %s", shown, size, why);
	errno = error;
	return NULL;
}

static const char *what_is_wrong(const struct cache_shape *shape)
{
	if (!shape->name || !shape->name[0])
		return "a cache needs a name";
	for (const char *c = shape->name; *c; c++)
		if (*c <= ' ' || *c == 0x7f)
			return "a name is one word";
	if (!shape->size || shape->size > CACHE_OBJECT_MAX)
		return "objects have 1 to 1048576 bytes";
	if (shape->align && (!is_power_of_2(shape->align) || shape->align > FRAME_SIZE))
		return "an alignment is a power of two up to 4096";
	if (shape->flags & ~KNOWN_FLAGS)
		return "unknown flags";
	if (shape->flags & SLAB_TYPESAFE_BY_RCU && shape->flags & SLAB_POISON)
		return "readers under RCU cannot be shown poison";
	if (shape->sheaf_capacity > SHEAF_CAPACITY_MAX)
		return "a sheaf has up to 254 objects";
	return NULL;
}

EXPORT struct kmem_cache *__kmem_cache_create_args(const char *name, size_t size,
						   const struct kmem_cache_args *args,
						   slab_flags_t flags)
{
	struct cache_shape shape = { .name = name, .size = size, .flags = flags };
	struct kmem_cache *s;
	const char *wrong;

	if (args) {
		shape.align = args->align;
		shape.ctor = args->ctor;
		shape.sheaf_capacity = args->sheaf_capacity;
	}
	percpu_put(boot_thread());
	wrong = what_is_wrong(&shape);
	if (wrong)
		return refused(name, size, flags, EINVAL, wrong);
	shape.flags = debug_flags(&shape);
	shape.flags = harden_flags(&shape);
	s = kmem_cache_find_alias(&shape);
	if (!s)
		s = kmem_cache_new(&shape, debug_layout);
	return s ? s : refused(name, size, flags, ENOSPC, "too many caches");
}

EXPORT void kmem_cache_destroy(struct kmem_cache *s)
{
	unsigned long out;

	if (!s || !kmem_cache_drop(s))
		return;
	out = reclaim_cache(s->id) + kfence_objects(s);
	if (!out) {
		kmem_cache_forget(s);
		return;
	}
	kmem_cache_keep(s);
	printk("kmem_cache_destroy(%s): %lu objects are still in use: the cache is kept", s->name,
	       out);
	if (s->flags & SLAB_STORE_USER)
		debug_report_leaks(s);
}

EXPORT int kmem_cache_shrink(struct kmem_cache *s)
{
	struct kmem_percpu *c = boot_thread();
	struct page_source src = cache_pages(c, s->id);

	if (c)
		sheaf_flush(c, s->id);
	barn_drain(s->id, src);
	slab_shrink(s->id, src);
	percpu_put(c);
	return cache_slabs(s->id) != 0;
}

EXPORT int kmem_cache_set_limit(struct kmem_cache *s, size_t bytes)
{
	if (!(s->flags & SLAB_ACCOUNT)) {
		errno = EINVAL;
		return -1;
	}
	WRITE_ONCE(s->limit, bytes);
	return 0;
}

EXPORT size_t kmem_cache_synchronize(struct kmem_cache *s, void (*grace_period)(void))
{
	return slab_shrink_after(s->id, cache_pages(NULL, s->id), grace_period) << FRAME_SHIFT;
}

/* Fills a sheaf up to size objects; false: it holds what it held. */
static bool fill_sheaf(struct kmem_cache *s, gfp_t gfp, struct slab_sheaf *sheaf, u32 size)
{
	u32 had = sheaf->size;

	while (sheaf->size < size) {
		void *p = cache_alloc(s, s->object_size, gfp & ~__GFP_ZERO, CALLER);

		if (!p)
			break;
		sheaf->objects[sheaf->size++] = p;
	}
	if (sheaf->size >= size)
		return true;
	while (sheaf->size > had)
		kmem_cache_free(s, sheaf->objects[--sheaf->size]);
	return false;
}

EXPORT void kmem_cache_return_sheaf(struct kmem_cache *s, gfp_t gfp, struct slab_sheaf *sheaf)
{
	(void)gfp;
	while (sheaf->size)
		kmem_cache_free(s, sheaf->objects[--sheaf->size]);
	sheaf_delete(sheaf);
}

EXPORT struct slab_sheaf *kmem_cache_prefill_sheaf(struct kmem_cache *s, gfp_t gfp,
						   unsigned int size)
{
	struct slab_sheaf *sheaf =
		size <= SHEAF_OBJECTS_MAX ? sheaf_new(max(size, s->sheaf_capacity)) : NULL;

	if (!sheaf)
		return entry_no_memory();
	if (fill_sheaf(s, gfp, sheaf, size))
		return sheaf;
	kmem_cache_return_sheaf(s, gfp, sheaf);
	return entry_no_memory();
}

EXPORT int kmem_cache_refill_sheaf(struct kmem_cache *s, gfp_t gfp, struct slab_sheaf **sheaf,
				   unsigned int size)
{
	struct slab_sheaf *old = *sheaf, *larger;

	if (size <= old->capacity)
		return fill_sheaf(s, gfp, old, size) ? 0 : -ENOMEM;
	larger = kmem_cache_prefill_sheaf(s, gfp, size);
	if (!larger)
		return -ENOMEM;
	kmem_cache_return_sheaf(s, gfp, old);
	*sheaf = larger;
	return 0;
}

EXPORT void *kmem_cache_alloc_from_sheaf(struct kmem_cache *s, gfp_t gfp, struct slab_sheaf *sheaf)
{
	void *p;

	if (!sheaf->size)
		return NULL;
	p = sheaf->objects[--sheaf->size];
	return wants_zero(s, gfp) ? memset(p, 0, s->object_size) : p;
}

EXPORT unsigned int kmem_cache_sheaf_size(struct slab_sheaf *sheaf)
{
	return sheaf->size;
}
