// SPDX-License-Identifier: MIT
#include "page/large.h"

#include <stdlib.h>
#include <string.h>

#include "base/options.h"
#include "os/mem.h"
#include "page/model.h"
#include "page/vmalloc.h"
#include "unit.h"

/* large_free gives frames to the zone of their node. */
static struct zone *const z = &zones[0];

static int setup(__attribute__((unused)) void **state)
{
	options.thp = THP_NEVER;
	return 0;
}

static int teardown(__attribute__((unused)) void **state)
{
	clear_weather();
	vm_purge(SIZE_MAX, UINT64_MAX);
	assert_int_equal(vm.used_bytes, 0);
	assert_int_equal(z->nr_free, z->nr_present);
	verify_memory(z);
	zone_destroy(z);
	return 0;
}

static char *alloc(size_t size)
{
	char *p = large_alloc(z, size, FRAME_SIZE, false);

	assert_non_null(p);
	return p;
}

static size_t frames_in_use(void)
{
	return z->nr_present - z->nr_free;
}

TEST(a_block_has_exactly_its_frames_and_one_above_half_a_region_is_an_area)
{
	for (size_t size = 256 * KIB; size < 40 * MIB; size += size / 16 + 1) {
		char *p = alloc(size);

		assert_int_equal(large_size(p), ALIGN(size, FRAME_SIZE));
		if (size <= LARGE_FRAMES_MAX) {
			assert_int_equal(frames_in_use(), DIV_ROUND_UP(size, FRAME_SIZE));
			assert_non_null(virt_to_page((uintptr_t)p));
		} else {
			assert_int_equal(frames_in_use(), 0);
			assert_int_equal(vsize(p), ALIGN(size, os_page_size()));
		}
		memset(p, 1, size);
		assert_true(large_free(p));
	}
}

TEST(any_power_of_two_is_an_alignment)
{
	for (size_t align = 1; align <= 8 * GIB; align *= 2) {
		char *p = large_alloc(z, 3 * FRAME_SIZE, align, true);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % align, 0);
		assert_true(all_bytes_are(p, 3 * FRAME_SIZE, 0));
		assert_true(large_size(p) >= 3 * FRAME_SIZE);
		assert_true(large_free(p));
	}
}

TEST(zeroed_blocks_are_zero_whatever_was_there_before)
{
	enum { LIVE = 20 };
	char *p[LIVE] = { NULL };
	u64 rng = 10;

	for (int round = 0; round < 300; round++) {
		u32 i = random_below(&rng, LIVE);
		size_t size = 4096 + random_below(&rng, round % 10 ? 600 << 10 : 6 << 20);

		if (p[i])
			assert_true(large_free(p[i]));
		p[i] = large_alloc(z, size, FRAME_SIZE, true);
		assert_true(all_bytes_are(p[i], size, 0));
		memset(p[i], 0xee, size);
		if (round % 50 == 0)
			zone_purge(z, 200);
	}
	for (int i = 0; i < LIVE; i++)
		assert_true(large_free(p[i]));
}

TEST(what_starts_no_block_is_not_freed_sized_or_resized)
{
	char *p = alloc(MIB), *area = alloc(35 * MIB), *foreign = malloc(100), *bad[8];

	bad[0] = p + FRAME_SIZE;
	bad[1] = p + 16;
	bad[2] = p + MIB;
	bad[3] = area + FRAME_SIZE;
	bad[4] = foreign;
	bad[5] = NULL;
	bad[6] = (char *)~0ul;
	bad[7] = (char *)(1ul << ADDRESS_BITS);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_false(large_free(bad[i]));
		assert_int_equal(large_size(bad[i]), 0);
		assert_null(large_resize(bad[i], 2 * MIB));
	}
	free(foreign);
	assert_true(large_free(p));
	assert_false(large_free(p));
	assert_int_equal(large_size(p), 0);
	assert_true(large_free(area));
	assert_false(large_free(area));
}

TEST(a_block_shrinks_where_it_is_and_gives_its_tail_back)
{
	char *p = alloc(MIB), *tail;

	memset(p, 7, MIB);
	assert_ptr_equal(large_resize(p, MIB - FRAME_SIZE + 1), p);
	assert_int_equal(frames_in_use(), 256);
	assert_ptr_equal(large_resize(p, 300 * KIB), p);
	assert_int_equal(large_size(p), 300 * KIB);
	assert_int_equal(frames_in_use(), 75);
	assert_int_equal(z->nr_dirty, 256 - 75);
	assert_true(all_bytes_are(p, 300 * KIB, 7));
	verify_zone(z);
	tail = large_alloc(z, 64 * KIB, FRAME_SIZE, true);
	assert_in_range((uintptr_t)tail, (uintptr_t)p + 300 * KIB, (uintptr_t)p + MIB);
	assert_true(all_bytes_are(tail, 64 * KIB, 0));
	large_free(tail);
	large_free(p);
}

TEST(a_block_grows_where_it_is_while_the_frames_behind_it_are_free)
{
	char *p = alloc(300 * KIB);
	size_t size;

	memset(p, 7, 300 * KIB);
	for (size = 400 * KIB; size < REGION_SIZE; size *= 2) {
		assert_ptr_equal(large_resize(p, size), p);
		assert_int_equal(frames_in_use(), size >> FRAME_SHIFT);
		assert_true(all_bytes_are(p, 300 * KIB, 7));
		p[size - 1] = 1;
		verify_zone(z);
	}
	assert_int_equal(vm.nr_used, 0);
	large_free(p);
}

TEST(a_block_that_is_in_the_way_makes_the_pages_move_and_no_byte)
{
	char *p = alloc(256 * KIB), *wall = alloc(256 * KIB), *q;
	unsigned long calls = os_stats.mremap;

	assert_ptr_equal(wall, p + 256 * KIB);
	memset(p, 7, 256 * KIB);
	memset(wall, 8, 256 * KIB);
	q = large_resize(p, 600 * KIB);
	if (!q && under_valgrind()) {
		large_free(p);
		large_free(wall);
		skip();
	}
	assert_non_null(q);
	assert_true(os_stats.mremap > calls);
	assert_true(all_bytes_are(q, 256 * KIB, 7));
	assert_true(large_size(q) >= 600 * KIB);
	assert_int_equal(frames_in_use(), 64);
	assert_true(all_bytes_are(wall, 256 * KIB, 8));
	/* What it left is clean: it can be handed out as zeroes. */
	verify_memory(z);
	memset(q, 7, 600 * KIB);
	q = large_resize(q, 3 * MIB);
	assert_non_null(q);
	assert_true(all_bytes_are(q, 600 * KIB, 7));
	large_free(q);
	large_free(wall);
}

TEST(a_resize_that_cannot_be_done_leaves_the_block)
{
	char *p = alloc(256 * KIB), *wall = alloc(256 * KIB), *area = alloc(36 * MIB);

	memset(p, 7, 256 * KIB);
	memset(area, 6, 36 * MIB);
	weather.os_map = weather.os_remap = 0;
	assert_null(large_resize(area, 80 * MIB));
	assert_null(large_resize(area, SIZE_MAX));
	assert_null(large_resize(p, SIZE_MAX));
	assert_null(large_resize(p, (size_t)PTRDIFF_MAX + 1));
	assert_null(large_resize(p, PTRDIFF_MAX));
	assert_int_equal(large_size(p), 256 * KIB);
	assert_true(all_bytes_are(p, 256 * KIB, 7));
	assert_int_equal(large_size(area), 36 * MIB);
	assert_true(all_bytes_are(area, 36 * MIB, 6));
	clear_weather();
	large_free(p);
	large_free(wall);
	large_free(area);
}

TEST(a_size_whose_frames_overflow_32_bits_is_not_taken_for_a_small_one)
{
	const size_t size = (1ul << (32 + FRAME_SHIFT)) + 1;
	char *p = alloc(256 * KIB), *q = large_resize(p, size);

	assert_true(large_size(q ? q : p) >= (q ? size : 256 * KIB));
	large_free(q ? q : p);
}

TEST(frames_and_areas_are_each_others_fallback)
{
	char *keep = alloc(256 * KIB), *p;

	/* No mapping: frames serve what would be an area. */
	weather.os_map = weather.os_map_aligned = 0;
	p = large_alloc(z, 36 * MIB, FRAME_SIZE, true);
	assert_non_null(p);
	assert_non_null(virt_to_page((uintptr_t)p));
	assert_true(all_bytes_are(p, 36 * MIB, 0));
	assert_true(large_free(p));
	clear_weather();
	zone_purge(z, ~0ul);
	zone_decommit(z);
	/* No frames: an area serves what would be a block. */
	weather.os_commit = 0;
	p = large_alloc(z, 3 * MIB, FRAME_SIZE, true);
	assert_non_null(p);
	assert_int_equal(vsize(p), 3 * MIB);
	assert_true(large_free(p));
	clear_weather();
	large_free(keep);
}

TEST(no_memory_at_all_is_null)
{
	char *keep = alloc(256 * KIB);

	weather.os_map = weather.os_map_aligned = weather.os_commit = 0;
	assert_null(large_alloc(z, 3 * MIB, FRAME_SIZE, true));
	assert_null(large_alloc(z, 60 * MIB, FRAME_SIZE, true));
	clear_weather();
	assert_null(large_alloc(z, SIZE_MAX, FRAME_SIZE, true));
	assert_null(large_alloc(z, (size_t)PTRDIFF_MAX + 1, FRAME_SIZE, false));
	assert_null(large_alloc(z, PTRDIFF_MAX, FRAME_SIZE, false));
	assert_null(large_alloc(z, FRAME_SIZE, 1ul << 62, false));
	large_free(keep);
}

TEST(areas_ask_for_huge_pages_as_the_option_says)
{
	unsigned long advices = os_stats.madvise;
	char *p;

	large_free(alloc(35 * MIB));
	assert_int_equal(os_stats.madvise, advices);
	vm_purge(SIZE_MAX, UINT64_MAX);
	options.thp = THP_AUTO;
	options.thp_start = 64 * MIB;
	p = alloc(39 * MIB);
	assert_int_equal(os_stats.madvise, advices);
	large_free(alloc(37 * MIB));
	assert_int_equal(os_stats.madvise, advices + 1);
	vm_purge(SIZE_MAX, UINT64_MAX);
	large_free(p);
	vm_purge(SIZE_MAX, UINT64_MAX);
	options.thp = THP_ALWAYS;
	p = alloc(35 * MIB);
	assert_int_equal((uintptr_t)p % HUGE_SIZE, 0);
	assert_int_equal(os_stats.madvise, advices + 2);
	large_free(p);
}

int main(void)
{
#define LARGE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		LARGE_TEST(a_block_has_exactly_its_frames_and_one_above_half_a_region_is_an_area),
		LARGE_TEST(any_power_of_two_is_an_alignment),
		LARGE_TEST(zeroed_blocks_are_zero_whatever_was_there_before),
		LARGE_TEST(what_starts_no_block_is_not_freed_sized_or_resized),
		LARGE_TEST(a_block_shrinks_where_it_is_and_gives_its_tail_back),
		LARGE_TEST(a_block_grows_where_it_is_while_the_frames_behind_it_are_free),
		LARGE_TEST(a_block_that_is_in_the_way_makes_the_pages_move_and_no_byte),
		LARGE_TEST(a_resize_that_cannot_be_done_leaves_the_block),
		LARGE_TEST(a_size_whose_frames_overflow_32_bits_is_not_taken_for_a_small_one),
		LARGE_TEST(frames_and_areas_are_each_others_fallback),
		LARGE_TEST(no_memory_at_all_is_null),
		LARGE_TEST(areas_ask_for_huge_pages_as_the_option_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
