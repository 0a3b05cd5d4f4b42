// SPDX-License-Identifier: MIT
/*
 * realloc.c - a block gets another size: in place where it can; large blocks by moving pages, never bytes; otherwise a new
 * block and a copy.
 *
 * Two kinds of call save no register and call nothing: realloc(NULL, n), as Lua allocates, and a size for which the block stays
 * where it is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "debug/profile.h"
#include "debug/zero_size.h"
#include "page/large.h"
#include "preload/entry.h"

/*
 * Who lets a block grow by a little lets it grow again: an eighth to spare, so that appending copies each byte a few times
 * and not once for every class. Who doubles it, as arrays grow, has thought of that.
 */
static size_t with_room(size_t old, size_t n)
{
	bool appends = n > old && n - old < n / 8;

	return appends && n + n / 8 <= KMALLOC_MAX ? n + n / 8 : n;
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
	entry_drop_kept();
	q = large_resize(p, n);
	entry_tick();
	if (q && profile_on())
		entry_count(q, n, n, caller);
	return q;
}

/* What is diverted gets exactly what it asks for: debugging watches the rest. */
static __always_inline void *move(void *p, size_t old, size_t n, size_t room, const void *caller)
{
	void *q = entry_kmalloc(room, GFP_KERNEL, caller);

	if (unlikely(!q))
		return NULL;
	memcpy(q, p, min(old, n));
	entry_free(p);
	return q;
}

/* A block of no class: large, of a typed cache, or watched by somebody. */
static noinline void *realloc_other(void *p, size_t n, const void *caller)
{
	size_t old;
	void *q;
	u32 id;

	if (is_zero_size(p))
		return zero_size_realloc(p, n);
	old = entry_block_size(p, 0, "realloc");
	id = profile_on() ? sampled_class(p) : 0;
	if (!old || stays(id, n))
		return old ? p : NULL;
	if (!id && n > KMALLOC_MAX && (q = large_realloc(p, n, caller)))
		return q;
	return move(p, old, n, id ? with_room(old, n) : n, caller);
}

static noinline void *realloc_slow(void *p, size_t n, u32 id)
{
	size_t old = cache_of(id)->size;

	if (unlikely(n - 1 >= PTRDIFF_MAX)) {
		if (n)
			return entry_no_memory();
		entry_free_from(p, "realloc", CALLER);
		return NULL;
	}
	if (!id)
		return realloc_other(p, n, CALLER);
	if (unlikely(object_keyed(p) || !slab_object_starts(id, p)) &&
	    !entry_in_use(id, p, "realloc"))
		return NULL;
	return stays(id, n) ? p : move(p, old, n, with_room(old, n), CALLER);
}

/* Nothing is done to a block that stays: it is only asked for the key that a freed one has. */
static __always_inline void *resized(void *p, size_t n)
{
	u32 id;

	if (!p)
		return entry_malloc(n);
	id = object_class(p);
	if (n && stays(id, n) && likely(!object_keyed(p)))
		return p;
	return realloc_slow(p, n, id);
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
