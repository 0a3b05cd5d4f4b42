/* SPDX-License-Identifier: MIT */
/*
 * page.h - page frames, regions, sections, and the way from an address to what it is.
 *
 * A page frame is 4 KiB whatever the system's page size. A region is 64 MiB of frames, aligned to its
 * size; a section is 4 GiB of address space. Nothing of ours lies in a region:
 *
 *	mem.root[p >> 32]	the section of p, as an offset from mem.none in entries of a class map (so
 *				that frame and offset are added before either is scaled); 0: the empty section
 *	section->class_map[]	2 bytes a frame: the sheaf that objects of this frame go to; 0: none
 *	section->region[]	the region of p, or NULL
 *	region->page[]		struct page, 32 bytes a frame
 *
 * A pointer that is not ours meets the empty section or class 0, also before any initialisation: both are
 * zero pages of .bss that are never written, so they cost address space and no memory.
 *
 *	frame of p in its section	(u32)p >> 12	(why sections are 4 GiB: no mask)
 *	frame of p in its region	(p >> 12) & (FRAMES_PER_REGION - 1)
 *	region of a struct page		its address rounded down to 1 MiB
 *
 * What a frame is (page->type), who changes it and under which lock:
 *
 *	PAGE_NONE	interior of a free or large block; not ours
 *	PAGE_BUDDY	head of a free block of 2^order frames	zone lock
 *	PAGE_PCP	head of a block in a thread's page set	its thread
 *	PAGE_SLAB	first frame of a slab			whoever makes or frees the slab
 *	PAGE_TAIL	a later frame of a slab or PAGE_ALLOC	the same
 *	PAGE_LARGE	head of a large block of `frames` frames	its owner, the caller of malloc
 *	PAGE_KEPT	the same, freed, while its thread keeps it (pcp.h)	its thread
 *	PAGE_ALLOC	head of a block of alloc_pages (page_alloc.h)	who holds the last reference
 *
 * Whoever takes a block out of the buddy owns its struct pages until it gives them back; the zone lock
 * in between publishes them.
 */
#pragma once

#include "base/bitops.h"
#include "base/compiler.h"
#include "base/list.h"
#include "os/file.h"

enum {
	FRAME_SHIFT = 12,
	REGION_SHIFT = 26,
	SECTION_SHIFT = 32,
	ADDRESS_BITS = 48,
	MAX_ORDER = REGION_SHIFT - FRAME_SHIFT, /* a whole region: 14 */
	HUGE_SHIFT = 21,
	HUGE_ORDER = HUGE_SHIFT - FRAME_SHIFT,
};

#define FRAME_SIZE (1ul << FRAME_SHIFT)
#define REGION_SIZE (1ul << REGION_SHIFT)
#define HUGE_SIZE (1ul << HUGE_SHIFT)
#define FRAMES_PER_REGION (1u << MAX_ORDER)
#define FRAMES_PER_SECTION (1u << (SECTION_SHIFT - FRAME_SHIFT))
#define REGIONS_PER_SECTION (1u << (SECTION_SHIFT - REGION_SHIFT))
#define FRAMES_PER_HUGE (1u << HUGE_ORDER)
#define HUGE_PER_REGION (1u << (REGION_SHIFT - HUGE_SHIFT))
#define NR_SECTIONS (1u << (ADDRESS_BITS - SECTION_SHIFT))

enum page_type {
	PAGE_NONE,
	PAGE_BUDDY,
	PAGE_PCP,
	PAGE_SLAB,
	PAGE_TAIL,
	PAGE_LARGE,
	PAGE_KEPT,
	PAGE_ALLOC
};

struct page {
	u8 type; /* enum page_type */
	union {
		u8 order; /* buddy, pcp, alloc */
		u8 tails; /* slab: it has several frames */
		u8 idle; /* kept: since the thread looked last */
	};
	union {
		u16 cache; /* slab: kmem_cache id */
		u16 bare; /* buddy: the struct pages behind it were given back */
		u16 given; /* a slab's first tail: frames without memory (slab/purge.c), a bit each */
	};
	union {
		u32 frames; /* large, kept, alloc */
		u32 head; /* tail: frames back to the slab's first */
		u32 kind; /* buddy: enum block_kind, the list it is on */
		u32 clean; /* pcp: reads as zero */
		struct {
			u16 inuse; /* slab: objects that are not in its bitmap */
			u8 colour; /* slab: start of the first object, in the cache's colour units */
			u8 fresh : 6; /* slab: objects from this index on were never handed out */
			u8 isolated : 1; /* slab: off its list (slab/purge.c) */
		};
	};
	union {
		struct {
			union {
				unsigned long map; /* slab: bitmap of free objects, word 0 */
				int refs; /* alloc: references */
			};
			struct hlist_node link; /* buddy, pcp, slab: the list it is on */
		};
		unsigned long more_map[3]; /* a slab's first tail: the bitmap, continued */
	};
};

_Static_assert(sizeof(struct page) == 32, "struct page is 0.8 % of the heap");

enum {
	MAP_WORDS = 4, /* 256 objects: a 4 KiB slab of 16 bytes */
};

/* Frames in a row that are free; and that hold memory, too. */
enum run { RUN_FREE, RUN_HELD, NR_RUNS };

/*
 * Metadata of one region, in a mapping of its own, aligned to 1 MiB.
 * Locks: everything but page[] and map_ext[] belongs to the zone's lock.
 */
struct region {
	uintptr_t base;
	struct zone *zone; /* of its frames, from the first on */
	u32 frames; /* < FRAMES_PER_REGION where address space was short */
	u32 guard; /* bytes in front of it that nobody can touch */
	u32 committed; /* 2 MiB blocks that are readable and writable ... */
	u32 open; /* ... and the first frames, before all of the first 2 MiB are */
	u32 nid;
	struct os_file file; /* highmem: where its frames are */
	u32 huge; /* 2 MiB blocks advised as huge pages and possibly populated */
	u32 advised; /* 2 MiB blocks whose mapping carries the advice */
	struct hlist_node link; /* zone->regions */
	u32 index; /* of zone->runs, or 0 */
	u16 contig[NR_RUNS][HUGE_PER_REGION]; /* no longer run begins in these 2 MiB */
	struct page page[FRAMES_PER_REGION];
	unsigned long dirty[FRAMES_PER_REGION / BITS_PER_LONG]; /* a frame may not read as zero */
	unsigned long map[NR_RUNS][FRAMES_PER_REGION / BITS_PER_LONG];
	/* A hint: a large block that was freed began here. Slabs begin elsewhere while they can, and its second free is seen to be one. */
	unsigned long began[FRAMES_PER_REGION / BITS_PER_LONG];
	/* page->map of a slab without tails, continued */
	unsigned long map_ext[FRAMES_PER_REGION][MAP_WORDS - 1];
};

/*
 * The kernel puts mappings side by side: who underruns the first object of a region would write into a library's data.
 * As much as the kernel itself leaves below a stack (stack_guard_gap).
 */
enum { REGION_GUARD = 1 << 20 };

enum { REGION_META_SIZE = 1 << 20 };
_Static_assert(sizeof(struct region) <= REGION_META_SIZE, "region_of() rounds down to 1 MiB");
_Static_assert(HUGE_PER_REGION == 32, "region->huge is 32 bits");

struct mem_section {
	struct region *region[REGIONS_PER_SECTION];
	u16 class_map[FRAMES_PER_SECTION] __aligned(4096);
};

struct mem {
	uintptr_t root[NR_SECTIONS];
	struct mem_section none;
};

extern struct mem mem;

/* The section of any pointer below 2^48; never NULL. */
static __always_inline struct mem_section *section_of(uintptr_t p)
{
	return (struct mem_section *)((u16 *)&mem.none + READ_FAST(mem.root[p >> SECTION_SHIFT]));
}

static __always_inline u16 *class_in(uintptr_t section, uintptr_t p)
{
	return mem.none.class_map + (READ_FAST(mem.root[section]) + ((u32)p >> FRAME_SHIFT));
}

/* The class map's entry of any pointer below 2^48. */
static __always_inline u16 *class_of(uintptr_t p)
{
	return class_in(p >> SECTION_SHIFT, p);
}

static inline struct region *region_of(const struct page *page)
{
	return (struct region *)ALIGN_DOWN((uintptr_t)page, REGION_META_SIZE);
}

/* The region that p lies in, or NULL: not ours. Any pointer. */
static inline struct region *region_at(uintptr_t p)
{
	if (p >> ADDRESS_BITS)
		return NULL;
	return READ_FAST(section_of(p)->region[(p >> REGION_SHIFT) % REGIONS_PER_SECTION]);
}

/* The bits of the 2 MiB blocks that a block of HUGE_ORDER or more covers. */
static inline u32 huge_mask(u32 index, unsigned int order)
{
	return (~0u >> (32 - (1u << (order - HUGE_ORDER)))) << (index >> HUGE_ORDER);
}

static inline struct zone *page_zone(const struct page *page)
{
	return region_of(page)->zone;
}

static inline u32 page_index(const struct page *page)
{
	return (u32)(page - region_of(page)->page);
}

static inline void *page_address(const struct page *page)
{
	return (void *)(region_of(page)->base + ((uintptr_t)page_index(page) << FRAME_SHIFT));
}

/* The frame's struct page, or NULL: not ours. Any pointer. */
static inline struct page *virt_to_page(uintptr_t p)
{
	struct region *r = region_at(p);

	return r ? &r->page[(p >> FRAME_SHIFT) % FRAMES_PER_REGION] : NULL;
}

/* The slab that p lies in, or NULL. */
static inline struct page *virt_to_slab(uintptr_t p)
{
	struct page *page = virt_to_page(p);

	if (page && READ_ONCE(page->type) == PAGE_TAIL)
		page -= page->head;
	return page && READ_ONCE(page->type) == PAGE_SLAB ? page : NULL;
}

/* Word w of a slab's bitmap of free objects. */
static inline unsigned long *slab_map_word(struct page *slab, unsigned int w)
{
	if (w == 0)
		return &slab->map;
	return slab->tails ? &slab[1].more_map[w - 1]
			   : &region_of(slab)->map_ext[page_index(slab)][w - 1];
}
