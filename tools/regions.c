// SPDX-License-Identifier: MIT
/*
 * regions.c - a walk over the struct pages of each region, block by block.
 *
 * A slab's objects in use are spread evenly over its frames that have memory: which of them are free, its bitmap says,
 * but a cell of 64 KiB is no finer than that.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "print.h"
#include "regions.h"
#include "walk.h"

struct walk {
	const struct reading *g;
	const struct region *r;
	struct region_row *row;
	u16 frames[NR_CELL_OWNERS]; /* of the cell that is being walked over */
	u32 most;
	bool broken;
};

static void add_frame(struct walk *w, u32 index, u32 owner, u32 used, u32 kept)
{
	struct cell *c = &w->row->cell[index / CELL_FRAMES];

	if (index % CELL_FRAMES == 0) {
		memset(w->frames, 0, sizeof(w->frames));
		w->most = 0;
	}
	c->used += used;
	c->kept += kept;
	if (++w->frames[owner] > w->most) {
		w->most = w->frames[owner];
		c->owner = owner;
	}
}

static void add_block(struct walk *w, u32 index, u32 n, u32 owner, bool used, bool kept)
{
	for (u32 i = index; i < index + n; i++)
		add_frame(w, i, owner, used ? FRAME_SIZE : 0, kept ? FRAME_SIZE : 0);
}

static void add_slab(struct walk *w, u32 index, u32 id)
{
	const struct kmem_cache *s = &w->g->cache[id];
	const struct page *slab = &w->r->page[index];
	u32 given = s->frames > 1 && slab->tails ? slab[1].given : 0;
	u32 bytes = slab->inuse * s->size, backed = 0, nr = s->frames;

	for (u32 i = 0; i < s->frames; i++)
		nr -= i < 16 ? given >> i & 1 : 0;
	for (u32 i = 0; i < s->frames; i++) {
		u32 used;

		if (i < 16 && given >> i & 1) {
			add_frame(w, index + i, id, 0, 0);
			continue;
		}
		used = (u32)((u64)bytes * (backed + 1) / nr - (u64)bytes * backed / nr);
		backed++;
		add_frame(w, index + i, id, used, (u32)FRAME_SIZE - min(used, (u32)FRAME_SIZE));
	}
}

static bool slab_fits(const struct walk *w, u32 index, u32 id)
{
	return id && id < w->g->cache_end && w->g->cache[id].size && w->g->cache[id].frames &&
	       w->r->page[index].inuse <= w->g->cache[id].objects;
}

static u32 block_frames(const struct page *page)
{
	u32 order = min(page->order, (u8)MAX_ORDER);

	if (page->type == PAGE_LARGE || page->type == PAGE_KEPT || page->type == PAGE_ALLOC)
		return max(page->frames, 1u);
	return 1u << order;
}

/* Frames of the block that begins there; they are added to their cells. */
static u32 block(struct walk *w, u32 index)
{
	const struct page *page = &w->r->page[index];
	u32 left = w->r->frames - index, n = min(block_frames(page), left);

	switch (page->type) {
	case PAGE_BUDDY:
		add_block(w, index, n, CELL_FREE, false, page->kind != BLOCK_CLEAN);
		return n;
	case PAGE_PCP:
	case PAGE_KEPT:
		add_block(w, index, n, CELL_PAGE_SET, false, true);
		return n;
	case PAGE_LARGE:
		add_block(w, index, n, CELL_LARGE, true, false);
		return n;
	case PAGE_ALLOC:
		add_block(w, index, n, CELL_PAGES, true, false);
		return n;
	case PAGE_SLAB:
		if (slab_fits(w, index, page->cache) && w->g->cache[page->cache].frames <= left) {
			add_slab(w, index, page->cache);
			return w->g->cache[page->cache].frames;
		}
	}
	w->broken = true;
	add_block(w, index, 1, CELL_FREE, false, false);
	return 1;
}

static bool add_region(struct region_map *map, const struct reading *g, const struct zone *z,
		       const struct region *r)
{
	struct region_row **rows = realloc(map->row, (map->nr + 1) * sizeof(struct region_row *));
	struct walk w = { .g = g, .r = r, .row = calloc(1, sizeof(*w.row)) };

	if (rows)
		map->row = rows;
	if (!rows || !w.row) {
		free(w.row);
		return false;
	}
	w.row->base = r->base;
	w.row->node = z->nid;
	w.row->zone = zone_name(z);
	w.row->nr_cells = DIV_ROUND_UP(r->frames, CELL_FRAMES);
	for (u32 i = 0; i < r->frames;)
		i += block(&w, i);
	map->row[map->nr++] = w.row;
	map->broken |= w.broken;
	return true;
}

/* The list changes while it is walked over: it may lead anywhere. */
static bool add_zone(const struct heap *h, struct region_map *map, const struct reading *g,
		     const struct zone *z, struct region *r)
{
	u32 most = 2 * z->nr_regions + 16;

	for (uintptr_t n = (uintptr_t)z->regions.first; n; n = (uintptr_t)r->link.next) {
		uintptr_t at = n - offsetof(struct region, link);

		if (at % REGION_META_SIZE || !most-- ||
		    !reader_get(h->r, at, r, offsetof(struct region, map_ext)) ||
		    r->frames > FRAMES_PER_REGION) {
			map->broken = true;
			break;
		}
		if (!add_region(map, g, z, r))
			return false;
	}
	return true;
}

static int by_address(const void *a, const void *b)
{
	const struct region_row *const *x = a, *const *y = b;

	return ((*x)->base > (*y)->base) - ((*x)->base < (*y)->base);
}

static void name_owners(struct region_map *map, const struct reading *g)
{
	for (u32 id = 1; id < g->cache_end; id++)
		snprintf(map->name[id], sizeof(map->name[id]), "%.*s", CACHE_NAME_MAX - 1,
			 g->cache[id].name);
	strcpy(map->name[CELL_FREE], "free");
	strcpy(map->name[CELL_LARGE], "large");
	strcpy(map->name[CELL_PAGES], "pages");
	strcpy(map->name[CELL_PAGE_SET], "page set");
}

bool region_map_take(const struct heap *h, struct region_map *map)
{
	struct reading *g = reading_take(h);
	struct region *r = malloc(sizeof(*r));
	bool done = g && r;

	*map = (struct region_map){ 0 };
	for (u32 i = 0; done && i <= NR_ZONES; i++)
		done = add_zone(h, map, g, &g->zone[i], r);
	if (done) {
		name_owners(map, g);
		if (map->nr)
			qsort(map->row, map->nr, sizeof(struct region_row *), by_address);
	}
	if (g)
		reading_free(g);
	free(r);
	return done;
}

void region_map_free(struct region_map *map)
{
	for (u32 i = 0; i < map->nr; i++)
		free(map->row[i]);
	free(map->row);
	*map = (struct region_map){ 0 };
}

/* Equal neighbours are told once: [owner, used, kept, how many]. */
static void json_cells(FILE *f, const struct region_map *map, const struct region_row *row)
{
	u32 run;

	for (u32 i = 0; i < row->nr_cells; i += run) {
		const struct cell *c = &row->cell[i];

		run = 1;
		while (i + run < row->nr_cells && !memcmp(c, c + run, sizeof(*c)))
			run++;
		fprintf(f, "%s[", i ? ", " : "");
		json_string(f, map->name[c->owner]);
		fprintf(f, ", %u, %u, %u]", c->used, c->kept, run);
	}
}

void print_json_regions(FILE *f, const struct region_map *map)
{
	fprintf(f, ", \"regions_complete\": %s, \"regions\": [", map->broken ? "false" : "true");
	for (u32 i = 0; i < map->nr; i++) {
		const struct region_row *row = map->row[i];

		fprintf(f, "%s{\"base\": \"%#lx\", \"node\": %u, \"zone\": \"%s\", \"cells\": [",
			i ? ", " : "", row->base, row->node, row->zone);
		json_cells(f, map, row);
		fprintf(f, "]}");
	}
	fputc(']', f);
}
