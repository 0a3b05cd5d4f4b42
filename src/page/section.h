/* SPDX-License-Identifier: MIT */
/*
 * section.h - the map from addresses to sections, and the metadata of regions.
 *
 * Readers take no lock: a root entry is written once, after the section behind it is ready, and never
 * changes. A region's entry is set before an address in it is given out, and cleared when none is in
 * use any more.
 */
#pragma once

#include "base/lock.h"
#include "page/page.h"

extern struct lock section_lock;

/*
 * The region of the 64 MiB slot that holds addr, made if it is not there; no frame of it is present
 * yet. NULL: no memory. Under the zone lock of nid.
 */
struct region *region_get(uintptr_t addr, u32 nid);

/*
 * Unmaps a whole region none of whose frames is in use and forgets it; the caller unmaps its metadata.
 * False: the kernel would not, all is as it was. Under its zone lock.
 */
bool region_put(struct region *r);

/* Resident bytes of sections' and regions' metadata as the kernel counts them. Slow: for a dump. */
size_t section_resident(void);

/* Resident bytes of the regions' frames, page by page. */
size_t section_frames_resident(void);
