/* SPDX-License-Identifier: MIT */
/*
 * slub_debug.h - slab_debug at run time: SLUB's checks for any cache, by option or by the flags that it was
 * made with.
 *
 *	F	SLAB_CONSISTENCY_CHECKS	the slab's own numbers, at each alloc and free
 *	Z	SLAB_RED_ZONE		guard bytes on both sides of the object, and behind what was asked for
 *	P	SLAB_POISON		free objects are filled, and so is the padding
 *	U	SLAB_STORE_USER		who allocated and who freed it: stack, thread, time
 *	T	SLAB_TRACE		a line and a stack for each alloc and free
 *	A	SLAB_FAILSLAB		failures as option failslab says (failslab.h)
 *
 * Where the kernel looks at red zones and poison only under F, Z and P look at their own here. That a
 * pointer is an object in use is asked in any case.
 *
 * As in the kernel, what KFENCE samples of such a cache is KFENCE's to watch, but under T and A.
 *
 * No cost when off. Objects of such a cache never lie in a sheaf: its frames' class is the gate's, its slots
 * stay empty, so every alloc and free of it misses the fast path and comes here, one object at a time
 * (slab_alloc_batch and sheaf_free_one). malloc's own classes are diverted (kmalloc_divert[]) to caches of the same
 * name and alignment, before the first object of the process is made, or nearly.
 *
 * Locks: none but the slabs' own. An object belongs to the thread that allocates or frees it, with all that is
 * around it; a state word in it tells the others (slub_debug_internal.h). Reports are made with no lock held, since
 * a handler of SIGABRT may malloc.
 *
 * Errors end the program after the report (option abort); with abort:0 they are repaired as SLUB does: bytes are
 * restored, an object that was damaged while free is not used again, one that was damaged in use is not freed.
 */
#pragma once

#include "base/bug.h"
#include "base/printk.h"
#include "slab/kmem_cache.h"

/* Once the options are known, if one of debug, failslab or harden is set: kmalloc's classes are diverted. */
void debug_boot(void);

/* At normal exit: every object of every cache with debugging is looked at. */
void debug_exit(void);

/* The flags of a cache that is to be made, with what option debug adds to them or takes away. */
slab_flags_t debug_flags(const struct cache_shape *shape);

/* kmem_cache_new's layout: makes room around the object, as s->flags say. */
void debug_layout(struct kmem_cache *s);

/* One object for n bytes, every byte 0x5a under P; NULL: no memory. gfp may be atomic. */
void *debug_alloc(struct kmem_cache *s, size_t n, gfp_t gfp, const void *caller);

/* Any pointer may come. False: it was reported, and is not freed. */
bool debug_free(struct kmem_cache *s, void *p, const struct call *call, const void *caller);

/* By what the program asked for an object: operators and malloc must not be mixed. */
enum origin { ORIGIN_MALLOC, ORIGIN_NEW, ORIGIN_NEW_ARRAY, NR_ORIGINS };

/* What is said of a block of one that is given back as another's. */
extern const char *const debug_mismatch[NR_ORIGINS];

/* Of a cache with tracks; where p is no object in use, nothing. */
void debug_set_origin(struct kmem_cache *s, void *p, enum origin origin);

/* False: another origin, which was reported. Where it is no object in use, true. */
bool debug_check_origin(struct kmem_cache *s, const struct call *call, enum origin origin,
			const void *caller);

/*
 * The bytes that the program may use of an object in use: exactly those it asked for (1 for malloc(0)), since all
 * others are watched. 0: none starts there; debug_bad_pointer tells.
 */
size_t debug_ksize(struct kmem_cache *s, const void *p);

/* The report about a pointer into a slab of s that is no object in use. */
void debug_bad_pointer(struct kmem_cache *s, const struct call *call, const void *caller);

/* Looks at every object; what is wrong is reported and repaired, the program goes on. Returns how many were wrong. */
long debug_validate(struct kmem_cache *s);

/* The objects that are out, by call site (U), on stderr. */
void debug_report_leaks(struct kmem_cache *s);

/* The same for the files alloc_traces and free_traces: who allocated (last freed) the objects in use. */
void debug_list_users(struct kmem_cache *s, struct seq_file *m, bool alloc);

/* Bytes that the program asked for, of the objects in use of each typed cache; wrong where a tail was overwritten. */
extern unsigned long debug_bytes_asked[NR_TYPED];

static inline unsigned long debug_asked(const struct kmem_cache *s)
{
	return s->id < TYPED_FIRST ? 0 : counter_read(debug_bytes_asked[s->id - TYPED_FIRST]);
}
