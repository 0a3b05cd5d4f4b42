/* SPDX-License-Identifier: MIT */
/*
 * bigpages.c - a machine with larger pages, on one with small ones: preload it with BIGPAGES=65536.
 *
 * getauxval says that size; mmap gives multiples of it; and what would be EINVAL there is a message and abort here:
 * an address or an offset between two such pages. What a call does to a part of a page it does to the whole page there: a length
 * is rounded up, which shows whoever relied on less.
 */
#define _GNU_SOURCE
#undef _FILE_OFFSET_BITS /* mmap and mmap64 are two names here */
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static size_t page_size(void)
{
	static size_t size;

	if (!size) {
		const char *s = getenv("BIGPAGES");

		size = s ? strtoul(s, NULL, 10) : 65536;
	}
	return size;
}

static size_t whole(size_t size)
{
	return (size + page_size() - 1) & ~(page_size() - 1);
}

static void aligned(const char *call, uintptr_t value)
{
	if (value % page_size() == 0)
		return;
	dprintf(2, "bigpages: %s(%#lx): not a multiple of %zu\n", call, value, page_size());
	abort();
}

unsigned long getauxval(unsigned long type)
{
	static unsigned long (*next)(unsigned long);

	if (type == AT_PAGESZ)
		return page_size();
	if (!next)
		next = (unsigned long (*)(unsigned long))dlsym(RTLD_NEXT, "getauxval");
	return next(type);
}

long sysconf(int name)
{
	static long (*next)(int);

	if (name == _SC_PAGESIZE)
		return (long)page_size();
	if (!next)
		next = (long (*)(int))dlsym(RTLD_NEXT, "sysconf");
	return next(name);
}

int getpagesize(void)
{
	return (int)page_size();
}

static void *system_mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset)
{
	return (void *)syscall(SYS_mmap, addr, size, prot, flags, fd, offset);
}

void *mmap(void *addr, size_t size, int prot, int flags, int fd, off_t offset)
{
	char *p, *start;
	size_t slack;

	aligned("mmap", (uintptr_t)offset);
	size = whole(size);
	if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
		aligned("mmap", (uintptr_t)addr);
		return system_mmap(addr, size, prot, flags, fd, offset);
	}
	if (__builtin_add_overflow(size, page_size(), &slack)) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	p = system_mmap(NULL, slack, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return p;
	start = (char *)whole((uintptr_t)p);
	if (start != p)
		syscall(SYS_munmap, p, start - p);
	if (start + size != p + slack)
		syscall(SYS_munmap, start + size, p + slack - start - size);
	p = system_mmap(start, size, prot, flags | MAP_FIXED, fd, offset);
	if (p == MAP_FAILED)
		syscall(SYS_munmap, start, size);
	return p;
}

void *mmap64(void *addr, size_t size, int prot, int flags, int fd, off_t offset)
	__attribute__((alias("mmap")));

int munmap(void *addr, size_t size)
{
	aligned("munmap", (uintptr_t)addr);
	return (int)syscall(SYS_munmap, addr, whole(size));
}

int mprotect(void *addr, size_t size, int prot)
{
	aligned("mprotect", (uintptr_t)addr);
	return (int)syscall(SYS_mprotect, addr, whole(size), prot);
}

int madvise(void *addr, size_t size, int advice)
{
	aligned("madvise", (uintptr_t)addr);
	return (int)syscall(SYS_madvise, addr, whole(size), advice);
}

/* Where the new place is not aligned, it is made so by a move to one that is. */
void *mremap(void *addr, size_t old_size, size_t new_size, int flags, ...)
{
	size_t size = whole(new_size);
	void *to;

	aligned("mremap", (uintptr_t)addr);
	if (size <= whole(old_size) && !(flags & 4))
		return (void *)syscall(SYS_mremap, addr, whole(old_size), size, flags);
	to = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (to == MAP_FAILED)
		return to;
	return (void *)syscall(SYS_mremap, addr, whole(old_size), size,
			       flags | MREMAP_MAYMOVE | MREMAP_FIXED, to);
}

int mincore(void *addr, size_t size, unsigned char *vec)
{
	unsigned char small[256];
	size_t parts = page_size() / 4096;

	aligned("mincore", (uintptr_t)addr);
	for (size_t i = 0; i < whole(size) / page_size(); i++) {
		vec[i] = 0;
		if (syscall(SYS_mincore, (char *)addr + i * page_size(), page_size(), small))
			return -1;
		for (size_t j = 0; j < parts; j++)
			vec[i] |= small[j] & 1;
	}
	return 0;
}
