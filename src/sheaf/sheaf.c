// SPDX-License-Identifier: MIT
/*
 * sheaf.c - a sheaf by itself: its memory, and whether what it holds is what it should hold.
 */
#include "sheaf/sheaf.h"

#include "page/memblock.h"

static size_t sheaf_bytes(u32 capacity)
{
	return sizeof(struct slab_sheaf) + capacity * sizeof(void *);
}

/* Larger blocks of memblock's are threads', which leave them zeroed for the next (thread.c). */
_Static_assert(sizeof(struct slab_sheaf) + SHEAF_OBJECTS_MAX * sizeof(void *) <= 16 * KIB &&
		       sizeof(struct kmem_percpu) > 16 * KIB,
	       "sheaves and threads share no size of block");

struct slab_sheaf *sheaf_new(u32 capacity)
{
	struct slab_sheaf *sheaf;

	VM_BUG_ON(capacity > SHEAF_OBJECTS_MAX);
	sheaf = memblock_alloc(sheaf_bytes(capacity));

	if (sheaf) {
		WRITE_ONCE(sheaf->size, 0);
		WRITE_ONCE(sheaf->capacity, capacity);
	}
	return sheaf;
}

void sheaf_delete(struct slab_sheaf *sheaf)
{
	memblock_free(sheaf, sheaf_bytes(sheaf->capacity));
}

static void *untagged(void *entry)
{
	return (void *)((uintptr_t)entry & ~(uintptr_t)OBJECT_FRESH);
}

bool objects_sound(u32 id, void *const *objects, u32 n)
{
	for (u32 i = 0; i < n; i++)
		if (!slab_object_used(id, untagged(objects[i])))
			return false;
	return true;
}

u32 verify_objects(void *const *objects, u32 n)
{
	u32 bad = 0;

	for (u32 i = 0; i < n; i++) {
		struct object o = slab_object(untagged(objects[i]));

		if (o.state != OBJECT_USED) {
			slab_report(&(struct call){ "free", objects[i] }, &o);
			bad++;
		}
	}
	return bad;
}
