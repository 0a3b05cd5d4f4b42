// SPDX-License-Identifier: MIT
#include "base/options.h"
#include "os/mem.h"
#include "page/model.h"
#include "page/zone.h"
#include "unit.h"

static struct zone z;

static int setup(__attribute__((unused)) void **state)
{
	z = (struct zone){ 0 };
	options.thp = THP_NEVER;
	return 0;
}

static int teardown(__attribute__((unused)) void **state)
{
	clear_weather();
	zone_destroy(&z);
	return 0;
}

static struct page *alloc(u32 n)
{
	return frames_alloc(&z, n);
}

static struct page *alloc_written(u32 n)
{
	struct page *page = alloc(n);

	frames_fill(page, n, 1);
	return page;
}

/* n blocks of that many frames (a power of two), kept apart by as many frames in use. */
static void make_dirty_blocks(struct page **block, u32 n, u32 frames)
{
	bool clean;
	struct page *page = zone_alloc(&z, 2 * n * frames, HUGE_ORDER, &clean);

	assert_non_null(page);
	frames_fill(page, 2 * n * frames, 1);
	for (u32 i = 0; i < n; i++) {
		block[i] = page + 2 * i * frames;
		zone_free(&z, block[i], frames, false);
	}
}

TEST(what_is_purged_reads_as_zero_and_is_clean)
{
	struct page *page = alloc_written(300), *used = alloc_written(100);
	size_t size = 300 * FRAME_SIZE;

	zone_free(&z, page, 300, false);
	assert_int_equal(os_resident_in(page_address(page), size), size);
	assert_int_equal(zone_purge(&z, ~0ul), 300);
	assert_int_equal(z.nr_dirty, 0);
	assert_int_equal(os_resident_in(page_address(page), size), 0);
	assert_true(frames_are_zero(page, 300));
	assert_true(frames_hold(used, 100, 1));
	verify_memory(&z);
	assert_int_equal(zone_purge(&z, ~0ul), 0);
}

TEST(the_target_is_met_and_not_passed_by_more_than_a_block)
{
	struct page *block[40];

	make_dirty_blocks(block, 40, 8);
	for (u32 target = 1; z.nr_dirty; target += 5) {
		unsigned long dirty = z.nr_dirty, gone = zone_purge(&z, target);

		assert_int_equal(z.nr_dirty, dirty - gone);
		assert_in_range(gone, min((unsigned long)target, dirty), target + 7);
		verify_memory(&z);
	}
	assert_int_equal(zone_purge(&z, 0), 0);
}

TEST(large_blocks_go_first)
{
	struct page *large[3], *small[30];

	make_dirty_blocks(small, 30, 1);
	make_dirty_blocks(large, 3, 64);
	assert_int_equal(zone_purge(&z, 3 * 64), 3 * 64);
	assert_int_equal(z.nr_dirty, 30);
	for (u32 i = 0; i < 30; i++)
		assert_false(frames_are_zero(small[i], 1));
	for (u32 i = 0; i < 3; i++)
		assert_true(frames_are_zero(large[i], 64));
}

/* More than a batch of purge.c. */
TEST(any_number_of_blocks_goes)
{
	static struct page *block[700];

	make_dirty_blocks(block, ARRAY_SIZE(block), 1);
	assert_int_equal(zone_purge(&z, ~0ul), ARRAY_SIZE(block));
	assert_int_equal(z.nr_dirty, 0);
	verify_memory(&z);
}

TEST(what_the_system_refuses_stays_dirty_and_free)
{
	struct page *block[200], *page;
	unsigned long nr_free;
	bool clean;

	make_dirty_blocks(block, 200, 2);
	nr_free = z.nr_free;
	weather.os_purge = 50;
	assert_int_equal(zone_purge(&z, ~0ul), 100);
	clear_weather();
	assert_int_equal(z.nr_dirty, 300);
	assert_int_equal(z.nr_free, nr_free);
	verify_memory(&z);
	page = zone_alloc(&z, 2, 1, &clean);
	assert_false(clean);
	zone_free(&z, page, 2, false);
	assert_int_equal(zone_purge(&z, ~0ul), 300);
	verify_memory(&z);
}

TEST(regions_go_back_with_their_last_frame_but_for_one)
{
	struct page *page[4];
	uintptr_t base[4];
	size_t mapped;

	page[0] = alloc_written(1);
	mapped = os_stats.mapped;
	for (int i = 1; i < 4; i++)
		page[i] = alloc(FRAMES_PER_REGION);
	for (int i = 0; i < 4; i++)
		base[i] = region_of(page[i])->base;
	assert_int_equal(z.nr_regions, 4);
	for (int i = 1; i < 4; i++) {
		frames_fill(page[i] + 1000 * i, 1, 1);
		zone_free(&z, page[i], FRAMES_PER_REGION, i != 2);
	}
	zone_purge(&z, ~0ul);
	assert_int_equal(z.nr_regions, 1);
	assert_int_equal(z.nr_present, FRAMES_PER_REGION);
	/* But for the map of a section that one of them may have been the first in: sections stay. */
	mapped = os_stats.mapped - mapped;
	assert_true(mapped == 0 || mapped == ALIGN(sizeof(struct mem_section), os_page_size()));
	assert_non_null(virt_to_page(base[0]));
	for (int i = 1; i < 4; i++)
		assert_null(virt_to_page(base[i]));
	zone_free(&z, page[0], 1, false);
	zone_purge(&z, ~0ul);
	assert_int_equal(z.nr_regions, 1);
	verify_memory(&z);
}

TEST(a_region_that_the_kernel_does_not_unmap_can_still_be_used)
{
	struct page *page[2];

	page[0] = alloc(FRAMES_PER_REGION);
	page[1] = alloc_written(FRAMES_PER_REGION);
	zone_free(&z, page[0], FRAMES_PER_REGION, true);
	zone_free(&z, page[1], FRAMES_PER_REGION, false);
	weather.os_unmap = 0;
	zone_purge(&z, ~0ul);
	clear_weather();
	assert_int_equal(z.nr_regions, 2);
	assert_int_equal(z.nr_dirty, 0);
	verify_memory(&z);
	frames_fill(alloc(FRAMES_PER_REGION), FRAMES_PER_REGION, 1);
	frames_fill(alloc(FRAMES_PER_REGION), FRAMES_PER_REGION, 2);
	assert_int_equal(z.nr_regions, 2);
}

/* Huge pages. A kernel without them refuses the advice; then there is nothing to test. */
static struct page *alloc_in_huge_page(u32 n)
{
	struct page *page;

	options.thp = THP_ALWAYS;
	page = alloc(n);
	if (!z.nr_huge)
		skip();
	return page;
}

TEST(only_a_heap_above_thp_start_gets_huge_pages)
{
	u32 start = 3 * FRAMES_PER_HUGE;

	options.thp = THP_AUTO;
	options.thp_start = start * FRAME_SIZE;
	for (u32 used = 0; used < start; used += 64) {
		alloc(64);
		assert_int_equal(z.nr_huge, 0);
	}
	alloc(64);
	if (!z.nr_huge)
		skip();
	assert_int_equal(z.nr_huge, 1);
	alloc(5 * FRAMES_PER_HUGE);
	assert_in_range(z.nr_huge, 6, 7);
	verify_zone(&z);
	options.thp = THP_NEVER;
	alloc(8 * FRAMES_PER_HUGE);
	assert_in_range(z.nr_huge, 6, 7);
}

TEST(a_huge_page_in_use_keeps_its_memory)
{
	struct page *page = alloc_in_huge_page(FRAMES_PER_HUGE);

	frames_fill(page, FRAMES_PER_HUGE, 1);
	zone_free(&z, page + 1, FRAMES_PER_HUGE - 1, false);
	assert_int_equal(z.nr_dirty, 0);
	assert_int_equal(z.nr_huge_free, FRAMES_PER_HUGE - 1);
	assert_int_equal(zone_purge(&z, ~0ul), 0);
	assert_int_equal(z.nr_huge, 1);
	assert_false(frames_are_zero(page + 1, 1));
	verify_zone(&z);
}

TEST(a_huge_page_free_as_a_whole_goes_back_as_a_whole)
{
	struct page *page = alloc_in_huge_page(10);

	frames_fill(page, 10, 1);
	zone_free(&z, page, 10, false);
	assert_int_equal(zone_purge(&z, ~0ul), FRAMES_PER_HUGE);
	assert_int_equal(z.nr_huge, 0);
	assert_int_equal(z.nr_dirty, 0);
	assert_int_equal(os_resident_in(page_address(page), HUGE_SIZE), 0);
	verify_memory(&z);
}

/* Its mapping is still advised: the first touch populates all of it again, whatever the heap wants now. */
TEST(a_block_once_advised_is_a_huge_page_each_time_it_is_used)
{
	struct page *page = alloc_in_huge_page(10);

	zone_free(&z, page, 10, true);
	zone_purge(&z, ~0ul);
	options.thp = THP_NEVER;
	assert_ptr_equal(alloc(10), page);
	assert_int_equal(z.nr_huge, 1);
	frames_fill(page, 10, 1);
	zone_free(&z, page, 10, false);
	zone_purge(&z, ~0ul);
	assert_int_equal(os_resident_in(page_address(page), HUGE_SIZE), 0);
	/* Until it is decommitted. */
	assert_true(zone_decommit(&z) >= HUGE_SIZE);
	assert_ptr_equal(alloc(10), page);
	assert_int_equal(z.nr_huge, 0);
	verify_zone(&z);
}

TEST(a_torn_page_gives_its_free_memory_back_and_is_huge_again_when_it_was_whole)
{
	struct page *page = alloc_in_huge_page(100), *further;
	void *p = page_address(page);

	frames_fill(page, 100, 1);
	zone_free(&z, page + 10, 90, false);
	assert_int_equal(zone_tear(&z, FRAMES_PER_HUGE - 9), 0);
	assert_int_equal(zone_tear(&z, FRAMES_PER_HUGE - 10), 1);
	assert_int_equal(z.nr_huge, 0);
	assert_int_equal(z.nr_dirty, FRAMES_PER_HUGE - 10);
	assert_int_equal(z.nr_huge_free, 0);
	verify_zone(&z);
	assert_int_equal(zone_purge(&z, ~0ul), FRAMES_PER_HUGE - 10);
	assert_int_equal(os_resident_in(p, HUGE_SIZE), 10 * FRAME_SIZE);
	assert_true(frames_hold(page, 10, 1));
	verify_memory(&z);
	/* Carved further it stays as it is ... */
	further = alloc_written(FRAMES_PER_HUGE / 2);
	assert_ptr_equal(further, page + 10);
	assert_int_equal(z.nr_huge, 0);
	zone_free(&z, further, FRAMES_PER_HUGE / 2, false);
	zone_free(&z, page, 10, false);
	zone_purge(&z, ~0ul);
	assert_int_equal(z.nr_free, z.nr_present);
	/* ... until it comes as a whole. */
	alloc(1);
	assert_int_equal(z.nr_huge, 1);
	verify_memory(&z);
}

TEST(a_huge_page_that_is_free_or_full_is_not_torn)
{
	struct page *page = alloc_in_huge_page(2 * FRAMES_PER_HUGE);

	assert_int_equal(z.nr_huge, 2);
	zone_free(&z, page, FRAMES_PER_HUGE, false);
	assert_int_equal(zone_tear(&z, 1), 0);
	assert_int_equal(z.nr_huge, 2);
	zone_free(&z, page + FRAMES_PER_HUGE, 1, false);
	weather.os_hugepage = 0;
	assert_int_equal(zone_tear(&z, 1), 0);
	clear_weather();
	assert_int_equal(z.nr_huge, 2);
	verify_zone(&z);
	assert_int_equal(zone_tear(&z, 1), 1);
	assert_int_equal(z.nr_huge, 1);
	verify_zone(&z);
}

/* Random sizes in a heap of huge pages, with everything that ends them. */
TEST(huge_pages_keep_the_equations_and_the_contents)
{
	enum { LIVE = 60, ROUNDS = 1500 };
	static struct {
		struct page *page;
		u32 n;
	} live[LIVE];
	u64 rng = 6;

	alloc_in_huge_page(1);
	for (u32 round = 0; round < ROUNDS; round++) {
		u32 i = random_below(&rng, LIVE);

		if (live[i].n) {
			assert_true(frames_hold(live[i].page, live[i].n, i));
			zone_free(&z, live[i].page, live[i].n, false);
			live[i].n = 0;
		} else {
			live[i].n = 1 + random_below(&rng, 1u << random_below(&rng, 11));
			live[i].page = alloc(live[i].n);
			frames_fill(live[i].page, live[i].n, i);
		}
		options.thp = random_below(&rng, 4) ? THP_ALWAYS : THP_NEVER;
		if (random_below(&rng, 40) == 0)
			zone_tear(&z, 1 + random_below(&rng, FRAMES_PER_HUGE));
		if (random_below(&rng, 20) == 0)
			zone_purge(&z, random_below(&rng, 5000));
		if (random_below(&rng, 40) == 0)
			zone_decommit(&z);
		if (round % 100 == 0)
			verify_memory(&z);
	}
	for (u32 i = 0; i < LIVE; i++)
		if (live[i].n)
			zone_free(&z, live[i].page, live[i].n, false);
	zone_tear(&z, 1);
	zone_purge(&z, ~0ul);
	assert_int_equal(z.nr_dirty, 0);
	assert_int_equal(z.nr_huge, 0);
	verify_memory(&z);
}

TEST(a_small_heap_has_a_megabyte_and_nothing_beside_it)
{
	const struct region *r = region_of(alloc(1));

	assert_int_equal(r->committed, 0);
	assert_int_equal(zone_uncommitted(&z), REGION_SIZE - MIB);
	assert_false(os_map_at((void *)(r->base - r->guard), r->guard));
	assert_non_null(alloc(MIB / FRAME_SIZE - 1));
	assert_int_equal(r->committed, 0);
	assert_non_null(alloc(1));
	assert_int_equal(r->committed, 1);
	assert_int_equal(zone_uncommitted(&z), REGION_SIZE - HUGE_SIZE);
	verify_zone(&z);
}

int main(void)
{
#define PURGE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		PURGE_TEST(a_small_heap_has_a_megabyte_and_nothing_beside_it),
		PURGE_TEST(what_is_purged_reads_as_zero_and_is_clean),
		PURGE_TEST(the_target_is_met_and_not_passed_by_more_than_a_block),
		PURGE_TEST(large_blocks_go_first),
		PURGE_TEST(any_number_of_blocks_goes),
		PURGE_TEST(what_the_system_refuses_stays_dirty_and_free),
		PURGE_TEST(regions_go_back_with_their_last_frame_but_for_one),
		PURGE_TEST(a_region_that_the_kernel_does_not_unmap_can_still_be_used),
		PURGE_TEST(only_a_heap_above_thp_start_gets_huge_pages),
		PURGE_TEST(a_huge_page_in_use_keeps_its_memory),
		PURGE_TEST(a_huge_page_free_as_a_whole_goes_back_as_a_whole),
		PURGE_TEST(a_block_once_advised_is_a_huge_page_each_time_it_is_used),
		PURGE_TEST(
			a_torn_page_gives_its_free_memory_back_and_is_huge_again_when_it_was_whole),
		PURGE_TEST(a_huge_page_that_is_free_or_full_is_not_torn),
		PURGE_TEST(huge_pages_keep_the_equations_and_the_contents),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
