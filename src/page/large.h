/* SPDX-License-Identifier: MIT */
/*
 * large.h - blocks above the slab caches: frames of the buddy up to 4 MiB (exactly as many as needed),
 * an area of their own beyond, each the other's fall-back.
 */
#pragma once

#include "page/zone.h"

/* At least size bytes at a multiple of align (a power of two, any); NULL: no memory. */
void *large_alloc(struct zone *z, size_t size, size_t align, bool zero);

/* Frees the large block that starts at p; false: none does. */
bool large_free(void *p);

/* Usable bytes of the large block that starts at p, or 0. */
size_t large_size(const void *p);

/*
 * Makes the block at p hold size bytes without copying: in place, by mremap, or by moving its pages.
 * NULL: it cannot be done so, the block is as it was.
 */
void *large_resize(void *p, size_t size);
