// SPDX-License-Identifier: MIT
#include "page/section.h"

#include "base/bug.h"
#include "os/mem.h"
#include "os/topology.h"

struct mem mem;
struct lock section_lock;

static struct mem_section *section_get(uintptr_t addr)
{
	uintptr_t *entry = &mem.root[addr >> SECTION_SHIFT];
	struct mem_section *s;

	if (*entry)
		return section_of(addr);
	s = os_map(ALIGN(sizeof(*s), os_page_size()));
	if (!s)
		return NULL;
	/* The default section must stay empty; release: its zeroes are there before its address is. */
	__atomic_store_n(entry, (uintptr_t)((u16 *)s - (u16 *)&mem.none), __ATOMIC_RELEASE);
	return s;
}

struct region *region_get(uintptr_t addr, u32 nid)
{
	struct region **slot, *r = NULL;
	struct mem_section *s;

	if (addr >> ADDRESS_BITS)
		return NULL;
	lock(&section_lock, RANK_SECTION);
	s = section_get(addr);
	if (s) {
		slot = &s->region[(addr >> REGION_SHIFT) % REGIONS_PER_SECTION];
		r = *slot;
		if (!r && (r = os_map_aligned(REGION_META_SIZE, REGION_META_SIZE))) {
			if (unlikely(numa_many()))
				os_bind(r, REGION_META_SIZE, nid);
			r->base = ALIGN_DOWN(addr, REGION_SIZE);
			r->nid = nid;
			__atomic_store_n(slot, r, __ATOMIC_RELEASE);
		}
	}
	unlock(&section_lock, RANK_SECTION);
	return r;
}

/*
 * Forgotten before it is unmapped: the address may be another mapping's the moment after, and a
 * look-up there must not find the region.
 */
bool region_put(struct region *r)
{
	struct region **slot =
		&section_of(r->base)->region[(r->base >> REGION_SHIFT) % REGIONS_PER_SECTION];
	u16 *classes = class_of(r->base);

	lock(&section_lock, RANK_SECTION);
	WRITE_ONCE(*slot, NULL);
	if (!os_unmap((void *)(r->base - r->guard), r->guard + REGION_SIZE)) {
		__atomic_store_n(slot, r, __ATOMIC_RELEASE);
		r = NULL;
	}
	unlock(&section_lock, RANK_SECTION);
	/* Every entry is 0 already: the purge changes what is resident, not what is read. */
	if (r)
		os_purge_inside(classes, classes + FRAMES_PER_REGION);
	return r;
}

size_t section_resident(void)
{
	size_t sum = 0;

	for (u32 i = 0; i < NR_SECTIONS; i++) {
		struct mem_section *s = section_of((uintptr_t)i << SECTION_SHIFT);

		if (s == &mem.none)
			continue;
		sum += os_resident_in(s, sizeof(*s));
		for (u32 j = 0; j < REGIONS_PER_SECTION; j++) {
			struct region *r = READ_ONCE(s->region[j]);

			if (r)
				sum += os_resident_in(r, sizeof(*r));
		}
	}
	return sum;
}

/* An address is enough: the region may go away meanwhile. */
size_t section_frames_resident(void)
{
	size_t sum = 0;

	for (u32 i = 0; i < NR_SECTIONS; i++) {
		struct mem_section *s = section_of((uintptr_t)i << SECTION_SHIFT);

		for (u32 j = 0; s != &mem.none && j < REGIONS_PER_SECTION; j++)
			if (READ_ONCE(s->region[j]))
				sum += os_resident_in((void *)(((uintptr_t)i << SECTION_SHIFT) +
							       ((uintptr_t)j << REGION_SHIFT)),
						      REGION_SIZE);
	}
	return sum;
}
