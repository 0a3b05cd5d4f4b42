/* SPDX-License-Identifier: MIT */
/*
 * The shadow map: one bit for each 16 bytes of address space, set while a live object covers
 * them. Every object starts at a multiple of 16, so two that share no such granule do not
 * overlap, and two that share one do. Claims are atomic: an object that two threads get at the same
 * time is caught in one of them.
 */
#ifndef SHADOW_MAP_H
#define SHADOW_MAP_H

#include <stdbool.h>
#include <stddef.h>

/* False: some of these bytes belong to a live object (and nothing is claimed then). */
bool shadow_claim(const void *p, size_t size);
/* False: some of these bytes were not claimed. */
bool shadow_release(const void *p, size_t size);
/* Granules claimed now. */
long shadow_claimed(void);

#endif
