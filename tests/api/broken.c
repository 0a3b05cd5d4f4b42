/* SPDX-License-Identifier: MIT */
/*
 * A malloc with one defect, named by BROKEN in the environment, to test the shadow test:
 * a net that has never caught anything may have a hole. It carves one mapping and frees nothing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ARENA ((size_t)64 << 30)
#define HEADER ((size_t)16) /* holds the size */

void *memalign(size_t align, size_t size);
void *pvalloc(size_t size);
size_t malloc_usable_size(void *p);

static _Atomic(uintptr_t) arena_end;
static atomic_ulong calls;
static _Atomic(uintptr_t) last_moved;

/* True at every 5,000th call if the defect was asked for: it must be found among sound calls. */
static int defect(const char *name)
{
	const char *wanted = getenv("BROKEN");

	return wanted && strcmp(wanted, name) == 0 && atomic_fetch_add(&calls, 1) % 5000 == 4999;
}

static uintptr_t arena(void)
{
	uintptr_t now = atomic_load(&arena_end);
	void *fresh;

	if (now)
		return now;
	fresh = mmap(NULL, ARENA, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	atomic_compare_exchange_strong(&arena_end, &now, (uintptr_t)fresh);
	return atomic_load(&arena_end);
}

static void *take(size_t align, size_t size)
{
	size_t occupied = (size + 15) & ~(size_t)15;
	uintptr_t now = arena(), p;

	if (occupied >= 64 && defect("overlap"))
		occupied -= 32;
	do {
		p = (now + HEADER + align - 1) & ~(align - 1);
	} while (!atomic_compare_exchange_weak(&arena_end, &now, p + occupied));
	if (defect("misaligned"))
		p -= 8;
	memcpy((void *)(p - HEADER), &size, sizeof(size));
	return (void *)p;
}

void *malloc(size_t size)
{
	uintptr_t again = atomic_load(&last_moved);

	if (again && malloc_usable_size((void *)again) >= size && defect("twice"))
		return (void *)again;
	return take(16, size);
}

/* The defect "twice" gives the object that realloc returned last a second owner. */
void *realloc(void *old, size_t size)
{
	size_t kept;
	void *p;

	if (size == 0 && old)
		return NULL;
	p = take(16, size);
	if (old) {
		kept = malloc_usable_size(old) < size ? malloc_usable_size(old) : size;
		memcpy(p, old, defect("realloc") ? kept / 2 : kept);
	}
	atomic_store(&last_moved, (uintptr_t)p);
	return p;
}

void *calloc(size_t n, size_t size)
{
	void *p = take(16, n * size);

	if (n * size > 0 && defect("dirty"))
		memset((char *)p + n * size - 1, 1, 1);
	return p;
}

void free(void *p)
{
	if (p && defect("errno"))
		errno = ENOMEM;
}

size_t malloc_usable_size(void *p)
{
	size_t size;

	memcpy(&size, (char *)p - HEADER, sizeof(size));
	return defect("usable") ? size + 16 : size;
}

void *reallocarray(void *p, size_t n, size_t size)
{
	return realloc(p, n * size);
}

void *memalign(size_t align, size_t size)
{
	return take(align < 16 || defect("aligned") ? 16 : align, size);
}

void *aligned_alloc(size_t align, size_t size)
{
	return memalign(align, size);
}

int posix_memalign(void **p, size_t align, size_t size)
{
	*p = memalign(align, size);
	return 0;
}

void *valloc(size_t size)
{
	return memalign(4096, size);
}

void *pvalloc(size_t size)
{
	return memalign(4096, size);
}
