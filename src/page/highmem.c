// SPDX-License-Identifier: MIT
#include "page/highmem.h"

#include "base/bug.h"
#include "os/file.h"
#include "os/mem.h"
#include "page/memblock.h"

enum {
	NR_FILE_REGIONS = 1 << 14, /* 1 TiB in all */
	NR_BUCKETS = 256,
};

struct zone highmem_zone;
struct lock highmem_lock;

/* By number of region; written once under the zone's lock. */
static struct region *file_region[NR_FILE_REGIONS];
static u32 nr_regions;
static struct os_file file = { .fd = -1 };

static struct window {
	struct hlist_node hash, unused; /* unused: the last freed first */
	unsigned long shown; /* the file page: its number + 1; 0: none */
	u32 count;
} windows[NR_WINDOWS];

static struct hlist_head buckets[NR_BUCKETS], unused_windows;
static char *window_space;
static u32 nr_touched; /* windows[] from here on were never used */

struct view {
	struct hlist_node link;
	char *addr;
	u32 n;
	const struct page *page[]; /* in memory of its own, like the view */
};

static struct hlist_head views;

static unsigned long pfn_of(const struct page *page)
{
	return (region_of(page)->base >> FRAME_SHIFT) + page_index(page);
}

static size_t offset_of(unsigned long pfn)
{
	return (pfn << FRAME_SHIFT) - HIGHMEM_BASE;
}

/* 64 MiB more of the file. Zone lock held. */
static bool add_region(void)
{
	struct zone *z = &highmem_zone;
	struct region *r;
	u32 i = nr_regions;

	if (i == NR_FILE_REGIONS || (file.fd < 0 && !os_memory_file(&file)) ||
	    !os_file_resize(&file, (i + 1ul) * REGION_SIZE))
		return false;
	r = os_map_aligned(REGION_META_SIZE, REGION_META_SIZE);
	if (!r)
		return false;
	r->base = HIGHMEM_BASE + i * REGION_SIZE;
	r->zone = z;
	r->file = file;
	r->frames = FRAMES_PER_REGION;
	r->committed = ~0u;
	hlist_add_head(&r->link, &z->regions);
	ADD_ONCE(z->nr_regions, 1);
	ADD_ONCE(z->nr_present, FRAMES_PER_REGION);
	buddy_free_range(z, r, 0, FRAMES_PER_REGION, false);
	__atomic_store_n(&file_region[i], r, __ATOMIC_RELEASE);
	nr_regions++;
	return true;
}

/* What the system did not take back when it was freed is asked for again; false: still not, and it is free again. */
static bool is_clean(struct page *page, unsigned int order)
{
	struct region *r = region_of(page);
	u32 index = page_index(page), n = 1u << order;

	if (!bitmap_any(r->dirty, index, n))
		return true;
	if (!os_file_punch(&r->file, offset_of(pfn_of(page)), FRAME_SIZE << order)) {
		highmem_give(page, n);
		return false;
	}
	lock(&highmem_zone.lock, RANK_ZONE);
	bitmap_clear(r->dirty, index, n);
	unlock(&highmem_zone.lock, RANK_ZONE);
	return true;
}

struct page *highmem_take(unsigned int order)
{
	struct zone *z = &highmem_zone;
	struct page *page = NULL;
	unsigned int found;

	if (order > MAX_ORDER)
		return NULL;
	lock(&z->lock, RANK_ZONE);
	z->limit = LIMIT_HIGHMEM;
	page = buddy_find(z, order, &found);
	if (!page && add_region())
		page = buddy_find(z, order, &found);
	if (page) {
		buddy_expand(z, page, found, order);
		ADD_ONCE(z->nr_taken, 1ul << order);
	}
	unlock(&z->lock, RANK_ZONE);
	return page && !is_clean(page, order) ? NULL : page;
}

void highmem_give(struct page *page, u32 n)
{
	struct zone *z = &highmem_zone;
	struct region *r = region_of(page);
	bool clean;

	WRITE_ONCE(page->type, PAGE_NONE);
	/* What the parent's file holds is the parent's. */
	if (r->file.inode != file.inode)
		return;
	clean = os_file_punch(&r->file, offset_of(pfn_of(page)), (size_t)n << FRAME_SHIFT);
	lock(&z->lock, RANK_ZONE);
	if (!clean)
		bitmap_set(r->dirty, page_index(page), n);
	buddy_free_range(z, r, page_index(page), n, !clean);
	unlock(&z->lock, RANK_ZONE);
}

struct page *highmem_frame(unsigned long pfn)
{
	unsigned long i = (pfn - (HIGHMEM_BASE >> FRAME_SHIFT)) >> MAX_ORDER;
	struct region *r;

	if (i >= NR_FILE_REGIONS)
		return NULL;
	r = __atomic_load_n(&file_region[i], __ATOMIC_ACQUIRE);
	return r ? &r->page[pfn % FRAMES_PER_REGION] : NULL;
}

/* The system page of the file that a frame is part of, and where in it the frame begins. */
static unsigned long file_page(unsigned long pfn)
{
	return offset_of(pfn) / os_page_size();
}

static struct hlist_head *bucket(unsigned long shown)
{
	return &buckets[shown % NR_BUCKETS];
}

static char *window_address(const struct window *w)
{
	return window_space + (size_t)(w - windows) * os_page_size();
}

static struct window *find_window(unsigned long shown)
{
	struct window *w;

	hlist_for_each_entry(w, bucket(shown), hash)
		if (w->shown == shown)
			return w;
	return NULL;
}

/* A window that shows nothing, or what was not used for the longest time. */
static struct window *spare_window(void)
{
	struct window *w, *oldest = NULL;

	if (nr_touched < NR_WINDOWS)
		return &windows[nr_touched++];
	hlist_for_each_entry(w, &unused_windows, unused)
		oldest = w;
	if (oldest) {
		hlist_del_init(&oldest->unused);
		if (oldest->shown)
			hlist_del_init(&oldest->hash);
		oldest->shown = 0;
	}
	return oldest;
}

static struct window *open_window(const struct page *page, unsigned long shown)
{
	struct window *w;

	if (!window_space &&
	    !(window_space = os_reserve_aligned(NR_WINDOWS * os_page_size(), os_page_size())))
		return NULL;
	w = spare_window();
	if (!w)
		return NULL;
	if (!os_map_file_at(window_address(w), os_page_size(), &region_of(page)->file,
			    (shown - 1) * os_page_size())) {
		hlist_add_head(&w->unused, &unused_windows);
		return NULL;
	}
	w->shown = shown;
	hlist_add_head(&w->hash, bucket(shown));
	return w;
}

static char *in_window(const struct window *w, unsigned long pfn)
{
	return window_address(w) + offset_of(pfn) % os_page_size();
}

void *highmem_map(const struct page *page)
{
	unsigned long pfn = pfn_of(page), shown = file_page(pfn) + 1;
	struct window *w;

	lock(&highmem_lock, RANK_HIGHMEM);
	w = find_window(shown);
	if (w && !w->count)
		hlist_del_init(&w->unused);
	if (!w)
		w = open_window(page, shown);
	if (w)
		w->count++;
	unlock(&highmem_lock, RANK_HIGHMEM);
	return w ? in_window(w, pfn) : NULL;
}

bool highmem_unmap(const struct page *page)
{
	struct window *w;
	bool was;

	lock(&highmem_lock, RANK_HIGHMEM);
	w = find_window(file_page(pfn_of(page)) + 1);
	was = w && w->count;
	if (was && !--w->count)
		hlist_add_head(&w->unused, &unused_windows);
	unlock(&highmem_lock, RANK_HIGHMEM);
	return was;
}

void *highmem_address(const struct page *page)
{
	unsigned long pfn = pfn_of(page);
	struct window *w;
	void *addr = NULL;

	lock(&highmem_lock, RANK_HIGHMEM);
	w = find_window(file_page(pfn) + 1);
	if (w && w->count)
		addr = in_window(w, pfn);
	unlock(&highmem_lock, RANK_HIGHMEM);
	return addr;
}

static bool in_a_view(const struct page *page, u32 n)
{
	struct view *v;

	hlist_for_each_entry(v, &views, link)
		for (u32 i = 0; i < v->n; i++)
			if (v->page[i] >= page && v->page[i] < page + n)
				return true;
	return false;
}

bool highmem_mapped(const struct page *page, u32 n)
{
	bool mapped = false;

	for (u32 i = 0; i < n && !mapped; i++)
		mapped = highmem_address(page + i);
	lock(&highmem_lock, RANK_HIGHMEM);
	mapped |= in_a_view(page, n);
	unlock(&highmem_lock, RANK_HIGHMEM);
	return mapped;
}

static struct view *find_view(const void *addr)
{
	struct view *v;

	hlist_for_each_entry(v, &views, link)
		if ((size_t)((const char *)addr - v->addr) < (size_t)v->n << FRAME_SHIFT)
			return v;
	return NULL;
}

struct page *highmem_page_at(const void *addr)
{
	size_t offset = (size_t)((const char *)addr - READ_ONCE(window_space));
	const struct page *page = NULL;
	struct view *v;

	lock(&highmem_lock, RANK_HIGHMEM);
	if (window_space && offset < NR_WINDOWS * os_page_size()) {
		const struct window *w = &windows[offset / os_page_size()];

		if (w->count)
			page = highmem_frame(((w->shown - 1) * os_page_size() +
					      offset % os_page_size() + HIGHMEM_BASE) >>
					     FRAME_SHIFT);
	} else if ((v = find_view(addr))) {
		page = v->page[(size_t)((const char *)addr - v->addr) >> FRAME_SHIFT];
	}
	unlock(&highmem_lock, RANK_HIGHMEM);
	return (struct page *)(uintptr_t)page;
}

static size_t view_bytes(u32 n)
{
	return ALIGN(sizeof(struct view) + n * sizeof(struct page *), os_page_size());
}

/* Neighbours in the file are mapped by one call. */
static bool show(char *addr, struct page *const *pages, u32 n)
{
	for (u32 i = 0, run; i < n; i += run) {
		const struct region *r = region_of(pages[i]);

		for (run = 1; i + run < n && pages[i + run] == pages[i] + run &&
			      region_of(pages[i + run]) == r;)
			run++;
		if (!os_map_file_at(addr + ((size_t)i << FRAME_SHIFT), (size_t)run << FRAME_SHIFT,
				    &r->file, offset_of(pfn_of(pages[i]))))
			return false;
	}
	return true;
}

void *highmem_view(struct page *const *pages, u32 n)
{
	struct view *v = os_map(view_bytes(n));
	char *addr;

	if (!v)
		return NULL;
	addr = os_reserve_aligned((size_t)n << FRAME_SHIFT, os_page_size());
	if (!addr || !show(addr, pages, n)) {
		if (addr)
			os_unmap(addr, (size_t)n << FRAME_SHIFT);
		os_unmap(v, view_bytes(n));
		return NULL;
	}
	v->addr = addr;
	v->n = n;
	for (u32 i = 0; i < n; i++)
		v->page[i] = pages[i];
	lock(&highmem_lock, RANK_HIGHMEM);
	hlist_add_head(&v->link, &views);
	unlock(&highmem_lock, RANK_HIGHMEM);
	return addr;
}

bool highmem_unview(const void *addr)
{
	struct view *v;

	lock(&highmem_lock, RANK_HIGHMEM);
	v = find_view(addr);
	if (v && v->addr == addr)
		hlist_del_init(&v->link);
	else
		v = NULL;
	unlock(&highmem_lock, RANK_HIGHMEM);
	if (!v)
		return false;
	os_unmap(v->addr, (size_t)v->n << FRAME_SHIFT);
	os_unmap(v, view_bytes(v->n));
	return true;
}

bool highmem_in_view(const void *addr)
{
	bool found;

	lock(&highmem_lock, RANK_HIGHMEM);
	found = find_view(addr);
	unlock(&highmem_lock, RANK_HIGHMEM);
	return found;
}

/* The numbers of new regions go on behind the parent's; what was free in those is left to the parent. */
void highmem_after_fork(void)
{
	struct zone *z = &highmem_zone;

	if (file.fd < 0)
		return;
	*z = (struct zone){ .lock = z->lock, .limit = z->limit };
	file = (struct os_file){ .fd = -1 };
}
