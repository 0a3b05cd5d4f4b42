// SPDX-License-Identifier: MIT
#include "page/vmalloc.h"

#include <string.h>

#include "base/bug.h"
#include "base/options.h"
#include "os/mem.h"
#include "os/thread.h"
#include "os/topology.h"
#include "page/huge.h"
#include "page/limit.h"
#include "page/memblock.h"
#include "page/page.h"

enum {
	MAX_CACHED = 64, /* areas; their bytes are bounded by reclaim */
	MAX_MOVED =
		4096, /* areas below which small blocks may become areas: max_map_count is 65,530 */
};

struct vm vm;

static struct hlist_head *bucket(const void *addr)
{
	u64 h = (u64)((uintptr_t)addr >> FRAME_SHIFT) * 0x9e3779b97f4a7c15ull;

	return &vm.table[h >> 32 & (VM_HASH_SIZE - 1)];
}

static struct vm_struct *find_area(const void *addr)
{
	struct vm_struct *area;

	hlist_for_each_entry(area, bucket(addr), link)
		if (area->addr == addr)
			return area;
	return NULL;
}

static void insert(struct vm_struct *area)
{
	hlist_add_head(&area->link, bucket(area->addr));
	ADD_ONCE(vm.nr_used, 1);
	ADD_ONCE(vm.used_bytes, area->size);
	WRITE_ONCE(vm.used_most, max(vm.used_most, vm.used_bytes));
	WRITE_ONCE(vm.nr_used_most, max(vm.nr_used_most, vm.nr_used));
}

static void removed(struct vm_struct *area)
{
	hlist_del_init(&area->link);
	SUB_ONCE(vm.nr_used, 1);
	SUB_ONCE(vm.used_bytes, area->size);
}

static void uncache(struct vm_struct *area)
{
	hlist_del_init(&area->link);
	SUB_ONCE(vm.nr_cached, 1);
	SUB_ONCE(vm.cached_bytes, area->size);
}

static void release(struct vm_struct *area)
{
	/* At max_map_count a munmap can fail: the memory goes back all the same, the space is lost. */
	if (!os_unmap(area->addr, area->size))
		os_purge(area->addr, area->size);
	memblock_free(area, sizeof(*area));
}

/* It is a mapping of its own now, wherever it came from. */
static void set_mapping(struct vm_struct *area, char *addr, size_t size)
{
	static u64 last;

	area->addr = addr;
	area->size = size;
	area->mapping = __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
}

/* What lies behind the first `size` bytes of an area becomes one of its own; NULL: no memory for that. */
static struct vm_struct *split(struct vm_struct *area, size_t size)
{
	struct vm_struct *tail = memblock_alloc(sizeof(*tail));

	if (!tail)
		return NULL;
	tail->addr = area->addr + size;
	tail->size = area->size - size;
	tail->dirty = area->dirty > size ? area->dirty - size : 0;
	tail->freed_ms = area->freed_ms;
	tail->mapping = area->mapping;
	tail->nid = area->nid;
	area->size = size;
	area->dirty = min(area->dirty, size);
	return tail;
}

/* The parts of its mapping that are cached and end where it begins, or begin where it ends, join it. Lock held. */
static void merge(struct vm_struct *area)
{
	struct hlist_node *next;

	for (struct hlist_node *n = vm.cache.first; n; n = next) {
		struct vm_struct *other = hlist_entry(n, struct vm_struct, link);

		next = n->next;
		if (other->mapping != area->mapping || (other->addr + other->size != area->addr &&
							area->addr + area->size != other->addr))
			continue;
		uncache(other);
		area->addr = min(area->addr, other->addr);
		area->size += other->size;
		area->dirty = area->size;
		memblock_free(other, sizeof(*other));
	}
}

/*
 * A cached area to use for size bytes: the smallest that is large enough, whose rest stays, else the largest
 * that is at least half of it, which mremap grows (its pages are there already, the rest is new).
 */
static struct vm_struct *take_cached(u32 nid, size_t size)
{
	struct vm_struct *area, *fit = NULL, *smaller = NULL, *rest;

	hlist_for_each_entry(area, &vm.cache, link) {
		if (area->nid != nid)
			continue;
		if (area->size >= size) {
			if (!fit || area->size < fit->size)
				fit = area;
		} else if (area->size >= size / 2 && (!smaller || area->size > smaller->size)) {
			smaller = area;
		}
	}
	if (!fit)
		fit = smaller;
	if (!fit)
		return NULL;
	rest = fit->size > size ? split(fit, size) : NULL;
	if (rest) {
		hlist_add_before(&rest->link, &fit->link);
		ADD_ONCE(vm.nr_cached, 1);
	}
	uncache(fit);
	return fit;
}

static struct vm_struct *from_cache(u32 nid, size_t size)
{
	struct vm_struct *area;
	void *p;

	lock(&vm.lock, RANK_VMALLOC);
	area = take_cached(nid, size);
	unlock(&vm.lock, RANK_VMALLOC);
	if (!area || area->size >= size)
		return area;
	p = os_remap(area->addr, area->size, size);
	if (!p) {
		release(area);
		return NULL;
	}
	set_mapping(area, p, size);
	return area;
}

static struct vm_struct *new_area(u32 nid, size_t size, size_t align, bool huge)
{
	struct vm_struct *area = memblock_alloc(sizeof(*area));
	void *p;

	if (!area)
		return NULL;
	if (huge)
		align = max(align, HUGE_SIZE);
	p = align > os_page_size() ? os_map_aligned(size, align) : os_map(size);
	if (!p) {
		memblock_free(area, sizeof(*area));
		return NULL;
	}
	if (huge && os_hugepage(p, size, true) && !huge_touch(p))
		os_hugepage(p, size, false);
	set_mapping(area, p, size);
	area->dirty = 0;
	area->nid = nid;
	return area;
}

static void *publish(struct vm_struct *area)
{
	void *p = area->addr;

	lock(&vm.lock, RANK_VMALLOC);
	insert(area);
	ADD_ONCE(vm.taken_bytes, area->size);
	unlock(&vm.lock, RANK_VMALLOC);
	return p;
}

static bool round_to_pages(size_t *size)
{
	size_t page = os_page_size();

	if (*size > PTRDIFF_MAX - page)
		return false;
	*size = ALIGN(*size, page);
	return true;
}

void *vmalloc(u32 nid, size_t size, size_t align, bool zero, bool huge)
{
	struct vm_struct *area = NULL;

	if (!round_to_pages(&size) || !limit_permits(size))
		return NULL;
	if (align <= os_page_size())
		area = from_cache(nid, size);
	if (!area)
		area = new_area(nid, size, align, huge);
	if (!area)
		return NULL;
	if (zero)
		memset(area->addr, 0, min(area->dirty, size));
	area->dirty = area->size;
	return publish(area);
}

/* A new area: what lies in a cached one was placed before. */
void *vmalloc_bound(u32 nid, size_t size, bool zero)
{
	struct vm_struct *area;

	if (!numa_many())
		return vmalloc(nid, size, os_page_size(), zero, false);
	if (!round_to_pages(&size) || !limit_permits(size))
		return NULL;
	area = new_area(nid, size, os_page_size(), false);
	if (!area)
		return NULL;
	os_bind(area->addr, area->size, nid);
	area->dirty = area->size;
	return publish(area);
}

bool vfree(void *p)
{
	struct vm_struct *area;
	bool keep = false;

	lock(&vm.lock, RANK_VMALLOC);
	area = find_area(p);
	if (area) {
		removed(area);
		keep = vm.nr_cached < MAX_CACHED &&
		       vm.cached_bytes + area->size <= options.vmalloc_cache;
	}
	if (keep) {
		merge(area);
		area->freed_ms = os_now_ms();
		hlist_add_head(&area->link, &vm.cache);
		ADD_ONCE(vm.nr_cached, 1);
		ADD_ONCE(vm.cached_bytes, area->size);
	}
	unlock(&vm.lock, RANK_VMALLOC);
	if (area && !keep)
		release(area);
	return area;
}

size_t vsize(const void *p)
{
	struct vm_struct *area;
	size_t size;

	lock(&vm.lock, RANK_VMALLOC);
	area = find_area(p);
	size = area ? area->size : 0;
	unlock(&vm.lock, RANK_VMALLOC);
	return size;
}

/*
 * Out of the table while it moves: as soon as mremap has left the old address, another thread may get it
 * for an area of its own.
 */
void *vrealloc(void *p, size_t new_size)
{
	struct vm_struct *area;
	size_t roomy;
	bool fits;
	void *q;

	if (!round_to_pages(&new_size))
		return NULL;
	lock(&vm.lock, RANK_VMALLOC);
	area = find_area(p);
	fits = area && new_size <= area->size && new_size >= area->size / 4 * 3;
	if (area && !fits)
		removed(area);
	unlock(&vm.lock, RANK_VMALLOC);
	if (!area || fits)
		return fits ? p : NULL;
	/* Growth by steps gets an eighth to spare: address space, until it is touched. */
	roomy = new_size > area->size ? new_size + new_size / 8 : new_size;
	roomy = ALIGN(roomy, os_page_size());
	q = NULL;
	if (new_size <= area->size || limit_permits(new_size - area->size))
		q = os_remap(area->addr, area->size, roomy);
	if (!q && roomy > new_size && limit_permits(new_size - area->size))
		q = os_remap(area->addr, area->size, roomy = new_size);
	if (q) {
		set_mapping(area, q, roomy);
		area->dirty = roomy;
	}
	publish(area);
	return q;
}

void *vmalloc_from(void *src, size_t size, size_t new_size)
{
	struct vm_struct *area;
	void *p;

	if (((uintptr_t)src | size) & (os_page_size() - 1) || !round_to_pages(&new_size) ||
	    !limit_permits(new_size) || READ_ONCE(vm.nr_used) >= MAX_MOVED)
		return NULL;
	area = memblock_alloc(sizeof(*area));
	if (!area)
		return NULL;
	p = os_move_out(src, size, new_size);
	if (!p) {
		memblock_free(area, sizeof(*area));
		return NULL;
	}
	set_mapping(area, p, new_size);
	area->dirty = new_size;
	area->nid = region_at((uintptr_t)src) ? region_at((uintptr_t)src)->nid : 0;
	return publish(area);
}

bool vm_find(const void *p, void **addr, size_t *size)
{
	struct vm_struct *area;
	bool found = false;

	lock(&vm.lock, RANK_VMALLOC);
	for (u32 i = 0; i < VM_HASH_SIZE && !found; i++) {
		hlist_for_each_entry(area, &vm.table[i], link) {
			if ((uintptr_t)p - (uintptr_t)area->addr >= area->size)
				continue;
			*addr = area->addr;
			*size = area->size;
			found = true;
			break;
		}
	}
	unlock(&vm.lock, RANK_VMALLOC);
	return found;
}

bool vm_cached(const void *p)
{
	struct vm_struct *area;
	bool found = false;

	lock(&vm.lock, RANK_VMALLOC);
	hlist_for_each_entry(area, &vm.cache, link)
		found |= (uintptr_t)p - (uintptr_t)area->addr < area->size;
	unlock(&vm.lock, RANK_VMALLOC);
	return found;
}

static struct vm_struct *oldest_cached(u64 before_ms)
{
	struct vm_struct *area, *oldest = NULL;

	hlist_for_each_entry(area, &vm.cache, link)
		oldest = area;
	return oldest && oldest->freed_ms < before_ms ? oldest : NULL;
}

/* The oldest cached area, or as much of its end as is to go. */
static struct vm_struct *take_oldest(size_t target, u64 before_ms)
{
	struct vm_struct *area = oldest_cached(before_ms), *tail = NULL;
	size_t rest;

	if (!area)
		return NULL;
	rest = area->size > target ? ALIGN_DOWN(area->size - target, HUGE_SIZE) : 0;
	if (rest)
		tail = split(area, rest);
	if (!tail) {
		uncache(area);
		return area;
	}
	SUB_ONCE(vm.cached_bytes, tail->size);
	return tail;
}

size_t vm_purge(size_t target, u64 before_ms)
{
	size_t gone = 0;

	while (gone < target) {
		struct vm_struct *area;

		lock(&vm.lock, RANK_VMALLOC);
		area = take_oldest(target - gone, before_ms);
		unlock(&vm.lock, RANK_VMALLOC);
		if (!area)
			break;
		gone += area->size;
		release(area);
	}
	return gone;
}

enum { LOOK = 32 };

/* Up to LOOK areas of a list from the nth on, copied under the lock and looked at without. */
static u32 look_at(const struct hlist_head *list, u32 nth, size_t *sum)
{
	struct span {
		char *addr;
		size_t size;
	} span[LOOK];
	struct vm_struct *area;
	u32 i = 0, n = 0;

	if (!lock_peek(&vm.lock))
		return 0;
	hlist_for_each_entry(area, list, link)
		if (i++ >= nth && n < LOOK)
			span[n++] = (struct span){ area->addr, area->size };
	unlock_peek(&vm.lock);
	for (i = 0; i < n; i++)
		*sum += os_resident_in(span[i].addr, span[i].size);
	return n;
}

size_t vm_resident(void)
{
	size_t sum = 0;
	u32 n;

	for (u32 row = 0; row <= VM_HASH_SIZE; row++) {
		const struct hlist_head *list = row < VM_HASH_SIZE ? &vm.table[row] : &vm.cache;

		if (!READ_ONCE(list->first))
			continue;
		for (u32 nth = 0; (n = look_at(list, nth, &sum)); nth += n)
			;
	}
	return sum;
}
