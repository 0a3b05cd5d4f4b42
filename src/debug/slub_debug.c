// SPDX-License-Identifier: MIT
/*
 * slub_debug.c - an object with debugging on its way out and back.
 */
#include <string.h>

#include "base/memcheck.h"
#include "debug/slub_debug_internal.h"
#include "debug/unwind.h"
#include "os/thread.h"
#include "sheaf/sheaf.h"

enum { MEMCHECK_ZONE = 16 }; /* bytes behind any object that are not the program's */

unsigned long debug_bytes_asked[NR_TYPED];

/* What valgrind may count on around an object. */
static size_t memcheck_zone(const struct kmem_cache *s)
{
	return min(s->red_left_pad, (u32)MEMCHECK_ZONE);
}

static void *take(u32 id, gfp_t gfp)
{
	struct page_source src = cache_pages(NULL, id);
	void *chunk[1];

	src.atomic = !(gfp & __GFP_DIRECT_RECLAIM);
	return slab_alloc_batch(id, src, chunk + 1, 1) ? chunk[0] : NULL;
}

/* A program that is linked with the archive has all in one object: then nothing is left out. */
static bool is_own(const void *pc)
{
	static struct loaded own;

	if (!READ_ONCE(own.end)) {
		struct loaded o;

		if (!loaded_at((uintptr_t)is_own, &o))
			return false;
		own.start = *o.name ? o.start : o.end;
		WRITE_ONCE(own.end, o.end);
	}
	return (const char *)pc >= own.start && (const char *)pc < own.end;
}

void debug_stack(struct stack *stack, const void *caller)
{
	u32 own = 0;

	stack_save(stack, caller);
	while (own < stack->nr && is_own(stack->pc[own]))
		own++;
	if (!own || own == stack->nr)
		return;
	stack->nr -= own;
	memmove(stack->pc, stack->pc + own, stack->nr * sizeof(stack->pc[0]));
}

static void set_track(struct kmem_cache *s, u8 *p, enum track_item item, const void *caller)
{
	struct track *t = debug_track(s, p, item);
	struct stack stack;

	debug_stack(&stack, caller);
	*t = (struct track){
		.addr = stack.pc[0],
		.when_ms = os_now_ms(),
		.handle = stack_depot_save(&stack),
		.pid = os_thread_id(),
		.cpu = os_cpu(),
	};
}

/* Is this free object fit for use? If not it was reported, and stays out of use. */
static bool alloc_checks(struct kmem_cache *s, u8 *p, gfp_t gfp, const struct site *site)
{
	struct tail *t = debug_tail(s, p);
	u32 state = READ_ONCE(t->state);

	/* Validation has it in hand, which found it damaged. */
	if (state_valid(state) && phase_of(state) == PHASE_MOVING)
		return false;
	/* That takes a lock. */
	if (s->flags & SLAB_CONSISTENCY_CHECKS && gfp & __GFP_DIRECT_RECLAIM)
		debug_check_slab(s, virt_to_slab((uintptr_t)p), site);
	if (debug_check_object(s, p, false, site))
		return debug_move(t, state, PHASE_MOVING);
	debug_fix(s, "Marking object %p used", (void *)p);
	return false;
}

static u8 *alloc_object(struct kmem_cache *s, size_t n, gfp_t gfp, const void *caller)
{
	const struct site site = { .caller = caller };
	struct tail *t;
	u8 *p;

	do {
		p = take(s->id, gfp);
		if (!p)
			return NULL;
		p += s->red_left_pad;
	} while (!alloc_checks(s, p, gfp, &site));
	t = debug_tail(s, p);
	t->orig_size = (u32)max(min(n, (size_t)s->object_size), (size_t)1);
	debug_init_object(s, p, true);
	if (s->track)
		set_track(s, p, TRACK_ALLOC, caller);
	if (s->flags & SLAB_TRACE)
		debug_trace(s, p, true, caller);
	debug_move(t, t->state, PHASE_USED);
	counter_add(debug_bytes_asked[s->id - TYPED_FIRST], t->orig_size);
	return p;
}

void *debug_alloc(struct kmem_cache *s, size_t n, gfp_t gfp, const void *caller)
{
	u8 *p;

	memcheck_hush(true);
	p = alloc_object(s, n, gfp, caller);
	memcheck_hush(false);
	if (p)
		memcheck_allocated(p, max(min(n, (size_t)s->object_size), (size_t)1),
				   memcheck_zone(s), s->ctor);
	return p;
}

/* An object of s starts at the pointer and is not in the slab's bitmap. */
static bool in_use(const struct kmem_cache *s, const struct place *at)
{
	return at->p && at->s == s && at->offset == s->red_left_pad &&
	       !debug_is_free(at->slab, at->index);
}

void debug_bad_pointer(struct kmem_cache *s, const struct call *call, const void *caller)
{
	const struct site site = { call, caller };
	struct place at = debug_place(call->ptr);

	memcheck_hush(true);
	if (!at.slab)
		debug_slab_err(s, &at, &site, "Attempt to free object(%p) outside of slab",
			       call->ptr);
	else if (at.slab->cache != s->id)
		debug_slab_err(s, &at, &site, "Wrong slab cache. %s but object is from %s", s->name,
			       cache_of(at.slab->cache)->name);
	else if (!at.p || at.offset != s->red_left_pad)
		debug_slab_err(s, &at, &site, "Invalid object pointer %p", call->ptr);
	else
		debug_object_err(s, at.p, "Object already free", &site);
	memcheck_hush(false);
}

/* From in use to being moved; false: somebody was here before. A damaged state stops nobody, and is reported later. */
static bool claim(struct tail *t)
{
	u32 state = READ_ONCE(t->state);

	return !state_valid(state) ||
	       (phase_of(state) == PHASE_USED && debug_move(t, state, PHASE_MOVING));
}

static bool free_object(struct kmem_cache *s, void *pointer, const struct call *call,
			const void *caller)
{
	const struct site site = { call, caller };
	struct place at = debug_place(pointer);
	u8 *p = at.p;

	if (!in_use(s, &at) || !claim(debug_tail(s, p))) {
		debug_bad_pointer(s, call, caller);
		return false;
	}
	if (s->flags & SLAB_CONSISTENCY_CHECKS)
		debug_check_slab(s, at.slab, &site);
	if (!debug_check_object(s, p, true, &site)) {
		debug_fix(s, "Object at %p not freed", pointer);
		return false;
	}
	if (s->track)
		set_track(s, p, TRACK_FREE, caller);
	if (s->flags & SLAB_TRACE)
		debug_trace(s, p, false, caller);
	counter_sub(debug_bytes_asked[s->id - TYPED_FIRST], debug_tail(s, p)->orig_size);
	debug_init_object(s, p, false);
	debug_move(debug_tail(s, p), debug_tail(s, p)->state, PHASE_FREE);
	memcheck_freed(p, s->object_size, memcheck_zone(s));
	sheaf_free_one(s->id, p - s->red_left_pad);
	return true;
}

bool debug_free(struct kmem_cache *s, void *p, const struct call *call, const void *caller)
{
	bool ok;

	memcheck_hush(true);
	ok = free_object(s, p, call, caller);
	memcheck_reused(&ok, sizeof(ok));
	memcheck_hush(false);
	return ok;
}

/* The object in use that starts there, or NULL. */
static u8 *used_object(struct kmem_cache *s, const void *p)
{
	struct place at = debug_place(p);
	u32 state;

	if (!in_use(s, &at))
		return NULL;
	state = READ_ONCE(debug_tail(s, at.p)->state);
	return state_valid(state) && phase_of(state) != PHASE_USED ? NULL : at.p;
}

static size_t asked(struct kmem_cache *s, const void *p)
{
	u8 *object = used_object(s, p);

	return object ? min(debug_tail(s, object)->orig_size, s->object_size) : 0;
}

const char *const debug_mismatch[NR_ORIGINS] = {
	[ORIGIN_MALLOC] = "Mismatched free of what malloc allocated",
	[ORIGIN_NEW] = "Mismatched free of what operator new allocated",
	[ORIGIN_NEW_ARRAY] = "Mismatched free of what operator new[] allocated",
};

void debug_set_origin(struct kmem_cache *s, void *p, enum origin origin)
{
	u8 *object;

	memcheck_hush(true);
	object = used_object(s, p);
	if (object)
		debug_track(s, object, TRACK_ALLOC)->origin = origin;
	memcheck_hush(false);
}

bool debug_check_origin(struct kmem_cache *s, const struct call *call, enum origin origin,
			const void *caller)
{
	const struct site site = { call, caller };
	u32 was = origin;
	u8 *object;

	memcheck_hush(true);
	object = used_object(s, call->ptr);
	/* What was written over is another's story. */
	if (object && debug_tail_valid(s, object))
		was = debug_track(s, object, TRACK_ALLOC)->origin;
	if (was != origin && was < NR_ORIGINS)
		debug_object_err(s, object, debug_mismatch[was], &site);
	memcheck_reused(&was, sizeof(was));
	memcheck_hush(false);
	return was == origin || was >= NR_ORIGINS;
}

size_t debug_ksize(struct kmem_cache *s, const void *p)
{
	size_t n;

	memcheck_hush(true);
	n = asked(s, p);
	memcheck_reused(&n, sizeof(n));
	memcheck_hush(false);
	return n;
}
