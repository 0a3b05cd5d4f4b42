/* SPDX-License-Identifier: MIT */
/*
 * The randomised test of the whole API, in two files: shadow_ops.c has what one thread does
 * with one object, and checks it; shadow.c has the command line, the threads and the mailbox.
 */
#ifndef SHADOW_H
#define SHADOW_H

#include "api.h"

/* A live object as its owner knows it; p == NULL: an empty slot. */
struct object {
	unsigned char *p;
	size_t size; /* asked for */
	size_t usable; /* as malloc_usable_size said at birth */
	size_t filled; /* size or usable: how far the pattern goes */
	size_t align; /* asked for; 0: by a function that takes none */
	uint64_t seed; /* of the pattern */
};

struct actor {
	struct rng rng;
	unsigned int thread;
	uint64_t operation; /* number of the current one, for the report */
	size_t live_bytes;
	size_t live_limit;
	const char *call; /* the function under test at this moment */
};

/* Print what is wrong and how to run it again, then end the process. */
void shadow_fail(const struct actor *a, const struct object *o, const char *what)
	__attribute__((noreturn));

void object_create(struct actor *a, struct object *o);
void object_resize(struct actor *a, struct object *o);
void object_destroy(struct actor *a, struct object *o);
/* The first and the last step of these: the object at o->p of o->size bytes becomes live, or dies. */
void object_adopt(struct actor *a, struct object *o);
void object_disown(struct actor *a, struct object *o);
/* Contents, and that the usable size is still what it was. */
void object_verify(const struct actor *a, const struct object *o);

#endif
