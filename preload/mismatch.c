// SPDX-License-Identifier: MIT
#include "preload/mismatch.h"

#include "debug/kfence.h"
#include "page/large.h"

/* The cache that has tracks of the object, if there is one. */
static struct kmem_cache *tracking(const void *p)
{
	struct kmem_cache *s = p ? cache_at(p) : NULL;

	return s && s->track ? s : NULL;
}

void *mismatch_allocated(void *p, enum origin origin)
{
	struct kmem_cache *s = tracking(p);

	if (is_kfence_address(p))
		kfence_set_origin(p, origin);
	else if (s)
		debug_set_origin(s, p, origin);
	return p;
}

bool mismatch_origin(const struct call *call, enum origin origin, const void *caller)
{
	struct kmem_cache *s = tracking(call->ptr);

	if (is_kfence_address(call->ptr))
		return kfence_check_origin(call, origin, caller);
	return !s || debug_check_origin(s, call, origin, caller);
}

/* May a block in which the program may use `had` bytes have been asked for with n? */
static bool fits(const struct kmem_cache *s, const void *p, size_t had, size_t n, bool aligned)
{
	n = max(n, (size_t)1);
	/* pvalloc rounds up. */
	if (aligned)
		return n <= had;
	if (is_kfence_address(p) || (s && s->flags & SLAB_DEBUG_FLAGS))
		return n == had;
	if (!s)
		return n <= had && n > had / 2;
	return n <= KMALLOC_MAX && cache_of(kmalloc_index(n))->size == had;
}

bool mismatch_size(const struct call *call, size_t n, bool aligned)
{
	void *p = (void *)(uintptr_t)call->ptr;
	struct kmem_cache *s = p ? cache_at(p) : NULL;
	size_t had;

	if (s && !(s->flags & SLAB_DIVERTED))
		return true;
	if (is_kfence_address(p))
		had = kfence_ksize(p);
	else
		had = s ? cache_usable(s, p) : large_size(p);
	if (!had || fits(s, p, had, n, aligned))
		return true;
	report_bad(call, "wrong size: %zu, of a block of %zu bytes", n, had);
	return false;
}
