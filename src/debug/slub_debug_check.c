// SPDX-License-Identifier: MIT
/*
 * slub_debug_check.c - is an object, with what is around it, and its slab as it should be?
 */
#include <string.h>

#include "debug/slub_debug_internal.h"

/* Somebody who goes on writing while the object is being repaired gets so many reports. */
enum { FAULTS_MAX = 16 };

static u8 *first_object(const struct kmem_cache *s, const struct page *slab)
{
	return (u8 *)page_address(slab) + slab->colour * s->colour_unit + s->red_left_pad;
}

u8 *debug_object(const struct kmem_cache *s, struct page *slab, u32 index)
{
	return first_object(s, slab) + (size_t)index * s->size;
}

struct place debug_place(const void *pointer)
{
	struct place at = { .slab = virt_to_slab((uintptr_t)pointer) };
	u8 *first;
	size_t offset;

	if (!at.slab || !cache_known(at.slab->cache))
		return (struct place){ 0 };
	at.s = typed_of(at.slab->cache);
	if (!at.s)
		return at;
	first = first_object(at.s, at.slab) - at.s->red_left_pad;
	offset = (size_t)((const u8 *)pointer - first);
	if (offset >= (size_t)at.s->objects * at.s->size)
		return at;
	at.index = (u32)(offset / at.s->size);
	at.offset = offset % at.s->size;
	at.p = debug_object(at.s, at.slab, at.index);
	return at;
}

/* Cuts an area down to the bytes from the first to the last that are wrong; false: none is. */
static bool narrow(struct area *a)
{
	u8 *end = a->from + a->n;

	if (a->from[0] == a->value && !memcmp(a->from, a->from + 1, a->n - 1))
		return false;
	while (a->from < end && a->from[0] == a->value)
		a->from++;
	while (end > a->from && end[-1] == a->value)
		end--;
	a->n = (size_t)(end - a->from);
	return a->n;
}

static bool find_fault(const struct kmem_cache *s, u8 *p, bool used, struct area *whole,
		       struct area *fault)
{
	struct area areas[AREAS_MAX];
	u32 nr = debug_areas(s, p, used, areas);

	for (u32 i = 0; i < nr; i++) {
		*whole = *fault = areas[i];
		if (narrow(fault))
			return true;
	}
	return false;
}

bool debug_tail_valid(const struct kmem_cache *s, u8 *p)
{
	struct tail *t = debug_tail(s, p);

	return state_valid(READ_ONCE(t->state)) && t->orig_size && t->orig_size <= s->object_size;
}

bool debug_find_fault(const struct kmem_cache *s, u8 *p, bool used, struct area *fault)
{
	struct area whole;

	if (find_fault(s, p, used, &whole, fault))
		return true;
	*fault = (struct area){ .what = NULL };
	return !debug_tail_valid(s, p);
}

/* What lies behind the red zone was overwritten: what was asked for is not known any more. */
static void repair_tail(struct kmem_cache *s, u8 *p, bool used, const struct site *site)
{
	struct tail *t = debug_tail(s, p);

	debug_object_err(s, p, "Object state overwritten", site);
	debug_fix(s, "Restoring object state %p-%p", (void *)t, (void *)((u8 *)(t + 1) - 1));
	t->orig_size = s->object_size;
	t->state = (u32)STATE_MAGIC << 16 | (used ? PHASE_USED : PHASE_FREE);
}

bool debug_check_object(struct kmem_cache *s, u8 *p, bool used, const struct site *site)
{
	struct area whole, fault;
	u32 faults = 0;

	while (faults < FAULTS_MAX && find_fault(s, p, used, &whole, &fault)) {
		debug_bytes_err(s, p, &whole, &fault, site);
		memset(fault.from, whole.value, fault.n);
		faults++;
	}
	if (!debug_tail_valid(s, p)) {
		repair_tail(s, p, used, site);
		/* The red zone behind what was asked for begins elsewhere now. */
		debug_init_object(s, p, used);
		faults++;
	}
	return !faults;
}

static u32 count_free(const struct kmem_cache *s, struct page *slab)
{
	u32 n = 0;

	for (u32 i = 0; i < s->objects; i++)
		n += debug_is_free(slab, i);
	return n;
}

void debug_check_slab(struct kmem_cache *s, struct page *slab, const struct site *site)
{
	struct kmem_cache_node *n = slab_node(slab);
	const struct place at = { .slab = slab, .s = s };
	u32 inuse, nr_free;

	lock(&n->lock, RANK_NODE);
	inuse = slab->inuse;
	nr_free = count_free(s, slab);
	unlock(&n->lock, RANK_NODE);
	if (inuse + nr_free != s->objects)
		debug_slab_err(s, &at, site,
			       "Wrong object count. Counter is %u but counted were %u", inuse,
			       s->objects - nr_free);
}
