// SPDX-License-Identifier: MIT
/*
 * realloc.c - a block gets another size: in place where it can; large blocks by moving pages, never bytes; otherwise a new
 * block and a copy.
 *
 * Two calls of three are short, and made by a jump: realloc(NULL, n), which some programs use for every malloc, and a size
 * for which the block stays where it is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "debug/profile.h"
#include "debug/zero_size.h"
#include "page/large.h"
#include "preload/entry.h"

/*
 * Who lets a block grow lets it grow again: an eighth to spare, so that appending copies each byte a few times
 * and not once for every class.
 */
static size_t with_room(size_t n)
{
	return n + n / 8 <= KMALLOC_MAX ? n + n / 8 : n;
}

/* The class is the same, or a smaller one would save less than half. Not for n = 0. */
static __always_inline bool stays(u32 id, size_t n)
{
	size_t old = cache_of(id)->size;

	return id && n <= old && (n > old / 2 || kmalloc_index(n) == id);
}

/* The class that a sampled object stands in for. */
static u32 sampled_class(const void *p)
{
	const struct kmem_cache *s = cache_at(p);

	return s && s->flags & SLAB_SAMPLED ? kmalloc_index(s->object_size) : 0;
}

static void *zero_size_realloc(void *p, size_t n)
{
	void *q = zero_size_in_use(&(struct call){ "realloc", p }) ? entry_malloc(n) : NULL;

	if (q)
		entry_free(p);
	return q;
}

/* Where a large block stays one. NULL: it is copied, if anything. */
static void *large_realloc(void *p, size_t n, const void *caller)
{
	void *q;

	/* Once it has moved, its address is anybody's. */
	if (profile_on())
		profile_free(p);
	q = large_resize(p, n);
	entry_tick();
	if (q && profile_on())
		entry_count(q, n, n, caller);
	return q;
}

static noinline void *realloc_slow(void *p, size_t n)
{
	u32 id = object_class(p);
	size_t old;
	void *q;

	if (!n) {
		entry_free_from(p, "realloc", CALLER);
		return NULL;
	}
	if (n > PTRDIFF_MAX)
		return entry_no_memory();
	if (!id && is_zero_size(p))
		return zero_size_realloc(p, n);
	old = entry_block_size(p, id, "realloc");
	if (!id && profile_on())
		id = sampled_class(p);
	if (!old || stays(id, n))
		return old ? p : NULL;
	if (!id && n > KMALLOC_MAX && (q = large_realloc(p, n, CALLER)))
		return q;
	/* What is diverted gets exactly what it asks for: debugging watches the rest. */
	q = entry_kmalloc(id && n > old ? with_room(n) : n, GFP_KERNEL, CALLER);
	if (!q)
		return NULL;
	memcpy(q, p, min(old, n));
	entry_free(p);
	return q;
}

/* Nothing is done to a block that stays: it is only asked for the key that a freed one has. */
static __always_inline void *resized(void *p, size_t n)
{
	if (!p)
		return entry_malloc(n);
	if (n && stays(object_class(p), n) && likely(!object_keyed(p)))
		return p;
	return realloc_slow(p, n);
}

EXPORT HOT void *realloc(void *p, size_t n)
{
	return resized(p, n);
}

EXPORT void *reallocarray(void *p, size_t count, size_t size)
{
	size_t n;

	if (__builtin_mul_overflow(count, size, &n)) {
		errno = ENOMEM;
		return NULL;
	}
	return resized(p, n);
}

LIBC_ALIAS(realloc);
