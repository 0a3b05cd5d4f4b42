// SPDX-License-Identifier: MIT
/*
 * slub_debug_layout.c - room for what debugging needs around an object, and what it is filled with.
 *
 * The left red zone is as long as the alignment, so that the object keeps it: a cache of 4096 bytes aligned
 * to as many (kmalloc's powers of two are) takes three frames an object.
 */
#include <string.h>

#include "base/memcheck.h"
#include "debug/harden.h"
#include "debug/profile.h"
#include "debug/slub_debug_internal.h"

enum { WORD = 8 };

static size_t tail_offset(const struct kmem_cache *s)
{
	return s->inuse + (s->flags & SLAB_STORE_USER ? NR_TRACKS * sizeof(struct track) : 0);
}

struct tail *debug_tail(const struct kmem_cache *s, u8 *p)
{
	return (struct tail *)(p + tail_offset(s));
}

bool debug_move(struct tail *t, u32 seen, enum phase next)
{
	u32 state = ((seen & ~(u32)PHASE_MASK) + PHASE_MASK + 1) & 0xffff;

	state |= (u32)STATE_MAGIC << 16 | next;
	if (!__atomic_compare_exchange_n(&t->state, &seen, state, false, __ATOMIC_SEQ_CST,
					 __ATOMIC_RELAXED))
		return false;
	/* Who validates the object and sees a change that follows sees that it is moving (the exchange keeps no later store back). */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	return true;
}

static void add(struct area *areas, u32 *nr, const char *what, u8 *from, size_t n, u8 value)
{
	if (n)
		areas[(*nr)++] = (struct area){ what, from, n, value };
}

u32 debug_areas(const struct kmem_cache *s, u8 *p, bool used, struct area *areas)
{
	size_t size = s->object_size, asked = min(debug_tail(s, p)->orig_size, s->object_size);
	size_t padding = tail_offset(s) + sizeof(struct tail);
	u8 red = used ? RED_ACTIVE : RED_INACTIVE;
	u32 nr = 0;

	if (s->flags & SLAB_RED_ZONE) {
		add(areas, &nr, "Left Redzone", p - s->red_left_pad, s->red_left_pad, red);
		if (used)
			add(areas, &nr, "kmalloc Redzone", p + asked, size - asked, red);
		add(areas, &nr, "Right Redzone", p + size, s->inuse - size, red);
	} else if (s->flags & SLAB_POISON) {
		add(areas, &nr, "Alignment padding", p + size, s->inuse - size, POISON_INUSE);
	}
	if (!used && debug_poisons(s)) {
		add(areas, &nr, "Poison", p, size - 1, POISON_FREE);
		add(areas, &nr, "End Poison", p + size - 1, 1, POISON_END);
	}
	if (s->flags & SLAB_POISON)
		add(areas, &nr, "Object padding", p + padding, s->size - s->red_left_pad - padding,
		    POISON_INUSE);
	return nr;
}

void debug_init_object(const struct kmem_cache *s, u8 *p, bool used)
{
	struct area areas[AREAS_MAX];
	u32 nr = debug_areas(s, p, used, areas);

	for (u32 i = 0; i < nr; i++)
		memset(areas[i].from, areas[i].value, areas[i].n);
	if (used && debug_poisons(s))
		memset(p, POISON_INUSE, debug_tail(s, p)->orig_size);
}

static void setup(const struct kmem_cache *s, void *chunk)
{
	u8 *p = (u8 *)chunk + s->red_left_pad;

	memcheck_reused(chunk, s->size);
	if (s->flags & SLAB_STORE_USER)
		memset(debug_track(s, p, TRACK_ALLOC), 0, NR_TRACKS * sizeof(struct track));
	*debug_tail(s, p) = (struct tail){ s->object_size, (u32)STATE_MAGIC << 16 | PHASE_FREE };
	debug_init_object(s, p, false);
	if (s->ctor)
		s->ctor(p);
}

static void lay_out(struct kmem_cache *s)
{
	size_t size = ALIGN(s->object_size, (u32)WORD);

	if (s->flags & SLAB_RED_ZONE && size == s->object_size)
		size += WORD;
	s->inuse = (u32)size;
	s->track = s->flags & SLAB_STORE_USER ? s->inuse : 0;
	size = tail_offset(s) + sizeof(struct tail);
	s->red_left_pad = 0;
	if (s->flags & SLAB_RED_ZONE) {
		/* Who underruns the next object meets a word of padding first, as in SLUB. */
		size += WORD;
		s->red_left_pad = max(s->align, (u32)WORD);
	}
	s->size = ALIGN((u32)size + s->red_left_pad, s->align);
	s->setup = setup;
}

static unsigned int slab_order(size_t size)
{
	return order_base_2(DIV_ROUND_UP(size, FRAME_SIZE));
}

void debug_layout(struct kmem_cache *s)
{
	struct kmem_cache plain;

	if (profile_on())
		s->flags |= SLAB_COUNTED;
	plain = *s;
	if (s->flags & SLAB_DEBUG_FLAGS)
		lay_out(s);
	if (debug_low_order() && slab_order(s->size) > slab_order(s->object_size)) {
		*s = plain;
		s->flags &= ~SLAB_DEBUG_FLAGS;
	}
	if (!(s->flags & SLAB_DEBUG_FLAGS))
		harden_layout(s);
}
