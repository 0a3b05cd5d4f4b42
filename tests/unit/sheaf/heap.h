/* SPDX-License-Identifier: MIT */
/*
 * heap.h - what the tests of sheaf/ and of the rooms above it need of a heap: a thread's sheaves at the
 * start, and proof at the end that no object, sheaf or frame was lost.
 */
#pragma once

#include "sheaf/sheaf.h"

/* cmocka's setup and teardown. */
int heap_setup(void **state);
int heap_teardown(void **state);

/* Sheaves as of one thread more; the caller's this_cpu stays. */
struct kmem_percpu *heap_second_thread(void);

/* As malloc and free do: a hit in the main sheaf, or the slow path. */
void *heap_alloc(struct kmem_percpu *c, u32 id);
void heap_free(struct kmem_percpu *c, u32 id, void *object);

static inline void *heap_untagged(void *entry)
{
	return (void *)((uintptr_t)entry & ~(uintptr_t)OBJECT_FRESH);
}

/* Objects of the cache that no slab has as free. */
unsigned long heap_objects_out(u32 id);

/* The equations of sheaf.h and refill.c for all slots of c. */
void heap_verify(const struct kmem_percpu *c);

/* Takes all that memblock has, so that no sheaf can be made; and gives it back. */
void heap_exhaust_memblock(void);
void heap_restore_memblock(void);
