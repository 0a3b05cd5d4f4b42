// SPDX-License-Identifier: MIT
/* micro_pair.c - a block is allocated and freed at once, so the same one comes again. */
#include "micro.h"

/* Large blocks may cost a system call each: look at the clock more often, or a run never ends. */
static long operations(size_t size)
{
	return size < 1 << 16 ? BATCH : 10;
}

void pair(struct gbench *b)
{
	size_t size = (size_t)gbench_arg(b);
	long n = operations(size);

	while (gbench_batch(b, n))
		for (long i = 0; i < n; i++)
			free(use(malloc(size)));
}

/* If the pages are fresh each time, that is the price. */
void pair_touched(struct gbench *b)
{
	size_t size = (size_t)gbench_arg(b);
	long n = operations(size);

	while (gbench_batch(b, n))
		for (long i = 0; i < n; i++)
			free(use_pages(malloc(size), size));
}

void pair_calloc(struct gbench *b)
{
	size_t size = (size_t)gbench_arg(b);
	long n = operations(size);

	while (gbench_batch(b, n))
		for (long i = 0; i < n; i++)
			free(use(calloc(1, size)));
}

void pair_aligned(struct gbench *b)
{
	size_t align = (size_t)gbench_arg(b);
	long n = operations(align);

	while (gbench_batch(b, n))
		for (long i = 0; i < n; i++) {
			void *p = NULL;

			if (posix_memalign(&p, align, 192) != 0)
				return gbench_fail(b, "posix_memalign failed");
			free(use(p));
		}
}
