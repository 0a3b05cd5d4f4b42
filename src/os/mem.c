// SPDX-License-Identifier: MIT
#include "os/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/probe.h"
#include "os/call.h"
#include "os/thread.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

struct os_stats os_stats;

/* Every call is timed: next to its microsecond the clock's 20 ns are little. */
#define BEGIN() u64 began = os_now_ns()
#define END(kind) (counter_add(os_stats.kind, 1), os_timed(&os_stats.kind##_time, began))

void os_timed(struct os_time *t, u64 start)
{
	u64 ns = os_now_ns() - start;

	counter_add(t->ns, ns);
	if (ns > READ_ONCE(t->most_ns))
		WRITE_ONCE(t->most_ns, ns);
}

static void count_mapped(size_t size)
{
	unsigned long sum = __atomic_add_fetch(&os_stats.mapped, size, __ATOMIC_RELAXED);

	if ((long)size > 0 && sum > READ_ONCE(os_stats.mapped_most))
		WRITE_ONCE(os_stats.mapped_most, sum);
}

size_t os_page_size(void)
{
	static size_t size;

	if (unlikely(!size))
		WRITE_ONCE(size, getauxval(AT_PAGESZ));
	return size;
}

static void *map(size_t size, int prot)
{
	BEGIN();
	void *p = mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	END(mmap);
	if (p == MAP_FAILED)
		return NULL;
	count_mapped(size);
	PROBE2(slabmalloc, mmap, p, size);
	return p;
}

bool os_unmap(void *addr, size_t size)
{
	int saved = errno, failed;
	BEGIN();

	failed = munmap(addr, size);
	END(munmap);
	if (failed) {
		errno = saved;
		return false;
	}
	counter_add(os_stats.unmapped, size);
	counter_sub(os_stats.mapped, size);
	PROBE2(slabmalloc, munmap, addr, size);
	return true;
}

/*
 * With so many bytes more in front. The kernel places a mapping next to the last one, so behind an aligned one of the
 * same size the exact size is aligned already, but for those bytes; otherwise map too much and cut.
 */
static void *map_aligned(size_t size, size_t align, int prot, size_t before)
{
	size_t all = before + size, slack, head;
	char *p = NULL;

	if (!(before & (align - 1))) {
		p = map(all, prot);
		if (!p || !((uintptr_t)p & (align - 1)))
			return p ? p + before : NULL;
		os_unmap(p, all);
	}
	if (__builtin_add_overflow(all, align - os_page_size(), &slack))
		return NULL;
	p = map(slack, prot);
	if (!p)
		return NULL;
	head = ALIGN((uintptr_t)(p + before), align) - (uintptr_t)(p + before);
	if (head)
		os_unmap(p, head);
	if (slack - head - all)
		os_unmap(p + head + all, slack - head - all);
	return p + head + before;
}

void *os_map(size_t size)
{
	return map(size, PROT_READ | PROT_WRITE);
}

void *os_map_aligned(size_t size, size_t align)
{
	return map_aligned(size, align, PROT_READ | PROT_WRITE, 0);
}

bool os_map_at(void *addr, size_t size)
{
	int saved = errno;
	BEGIN();
	void *p = mmap(addr, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	END(mmap);
	errno = saved;
	if (p == MAP_FAILED)
		return false;
	count_mapped(size);
	PROBE2(slabmalloc, mmap, p, size);
	if (p == addr)
		return true;
	/* A kernel before 4.17 takes the address for a hint. */
	os_unmap(p, size);
	return false;
}

void *os_reserve_aligned(size_t size, size_t align)
{
	return map_aligned(size, align, PROT_NONE, 0);
}

void *os_reserve_guarded(size_t size, size_t align, size_t guard)
{
	return map_aligned(size, align, PROT_NONE, guard);
}

bool os_commit(void *addr, size_t size)
{
	BEGIN();
	bool ok = mprotect(addr, size, PROT_READ | PROT_WRITE) == 0;

	END(mprotect);
	return ok;
}

bool os_decommit(void *addr, size_t size)
{
	int saved = errno;
	BEGIN();
	void *p = mmap(addr, size, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);

	END(mmap);
	errno = saved;
	return p == addr;
}

bool os_protect(void *addr, size_t size, bool accessible)
{
	int saved = errno;
	BEGIN();
	bool ok = mprotect(addr, size, accessible ? PROT_READ | PROT_WRITE : PROT_NONE) == 0;

	END(mprotect);
	errno = saved;
	return ok;
}

static bool advise(void *addr, size_t size, int advice)
{
	int saved = errno;
	BEGIN();
	bool ok = madvise(addr, size, advice) == 0;

	END(madvise);
	errno = saved;
	return ok;
}

bool os_purge(void *addr, size_t size)
{
	if (!advise(addr, size, MADV_DONTNEED))
		return false;
	counter_add(os_stats.purged, size);
	return true;
}

void os_purge_inside(const void *from, const void *end)
{
	uintptr_t first = ALIGN((uintptr_t)from, os_page_size());
	uintptr_t last = ALIGN_DOWN((uintptr_t)end, os_page_size());

	if (first < last)
		os_purge((void *)first, last - first);
}

bool os_hugepage(void *addr, size_t size, bool yes)
{
	return advise(addr, size, yes ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

void *os_remap(void *addr, size_t old_size, size_t new_size)
{
	int saved = errno;
	BEGIN();
	void *p = mremap(addr, old_size, new_size, MREMAP_MAYMOVE);

	END(mremap);
	if (p == MAP_FAILED)
		return NULL;
	errno = saved;
	count_mapped(new_size - old_size);
	return p;
}

/*
 * Moved to where the kernel likes, then grown: one mapping, which mremap can grow again. Where the
 * growth fails the bytes are copied back, since an address that was given up may be another thread's by now.
 */
void *os_move_out(void *src, size_t size, size_t new_size)
{
	int saved = errno;
	BEGIN();
	void *p, *q;

	/* NULL: with DONTUNMAP the kernel reads a fifth argument, glibc passes what is there. */
	p = mremap(src, size, size, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	END(mremap);
	if (p == MAP_FAILED) {
		errno = saved;
		return NULL;
	}
	count_mapped(size);
	/* Changes nothing, but an emulator (qemu-user) forgets DONTUNMAP: for it the old place is gone. */
	os_protect(src, size, true);
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
	int saved = errno, fd = sys_open("/proc/self/statm", O_RDONLY | O_CLOEXEC, 0);
	char buf[128];
	ssize_t n = 0;
	size_t pages = 0;
	int field = 0;

	if (fd >= 0) {
		n = sys_read(fd, buf, sizeof(buf));
		sys_close(fd);
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

size_t os_resident_most(void)
{
	static const char key[] = "VmHWM:";
	int saved = errno, fd = sys_open("/proc/self/status", O_RDONLY | O_CLOEXEC, 0);
	char buf[1024];
	ssize_t n = 0;
	size_t kib = 0;
	const char *p;

	if (fd >= 0) {
		n = sys_read(fd, buf, sizeof(buf) - 1);
		sys_close(fd);
	}
	errno = saved;
	buf[max(n, (ssize_t)0)] = 0;
	p = strstr(buf, key);
	for (p = p ? p + sizeof(key) - 1 : ""; *p && *p != 'k'; p++)
		if (*p >= '0' && *p <= '9')
			kib = kib * 10 + (size_t)(*p - '0');
	return kib * KIB;
}

size_t os_resident_in(void *addr, size_t size)
{
	unsigned char vec[512];
	/* Of 4 KiB each: where qemu-user pretends to larger pages, the kernel still counts its own. */
	size_t page = os_page_size(), most = max(sizeof(vec) * 4 * KIB / page, 1ul);
	size_t n = DIV_ROUND_UP(size, page), sum = 0;
	int saved = errno;

	for (size_t done = 0; done < n; done += most) {
		size_t batch = min(n - done, most);

		/* Where something is not mapped the kernel tells nothing of the batch. */
		if (mincore((char *)addr + done * page, batch * page, vec))
			continue;
		for (size_t i = 0; i < batch; i++)
			sum += (vec[i] & 1) * page;
	}
	errno = saved;
	return sum;
}

const void *os_map_file(const char *path, size_t *size)
{
	int saved = errno, fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
	off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	void *p = MAP_FAILED;

	if (end > 0) {
		BEGIN();

		p = mmap(NULL, (size_t)end, PROT_READ, MAP_PRIVATE, fd, 0);
		END(mmap);
	}
	if (fd >= 0)
		sys_close(fd);
	errno = saved;
	if (p == MAP_FAILED)
		return NULL;
	*size = (size_t)end;
	count_mapped(*size);
	return p;
}
