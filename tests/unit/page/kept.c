// SPDX-License-Identifier: MIT
/* kept.c - the large block that a thread freed last (page/pcp.h). */
#include <string.h>

#include "base/options.h"
#include "page/large.h"
#include "page/model.h"
#include "page/vmalloc.h"
#include "unit.h"

/* Blocks are in the zone of their node. */
static struct zone *const z = &zones[0];
static struct per_cpu_pages pcp;

static int setup(__attribute__((unused)) void **state)
{
	options.thp = THP_NEVER;
	return 0;
}

static int teardown(__attribute__((unused)) void **state)
{
	pcp_drain(&pcp);
	assert_int_equal(z->nr_free, z->nr_present);
	verify_memory(z);
	zone_destroy(z);
	return 0;
}

static char *alloc(size_t size)
{
	char *p = large_alloc_kept(&pcp, z, size, FRAME_SIZE, false);

	p = p ? p : large_alloc(z, size, FRAME_SIZE, false);
	assert_non_null(p);
	assert_int_equal(large_size(p), ALIGN(size, FRAME_SIZE));
	return p;
}

static unsigned long frames_in_use(void)
{
	return z->nr_present - z->nr_free;
}

TEST(the_block_freed_last_is_the_next_of_its_size)
{
	char *first = alloc(MIB), *second = alloc(MIB), *p;

	assert_true(large_free_kept(&pcp, z, first));
	assert_int_equal(frames_in_use(), 2 * MIB >> FRAME_SHIFT);
	assert_int_equal(pcp_frames(&pcp), MIB >> FRAME_SHIFT);
	assert_int_equal(large_size(first), 0);
	assert_true(large_free_kept(&pcp, z, second));
	assert_int_equal(frames_in_use(), MIB >> FRAME_SHIFT);
	p = alloc(MIB - FRAME_SIZE + 1);
	assert_ptr_equal(p, second);
	assert_int_equal(pcp_frames(&pcp), 0);
	assert_true(large_free(p));
}

TEST(another_size_or_another_alignment_sends_it_back)
{
	char *p = alloc(MIB);

	assert_true(large_free_kept(&pcp, z, p));
	assert_null(large_alloc_kept(&pcp, z, MIB + 1, FRAME_SIZE, false));
	assert_int_equal(frames_in_use(), 0);

	p = large_alloc(z, MIB, 2 * MIB, false);
	assert_true(large_free(p));
	p = alloc(FRAME_SIZE);
	assert_true(large_free_kept(&pcp, z, p));
	assert_ptr_equal(large_alloc_kept(&pcp, z, 1, FRAME_SIZE, false), p);
	assert_true(large_free_kept(&pcp, z, p));
	assert_null(large_alloc_kept(&pcp, z, 1, (size_t)1 << 47, false));
	assert_int_equal(frames_in_use(), 0);
}

/* Or a heap would grow beside what it has. */
TEST(it_goes_back_before_the_set_takes_frames)
{
	char *p = alloc(MIB);
	struct page *page;
	bool clean;

	memset(p, 1, MIB);
	assert_true(large_free_kept(&pcp, z, p));
	page = pcp_alloc(&pcp, z, 0, &clean);
	assert_int_equal(frames_in_use(), PCP_BATCH);
	/* No slab begins where it began (region->began). */
	assert_ptr_equal(page_address(page), p + FRAME_SIZE);
	pcp_free(&pcp, z, page, 0, false);
}

TEST(it_goes_back_with_age_and_where_sets_are_drained)
{
	char *p = alloc(MIB);

	assert_true(large_free_kept(&pcp, z, p));
	pcp_age(&pcp);
	assert_ptr_equal(alloc(MIB), p);
	assert_true(large_free_kept(&pcp, z, p));
	pcp_age(&pcp);
	assert_int_equal(pcp_frames(&pcp), MIB >> FRAME_SHIFT);
	pcp_age(&pcp);
	assert_int_equal(frames_in_use(), 0);

	assert_true(large_free_kept(&pcp, z, alloc(MIB)));
	pcp_drain(&pcp);
	assert_int_equal(frames_in_use(), 0);
	pcp_age(&pcp);
}

TEST(zeroes_are_written_over_what_was_there)
{
	char *p = alloc(MIB);

	memset(p, 1, MIB);
	assert_true(large_free_kept(&pcp, z, p));
	assert_ptr_equal(large_alloc_kept(&pcp, z, MIB, FRAME_SIZE, true), p);
	for (size_t i = 0; i < MIB; i++)
		assert_int_equal(p[i], 0);
	assert_true(large_free(p));
}

TEST(what_is_no_block_of_frames_is_not_kept)
{
	char *p = alloc(MIB), *area = large_alloc(z, 8 * MIB, FRAME_SIZE, false);
	char *whole = large_alloc(z, 4 * MIB + 1, FRAME_SIZE, false);

	assert_false(large_free_kept(&pcp, z, p + FRAME_SIZE));
	assert_false(large_free_kept(&pcp, z, area));
	assert_false(large_free_kept(&pcp, z, whole));
	assert_false(large_free_kept(&pcp, z, &area));
	assert_true(large_free_kept(&pcp, z, p));
	assert_false(large_free_kept(&pcp, z, p));
	assert_false(large_free(p));
	assert_true(large_free(area));
	assert_true(large_free(whole));
	vm_purge(SIZE_MAX, UINT64_MAX);
}

int main(void)
{
#define KEPT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		KEPT_TEST(the_block_freed_last_is_the_next_of_its_size),
		KEPT_TEST(another_size_or_another_alignment_sends_it_back),
		KEPT_TEST(it_goes_back_before_the_set_takes_frames),
		KEPT_TEST(it_goes_back_with_age_and_where_sets_are_drained),
		KEPT_TEST(zeroes_are_written_over_what_was_there),
		KEPT_TEST(what_is_no_block_of_frames_is_not_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
