// SPDX-License-Identifier: MIT
/*
 * Where large blocks go, and what begins where one began.
 */
#include "base/options.h"
#include "os/mem.h"
#include "page/huge.h"
#include "page/model.h"
#include "page/zone.h"
#include "unit.h"

enum { LARGE = 4 * FRAMES_PER_HUGE, WALL = 8 };

static struct zone z;

static int setup(__attribute__((unused)) void **state)
{
	z = (struct zone){ 0 };
	options.thp = THP_NEVER;
	huge_after_fork();
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

/* A region of runs of LARGE frames with walls between, all in use. */
static u32 fill(struct page **run)
{
	u32 n = 0;

	while (z.nr_free >= LARGE + WALL || !n) {
		run[n++] = alloc(LARGE);
		alloc(WALL);
	}
	assert_int_equal(z.nr_regions, 1);
	return n;
}

TEST(a_large_block_goes_where_most_memory_is)
{
	struct page *run[16];
	u32 n = fill(run);

	assert_in_range(n, 5, ARRAY_SIZE(run));
	zone_free(&z, run[1], LARGE, true);
	/* A quarter of this one holds memory, in the middle; three quarters of the next, at the ends. */
	zone_free(&z, run[2], LARGE * 3 / 8, true);
	zone_free(&z, run[2] + LARGE * 3 / 8, LARGE / 4, false);
	zone_free(&z, run[2] + LARGE * 5 / 8, LARGE * 3 / 8, true);
	zone_free(&z, run[3], LARGE / 2, false);
	zone_free(&z, run[3] + LARGE / 2, LARGE / 4, true);
	zone_free(&z, run[3] + LARGE * 3 / 4, LARGE / 4, false);
	assert_ptr_equal(alloc(LARGE), run[3]);
	assert_ptr_equal(alloc(LARGE), run[2]);
	assert_ptr_equal(alloc(LARGE), run[1]);
	verify_zone(&z);
}

TEST(and_to_that_part_of_a_run_where_it_is)
{
	struct page *run[16];

	fill(run);
	zone_free(&z, run[4], LARGE / 2, true);
	zone_free(&z, run[4] + LARGE / 2, LARGE / 2, false);
	assert_ptr_equal(alloc(LARGE / 2), run[4] + LARGE / 2);
	zone_free(&z, run[4] + LARGE / 2, LARGE / 2, true);
	/* Nothing is held: the first by address. */
	assert_ptr_equal(alloc(LARGE / 2), run[4]);
	assert_ptr_equal(alloc(LARGE / 2), run[4] + LARGE / 2);
	verify_zone(&z);
}

TEST(a_run_that_is_no_multiple_of_the_alignment_serves_what_fits)
{
	struct page *run[16], *page;
	bool clean;

	fill(run);
	zone_free(&z, run[2], LARGE, false);
	page = zone_alloc(&z, LARGE / 2, HUGE_ORDER, &clean);
	assert_int_equal(page_index(page) % FRAMES_PER_HUGE, 0);
	assert_in_range(page_index(page), page_index(run[2]), page_index(run[2]) + LARGE / 2);
	zone_free(&z, page, LARGE / 2, false);
	/* All of it would not be aligned: a region is made. */
	page = zone_alloc(&z, LARGE, HUGE_ORDER + 2, &clean);
	assert_int_equal(page_index(page) % LARGE, 0);
	assert_int_equal(z.nr_regions, 2);
}

/* Its second free finds a free frame, and no object of somebody else. */
TEST(where_a_large_block_began_a_slab_begins_last)
{
	struct page *large = alloc(BEGAN_MIN), *slab;

	zone_free(&z, large, BEGAN_MIN, false);
	for (u32 i = 1; i < BEGAN_MIN; i++) {
		slab = alloc(1);
		assert_in_range(page_index(slab), page_index(large) + 1,
				page_index(large) + BEGAN_MIN - 1);
	}
	assert_int_equal(z.nr_dirty, 1);
	/* Another large one begins there at once. */
	zone_free(&z, large + 1, BEGAN_MIN - 1, false);
	assert_ptr_equal(alloc(BEGAN_MIN), large);
}

/* A kernel without huge pages refuses it. */
static bool advice_is_taken(void)
{
	void *p = os_map_aligned(HUGE_SIZE, HUGE_SIZE);
	bool taken = os_hugepage(p, HUGE_SIZE, true);

	os_unmap(p, HUGE_SIZE);
	return taken;
}

TEST(where_the_first_touch_of_many_is_dear_the_others_stay_small)
{
	struct page *page;
	u32 huge;

	if (!advice_is_taken())
		skip();
	options.thp = THP_AUTO;
	options.thp_start = 0;
	weather.touch_ns = 8000000;
	page = alloc(LARGE);
	huge = region_of(page)->huge;
	assert_int_equal(__builtin_popcount(huge), 1);
	assert_int_equal(z.nr_huge, 1);
	assert_int_equal(region_of(page)->advised, huge);
	zone_free(&z, page, LARGE, false);
	verify_zone(&z);
}

TEST(and_where_it_is_cheap_all_are_huge)
{
	struct page *page;

	if (!advice_is_taken())
		skip();
	options.thp = THP_AUTO;
	options.thp_start = 0;
	page = alloc(LARGE);
	assert_int_equal(z.nr_huge, LARGE / FRAMES_PER_HUGE);
	zone_free(&z, page, LARGE, false);
	verify_zone(&z);
}

int main(void)
{
#define FIT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		FIT_TEST(a_large_block_goes_where_most_memory_is),
		FIT_TEST(and_to_that_part_of_a_run_where_it_is),
		FIT_TEST(a_run_that_is_no_multiple_of_the_alignment_serves_what_fits),
		FIT_TEST(where_a_large_block_began_a_slab_begins_last),
		FIT_TEST(where_the_first_touch_of_many_is_dear_the_others_stay_small),
		FIT_TEST(and_where_it_is_cheap_all_are_huge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
