/* SPDX-License-Identifier: MIT */
/*
 * object.h - an object that is written as a program would, and that notices a wrong byte.
 *
 * Its size stands at both ends and goes before the object is freed: a block that was given to two
 * owners, or that its neighbour wrote into, is found at the latest when it is freed.
 */
#ifndef BENCH_OBJECT_H
#define BENCH_OBJECT_H

#include "workload.h"

struct object {
	struct object *next; /* the owner's, for lists and slots */
	uint32_t size;
};

enum { OBJECT_MIN = 16 }; /* both fields and, at the end, the size again */

static inline char *object_tail(const struct object *o)
{
	return (char *)o + o->size - sizeof(o->size);
}

/* __builtin_: with -fno-builtin, plain memcpy() is a call, which costs as much as a malloc. */
static inline struct object *object_new(size_t size)
{
	struct object *o = must_malloc(size);

	touch(o, size);
	o->size = (uint32_t)size;
	__builtin_memcpy(object_tail(o), &o->size, sizeof(o->size));
	return o;
}

static inline void object_check(const struct object *o)
{
	uint32_t again = 0;

	if (o->size >= OBJECT_MIN)
		__builtin_memcpy(&again, object_tail(o), sizeof(again));
	if (again == 0 || again != o->size)
		die("an object was overwritten");
}

/* NULL is no object and takes no work, as with free(). */
static inline void object_free(struct object *o)
{
	if (!o)
		return;
	object_check(o);
	o->size = 0;
	free(o);
}

static inline void object_free_list(struct object *list)
{
	while (list) {
		struct object *o = list;

		list = o->next;
		object_free(o);
	}
}

#endif
