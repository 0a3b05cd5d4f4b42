// SPDX-License-Identifier: MIT
/*
 * The buddy alone, on regions of which only the metadata exists.
 */
#include <string.h>

#include "os/mem.h"
#include "page/model.h"
#include "page/zone.h"
#include "unit.h"

enum { REGIONS = 2, LIVE = 700, ROUNDS = 12000, FULL_CHECK = 200 };

static struct zone z;
static struct region *regions[REGIONS];
static struct live {
	struct page *page;
	u32 n;
} live[LIVE];
static bool dirty[REGIONS][FRAMES_PER_REGION]; /* as it was said when they were freed */
static u32 nr_live;
static u64 rng = 4;

static int setup(__attribute__((unused)) void **state)
{
	z = (struct zone){ 0 };
	model_reset();
	nr_live = 0;
	memset(dirty, 0, sizeof(dirty));
	for (int i = 0; i < REGIONS; i++) {
		regions[i] = os_map_aligned(REGION_META_SIZE, REGION_META_SIZE);
		regions[i]->base = 0x123456000000ul + (uintptr_t)i * REGION_SIZE;
		regions[i]->frames = FRAMES_PER_REGION;
		regions[i]->advised = ~0u;
		hlist_add_head(&regions[i]->link, &z.regions);
		z.nr_regions++;
		z.nr_present += FRAMES_PER_REGION;
		buddy_free_range(&z, regions[i], 0, FRAMES_PER_REGION, false);
	}
	return 0;
}

static int teardown(__attribute__((unused)) void **state)
{
	for (int i = 0; i < REGIONS; i++)
		os_unmap(regions[i], REGION_META_SIZE);
	return 0;
}

/* The smallest order >= order of which a block of that kind is free, or -1. */
static int smallest_of(unsigned int order, enum block_kind kind)
{
	for (unsigned int o = order; o <= MAX_ORDER; o++)
		if (!hlist_empty(&z.free_area[o].list[kind]))
			return (int)o;
	return -1;
}

static int expected_order(unsigned int order)
{
	int o = smallest_of(order, BLOCK_HUGE);

	if (o < 0)
		o = smallest_of(order, BLOCK_DIRTY);
	return o < 0 ? smallest_of(order, BLOCK_CLEAN) : o;
}

static bool *dirty_frames(const struct region *r)
{
	return dirty[r == regions[0] ? 0 : 1];
}

static bool in_huge_page(const struct region *r, u32 i)
{
	return r->huge >> (i >> HUGE_ORDER) & 1;
}

/* Is every frame on a list of the kind that it was freed as? */
static void verify_kinds(void)
{
	for (int k = 0; k < REGIONS; k++) {
		const struct region *r = regions[k];

		for (u32 i = 0; i < FRAMES_PER_REGION; i++) {
			const struct page *page = &r->page[i];
			u32 end = i + (1u << page->order);

			if (page->type != PAGE_BUDDY)
				continue;
			for (; i < end; i++)
				if (!in_huge_page(r, i))
					assert_int_equal(page->kind,
							 dirty[k][i] ? BLOCK_DIRTY : BLOCK_CLEAN);
			i = end - 1;
		}
	}
}

/* Frees what the model knows as used. */
static void give(struct region *r, u32 index, u32 n, bool is_dirty)
{
	memset(dirty_frames(r) + index, is_dirty, n);
	if (is_dirty)
		bitmap_set(r->dirty, index, n);
	else
		bitmap_clear(r->dirty, index, n);
	buddy_free_range(&z, r, index, n, is_dirty);
}

/* The 2 MiB around become a huge page. */
static void populate(struct page *page)
{
	u32 bit = 1u << (page_index(page) >> HUGE_ORDER);

	z.nr_huge += !(region_of(page)->huge & bit);
	region_of(page)->huge |= bit;
}

static struct page *take(unsigned int order, u32 n, bool huge)
{
	int expected = expected_order(order);
	unsigned long nr_free = z.nr_free;
	unsigned int found;
	struct page *page = buddy_find(&z, order, &found);
	bool was_dirty;

	if (!page) {
		assert_int_equal(expected, -1);
		return NULL;
	}
	was_dirty = page->kind == BLOCK_DIRTY;
	assert_int_equal(found, expected);
	assert_int_equal(page->type, PAGE_NONE);
	assert_true(hlist_unhashed(&page->link));
	assert_int_equal(page_index(page) % (1u << found), 0);
	if (huge && found >= HUGE_ORDER)
		populate(page);
	buddy_expand(&z, page, found, order);
	buddy_free_range(&z, region_of(page), page_index(page) + n, (1u << order) - n, was_dirty);
	assert_int_equal(z.nr_free, nr_free - n);
	return page;
}

static void allocate(unsigned int order, u32 n)
{
	struct page *page = take(order, n, random_below(&rng, 4) == 0);

	if (!page)
		return;
	model_take(page, n);
	live[nr_live++] = (struct live){ page, n };
}

static void release(u32 i)
{
	struct live *l = &live[i];
	unsigned long nr_free = z.nr_free;

	model_give(l->page, l->n);
	give(region_of(l->page), page_index(l->page), l->n, random_below(&rng, 3));
	assert_int_equal(z.nr_free, nr_free + l->n);
	*l = live[--nr_live];
}

static bool range_is_free(const struct region *r, u32 from, u32 n)
{
	if (from + n > FRAMES_PER_REGION)
		return false;
	for (u32 k = 0; k < nr_live; k++) {
		u32 first = page_index(live[k].page), end = first + live[k].n;

		if (region_of(live[k].page) == r && first < from + n && from < end)
			return false;
	}
	return true;
}

/* A block grows into the frames behind it, if they are free. */
static void extend(u32 i)
{
	struct live *l = &live[i];
	struct region *r = region_of(l->page);
	u32 end = page_index(l->page) + l->n, n = 1 + random_below(&rng, 40);
	bool is_free = range_is_free(r, end, n);
	unsigned long nr_free = z.nr_free;

	assert_int_equal(buddy_take_range(&z, r, end, n), is_free);
	assert_int_equal(z.nr_free, nr_free - (is_free ? n : 0));
	if (!is_free)
		return;
	model_take(l->page + l->n, n);
	l->n += n;
}

/* A dirty block gives its memory back: isolated, changed, freed again. */
static void clean_one(unsigned int order)
{
	struct page *page =
		hlist_first_entry(&z.free_area[order].list[BLOCK_DIRTY], struct page, link);
	struct region *r;

	if (!page)
		return;
	r = region_of(page);
	buddy_isolate(&z, page);
	assert_int_equal(page->type, PAGE_NONE);
	for (u32 h = 0; order >= HUGE_ORDER && h < 1u << (order - HUGE_ORDER); h++) {
		u32 bit = 1u << ((page_index(page) >> HUGE_ORDER) + h);

		z.nr_huge -= !!(r->huge & bit);
		r->huge &= ~bit;
	}
	give(r, page_index(page), 1u << order, false);
}

TEST(random_requests_agree_with_the_reference_model)
{
	model_verify(&z);
	for (int round = 0; round < ROUNDS; round++) {
		u32 what = random_below(&rng, 16);
		unsigned int order = random_below(&rng, 1 + random_below(&rng, 12));

		/* The heap grows and shrinks in turns. */
		if (nr_live < LIVE && (round / 1500 % 2 ? what < 5 : what < 8))
			allocate(order, 1 + random_below(&rng, 1u << order));
		else if (nr_live && what == 15)
			extend(random_below(&rng, nr_live));
		else if (what == 14)
			clean_one(random_below(&rng, MAX_ORDER + 1));
		else if (nr_live)
			release(random_below(&rng, nr_live));
		if (round % FULL_CHECK == 0) {
			model_verify(&z);
			verify_kinds();
		}
	}
	while (nr_live)
		release(random_below(&rng, nr_live));
	for (unsigned int order = 0; order <= MAX_ORDER; order++)
		while (!hlist_empty(&z.free_area[order].list[BLOCK_DIRTY]))
			clean_one(order);
	model_verify(&z);
	assert_int_equal(z.free_area[MAX_ORDER].nr, REGIONS);
	assert_int_equal(z.nr_free, REGIONS * FRAMES_PER_REGION);
}

/* Whatever the order in which single frames come back, and whatever their kind. */
static void free_all_in_random_order(bool is_dirty)
{
	static u32 order[FRAMES_PER_REGION];

	assert_true(buddy_take_range(&z, regions[0], 0, FRAMES_PER_REGION));
	for (u32 i = 0; i < FRAMES_PER_REGION; i++) {
		u32 j = random_below(&rng, i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	for (u32 i = 0; i < FRAMES_PER_REGION; i++)
		buddy_free(&z, regions[0], order[i], 0, is_dirty);
	assert_int_equal(regions[0]->page[0].type, PAGE_BUDDY);
	assert_int_equal(regions[0]->page[0].order, MAX_ORDER);
	assert_int_equal(z.free_area[MAX_ORDER].nr, REGIONS);
}

TEST(single_frames_freed_in_any_order_become_one_block)
{
	free_all_in_random_order(false);
	assert_int_equal(z.nr_dirty, 0);
	free_all_in_random_order(true);
	assert_int_equal(z.nr_dirty, FRAMES_PER_REGION);
}

TEST(dirty_and_clean_buddies_stay_apart_until_they_are_alike)
{
	assert_true(buddy_take_range(&z, regions[0], 0, 2));
	give(regions[0], 0, 1, true);
	give(regions[0], 1, 1, false);
	assert_int_equal(regions[0]->page[0].kind, BLOCK_DIRTY);
	assert_int_equal(regions[0]->page[1].kind, BLOCK_CLEAN);
	assert_int_equal(z.nr_dirty, 1);
	verify_zone(&z);
	clean_one(0);
	assert_int_equal(regions[0]->page[0].order, MAX_ORDER);
	assert_int_equal(z.nr_dirty, 0);
	verify_zone(&z);
}

TEST(no_range_with_one_used_frame_is_taken)
{
	model_take(regions[0]->page + 1000, 1);
	assert_true(buddy_take_range(&z, regions[0], 1000, 1));
	for (u32 from = 980; from <= 1000; from++)
		for (u32 end = 1001; end < 1020; end++)
			assert_false(buddy_take_range(&z, regions[0], from, end - from));
	assert_false(buddy_take_range(&z, regions[0], FRAMES_PER_REGION - 3, 4));
	assert_false(buddy_take_range(&z, regions[0], FRAMES_PER_REGION, 1));
	model_verify(&z);
	model_take(regions[0]->page + 1001, 77);
	assert_true(buddy_take_range(&z, regions[0], 1001, 77));
	model_verify(&z);
}

TEST(blocks_that_hold_memory_go_first_and_parts_of_huge_pages_before_them)
{
	assert_true(buddy_take_range(&z, regions[0], 0, FRAMES_PER_REGION));
	assert_true(buddy_take_range(&z, regions[1], 0, FRAMES_PER_REGION));
	populate(&regions[1]->page[8192]);
	give(regions[0], 1, 1, false);
	give(regions[0], 8, 8, false);
	give(regions[1], 4096 + 64, 64, true);
	give(regions[1], 8192 + 256, 256, false);
	assert_int_equal(page_index(take(0, 1, false)), 8192 + 256);
	while (smallest_of(0, BLOCK_HUGE) >= 0)
		assert_in_range(page_index(take(0, 1, false)), 8192 + 256, 8192 + 511);
	assert_int_equal(page_index(take(0, 1, false)), 4096 + 64);
	while (smallest_of(0, BLOCK_DIRTY) >= 0)
		assert_in_range(page_index(take(0, 1, false)), 4096 + 64, 4096 + 127);
	assert_int_equal(page_index(take(0, 1, false)), 1);
	assert_int_equal(page_index(take(1, 2, false)), 8);
	assert_int_equal(page_index(take(2, 4, false)), 12);
	assert_int_equal(page_index(take(1, 2, false)), 10);
	assert_int_equal(z.nr_free, 0);
	assert_null(take(0, 1, false));
}

TEST(a_whole_huge_page_is_dirty_and_a_part_of_one_is_not)
{
	struct region *r = regions[0];

	assert_true(buddy_take_range(&z, r, 0, FRAMES_PER_REGION));
	populate(&r->page[512]);
	give(r, 512, 511, true);
	assert_int_equal(z.nr_dirty, 0);
	assert_int_equal(z.nr_huge_free, 511);
	give(r, 1023, 1, false);
	assert_int_equal(r->page[512].kind, BLOCK_DIRTY);
	assert_int_equal(z.nr_dirty, 512);
	assert_int_equal(z.nr_huge_free, 0);
	give(r, 0, 512, true);
	assert_int_equal(r->page[0].order, HUGE_ORDER + 1);
	verify_zone(&z);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(random_requests_agree_with_the_reference_model,
						setup, teardown),
		cmocka_unit_test_setup_teardown(single_frames_freed_in_any_order_become_one_block,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			dirty_and_clean_buddies_stay_apart_until_they_are_alike, setup, teardown),
		cmocka_unit_test_setup_teardown(no_range_with_one_used_frame_is_taken, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			blocks_that_hold_memory_go_first_and_parts_of_huge_pages_before_them, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_whole_huge_page_is_dirty_and_a_part_of_one_is_not,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
