/* SPDX-License-Identifier: MIT */
/*
 * regions.h - where the heap's memory lies: what each 64 KiB of the regions hold.
 */
#pragma once

#include <stdio.h>

#include "heap.h"

enum { CELL_FRAMES = 16, CELLS_PER_REGION = FRAMES_PER_REGION / CELL_FRAMES };

/* What has most of a cell's frames: these, or the number of a cache. */
enum cell_owner { CELL_FREE, CELL_LARGE = NR_CACHES, CELL_PAGES, CELL_PAGE_SET, NR_CELL_OWNERS };

struct cell {
	u32 owner;
	u32 used; /* bytes of objects and blocks; objects in sheaves are among them */
	u32 kept; /* bytes that hold nothing, and have memory */
};

struct region_row {
	uintptr_t base;
	u32 node, nr_cells;
	const char *zone;
	struct cell cell[CELLS_PER_REGION];
};

struct region_map {
	struct region_row **row; /* by address */
	u32 nr;
	bool broken; /* a list led nowhere, or a frame is what cannot be: some cells are missing or wrong */
	char name[NR_CELL_OWNERS][CACHE_NAME_MAX]; /* of owners */
};

/* False: it cannot be read, or there is no memory. */
bool region_map_take(const struct heap *h, struct region_map *map);
void region_map_free(struct region_map *map);

/* A member "regions" of a JSON object. */
void print_json_regions(FILE *f, const struct region_map *map);
