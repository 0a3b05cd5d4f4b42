/* SPDX-License-Identifier: MIT */
/*
 * refcount.h - the kernel's refcount_t: a count of references that errors cannot wrap around.
 *
 *	0			nobody refers to the object; whoever counted down to it frees it
 *	1 .. REFCOUNT_MAX	so many references
 *	negative		saturated: something went wrong, or there were too many references. The count stays
 *				there, and the object is never freed: a leak in place of a use after free.
 *
 * REFCOUNT_SATURATED lies in the middle of the negative numbers: what other threads still add and
 * subtract before the one that saw the error has stored it would have to be a thousand million to leave them.
 *
 * Warnings are one line on stderr, "slabmalloc: refcount_t at 0x7f...: addition on 0; use-after-free. (where+0x12/0x34)",
 * each kind once in a process, as the kernel's; the program goes on, since the saturated count keeps the memory whole.
 *
 * Order of memory accesses. An increment orders nothing: who makes one holds a reference already, and came by it
 * in some ordered way. A decrement is a release, and the one that reaches 0 also an acquire. So whatever a thread
 * did to the object before it dropped its reference comes before what the last one does to it afterwards (free it):
 * every decrement of a count is a read-modify-write, hence each belongs to the release sequences of all earlier
 * ones, and the last thread, reading its own result with acquire, synchronises with all of them. It is a
 * load and not a fence because thread sanitizers understand the load; it costs the same.
 *
 * All functions may be called by any thread, also in a signal handler (those that take a lock excepted).
 */
#pragma once

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct refcount_struct {
	int refs;
} refcount_t;

#define REFCOUNT_INIT(n) \
	{                \
		(n)      \
	}
#define REFCOUNT_MAX INT_MAX
#define REFCOUNT_SATURATED (INT_MIN / 2)

enum refcount_saturation_type {
	REFCOUNT_ADD_NOT_ZERO_OVF,
	REFCOUNT_ADD_OVF,
	REFCOUNT_ADD_UAF,
	REFCOUNT_SUB_UAF,
	REFCOUNT_DEC_LEAK,
};

/**
 * refcount_warn_saturate() - saturate a count and say why
 * @r: the count
 * @t: what happened; a line about each kind is written once
 */
void refcount_warn_saturate(refcount_t *r, enum refcount_saturation_type t) __asm__(
	"slabmalloc_refcount_warn_saturate") __attribute__((__cold__));

#define SLABMALLOC_MUST_CHECK __attribute__((__warn_unused_result__))

/* Whoever made the object calls this before others can see it. Orders nothing. */
static inline void refcount_set(refcount_t *r, int n)
{
	__atomic_store_n(&r->refs, n, __ATOMIC_RELAXED);
}

/* The same with release: for an object that others can find already (SLAB_TYPESAFE_BY_RCU). */
static inline void refcount_set_release(refcount_t *r, int n)
{
	__atomic_store_n(&r->refs, n, __ATOMIC_RELEASE);
}

/* The count as it was a moment ago; negative: saturated. */
static inline unsigned int refcount_read(const refcount_t *r)
{
	return (unsigned int)__atomic_load_n(&r->refs, __ATOMIC_RELAXED);
}

/* Did an addition of n > 0 to old overflow, or meet a saturated count? (Unsigned: it may wrap.) */
static inline bool refcount_overflows(int old, int n)
{
	return old < 0 || (int)((unsigned int)old + (unsigned int)n) < 0;
}

/**
 * refcount_add_not_zero() - take references if the object is not being freed
 * @n: how many, more than 0
 * @r: the count
 *
 * For objects found in a table: the table's own reference keeps the memory, but not the object, alive.
 *
 * Return: false: the count was 0 and is.
 * Context: orders nothing; the lookup that found the object must.
 */
static inline SLABMALLOC_MUST_CHECK bool refcount_add_not_zero(int n, refcount_t *r)
{
	int old = __atomic_load_n(&r->refs, __ATOMIC_RELAXED);

	do {
		if (!old)
			return false;
	} while (!__atomic_compare_exchange_n(&r->refs, &old,
					      (int)((unsigned int)old + (unsigned int)n), true,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	if (__builtin_expect(refcount_overflows(old, n), 0))
		refcount_warn_saturate(r, REFCOUNT_ADD_NOT_ZERO_OVF);
	return true;
}

static inline SLABMALLOC_MUST_CHECK bool refcount_inc_not_zero(refcount_t *r)
{
	return refcount_add_not_zero(1, r);
}

/* The same with acquire on success: the object's type may stay while it becomes another one. */
static inline SLABMALLOC_MUST_CHECK bool refcount_inc_not_zero_acquire(refcount_t *r)
{
	if (!refcount_inc_not_zero(r))
		return false;
	(void)__atomic_load_n(&r->refs, __ATOMIC_ACQUIRE);
	return true;
}

/**
 * refcount_add() - take references
 * @n: how many, more than 0
 * @r: the count; not 0, since the caller holds a reference
 *
 * On 0 it warns ("addition on 0; use-after-free.") and saturates; above REFCOUNT_MAX it saturates
 * ("saturated; leaking memory.").
 */
static inline void refcount_add(int n, refcount_t *r)
{
	int old = __atomic_fetch_add(&r->refs, n, __ATOMIC_RELAXED);

	if (__builtin_expect(!old, 0))
		refcount_warn_saturate(r, REFCOUNT_ADD_UAF);
	else if (__builtin_expect(refcount_overflows(old, n), 0))
		refcount_warn_saturate(r, REFCOUNT_ADD_OVF);
}

static inline void refcount_inc(refcount_t *r)
{
	refcount_add(1, r);
}

/**
 * refcount_sub_and_test() - drop references
 * @n: how many, more than 0
 * @r: the count
 *
 * More than there are: "underflow; use-after-free.", and the count saturates.
 *
 * Return: true: they were the last, and the caller frees the object.
 * Context: release; acquire too where it returns true.
 */
static inline SLABMALLOC_MUST_CHECK bool refcount_sub_and_test(int n, refcount_t *r)
{
	int old = __atomic_fetch_sub(&r->refs, n, __ATOMIC_RELEASE);

	if (old > 0 && old == n) {
		(void)__atomic_load_n(&r->refs, __ATOMIC_ACQUIRE);
		return true;
	}
	if (__builtin_expect(old < n, 0))
		refcount_warn_saturate(r, REFCOUNT_SUB_UAF);
	return false;
}

/* Drop one reference; true: it was the last. As refcount_sub_and_test(). */
static inline SLABMALLOC_MUST_CHECK bool refcount_dec_and_test(refcount_t *r)
{
	return refcount_sub_and_test(1, r);
}

/* Drop a reference that is not the last. If it is: "decrement hit 0; leaking memory.", and it saturates. */
static inline void refcount_dec(refcount_t *r)
{
	if (__builtin_expect(__atomic_fetch_sub(&r->refs, 1, __ATOMIC_RELEASE) <= 1, 0))
		refcount_warn_saturate(r, REFCOUNT_DEC_LEAK);
}

/* From 1 to 0, or nothing; true: done, with release and acquire. */
static inline SLABMALLOC_MUST_CHECK bool refcount_dec_if_one(refcount_t *r)
{
	int one = 1;

	return __atomic_compare_exchange_n(&r->refs, &one, 0, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_RELAXED);
}

/**
 * refcount_dec_not_one() - drop a reference unless it is the last
 * @r: the count
 *
 * Return: false: it is 1, and was left alone. A saturated count stays, and true is returned; so for 0, with
 * the warning "underflow; use-after-free.".
 * Context: release where it drops one.
 */
static inline SLABMALLOC_MUST_CHECK bool refcount_dec_not_one(refcount_t *r)
{
	int old = __atomic_load_n(&r->refs, __ATOMIC_RELAXED);

	do {
		if (old == 1)
			return false;
		if (__builtin_expect(old <= 0, 0)) {
			if (!old)
				refcount_warn_saturate(r, REFCOUNT_SUB_UAF);
			return true;
		}
	} while (!__atomic_compare_exchange_n(&r->refs, &old, old - 1, true, __ATOMIC_RELEASE,
					      __ATOMIC_RELAXED));
	return true;
}

/**
 * refcount_dec_and_mutex_lock() - drop a reference, and the last one under a mutex
 * @r: the count
 * @lock: where others look the object up
 *
 * Return: true: it was the last, and @lock is held. False: it is not.
 * Context: may wait for the mutex. The kernel's takes a struct mutex.
 */
static inline SLABMALLOC_MUST_CHECK bool refcount_dec_and_mutex_lock(refcount_t *r,
								     pthread_mutex_t *lock)
{
	if (refcount_dec_not_one(r))
		return false;
	pthread_mutex_lock(lock);
	if (refcount_dec_and_test(r))
		return true;
	pthread_mutex_unlock(lock);
	return false;
}

/* The spinlocks are in POSIX 2001 and not in ISO C: compile with -std=gnu11, or define _POSIX_C_SOURCE. */
#if defined(_POSIX_C_SOURCE) && _POSIX_C_SOURCE >= 200112L
/* The same with a spinlock. */
static inline SLABMALLOC_MUST_CHECK bool refcount_dec_and_lock(refcount_t *r,
							       pthread_spinlock_t *lock)
{
	if (refcount_dec_not_one(r))
		return false;
	pthread_spin_lock(lock);
	if (refcount_dec_and_test(r))
		return true;
	pthread_spin_unlock(lock);
	return false;
}
#endif

#ifdef __cplusplus
}
#endif
