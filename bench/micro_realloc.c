// SPDX-License-Identifier: MIT
/* micro_realloc.c - blocks that grow and shrink. An operation is a block's whole life. */
#include "micro.h"

enum {
	LIVES = 10, /* between two looks at the clock */
	LEAST = 16,
};

/* A buffer as programs grow one: by halves to the argument. */
void realloc_grow(struct gbench *b)
{
	size_t end = (size_t)gbench_arg(b);

	while (gbench_batch(b, LIVES))
		for (int i = 0; i < LIVES; i++) {
			char *p = NULL;

			for (size_t size = LEAST; size <= end; size += size / 2) {
				p = use(realloc(p, size));
				p[size - 1] = 1;
			}
			free(p);
		}
}

/* A text to which a word is appended, 24 bytes at a time: most steps stay in their size class. */
void realloc_append(struct gbench *b)
{
	size_t end = (size_t)gbench_arg(b);

	while (gbench_batch(b, LIVES))
		for (int i = 0; i < LIVES; i++) {
			char *p = NULL;

			for (size_t size = 24; size <= end; size += 24) {
				p = use(realloc(p, size));
				p[size - 1] = 1;
			}
			free(p);
		}
}

/* A buffer that is halved until it is small. */
void realloc_shrink(struct gbench *b)
{
	size_t begin = (size_t)gbench_arg(b);

	while (gbench_batch(b, LIVES))
		for (int i = 0; i < LIVES; i++) {
			char *p = NULL;

			for (size_t size = begin; size >= LEAST; size /= 2) {
				p = use(realloc(p, size));
				p[size - 1] = 1;
			}
			free(p);
		}
}
