// SPDX-License-Identifier: MIT
/*
 * malloc.c - C's names. The two hot ones are one screen of instructions, which tests/ counts in the
 * shipped library.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

#include "preload/entry.h"
#include "preload/mismatch.h"

/* C23's and old names that libc's headers do not declare. */
void free_sized(void *p, size_t n);
void free_aligned_sized(void *p, size_t align, size_t n);
void cfree(void *p);

EXPORT HOT void *malloc(size_t n)
{
	return entry_malloc(n);
}

EXPORT HOT void free(void *p)
{
	entry_free(p);
}

/* C23's promises about the size are only looked at where somebody watches. */
EXPORT void free_sized(void *p, size_t n)
{
	const struct call call = { "free_sized", p };

	if (likely(!mismatch_watched()) || mismatch_size(&call, n, false))
		entry_free(p);
}

EXPORT void free_aligned_sized(void *p, size_t align, size_t n)
{
	const struct call call = { "free_aligned_sized", p };

	(void)align;
	if (likely(!mismatch_watched()) || mismatch_size(&call, n, true))
		entry_free(p);
}

EXPORT void cfree(void *p)
{
	entry_free(p);
}

EXPORT HOT void *calloc(size_t count, size_t size)
{
	size_t n;
	uint64_t *words;

	if (unlikely(__builtin_mul_overflow(count, size, &n))) {
		errno = ENOMEM;
		return NULL;
	}
	words = sheaf_malloc(n);
	if (unlikely(!words))
		return entry_calloc_slow(n);
	return __builtin_memset(words, 0, n);
}

EXPORT size_t malloc_usable_size(void *p)
{
	return entry_usable_size(p, "malloc_usable_size");
}

LIBC_ALIAS(malloc);
LIBC_ALIAS(free);
LIBC_ALIAS(calloc);
