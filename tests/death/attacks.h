/* SPDX-License-Identifier: MIT */
/* attacks.h - what the crimes of attacks_free.c and attacks_bytes.c share, and their tables. */
#pragma once

#include "api.h"

enum { SECRET = 0x5e, NEIGHBOURS = 8, LATER = 64 };

struct crime {
	const char *family, *how;
	void (*commit)(size_t n);
	bool in_all_sizes;
};

#define EACH(family, how, fn)         \
	{                             \
		family, how, fn, true \
	}
#define ONE(family, how, fn)           \
	{                              \
		family, how, fn, false \
	}

/* Each ends with a family of NULL. */
extern const struct crime free_crimes[], byte_crimes[];

/* The program was harmed, and nobody said so. */
extern bool harm;

/* Blocks around the one of the crime; NULL where they were freed. */
extern void *neighbours[NEIGHBOURS];

/* Memory that no malloc returned. */
extern char foreign_block[16 * 1024];
extern char *stack_block;

static inline bool is_huge(size_t n)
{
	return n > MIB;
}

/* A block with others on both sides, whose contents are known. */
char *new_block(size_t n);
char *freed_block(size_t n);

void in_thread(void *(*fn)(void *), void *p);
