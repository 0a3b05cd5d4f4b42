/* SPDX-License-Identifier: MIT */
/*
 * gfp.h - page frames by order and zone: the kernel's include/linux/gfp.h and highmem.h for a program.
 *
 * A page here is a frame of 4 KiB, whatever the system's page size. Frames come from the buddy allocator that
 * serves malloc, and a block of 2^order of them lies on a multiple of its size.
 *
 *	ZONE_DMA	below 16 MiB		__GFP_DMA
 *	ZONE_DMA32	below 4 GiB		__GFP_DMA32, then ZONE_DMA
 *	ZONE_NORMAL	anywhere		the default
 *	ZONE_HIGHMEM	not mapped		__GFP_HIGHMEM, then ZONE_NORMAL
 *
 * Unlike the kernel's, a request without a zone does not fall back to low addresses: a process has few of them, and
 * they are all that those who ask for them can use.
 *
 * All functions may be called by any thread, none in a handler of a signal that can interrupt one of them. A wrong
 * argument is reported in one line, and the program is aborted (option abort).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slabmalloc/gfp_types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PAGE_SHIFT 12
#define PAGE_SIZE (1ul << PAGE_SHIFT)
#define PAGE_MASK (~(PAGE_SIZE - 1))
#define PAGE_ALIGN(x) (((x) + PAGE_SIZE - 1) & PAGE_MASK)

/* The largest order: 64 MiB. */
#define MAX_PAGE_ORDER 14
#define NR_PAGE_ORDERS (MAX_PAGE_ORDER + 1)

#ifndef NUMA_NO_NODE
#define NUMA_NO_NODE (-1)
#endif

struct page;

/* Bytes of a page of the system (getconf PAGESIZE), which may be more than PAGE_SIZE. */
unsigned long system_page_size(void) __asm__("slabmalloc_system_page_size");

/* The smallest order whose block holds size bytes. */
static inline unsigned int get_order(size_t size)
{
	unsigned int order = 0;

	while (order < 8 * sizeof(size_t) - PAGE_SHIFT - 1 && (PAGE_SIZE << order) < size)
		order++;
	return order;
}

/**
 * alloc_pages_node() - allocate 2^order frames
 * @nid: a node, or NUMA_NO_NODE: the calling thread's
 * @gfp: zone and manner
 * @order: 0 to MAX_PAGE_ORDER
 *
 * Every block is a compound page: what is done to one of its frames is done to the block. With __GFP_DIRECT_RECLAIM a
 * failing request gives free memory back and tries again, without it (GFP_ATOMIC) it makes no system call. Nothing is set
 * aside for atomic requests: a reserve would be resident memory of every process.
 *
 * Return: the first frame, with one reference, which the caller drops by __free_pages() or put_page(). NULL and
 * errno ENOMEM: no memory, or no addresses that low, with a line on stderr unless __GFP_NOWARN or atomic.
 */
struct page *alloc_pages_node(int nid, gfp_t gfp,
			      unsigned int order) __asm__("slabmalloc_alloc_pages_node");

static inline struct page *alloc_pages(gfp_t gfp, unsigned int order)
{
	return alloc_pages_node(NUMA_NO_NODE, gfp, order);
}

static inline struct page *alloc_page(gfp_t gfp)
{
	return alloc_pages(gfp, 0);
}

/**
 * __get_free_pages() - allocate 2^order frames by address
 * @gfp: not __GFP_HIGHMEM, whose frames have none: a line, and 0
 * @order: 0 to MAX_PAGE_ORDER
 *
 * Return: the address, for free_pages(); 0: no memory.
 */
unsigned long __get_free_pages(gfp_t gfp, unsigned int order) __asm__("slabmalloc_get_free_pages");

static inline unsigned long __get_free_page(gfp_t gfp)
{
	return __get_free_pages(gfp, 0);
}

static inline unsigned long get_zeroed_page(gfp_t gfp)
{
	return __get_free_pages(gfp | __GFP_ZERO, 0);
}

/**
 * __free_pages() - drop the caller's reference to a block; the last one frees it
 * @page: its first frame, or NULL
 * @order: as it was allocated
 *
 * "Careful to not free pages you did not allocate": a wrong order, a later frame, a frame that is free, a slab's
 * or malloc's is reported.
 */
void __free_pages(struct page *page, unsigned int order) __asm__("slabmalloc_free_pages_of");

static inline void __free_page(struct page *page)
{
	__free_pages(page, 0);
}

/* The same by address; 0 is ignored. */
void free_pages(unsigned long addr, unsigned int order) __asm__("slabmalloc_free_pages");

static inline void free_page(unsigned long addr)
{
	free_pages(addr, 0);
}

/**
 * alloc_pages_exact() - as many frames as size bytes need, and not the next power of two
 * @size: bytes, up to 64 MiB
 * @gfp: not __GFP_HIGHMEM
 *
 * One block, to be freed as one (the kernel's may be freed page by page).
 *
 * Return: the address, for free_pages_exact() with the same size; NULL: no memory.
 */
void *alloc_pages_exact(size_t size, gfp_t gfp) __asm__("slabmalloc_alloc_pages_exact");
void free_pages_exact(void *virt, size_t size) __asm__("slabmalloc_free_pages_exact");

/* The address of a frame; NULL: it is ZONE_HIGHMEM's and not mapped by kmap(). */
void *page_address(const struct page *page) __asm__("slabmalloc_page_address");

/* The frame that an address lies in, that of a kmap() included; NULL: not ours. */
struct page *virt_to_page(const void *addr) __asm__("slabmalloc_virt_to_page");

/* A frame's number: its address / PAGE_SIZE; of ZONE_HIGHMEM's from 2^36 on. pfn_to_page: NULL where there is none. */
unsigned long page_to_pfn(const struct page *page) __asm__("slabmalloc_page_to_pfn");
struct page *pfn_to_page(unsigned long pfn) __asm__("slabmalloc_pfn_to_page");

/* The first frame of the block that a frame is part of. */
struct page *compound_head(const struct page *page) __asm__("slabmalloc_compound_head");

/* The block's order (of an exact one the next higher), and its frames. */
unsigned int compound_order(const struct page *page) __asm__("slabmalloc_compound_order");
unsigned long compound_nr(const struct page *page) __asm__("slabmalloc_compound_nr");

/* References to the block. */
int page_ref_count(const struct page *page) __asm__("slabmalloc_page_ref_count");

/* One reference more, by who holds one. */
void get_page(struct page *page) __asm__("slabmalloc_get_page");

/* One less; the last one frees the block. */
void put_page(struct page *page) __asm__("slabmalloc_put_page");

int page_to_nid(const struct page *page) __asm__("slabmalloc_page_to_nid");
enum zone_type page_zonenum(const struct page *page) __asm__("slabmalloc_page_zonenum");

enum pageflags { PG_head, PG_slab, PG_buddy, PG_highmem, PG_large };

/* Bits 1 << PG_...: what the frame is. */
unsigned long page_flags(const struct page *page) __asm__("slabmalloc_page_flags");

static inline bool PageHighMem(const struct page *page)
{
	return page_zonenum(page) == ZONE_HIGHMEM;
}

static inline bool PageSlab(const struct page *page)
{
	return page_flags(page) >> PG_slab & 1;
}

/**
 * kmap() - make a frame of ZONE_HIGHMEM addressable
 * @page: any frame; of the other zones its address is returned
 *
 * Windows are counted, not limited to the calling thread: the frame stays mapped until as many kunmap() as kmap() were
 * made. There are 1,024 of them; one that nobody uses keeps its frame mapped until it is needed for another.
 *
 * The frames lie in a file of memory, which a child of fork shares with its parent: what one writes to a frame of before
 * the fork, the other sees. The child never gives such a frame away, and makes a file of its own for new ones.
 *
 * Return: the address; NULL and errno ENOMEM: all windows are in use (the kernel waits), or the system refuses.
 */
void *kmap(struct page *page) __asm__("slabmalloc_kmap");
void kunmap(const struct page *page) __asm__("slabmalloc_kunmap");

/* As kmap(): a thread does not stay on its processor. kunmap_local takes the address. */
static inline void *kmap_local_page(struct page *page)
{
	return kmap(page);
}

void kunmap_local(const void *addr) __asm__("slabmalloc_kunmap_local");

static inline void *kmap_atomic(struct page *page)
{
	return kmap(page);
}

static inline void kunmap_atomic(const void *addr)
{
	kunmap_local(addr);
}

/* The zones as in /proc/zoneinfo and /proc/buddyinfo, as text to a file descriptor. 0, or -1 and errno. */
int slabmalloc_zoneinfo(int fd);
int slabmalloc_buddyinfo(int fd);

#ifdef __cplusplus
}
#endif
