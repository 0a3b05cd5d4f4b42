/* SPDX-License-Identifier: MIT */
/*
 * model.h - the reference that zones are compared with: a byte for each frame that says whether it is
 * in use, and the equations of zone.h, looked up frame by frame.
 *
 * Everything ends the program with a line on stderr where the zone is wrong.
 */
#pragma once

#include "page/zone.h"

/* The model of a zone none of whose frames is in use. */
void model_reset(void);

/* n frames from page on were handed out: all of them were free. */
void model_take(const struct page *page, u32 n);

/* They were given back: all of them were in use. */
void model_give(const struct page *page, u32 n);

/* The equations, and: what the zone has free is what the model has free. Regions are whole ones. */
void model_verify(const struct zone *z);

/* The equations alone: for partial regions too. */
void verify_zone(const struct zone *z);

/* The equations, and that every free frame that is not dirty reads as zero. Touches them. */
void verify_memory(const struct zone *z);

/* Unmaps a zone of whole regions, whatever is in use. */
void zone_destroy(struct zone *z);

/* n frames, or the test fails. */
struct page *frames_alloc(struct zone *z, u32 n);

/* Writes to each of n frames, at its start and elsewhere; and are these words still there? */
void frames_fill(const struct page *page, u32 n, u64 tag);
bool frames_hold(const struct page *page, u32 n, u64 tag);
bool frames_are_zero(const struct page *page, u32 n);
