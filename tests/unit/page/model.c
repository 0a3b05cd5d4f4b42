// SPDX-License-Identifier: MIT
#include "page/model.h"

#include "os/mem.h"
#include "page/section.h"
#include "unit.h"

enum { MAX_REGIONS = 64 };

static struct {
	const struct region *region; /* NULL: unknown yet, all free */
	bool used[FRAMES_PER_REGION];
} model[MAX_REGIONS];

void model_reset(void)
{
	__builtin_memset(model, 0, sizeof(model));
}

static bool *used_frames(const struct region *r)
{
	u32 i = 0;

	while (i < MAX_REGIONS && model[i].region && model[i].region != r)
		i++;
	check(i < MAX_REGIONS);
	model[i].region = r;
	return model[i].used;
}

static void change(const struct page *page, u32 n, bool before)
{
	bool *used = used_frames(region_of(page));
	u32 first = page_index(page);

	check(n > 0 && first + n <= FRAMES_PER_REGION);
	for (u32 i = first; i < first + n; i++) {
		check(used[i] == before);
		used[i] = !before;
	}
}

void model_take(const struct page *page, u32 n)
{
	change(page, n, false);
}

void model_give(const struct page *page, u32 n)
{
	change(page, n, true);
}

static void verify_kind(const struct region *r, u32 i)
{
	const struct page *page = &r->page[i];
	bool holds = page->order >= HUGE_ORDER ? r->huge & huge_mask(i, page->order)
					       : r->huge >> (i >> HUGE_ORDER) & 1;

	if (holds)
		check(page->kind == (page->order >= HUGE_ORDER ? BLOCK_DIRTY : BLOCK_HUGE));
	else
		check(page->kind != BLOCK_HUGE);
	if (page->kind == BLOCK_CLEAN)
		check(!bitmap_any(r->dirty, i, 1u << page->order));
}

static void verify_block(const struct region *r, u32 i)
{
	const struct page *page = &r->page[i], *buddy = &r->page[i ^ (1u << page->order)];
	u32 n = 1u << page->order;

	check(page->order <= MAX_ORDER);
	check(i % n == 0);
	check(!hlist_unhashed(&page->link));
	check(page->order == MAX_ORDER || buddy->type != PAGE_BUDDY ||
	      buddy->order != page->order || buddy->kind != page->kind);
	verify_kind(r, i);
	for (u32 f = i; f < i + n; f++) {
		check(test_bit(r->map[RUN_FREE], f));
		check(test_bit(r->map[RUN_HELD], f) == (page->kind != BLOCK_CLEAN));
		check(f == i || r->page[f].type == PAGE_NONE);
		check(!*class_of(r->base + ((uintptr_t)f << FRAME_SHIFT)));
	}
}

static void verify_lists(const struct zone *z, const unsigned long *blocks)
{
	for (u32 order = 0; order <= MAX_ORDER; order++) {
		const struct free_area *area = &z->free_area[order];
		unsigned long listed = 0;
		const struct page *page;

		for (u32 kind = 0; kind < NR_KINDS; kind++) {
			hlist_for_each_entry(page, &area->list[kind], link) {
				check(page->type == PAGE_BUDDY && page->order == order);
				check(page->kind == kind);
				listed++;
			}
		}
		check(listed == area->nr);
		check(listed == blocks[order]);
	}
}

/* No run is longer than was said of where it begins, nor is one that begins in the 2 MiB before. */
static void verify_runs(const struct zone *z, const struct region *r)
{
	for (int run = 0; run < NR_RUNS; run++) {
		u32 n = 0;

		for (u32 i = FRAMES_PER_REGION; i-- > 0;) {
			n = test_bit(r->map[run], i) ? n + 1 : 0;
			check(n <= r->contig[run][i >> HUGE_ORDER]);
			check(!r->index || n <= z->runs[r->index].longest[run]);
		}
	}
}

static void walk(const struct zone *z, bool with_model)
{
	unsigned long blocks[MAX_ORDER + 1] = { 0 }, by_kind[NR_KINDS] = { 0 };
	unsigned long frames = 0, huge = 0;
	const struct region *r;
	u32 regions = 0;

	hlist_for_each_entry(r, &z->regions, link) {
		const bool *used = with_model ? used_frames(r) : NULL;

		verify_runs(z, r);
		for (u32 i = 0; i < FRAMES_PER_REGION;) {
			const struct page *page = &r->page[i];
			u32 n = page->type == PAGE_BUDDY ? 1u << page->order : 1;

			for (u32 f = i; used && f < i + n; f++)
				check(used[f] == (page->type != PAGE_BUDDY));
			if (page->type == PAGE_BUDDY) {
				verify_block(r, i);
				blocks[page->order]++;
				by_kind[page->kind] += n;
			}
			i += n;
		}
		check(!(r->huge & ~r->advised));
		huge += (unsigned long)__builtin_popcount(r->huge);
		frames += r->frames;
		regions++;
	}
	verify_lists(z, blocks);
	check(z->nr_free == by_kind[BLOCK_CLEAN] + by_kind[BLOCK_DIRTY] + by_kind[BLOCK_HUGE]);
	check(z->nr_dirty == by_kind[BLOCK_DIRTY]);
	check(z->nr_huge_free == by_kind[BLOCK_HUGE]);
	check(z->nr_huge == huge);
	check(z->nr_regions == regions);
	check(z->nr_present == frames);
}

void model_verify(const struct zone *z)
{
	walk(z, true);
}

void verify_zone(const struct zone *z)
{
	walk(z, false);
}

static bool frame_is_zero(const struct region *r, u32 i)
{
	const u64 *frame = (u64 *)(r->base + ((uintptr_t)i << FRAME_SHIFT));

	return !frame[0] && !frame[i % 512] && !frame[511];
}

void verify_memory(const struct zone *z)
{
	const struct region *r;

	verify_zone(z);
	hlist_for_each_entry(r, &z->regions, link) {
		for (u32 i = 0; i < FRAMES_PER_REGION; i++) {
			u32 end = i + (1u << r->page[i].order);

			if (r->page[i].type != PAGE_BUDDY)
				continue;
			for (; i < end; i++)
				if (r->committed >> (i >> HUGE_ORDER) & 1 || i < r->open)
					check(test_bit(r->dirty, i) || frame_is_zero(r, i));
			i = end - 1;
		}
	}
}

void zone_destroy(struct zone *z)
{
	struct region *r;

	while ((r = hlist_first_entry(&z->regions, struct region, link))) {
		hlist_del_init(&r->link);
		check(region_put(r));
		check(os_unmap(r, REGION_META_SIZE));
	}
	*z = (struct zone){ 0 };
}

void frames_fill(const struct page *page, u32 n, u64 tag)
{
	for (u32 i = 0; i < n; i++) {
		u64 *frame = page_address(page + i);

		frame[0] = frame[page_index(page + i) % 512] = frame[511] = tag + i;
	}
}

bool frames_hold(const struct page *page, u32 n, u64 tag)
{
	for (u32 i = 0; i < n; i++) {
		const u64 *frame = page_address(page + i);

		if (frame[0] != tag + i || frame[page_index(page + i) % 512] != tag + i ||
		    frame[511] != tag + i)
			return false;
	}
	return true;
}

bool frames_are_zero(const struct page *page, u32 n)
{
	for (u32 i = 0; i < n; i++)
		if (!frame_is_zero(region_of(page), page_index(page) + i))
			return false;
	return true;
}

struct page *frames_alloc(struct zone *z, u32 n)
{
	bool clean;
	struct page *page = zone_alloc(z, n, 0, &clean);

	assert_non_null(page);
	return page;
}
