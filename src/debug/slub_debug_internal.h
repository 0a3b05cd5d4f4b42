/* SPDX-License-Identifier: MIT */
/*
 * slub_debug_internal.h - what the files slub_debug*.c share: how an object with debugging is laid out.
 *
 * p is the program's pointer, chunk what the slabs know; from low to high addresses:
 *
 *	chunk				p
 *	| left red zone (red_left_pad)	| object (object_size) | right red zone, up to inuse |
 *	| track of alloc, of free (U)	| tail | padding, up to size - red_left_pad |
 *
 * An object in use that was asked for with fewer bytes than object_size (kmalloc) has a red zone from there
 * on. What every byte outside of the program's part must be, debug_areas says: one list both sets and checks it.
 *
 * The tail's state, moved by whoever owns the object and by nobody else:
 *
 *	FREE -> MOVING -> USED	debug_alloc, which has taken the object from the slabs
 *	USED -> MOVING -> FREE	debug_free: of two threads that free it at once, one changes the state
 *	FREE -> MOVING -> FREE	debug_validate, while it repairs; an allocation that meets it leaves it alone
 *
 * Each change has another number, so that a reader who finds the same word before and after looking has seen
 * one state. What a thread was moving when a fork left it behind stays so: lost, and nobody's error.
 */
#pragma once

#include "base/printk.h"
#include "debug/slub_debug.h"
#include "debug/stack.h"

enum {
	POISON_INUSE = 0x5a,
	POISON_FREE = 0x6b,
	POISON_END = 0xa5,
	RED_INACTIVE = 0xbb,
	RED_ACTIVE = 0xcc,
};

enum track_item { TRACK_ALLOC, TRACK_FREE, NR_TRACKS };

struct track {
	const void *addr; /* who called; NULL: it never happened */
	u64 when_ms;
	u32 handle; /* the stack, in the depot */
	u32 pid; /* the thread */
	u32 cpu;
	u32 origin; /* of an allocation: enum origin */
};

enum phase { PHASE_FREE = 1, PHASE_MOVING, PHASE_USED };

enum { STATE_MAGIC = 0x5ab1, PHASE_MASK = 3 };

struct tail {
	u32 orig_size; /* bytes that were asked for */
	u32 state; /* STATE_MAGIC, a number, enum phase */
};

/* Bytes that must all have one value. */
struct area {
	const char *what;
	u8 *from;
	size_t n;
	u8 value;
};

enum { AREAS_MAX = 8 };

/* What the program was doing when the error was seen; NULL stands for validation, which nobody is guilty of. */
struct site {
	const struct call *call; /* NULL: an allocation */
	const void *caller;
};

/* slub_debug_layout.c */

/* May the object itself be written while it is free? */
static inline bool debug_poisons(const struct kmem_cache *s)
{
	return s->flags & SLAB_POISON && !s->ctor && !(s->flags & SLAB_TYPESAFE_BY_RCU);
}

static inline struct track *debug_track(const struct kmem_cache *s, u8 *p, enum track_item item)
{
	return (struct track *)(p + s->track) + item;
}

struct tail *debug_tail(const struct kmem_cache *s, u8 *p);

/* What surrounds an object in use (or a free one, and fills it); returns how many areas. */
u32 debug_areas(const struct kmem_cache *s, u8 *p, bool used, struct area *areas);
void debug_init_object(const struct kmem_cache *s, u8 *p, bool used);

static inline bool state_valid(u32 state)
{
	return state >> 16 == STATE_MAGIC && state & PHASE_MASK;
}

static inline enum phase phase_of(u32 state)
{
	return (enum phase)(state & PHASE_MASK);
}

/* Moves the object on if it is still in the state that was seen. */
bool debug_move(struct tail *t, u32 seen, enum phase next);

/* slub_debug_options.c */

/* Is no cache to have larger slabs for its debugging ('O')? */
bool debug_low_order(void);

/* The cache's letters. */
void debug_show_letters(struct seq_file *m, slab_flags_t flags);

/* slub_debug_check.c */

/* Where a pointer into a slab lies. */
struct place {
	struct page *slab; /* NULL: in none */
	struct kmem_cache *s; /* the slab's typed cache, or NULL */
	u8 *p; /* the object that it lies in or near; NULL: none */
	u32 index; /* of that object */
	size_t offset; /* of the pointer from chunk */
};

struct place debug_place(const void *pointer);
u8 *debug_object(const struct kmem_cache *s, struct page *slab, u32 index);

static inline bool debug_is_free(struct page *slab, u32 index)
{
	return READ_ONCE(*slab_map_word(slab, index / BITS_PER_LONG)) >> index % BITS_PER_LONG & 1;
}

/* Are state and size ones that may be there? Then the tracks before them are taken for sound, too. */
bool debug_tail_valid(const struct kmem_cache *s, u8 *p);

/* The first bytes of the object that are not as they should be, or false; it reports nothing. */
bool debug_find_fault(const struct kmem_cache *s, u8 *p, bool used, struct area *fault);

/* Reports whatever is wrong with an object, and repairs it. True: nothing was. */
bool debug_check_object(struct kmem_cache *s, u8 *p, bool used, const struct site *site);

/* The same of its slab's own numbers; nothing is repaired. */
void debug_check_slab(struct kmem_cache *s, struct page *slab, const struct site *site);

/* slub_debug.c: the stack from the program's call of the library outwards; what it called is left out. */
void debug_stack(struct stack *stack, const void *caller);

/* slub_debug_report.c: SLUB's reports. They end the program (option abort), but for those without a site. */

void debug_object_err(struct kmem_cache *s, u8 *p, const char *what, const struct site *site);
void debug_slab_err(struct kmem_cache *s, const struct place *at, const struct site *site,
		    const char *fmt, ...) __printf(4, 5);
void debug_bytes_err(struct kmem_cache *s, u8 *p, const struct area *expected,
		     const struct area *fault, const struct site *site);
void debug_fix(const struct kmem_cache *s, const char *fmt, ...) __printf(2, 3);
void debug_trace(const struct kmem_cache *s, u8 *p, bool alloc, const void *caller);
