// SPDX-License-Identifier: MIT
/*
 * aligned.c - the names with an alignment, each with its own rules.
 */
#include <errno.h>
#include <stdlib.h>

#include "os/mem.h"
#include "preload/entry.h"
#include "preload/glibc.h"

EXPORT int posix_memalign(void **out, size_t align, size_t n)
{
	int saved = errno;
	void *p;

	if (!is_power_of_2(align) || align % sizeof(void *))
		return EINVAL;
	p = entry_memalign(align, n);
	errno = saved;
	if (!p)
		return ENOMEM;
	*out = p;
	return 0;
}

/* C17 dropped the rule that n be a multiple of align. */
EXPORT void *aligned_alloc(size_t align, size_t n)
{
	return entry_memalign(align, n);
}

/* glibc rounds an alignment up to a power of two. */
EXPORT void *memalign(size_t align, size_t n)
{
	if (align > SIZE_MAX / 2 + 1) {
		errno = EINVAL;
		return NULL;
	}
	return entry_memalign(align ? 1ul << order_base_2(align) : 1, n);
}

EXPORT void *valloc(size_t n)
{
	return entry_memalign(os_page_size(), n);
}

EXPORT void *pvalloc(size_t n)
{
	if (n > PTRDIFF_MAX) {
		errno = ENOMEM;
		return NULL;
	}
	return entry_memalign(os_page_size(), ALIGN(max(n, (size_t)1), os_page_size()));
}

LIBC_ALIAS(memalign);
LIBC_ALIAS(valloc);
LIBC_ALIAS(pvalloc);
