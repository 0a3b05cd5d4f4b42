// SPDX-License-Identifier: MIT
/*
 * gfp.c - page frames as programs see them (include/slabmalloc/gfp.h).
 *
 * The room's inlines have some of the kernel's names: here they are renamed while the header is read. Its asm labels
 * keep the symbols, and the compiler compares the types.
 */
#include <errno.h>

#include "base/printk.h"
#include "init/boot.h"
#include "os/mem.h"
#include "os/thread.h"
#include "page/highmem.h"
#include "page/page_alloc.h"
#include "preload/entry.h"
#include "reclaim/reclaim.h"
#include "stat/stat.h"

#define page_address api_page_address
#define virt_to_page api_virt_to_page
#include "slabmalloc/gfp.h"
#undef page_address
#undef virt_to_page

_Static_assert(PAGE_SHIFT == FRAME_SHIFT && MAX_PAGE_ORDER == MAX_ORDER,
	       "gfp.h says what a page is");

enum { WARN_MS = 1000 };

EXPORT unsigned long system_page_size(void)
{
	return os_page_size();
}

/* The kernel's line, once a second at the most. */
static void *failed(const char *function, gfp_t gfp, unsigned int order, const char *why)
{
	static u64 next_ms;
	u64 now = os_now_ms();

	/* An atomic request makes no system call, not even for this. */
	if (gfp & __GFP_DIRECT_RECLAIM && !(gfp & __GFP_NOWARN) && now >= READ_ONCE(next_ms)) {
		WRITE_ONCE(next_ms, now + WARN_MS);
		printk("%s: page allocation failure: order:%u, gfp_mask=%#x%s", function, order,
		       gfp, why);
	}
	return entry_no_memory();
}

/* The zones of a request, in the order in which they are tried. */
static u32 zonelist(gfp_t gfp, u32 nid, struct zone **z)
{
	u32 n = 0;

	/* Low addresses are node 0's. */
	if (gfp & (__GFP_DMA | __GFP_DMA32) && nid && gfp & __GFP_THISNODE)
		return 0;
	if (gfp & __GFP_DMA) {
		z[n++] = zone_of(0, ZONE_DMA);
	} else if (gfp & __GFP_DMA32) {
		z[n++] = zone_of(0, ZONE_DMA32);
		z[n++] = zone_of(0, ZONE_DMA);
	} else {
		z[n++] = zone_of(nid, ZONE_NORMAL);
	}
	return n;
}

/* Of the other nodes' normal zones, the nearest first. */
static struct page *try_nodes(gfp_t gfp, u32 nid, u32 n, unsigned int order)
{
	struct page *page = NULL;
	u32 walk = 0, next;

	if (gfp & (__GFP_DMA | __GFP_DMA32 | __GFP_THISNODE))
		return NULL;
	while (!page && numa_next(nid, &walk, &next))
		page = page_alloc(node_zone(next), n, order, gfp & __GFP_ZERO,
				  !(gfp & __GFP_DIRECT_RECLAIM));
	return page;
}

static struct page *try_zones(gfp_t gfp, u32 nid, u32 n, unsigned int order)
{
	bool atomic = !(gfp & __GFP_DIRECT_RECLAIM), zero = gfp & __GFP_ZERO;
	struct zone *z[MAX_NR_ZONES];
	u32 nr = zonelist(gfp, nid, z);
	struct page *page = NULL;

	/* A frame of the file that was never mapped reads as zero; to take one may need a system call. */
	if (gfp & __GFP_HIGHMEM && !(gfp & (__GFP_DMA | __GFP_DMA32)) && !atomic &&
	    n == 1u << order)
		page = highmem_alloc(order);
	for (u32 i = 0; i < nr && !page; i++)
		page = page_alloc(z[i], n, order, zero, atomic);
	if (!page)
		page = try_nodes(gfp, nid, n, order);
	if (page && !is_highmem(page))
		entry_count_frames(nid, region_of(page)->nid, n);
	return page;
}

static struct page *get_pages(const char *function, gfp_t gfp, u32 nid, u32 n, unsigned int order)
{
	unsigned int tries = 0;
	struct page *page;

	if (order > MAX_PAGE_ORDER)
		return failed(function, gfp, order, ": above the largest order");
	do
		page = try_zones(gfp, nid, n, order);
	while (!page && entry_retry(gfp, &tries));
	if (!page)
		return failed(function, gfp, order,
			      gfp & (__GFP_DMA | __GFP_DMA32)
				      ? ": no addresses that low are left, or no memory"
				      : "");
	if (gfp & __GFP_DIRECT_RECLAIM)
		entry_tick();
	return page;
}

EXPORT struct page *alloc_pages_node(int nid, gfp_t gfp, unsigned int order)
{
	u32 from;

	if (!entry_node_named(nid, gfp, &from))
		return failed("alloc_pages_node", gfp, order,
			      ": no such node, or it has no memory");
	return get_pages("alloc_pages", gfp, from, order <= MAX_ORDER ? 1u << order : 1, order);
}

EXPORT unsigned long __get_free_pages(gfp_t gfp, unsigned int order)
{
	struct page *page;

	if (gfp & __GFP_HIGHMEM) {
		printk("__get_free_pages: __GFP_HIGHMEM: those frames have no address");
		errno = EINVAL;
		return 0;
	}
	page = get_pages("__get_free_pages", gfp, entry_node(gfp),
			 order <= MAX_ORDER ? 1u << order : 1, order);
	return page ? (unsigned long)page_address(page) : 0;
}

/* What is wrong with a frame that is no block's of alloc_pages. */
static void report_page(const char *function, const void *ptr, struct page *page)
{
	const struct call call = { function, ptr };
	struct page *slab = page->type == PAGE_TAIL ? page - page->head : page;

	if (slab->type == PAGE_SLAB)
		report_bad(&call, "a frame of a slab of %s, not of alloc_pages",
			   cache_of(slab->cache)->name);
	else if (page->type == PAGE_LARGE)
		report_bad(&call, "a frame of a large block of malloc, not of alloc_pages");
	else
		report_bad(&call, "the frame is free, or was never allocated by alloc_pages");
}

/* The block that begins with this frame and has n frames; NULL: the line was written. */
static struct page *block_of(const char *function, const void *ptr, struct page *page,
			     unsigned int order, u32 n)
{
	const struct call call = { function, ptr };
	struct page *head = page_head(page);

	if (!head)
		report_page(function, ptr, page);
	else if (head != page)
		report_bad(&call, "frame %u of a block of %u, not its first", (u32)(page - head),
			   head->frames);
	else if (order != head->order || n != head->frames)
		report_bad(&call, "%u frames (order %u), but the block has %u (order %u)", n, order,
			   head->frames, head->order);
	else
		return head;
	return NULL;
}

static void drop(const char *function, const void *ptr, struct page *head)
{
	const struct call call = { function, ptr };

	if (is_highmem(head) && page_ref_count(head) == 1 && highmem_mapped(head, head->frames)) {
		report_bad(&call, "the frame is still mapped, by kmap or vmap");
		return;
	}
	if (!page_put(head))
		return;
	page_release(head);
	entry_tick();
}

EXPORT void __free_pages(struct page *page, unsigned int order)
{
	struct page *head =
		page ? block_of("__free_pages", page, page, order, 1u << min(order, 31u)) : NULL;

	if (head)
		drop("__free_pages", page, head);
}

static void free_address(const char *function, const void *addr, unsigned int order, u32 n)
{
	struct page *page = virt_to_page((uintptr_t)addr), *head;

	if (!page) {
		report_bad(&(struct call){ function, addr }, "invalid pointer: not of this heap");
		return;
	}
	if ((uintptr_t)addr % FRAME_SIZE) {
		report_bad(&(struct call){ function, addr },
			   "invalid pointer: no page begins here");
		return;
	}
	head = block_of(function, addr, page, order, n);
	if (head)
		drop(function, addr, head);
}

EXPORT void free_pages(unsigned long addr, unsigned int order)
{
	if (addr)
		free_address("free_pages", (void *)addr, order, 1u << min(order, 31u));
}

static u32 frames_of(size_t size)
{
	return (u32)DIV_ROUND_UP(size, FRAME_SIZE);
}

EXPORT void *alloc_pages_exact(size_t size, gfp_t gfp)
{
	struct page *page;

	if (!size || size > REGION_SIZE || gfp & __GFP_HIGHMEM)
		return failed("alloc_pages_exact", gfp, get_order(size), ": no such size or zone");
	page = get_pages("alloc_pages_exact", gfp, entry_node(gfp), frames_of(size),
			 get_order(size));
	return page ? page_address(page) : NULL;
}

EXPORT void free_pages_exact(void *virt, size_t size)
{
	if (virt && size && size <= REGION_SIZE)
		free_address("free_pages_exact", virt, get_order(size), frames_of(size));
	else if (virt)
		report_bad(&(struct call){ "free_pages_exact", virt }, "%zu bytes are no block",
			   size);
}

EXPORT void *api_page_address(const struct page *page)
{
	return is_highmem(page) ? highmem_address(page) : page_address(page);
}

EXPORT struct page *api_virt_to_page(const void *addr)
{
	struct page *page = virt_to_page((uintptr_t)addr);

	return page ? page : highmem_page_at(addr);
}

EXPORT unsigned long page_to_pfn(const struct page *page)
{
	return (region_of(page)->base >> FRAME_SHIFT) + page_index(page);
}

EXPORT struct page *pfn_to_page(unsigned long pfn)
{
	if (pfn >= HIGHMEM_BASE >> FRAME_SHIFT)
		return highmem_frame(pfn);
	return virt_to_page(pfn << FRAME_SHIFT);
}

EXPORT struct page *compound_head(const struct page *page)
{
	struct page *any = (struct page *)(uintptr_t)page;

	return any->type == PAGE_TAIL ? any - any->head : any;
}

EXPORT unsigned int compound_order(const struct page *page)
{
	struct page *head = page_head(compound_head(page));

	return head ? head->order : 0;
}

EXPORT unsigned long compound_nr(const struct page *page)
{
	struct page *head = page_head(compound_head(page));

	return head ? head->frames : 1;
}

EXPORT int page_ref_count(const struct page *page)
{
	struct page *head = page_head(compound_head(page));

	return head ? __atomic_load_n(&head->refs, __ATOMIC_RELAXED) : 0;
}

EXPORT void get_page(struct page *page)
{
	struct page *head = page_head(page);

	if (!head || !page_get(head))
		report_page("get_page", page, page);
}

EXPORT void put_page(struct page *page)
{
	struct page *head = page_head(page);

	if (head)
		drop("put_page", page, head);
	else
		report_page("put_page", page, page);
}

EXPORT int page_to_nid(const struct page *page)
{
	return (int)region_of(page)->nid;
}

EXPORT enum zone_type page_zonenum(const struct page *page)
{
	return zone_type_of(page_zone(page));
}

EXPORT unsigned long page_flags(const struct page *page)
{
	const struct page *head = compound_head(page);
	unsigned long flags = is_highmem(page) ? 1ul << PG_highmem : 0;

	switch (head->type) {
	case PAGE_SLAB:
		return flags | 1ul << PG_slab;
	case PAGE_LARGE:
		return flags | 1ul << PG_large;
	case PAGE_BUDDY:
		return flags | 1ul << PG_buddy;
	case PAGE_ALLOC:
		return flags | (head->frames > 1 ? 1ul << PG_head : 0);
	default:
		return flags;
	}
}

EXPORT void *kmap(struct page *page)
{
	void *addr;

	if (!page_head(page)) {
		report_page("kmap", page, page);
		return NULL;
	}
	if (!is_highmem(page))
		return page_address(page);
	addr = highmem_map(page);
	return addr ? addr : entry_no_memory();
}

EXPORT void kunmap(const struct page *page)
{
	if (is_highmem(page) && !highmem_unmap(page))
		report_bad(&(struct call){ "kunmap", page }, "the frame is not mapped");
}

EXPORT void kunmap_local(const void *addr)
{
	struct page *page = highmem_page_at(addr);

	if (page)
		kunmap(page);
	else if (!virt_to_page((uintptr_t)addr))
		report_bad(&(struct call){ "kunmap_local", addr }, "no frame is mapped there");
}

static int write_text(int fd, void (*text)(struct seq_file *))
{
	struct seq_file m;

	seq_open(&m, fd);
	text(&m);
	seq_flush(&m);
	if (!m.failed)
		return 0;
	errno = EIO;
	return -1;
}

EXPORT int slabmalloc_zoneinfo(int fd)
{
	return write_text(fd, stat_zoneinfo);
}

EXPORT int slabmalloc_buddyinfo(int fd)
{
	return write_text(fd, stat_buddyinfo);
}
