/* SPDX-License-Identifier: MIT */
/*
 * kref.h - the kernel's kref: an object that counts its references and frees itself with the last.
 *
 *	struct session {
 *		struct kref ref;
 *		...
 *	};
 *
 *	static void session_release(struct kref *ref)
 *	{
 *		kfree(container_of(ref, struct session, ref));
 *	}
 *
 * Its three rules (Documentation/core-api/kref.rst): whoever passes the object on takes a reference first
 * (kref_get); whoever is done with it drops one (kref_put); whoever takes one without holding one needs a lock
 * against the last kref_put, or kref_get_unless_zero.
 *
 * refcount.h says what happens when the count is wrong, and how memory accesses are ordered.
 */
#pragma once

#include "slabmalloc/container_of.h"
#include "slabmalloc/refcount.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kref {
	refcount_t refcount;
};

#define KREF_INIT(n)             \
	{                        \
		REFCOUNT_INIT(n) \
	}

/* One reference: the maker's. */
static inline void kref_init(struct kref *kref)
{
	refcount_set(&kref->refcount, 1);
}

static inline unsigned int kref_read(const struct kref *kref)
{
	return refcount_read(&kref->refcount);
}

/* One more; the caller holds one. */
static inline void kref_get(struct kref *kref)
{
	refcount_inc(&kref->refcount);
}

/**
 * kref_put() - drop a reference
 * @kref: the object's
 * @release: frees the object (container_of); called by the thread that drops the last reference. Passing
 * kfree is an error of type, as in the kernel.
 *
 * Return: 1: the object is gone. 0 tells nothing: another thread may drop the last one at any moment.
 */
static inline int kref_put(struct kref *kref, void (*release)(struct kref *kref))
{
	if (!refcount_dec_and_test(&kref->refcount))
		return 0;
	release(kref);
	return 1;
}

/**
 * kref_put_mutex() - drop a reference of an object that is looked up under a mutex
 * @kref: the object's
 * @release: takes the object out of the table, frees it, and unlocks @mutex
 * @mutex: the table's; taken only for the last reference
 *
 * Return: as kref_put().
 */
static inline int kref_put_mutex(struct kref *kref, void (*release)(struct kref *kref),
				 pthread_mutex_t *mutex)
{
	if (!refcount_dec_and_mutex_lock(&kref->refcount, mutex))
		return 0;
	release(kref);
	return 1;
}

#if defined(_POSIX_C_SOURCE) && _POSIX_C_SOURCE >= 200112L
/* The same with a spinlock, which @release unlocks. */
static inline int kref_put_lock(struct kref *kref, void (*release)(struct kref *kref),
				pthread_spinlock_t *lock)
{
	if (!refcount_dec_and_lock(&kref->refcount, lock))
		return 0;
	release(kref);
	return 1;
}
#endif

/**
 * kref_get_unless_zero() - take a reference to an object that was found, not given
 * @kref: of an object whose memory stays where it is meanwhile
 *
 * Return: nonzero: the caller holds a reference. 0: the object is being released.
 */
static inline SLABMALLOC_MUST_CHECK int kref_get_unless_zero(struct kref *kref)
{
	return refcount_inc_not_zero(&kref->refcount);
}

#ifdef __cplusplus
}
#endif
