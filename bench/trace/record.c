// SPDX-License-Identifier: MIT
/*
 * record.c - libslabmalloc-record.so: malloc's names, in front of whichever malloc comes next.
 *
 * The next function of each name is looked up at the first call. dlsym() may allocate by itself:
 * what is asked for meanwhile comes from a small array, is not recorded, and is never freed.
 *
 * C++ operators are not replaced: the C++ runtime's call malloc and are seen here. An allocator
 * preloaded behind the recorder that brings operators of its own hides what they do.
 */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "section.h"

#define EXPORT __attribute__((visibility("default")))

static struct {
	void *(*malloc)(size_t);
	void *(*calloc)(size_t, size_t);
	void *(*realloc)(void *, size_t);
	void *(*memalign)(size_t, size_t);
	void (*free)(void *);
} next;

static struct {
	_Alignas(16) char room[8192];
	size_t used;
} early;

static bool is_early(const void *p)
{
	return (const char *)p >= early.room && (const char *)p < early.room + sizeof(early.room);
}

/* There is one thread only, and the array is zeroed. */
static void *early_malloc(size_t size)
{
	char *p = early.room + early.used;

	if (size > sizeof(early.room) - early.used - 15)
		abort();
	early.used += (size + 15) & ~(size_t)15;
	return p;
}

/* Returns whether the next malloc may be called; false while it is being looked for. */
static bool ready(void)
{
	static bool looking;
	void *(*found)(size_t);

	if (__builtin_expect(next.malloc != NULL, 1))
		return true;
	if (looking)
		return false;
	looking = true;
	*(void **)&next.calloc = dlsym(RTLD_NEXT, "calloc");
	*(void **)&next.realloc = dlsym(RTLD_NEXT, "realloc");
	*(void **)&next.memalign = dlsym(RTLD_NEXT, "memalign");
	*(void **)&next.free = dlsym(RTLD_NEXT, "free");
	*(void **)&found = dlsym(RTLD_NEXT, "malloc");
	if (!found || !next.calloc || !next.realloc || !next.memalign || !next.free)
		abort();
	next.malloc = found;
	return true;
}

EXPORT void *malloc(size_t size)
{
	struct writer *w;
	void *p;

	if (!ready())
		return early_malloc(size);
	p = next.malloc(size);
	w = record_begin(TRACE_MALLOC, record_number());
	if (w) {
		record_value(w, size);
		record_block(w, p);
		record_end(w);
	}
	return p;
}

EXPORT void *calloc(size_t count, size_t size)
{
	struct writer *w;
	void *p;

	if (!ready())
		return early_malloc(count * size);
	p = next.calloc(count, size);
	w = record_begin(TRACE_CALLOC, record_number());
	if (w) {
		record_value(w, count);
		record_value(w, size);
		record_block(w, p);
		record_end(w);
	}
	return p;
}

static void *early_realloc(const void *old, size_t size)
{
	size_t left = (size_t)(early.room + sizeof(early.room) - (const char *)old);
	void *p = malloc(size);

	if (p)
		memcpy(p, old, size < left ? size : left);
	return p;
}

EXPORT void *realloc(void *old, size_t size)
{
	struct writer *w;
	uint64_t number;
	void *p;

	if (!ready() && !old)
		return early_malloc(size);
	if (is_early(old))
		return early_realloc(old, size);
	number = record_number();
	p = next.realloc(old, size);
	w = record_begin(TRACE_REALLOC, number);
	if (w) {
		record_block(w, old);
		record_value(w, size);
		record_block(w, p);
		w->number = record_number();
		record_value(w, w->number - number);
		record_end(w);
	}
	return p;
}

EXPORT void free(void *p)
{
	struct writer *w;

	if (is_early(p) || !ready())
		return;
	w = record_begin(p ? TRACE_FREE : TRACE_FREE_NULL, record_number());
	if (w) {
		if (p)
			record_block(w, p);
		record_end(w);
	}
	next.free(p);
}

/* All that ask for an alignment come here: the next allocator sees memalign only. */
static void *aligned(size_t align, size_t size)
{
	struct writer *w;
	void *p;

	if (!ready())
		abort();
	p = next.memalign(align, size);
	w = record_begin(TRACE_ALIGNED, record_number());
	if (w) {
		record_value(w, (uint64_t)__builtin_ctzl(align));
		record_value(w, size);
		record_block(w, p);
		record_end(w);
	}
	return p;
}

static bool power_of_two(size_t align)
{
	return align && !(align & (align - 1));
}

EXPORT void *aligned_alloc(size_t align, size_t size)
{
	if (!power_of_two(align))
		return errno = EINVAL, NULL;
	return aligned(align, size);
}

EXPORT int posix_memalign(void **block, size_t align, size_t size)
{
	int before = errno;
	void *p;

	if (!power_of_two(align) || align % sizeof(void *))
		return EINVAL;
	p = aligned(align, size);
	errno = before;
	if (!p)
		return ENOMEM;
	*block = p;
	return 0;
}

/* As glibc's: any alignment is rounded up. */
EXPORT void *memalign(size_t align, size_t size)
{
	size_t up = sizeof(void *);

	while (up < align && up << 1)
		up <<= 1;
	return aligned(up, size);
}

EXPORT void *valloc(size_t size)
{
	return aligned((size_t)sysconf(_SC_PAGESIZE), size);
}

EXPORT void *pvalloc(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (size > SIZE_MAX - page)
		return errno = ENOMEM, NULL;
	return aligned(page, (size + page - 1) & ~(page - 1));
}

/* An overflow is a request that no allocator can serve, and is recorded as the largest size. */
EXPORT void *reallocarray(void *old, size_t count, size_t size)
{
	size_t bytes;

	return realloc(old, __builtin_mul_overflow(count, size, &bytes) ? SIZE_MAX : bytes);
}

EXPORT void cfree(void *p);
EXPORT void free_sized(void *p, size_t size);
EXPORT void free_aligned_sized(void *p, size_t align, size_t size);

EXPORT void cfree(void *p)
{
	free(p);
}

EXPORT void free_sized(void *p, size_t size)
{
	(void)size;
	free(p);
}

EXPORT void free_aligned_sized(void *p, size_t align, size_t size)
{
	(void)align;
	(void)size;
	free(p);
}
