// SPDX-License-Identifier: MIT
#include "os/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

struct os_stats os_stats;

size_t os_page_size(void)
{
	static size_t size;

	if (unlikely(!size))
		WRITE_ONCE(size, getauxval(AT_PAGESZ));
	return size;
}

static void *map(size_t size, int prot)
{
	void *p = mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	counter_add(os_stats.mmap, 1);
	if (p == MAP_FAILED)
		return NULL;
	counter_add(os_stats.mapped, size);
	return p;
}

bool os_unmap(void *addr, size_t size)
{
	int saved = errno;

	counter_add(os_stats.munmap, 1);
	if (munmap(addr, size)) {
		errno = saved;
		return false;
	}
	counter_sub(os_stats.mapped, size);
	return true;
}

/*
 * The kernel places a mapping next to the last one, so behind an aligned one of the same size the
 * exact size is aligned already; otherwise map too much and cut.
 */
static void *map_aligned(size_t size, size_t align, int prot)
{
	size_t slack, head;
	char *p = map(size, prot);

	if (!p || !((uintptr_t)p & (align - 1)))
		return p;
	os_unmap(p, size);
	if (__builtin_add_overflow(size, align - os_page_size(), &slack))
		return NULL;
	p = map(slack, prot);
	if (!p)
		return NULL;
	head = ALIGN((uintptr_t)p, align) - (uintptr_t)p;
	if (head)
		os_unmap(p, head);
	if (slack - head - size)
		os_unmap(p + head + size, slack - head - size);
	return p + head;
}

void *os_map(size_t size)
{
	return map(size, PROT_READ | PROT_WRITE);
}

void *os_map_aligned(size_t size, size_t align)
{
	return map_aligned(size, align, PROT_READ | PROT_WRITE);
}

void *os_reserve_aligned(size_t size, size_t align)
{
	return map_aligned(size, align, PROT_NONE);
}

bool os_commit(void *addr, size_t size)
{
	counter_add(os_stats.mprotect, 1);
	return mprotect(addr, size, PROT_READ | PROT_WRITE) == 0;
}

bool os_decommit(void *addr, size_t size)
{
	int saved = errno;
	void *p = mmap(addr, size, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

	counter_add(os_stats.mmap, 1);
	errno = saved;
	return p == addr;
}

static bool advise(void *addr, size_t size, int advice)
{
	int saved = errno;
	bool ok = madvise(addr, size, advice) == 0;

	counter_add(os_stats.madvise, 1);
	errno = saved;
	return ok;
}

bool os_purge(void *addr, size_t size)
{
	return advise(addr, size, MADV_DONTNEED);
}

bool os_hugepage(void *addr, size_t size, bool yes)
{
	return advise(addr, size, yes ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

static u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000000000 + (u64)t.tv_nsec;
}

u64 os_touch(void *p)
{
	u64 start = now_ns();

	*(volatile uintptr_t *)p = 0;
	return now_ns() - start;
}

void *os_remap(void *addr, size_t old_size, size_t new_size)
{
	int saved = errno;
	void *p = mremap(addr, old_size, new_size, MREMAP_MAYMOVE);

	counter_add(os_stats.mremap, 1);
	if (p == MAP_FAILED)
		return NULL;
	errno = saved;
	counter_add(os_stats.mapped, new_size - old_size);
	return p;
}

/*
 * Moved to where the kernel likes, then grown: one mapping, which mremap can grow again. Where the
 * growth fails the bytes are copied back, since an address that was given up may be another thread's by now.
 */
void *os_move_out(void *src, size_t size, size_t new_size)
{
	int saved = errno;
	void *p, *q;

	/* NULL: with DONTUNMAP the kernel reads a fifth argument, glibc passes what is there. */
	p = mremap(src, size, size, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	counter_add(os_stats.mremap, 1);
	if (p == MAP_FAILED) {
		errno = saved;
		return NULL;
	}
	counter_add(os_stats.mapped, size);
	q = os_remap(p, size, new_size);
	if (!q) {
		memcpy(src, p, size);
		os_unmap(p, size);
	}
	errno = saved;
	return q;
}

size_t os_resident(void)
{
	int saved = errno, fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	char buf[128];
	ssize_t n = 0;
	size_t pages = 0;
	int field = 0;

	if (fd >= 0) {
		n = read(fd, buf, sizeof(buf));
		close(fd);
	}
	errno = saved;
	for (ssize_t i = 0; i < n && field < 2; i++) {
		if (buf[i] == ' ')
			field++;
		else if (field == 1)
			pages = pages * 10 + (size_t)(buf[i] - '0');
	}
	return pages * os_page_size();
}

size_t os_resident_in(void *addr, size_t size)
{
	unsigned char vec[512];
	size_t page = os_page_size(), n = DIV_ROUND_UP(size, page), sum = 0;
	int saved = errno;

	for (size_t done = 0; done < n; done += sizeof(vec)) {
		size_t batch = min(n - done, sizeof(vec));

		if (mincore((char *)addr + done * page, batch * page, vec))
			break;
		for (size_t i = 0; i < batch; i++)
			sum += (vec[i] & 1) * page;
	}
	errno = saved;
	return sum;
}
