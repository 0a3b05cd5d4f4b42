/* SPDX-License-Identifier: MIT */
/*
 * page_alloc.h - blocks of frames that a program holds by their struct page.
 *
 * The head is PAGE_ALLOC, the others PAGE_TAIL with the way back to it. The head counts references; with the
 * last one the block goes back to its zone.
 *
 *	PAGE_ALLOC: frames > 0, refs > 0, frames <= 2^order
 */
#pragma once

#include "page/zone.h"

/* One block of n frames at a multiple of 2^order; NULL: no memory. */
struct page *page_alloc(struct zone *z, u32 n, unsigned int order, bool zero, bool atomic);

/* The block that a frame belongs to if it is a block of page_alloc's; else NULL. */
struct page *page_head(struct page *page);

/* One reference more; false: it had none. */
bool page_get(struct page *head);

/* One less; true: it was the last, and the caller calls page_release. */
bool page_put(struct page *head);

/* The frames go back to their zone. */
void page_release(struct page *head);
