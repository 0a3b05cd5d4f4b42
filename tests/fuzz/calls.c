/* SPDX-License-Identifier: MIT */
/*
 * calls.c - sequences of calls of the whole API against the shadow map: each byte or two of the input is a choice.
 *
 * The library's malloc has other names here (meson.build), so the fuzzer's own blocks are not in the heap under test: it
 * is empty again after each input, and what an input does depends little on those before.
 */
#define _GNU_SOURCE
#include "shadow.h"
#include "shadow_map.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "choices.h"
#include "slabmalloc/slab.h"
#include "slabmalloc/slabmalloc.h"
#include "slabmalloc/vmalloc.h"

#define SLOTS 256 /* one byte of the input */
#define CACHES 8
#define BULK 16
#define LIVE_LIMIT (4 * MIB)
/* Inputs between two walks over the heap. */
#define WALK 64

void free_sized(void *p, size_t size);
void free_aligned_sized(void *p, size_t align, size_t size);

/* An object, and which family of functions it belongs to. */
struct slot {
	struct object object;
	enum { OF_MALLOC, OF_KMALLOC, OF_VMALLOC, OF_CACHE } family;
	unsigned int cache;
};

static struct slot slots[SLOTS];
static struct cache {
	struct kmem_cache *s;
	size_t size, align;
	unsigned int objects;
} caches[CACHES];

static struct actor actor;
static uint64_t inputs, operations;
static bool trimmed; /* in this input, or it is not this input's turn */

void shadow_fail(const struct actor *a, const struct object *o, const char *what)
{
	fprintf(stderr,
		"calls: %s: %s: object %p of %zu bytes (align %zu, usable %zu), input %llu, operation %llu\n",
		a->call ? a->call : "start", what, (void *)o->p, o->size, o->align, o->usable,
		(unsigned long long)inputs, (unsigned long long)a->operation);
	abort();
}

static gfp_t choose_gfp(struct actor *a)
{
	static const gfp_t masks[] = { GFP_KERNEL,
				       GFP_ATOMIC,
				       GFP_NOWAIT,
				       GFP_KERNEL | __GFP_ZERO,
				       GFP_ATOMIC | __GFP_ZERO,
				       GFP_KERNEL | __GFP_NORETRY };

	return masks[rng_below(&a->rng, ARRAY_SIZE(masks))];
}

/* Up to 2 MiB, but mostly below 2 KiB: of large ones each page is a page fault, hundreds of other calls' time. */
static size_t choose_size(struct actor *a)
{
	unsigned int roll = (unsigned int)rng_below(&a->rng, 256);
	unsigned int bits = roll < 10 ? roll + 11 : roll % 11;
	size_t size = ((size_t)1 << bits) + rng_below(&a->rng, (size_t)1 << bits);

	return a->live_bytes + size > a->live_limit ? 1 + size % 256 : size;
}

/* A new object; what may fail (atomic requests may, at any time) leaves the slot empty. */
static void received(struct actor *a, struct slot *slot, gfp_t gfp)
{
	struct object *o = &slot->object;

	if (!o->p && !(gfp & __GFP_DIRECT_RECLAIM))
		return;
	for (size_t i = 0; o->p && gfp & __GFP_ZERO && i < o->size; i += i < 64 ? 1 : 509)
		if (o->p[i])
			shadow_fail(a, o, "zeroed memory is not zero");
	object_adopt(a, o);
}

static void create_kmalloc(struct actor *a, struct slot *slot)
{
	struct object *o = &slot->object;
	gfp_t gfp = choose_gfp(a);

	*o = (struct object){ .size = choose_size(a) };
	if (o->size > KMALLOC_MAX_SIZE)
		o->size = KMALLOC_MAX_SIZE;
	a->call = "kmalloc";
	slot->family = OF_KMALLOC;
	o->p = kmalloc(o->size, gfp);
	received(a, slot, gfp);
}

static void create_vmalloc(struct actor *a, struct slot *slot)
{
	struct object *o = &slot->object;
	bool zero = rng_below(&a->rng, 2);

	*o = (struct object){ .size = choose_size(a), .align = 4096 };
	a->call = zero ? "vzalloc" : "kvmalloc";
	slot->family = OF_VMALLOC;
	if (!zero)
		o->align = 0;
	o->p = zero ? vzalloc(o->size) : kvmalloc(o->size, GFP_KERNEL);
	received(a, slot, zero ? GFP_KERNEL | __GFP_ZERO : GFP_KERNEL);
}

static void make_cache(struct actor *a, struct cache *c)
{
	static const slab_flags_t flags[] = { 0, SLAB_HWCACHE_ALIGN, SLAB_ACCOUNT,
					      SLAB_TYPESAFE_BY_RCU };

	c->align = (size_t)16 << rng_below(&a->rng, 6);
	c->size = 16 + rng_below(&a->rng, rng_below(&a->rng, 16) ? 512 : 20000);
	/* Of caches that become one the usable size is that of the larger, from then on. */
	c->s = kmem_cache_create("fuzzed", c->size, c->align,
				 SLAB_NO_MERGE | flags[rng_below(&a->rng, ARRAY_SIZE(flags))],
				 NULL);
}

static void received_of_cache(struct actor *a, struct slot *slot, unsigned int cache, void *p,
			      gfp_t gfp)
{
	struct cache *c = &caches[cache];

	slot->family = OF_CACHE;
	slot->cache = cache;
	slot->object = (struct object){ .p = p, .size = c->size, .align = c->align };
	received(a, slot, gfp);
	c->objects += slot->object.p != NULL;
}

static void create_of_cache(struct actor *a, struct slot *slot)
{
	unsigned int cache = (unsigned int)rng_below(&a->rng, CACHES);
	gfp_t gfp = choose_gfp(a);

	if (!caches[cache].s)
		make_cache(a, &caches[cache]);
	if (!caches[cache].s)
		return;
	a->call = "kmem_cache_alloc";
	received_of_cache(a, slot, cache, kmem_cache_alloc(caches[cache].s, gfp), gfp);
}

static void destroy(struct actor *a, struct slot *slot)
{
	struct object *o = &slot->object;

	if (slot->family == OF_MALLOC) {
		object_destroy(a, o);
		return;
	}
	object_disown(a, o);
	errno = 4711;
	a->call = "kfree and its kin";
	if (slot->family == OF_CACHE) {
		kmem_cache_free(caches[slot->cache].s, o->p);
		caches[slot->cache].objects--;
	} else if (slot->family == OF_VMALLOC) {
		kvfree(o->p);
	} else if (rng_below(&a->rng, 16) == 0) {
		kfree_sensitive(o->p);
	} else {
		kfree(o->p);
	}
	if (errno != 4711)
		shadow_fail(a, o, "errno changed");
	o->p = NULL;
}

static void resize(struct actor *a, struct slot *slot)
{
	struct object *o = &slot->object, old = *o;
	size_t size;

	if (slot->family == OF_MALLOC) {
		object_resize(a, o);
	} else if (slot->family == OF_KMALLOC) {
		size = choose_size(a);
		size = size > KMALLOC_MAX_SIZE ? KMALLOC_MAX_SIZE : size;
		object_disown(a, o);
		a->call = "krealloc";
		o->size = size;
		o->p = krealloc(old.p, size, GFP_KERNEL);
		if (o->p && !pattern_prefix_holds(o->p, old.filled,
						  old.size < size ? old.size : size, old.seed))
			shadow_fail(a, &old, "krealloc did not keep the contents");
		object_adopt(a, o);
	} else {
		object_verify(a, o);
	}
}

static void create(struct actor *a, struct slot *slot)
{
	uint64_t roll = rng_below(&a->rng, 16);

	if (roll < 9) {
		slot->family = OF_MALLOC;
		object_create(a, &slot->object);
	} else if (roll < 12) {
		create_kmalloc(a, slot);
	} else if (roll < 13) {
		create_vmalloc(a, slot);
	} else {
		create_of_cache(a, slot);
	}
}

/* Fills empty slots from here on with objects of one cache, or empties those that hold some. */
static void bulk(struct actor *a, unsigned int at)
{
	unsigned int cache = (unsigned int)rng_below(&a->rng, CACHES), n = 0;
	struct cache *c = &caches[cache];
	bool take = rng_below(&a->rng, 2);
	struct slot *chosen[BULK];
	void *p[BULK];

	for (unsigned int i = 0; c->s && i < SLOTS && n < BULK; i++) {
		struct slot *slot = &slots[(at + i) % SLOTS];

		if (take ? !slot->object.p
			 : slot->object.p && slot->family == OF_CACHE && slot->cache == cache)
			chosen[n++] = slot;
	}
	if (!n)
		return;
	a->call = take ? "kmem_cache_alloc_bulk" : "kmem_cache_free_bulk";
	if (take && kmem_cache_alloc_bulk(c->s, GFP_KERNEL, n, p) != (int)n)
		shadow_fail(a, &chosen[0]->object, "no memory for a size that must be had");
	for (unsigned int i = 0; i < n; i++) {
		if (take) {
			received_of_cache(a, chosen[i], cache, p[i], GFP_KERNEL);
		} else {
			object_disown(a, &chosen[i]->object);
			p[i] = chosen[i]->object.p;
			chosen[i]->object.p = NULL;
		}
	}
	if (take)
		return;
	kmem_cache_free_bulk(c->s, n, p);
	c->objects -= n;
}

static void end_cache(struct cache *c)
{
	if (!c->s || c->objects)
		return;
	kmem_cache_destroy(c->s);
	c->s = NULL;
}

/* What must fail, and leave everything as it is. */
static void impossible(struct actor *a, struct slot *slot)
{
	static const struct object nothing;
	size_t huge = SIZE_MAX - rng_below(&a->rng, (size_t)1 << 63);
	void *p = &huge, *volatile out = p;
	unsigned int which = (unsigned int)rng_below(&a->rng, 6);

	a->call = "a call that must fail";
	errno = 0;
	if (which == 0)
		p = malloc(huge);
	else if (which == 1)
		p = calloc(huge / 2, 4);
	else if (which == 2)
		p = aligned_alloc((size_t)1 << rng_below(&a->rng, 64), huge);
	else if (which == 3 && slot->object.p && slot->family == OF_MALLOC)
		p = realloc(slot->object.p, huge);
	else if (which == 4)
		p = reallocarray(NULL, huge, 16);
	else
		p = posix_memalign((void **)&out, 1ul << rng_below(&a->rng, 64), huge) &&
				    out == (void *)&huge
			    ? NULL
			    : out;
	if (p)
		shadow_fail(a, &nothing, "it did not fail");
	free(NULL);
	kfree(NULL);
}

static void operate(struct actor *a);

/* The next few operations are another thread's, which ends then. */
static void *elsewhere(void *arg)
{
	struct actor *a = arg;

	for (uint64_t n = 1 + rng_below(&a->rng, 128); n && choices_left(); n--)
		operate(a);
	return NULL;
}

static void run_elsewhere(struct actor *a)
{
	static bool nested;
	pthread_t thread;

	if (nested || pthread_create(&thread, NULL, elsewhere, a))
		return;
	nested = true;
	pthread_join(thread, NULL);
	nested = false;
}

static void rare(struct actor *a, unsigned int at)
{
	switch (rng_below(&a->rng, 64)) {
	case 0:
		/* It takes as long as thousands of other calls. */
		if (!trimmed)
			malloc_trim(0);
		trimmed = true;
		break;
	case 1:
		run_elsewhere(a);
		break;
	case 2 ... 7:
		end_cache(&caches[at % CACHES]);
		break;
	case 8 ... 11:
		if (caches[at % CACHES].s)
			kmem_cache_shrink(caches[at % CACHES].s);
		break;
	case 12 ... 15:
		impossible(a, &slots[at]);
		break;
	default:
		bulk(a, at);
	}
}

static void operate(struct actor *a)
{
	unsigned int roll = (unsigned int)rng_below(&a->rng, 64);
	unsigned int at = (unsigned int)rng_below(&a->rng, SLOTS);
	struct slot *slot = &slots[at];

	a->operation++;
	if (roll < 4)
		rare(a, at);
	else if (!slot->object.p)
		create(a, slot);
	else if (roll < 20)
		resize(a, slot);
	else if (roll < 24)
		object_verify(a, &slot->object);
	else
		destroy(a, slot);
}

static void clear(struct actor *a)
{
	static const struct object nothing;

	for (unsigned int i = 0; i < SLOTS; i++)
		if (slots[i].object.p)
			destroy(a, &slots[i]);
	for (unsigned int i = 0; i < CACHES; i++)
		end_cache(&caches[i]);
	if (shadow_claimed() != 0)
		shadow_fail(a, &nothing, "granules are still claimed: a fault of this test");
	if (inputs % WALK == 0 && slabmalloc_check() != 0)
		shadow_fail(a, &nothing, "slabmalloc_check found inconsistencies");
}

static void say(void)
{
	fprintf(stderr, "calls: %llu inputs, %llu operations\n", (unsigned long long)inputs,
		(unsigned long long)operations);
}

uint64_t calls_operations(void)
{
	return operations;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!inputs++)
		atexit(say);
	actor = (struct actor){ .live_limit = LIVE_LIMIT };
	trimmed = inputs % 8;
	choices_begin(data, size);
	while (choices_left())
		operate(&actor);
	clear(&actor);
	operations += actor.operation;
	return 0;
}
