/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "shadow.h"
#include "shadow_map.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIN_ALIGN ((size_t)16)
/* calloc's result is read whole up to this size; beyond, the start and a word of each frame. */
#define ZERO_WHOLE (16 * KIB)

/*
 * Sizes are spread evenly over their logarithm, and the small ones are by far the most:
 * of a thousand 900 are below 1 KiB, 80 below 64 KiB, 19 below 1 MiB, one below 64 MiB.
 */
static size_t random_size(struct actor *a)
{
	uint64_t roll = rng_below(&a->rng, 1000);
	unsigned int bits = roll < 900 ? 10 : roll < 980 ? 16 : roll < 999 ? 20 : 26;
	size_t top = (size_t)1 << rng_below(&a->rng, bits + 1);
	size_t size = top / 2 + rng_below(&a->rng, top / 2 + 1);

	/* Exact powers of two and their neighbours are where classes and frames end. */
	if (rng_below(&a->rng, 8) == 0)
		size = top - 1 + rng_below(&a->rng, 3);
	if (rng_below(&a->rng, 128) == 0)
		size = 0;
	return a->live_bytes + size > a->live_limit ? size % 256 : size;
}

static size_t random_align(struct actor *a)
{
	uint64_t roll = rng_below(&a->rng, 100);
	unsigned int bits = roll < 80 ? 8 : roll < 98 ? 13 : 22;

	return sizeof(void *) << rng_below(&a->rng, bits - 2);
}

static void check_zero(const struct actor *a, const struct object *o)
{
	size_t i;

	for (i = 0; i < o->size && i < ZERO_WHOLE; i++)
		if (o->p[i])
			shadow_fail(a, o, "calloc's memory is not zero");
	for (; i < o->size; i += 4096)
		if (o->p[i] || o->p[o->size - 1])
			shadow_fail(a, o, "calloc's memory is not zero");
}

void object_adopt(struct actor *a, struct object *o)
{
	size_t align = o->align > MIN_ALIGN ? o->align : MIN_ALIGN;

	if (!o->p)
		shadow_fail(a, o, "no memory for a size that must be had");
	if ((uintptr_t)o->p % align)
		shadow_fail(a, o, "misaligned");
	o->usable = malloc_usable_size(o->p);
	if (o->usable < o->size)
		shadow_fail(a, o, "usable size below the request");
	if (!shadow_claim(o->p, o->usable))
		shadow_fail(a, o, "overlaps a live object");
	a->live_bytes += o->usable;
	o->filled = rng_below(&a->rng, 4) ? o->size : o->usable;
	o->seed = rng_next(&a->rng);
	pattern_fill(o->p, o->filled, o->seed);
}

void object_disown(struct actor *a, struct object *o)
{
	object_verify(a, o);
	if (!shadow_release(o->p, o->usable))
		shadow_fail(a, o, "the shadow map lost it: a fault of this test");
	a->live_bytes -= o->usable < a->live_bytes ? o->usable : a->live_bytes;
}

/* Two factors whose product is the size, for calloc and reallocarray. */
static size_t random_factor(struct actor *a, size_t size)
{
	size_t factor = (size_t)1 << rng_below(&a->rng, 8);

	return size % factor == 0 ? factor : 1;
}

static void create_plain(struct actor *a, struct object *o, uint64_t roll)
{
	size_t factor = random_factor(a, o->size);

	if (roll < 50) {
		a->call = "malloc";
		o->p = malloc(o->size);
	} else if (roll < 64) {
		a->call = "calloc";
		o->p = calloc(o->size / factor, factor);
		if (o->p)
			check_zero(a, o);
	} else if (roll < 70) {
		a->call = "realloc of NULL";
		o->p = realloc(NULL, o->size);
	} else {
		a->call = "reallocarray of NULL";
		o->p = reallocarray(NULL, o->size / factor, factor);
	}
}

static void create_aligned(struct actor *a, struct object *o, uint64_t roll)
{
	void *p = NULL;

	o->align = random_align(a);
	if (roll < 84) {
		a->call = "aligned_alloc";
		o->p = aligned_alloc(o->align, o->size);
	} else if (roll < 91) {
		a->call = "posix_memalign";
		o->p = posix_memalign(&p, o->align, o->size) == 0 ? p : NULL;
	} else {
		a->call = "memalign";
		o->p = memalign(o->align, o->size);
	}
}

static void create_paged(struct actor *a, struct object *o, uint64_t roll)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	o->align = page;
	if (roll < 98) {
		a->call = "valloc";
		o->p = valloc(o->size);
	} else {
		a->call = "pvalloc";
		o->size = (o->size + page - 1) / page * page;
		o->p = pvalloc(o->size);
	}
}

void object_create(struct actor *a, struct object *o)
{
	uint64_t roll = rng_below(&a->rng, 100);

	memset(o, 0, sizeof(*o));
	o->size = random_size(a);
	if (roll < 76)
		create_plain(a, o, roll);
	else if (roll < 96)
		create_aligned(a, o, roll);
	else
		create_paged(a, o, roll);
	object_adopt(a, o);
}

/* Half of the new sizes are near the old one, as when programs let a buffer grow. */
void object_resize(struct actor *a, struct object *o)
{
	size_t size = random_size(a);
	struct object old = *o;
	size_t factor;

	if (rng_below(&a->rng, 2))
		size = o->size + o->size / 2 + rng_below(&a->rng, 64);
	if (size == 0 || a->live_bytes + size > a->live_limit)
		size = 1 + size % 256;
	factor = random_factor(a, size);

	object_disown(a, o);
	o->size = size;
	o->align = 0;
	if (rng_below(&a->rng, 4)) {
		a->call = "realloc";
		o->p = realloc(old.p, size);
	} else {
		a->call = "reallocarray";
		o->p = reallocarray(old.p, size / factor, factor);
	}
	if (o->p &&
	    !pattern_prefix_holds(o->p, old.filled, old.size < size ? old.size : size, old.seed))
		shadow_fail(a, &old, "realloc did not keep the contents");
	object_adopt(a, o);
}

/* Every way to free that the object's kind permits; errno must survive them all. */
void object_destroy(struct actor *a, struct object *o)
{
	uint64_t roll = rng_below(&a->rng, 16);
	bool aligned = o->align != 0;

	object_disown(a, o);
	errno = 4711;
	if (roll < 3 && !aligned) {
		a->call = "free_sized";
		call_free_sized(o->p, o->size);
	} else if (roll < 8 && aligned) {
		a->call = "free_aligned_sized";
		call_free_aligned_sized(o->p, o->align, o->size);
	} else if (roll == 15) {
		a->call = "realloc to 0";
		if (realloc(o->p, 0))
			shadow_fail(a, o, "realloc to 0 returned something");
	} else {
		a->call = "free";
		free(o->p);
	}
	if (errno != 4711 && roll != 15)
		shadow_fail(a, o, "errno changed");
	o->p = NULL;
}

void object_verify(const struct actor *a, const struct object *o)
{
	if (!pattern_holds(o->p, o->filled, o->seed))
		shadow_fail(a, o, "contents changed while it was live");
	if (malloc_usable_size(o->p) != o->usable)
		shadow_fail(a, o, "usable size changed while it was live");
}
