/* SPDX-License-Identifier: MIT */
/*
 * shrinker.h - the kernel's shrinkers: caches of the program's that give memory back when they are asked.
 *
 * A shrinker says how many objects it could free (count_objects) and frees some (scan_objects). How many it is
 * asked for follows from how many it has, from how dear they are to make again (seeks) and from how badly
 * memory is wanted (priority: 12 little, 0 everything):
 *
 *	delta	= (freeable >> priority) * 4 / seeks, or freeable / 2 where seeks is 0
 *	asked	= delta + (deferred >> priority), at most 2 * freeable
 *	batches	of `batch` objects (0: 128), as long as a whole batch, or all that there is, is still to be scanned
 *	rest	what was due and not scanned is deferred, per node, at most 2 * freeable: the next call adds it
 *
 * So a small cache gives nothing at a low pressure until enough small shares have come together.
 *
 * Registered in one of two ways, as the kernel's of today or as the older ones that most books show:
 *
 *	s = shrinker_alloc(0, "my-cache");		static struct shrinker s = {
 *	s->count_objects = count;				.count_objects = count,
 *	s->scan_objects = scan;					.scan_objects = scan,
 *	shrinker_register(s);					.seeks = DEFAULT_SEEKS,
 *	...						};
 *	shrinker_free(s);				register_shrinker(&s);  ...  unregister_shrinker(&s);
 *
 * What callbacks may do. They are called by whichever thread gives memory back, with no lock of the library held, and
 * may be called by several threads at once. They may allocate and free; register other shrinkers (a walk that is
 * going on does not ask those); unregister and free their own shrinker (it is not called again, and its memory is the
 * program's at once) or others. An allocation of theirs, or slabmalloc_shrink(), never leads to another
 * walk in the same thread. They must not wait for a lock that is held across an allocation that may reclaim; use
 * trylock and return SHRINK_STOP, as in the kernel.
 */
#pragma once

#include <stddef.h>

#include "slabmalloc/gfp_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What count_objects and scan_objects are told. */
struct shrink_control {
	gfp_t gfp_mask; /* what they may do if they allocate */
	int nid; /* the node; 0 for a shrinker that does not care */
	unsigned long nr_to_scan; /* how many objects to look at, and free if they can be */
	unsigned long
		nr_scanned; /* how many were looked at: nr_to_scan, unless the callback says otherwise */
	void *memcg; /* NULL: there are no memory cgroups inside a process */
};

/* scan_objects: nothing can be freed now; the walk goes on to the next shrinker, and what was due is deferred. */
#define SHRINK_STOP (~0UL)
/* count_objects: there is nothing at all. (0: nothing that could be freed.) */
#define SHRINK_EMPTY (~0UL - 1)

/* What it takes to make an object again, in disk seeks; a larger number protects the objects. */
#define DEFAULT_SEEKS 2

/* Called for each node. */
#define SHRINKER_NUMA_AWARE 0x04u
/* Accepted, no meaning. */
#define SHRINKER_MEMCG_AWARE 0x08u
#define SHRINKER_NONSLAB 0x10u
/* The library's: registered now. */
#define SHRINKER_REGISTERED 0x01u
#define SHRINKER_ALLOCATED 0x02u

struct shrinker_entry;

/**
 * struct shrinker - a cache that can be asked to shrink
 * @count_objects: how many objects could be freed, SHRINK_EMPTY or 0; cheap, no lock if possible
 * @scan_objects: looks at sc->nr_to_scan objects, and returns how many of them it freed, or SHRINK_STOP
 * @batch: objects in one call of scan_objects; 0: 128
 * @seeks: the cost of an object; 0: cheap, half of them go at any priority
 * @flags: SHRINKER_NUMA_AWARE ...
 * @private_data: the program's own
 * @entry: the library's own
 */
struct shrinker {
	unsigned long (*count_objects)(struct shrinker *s, struct shrink_control *sc);
	unsigned long (*scan_objects)(struct shrinker *s, struct shrink_control *sc);
	long batch;
	int seeks;
	unsigned int flags;
	void *private_data;
	struct shrinker_entry *entry;
};

/**
 * shrinker_alloc() - make a shrinker
 * @flags: SHRINKER_NUMA_AWARE or 0
 * @fmt: its name, as for printf (%s %c %d %u %x %p), of which 31 characters count
 *
 * Its fields are set by the caller then, and it is registered.
 *
 * Return: the shrinker, with DEFAULT_SEEKS, to be freed by shrinker_free(); NULL: no memory.
 */
struct shrinker *shrinker_alloc(unsigned int flags, const char *fmt,
				...) __asm__("slabmalloc_shrinker_alloc")
	__attribute__((format(printf, 2, 3)));

/* From now on it may be called. One that lacks a callback is left out, and a line says so. */
void shrinker_register(struct shrinker *shrinker) __asm__("slabmalloc_shrinker_register");

/**
 * shrinker_free() - end a shrinker of shrinker_alloc()
 * @shrinker: registered or not, or NULL
 *
 * Waits until no other thread is in one of its callbacks. The caller holds no lock that they take.
 */
void shrinker_free(struct shrinker *shrinker) __asm__("slabmalloc_shrinker_free");

/* Arguments behind fmt, which may be NULL: no name. */
int __register_shrinker(struct shrinker *shrinker, const char *fmt,
			...) __asm__("slabmalloc_register_shrinker");

/**
 * register_shrinker() - let a shrinker be called
 * @shrinker: the caller's, zero but for the callbacks, @seeks, @batch, @flags, @private_data
 * @...: none (to Linux 5.19), or its name as for printf (Linux 6.0 to 6.6)
 *
 * Return: 0; -ENOMEM; -EINVAL and a line: it is registered already, or lacks a callback.
 */
#define register_shrinker(...) __register_shrinker(__VA_ARGS__, (const char *)0)

/* Undoes it; one that is not registered is left alone. Waits as shrinker_free(). */
void unregister_shrinker(struct shrinker *shrinker) __asm__("slabmalloc_unregister_shrinker");

/**
 * slabmalloc_shrink() - ask all shrinkers, now
 * @priority: from 12 (a little) to 0 (everything)
 *
 * Those that are registered when it begins, in that order. With priority 0 the heap then gives back
 * what it has at hand itself, as malloc_trim() does.
 *
 * Return: objects freed by shrinkers. 0 inside a callback of a shrinker.
 */
unsigned long slabmalloc_shrink(int priority);

#ifdef __cplusplus
}
#endif
