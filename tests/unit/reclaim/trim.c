// SPDX-License-Identifier: MIT
#include <string.h>

#include "base/options.h"
#include "os/mem.h"
#include "page/large.h"
#include "page/memblock.h"
#include "page/model.h"
#include "page/vmalloc.h"
#include "reclaim/reclaim.h"
#include "sheaf/barn.h"
#include "sheaf/heap.h"
#include "unit.h"

enum { BLOCKS = 500 };

static struct zone *const z = &zones[0];
static struct {
	u8 *p;
	size_t size;
	u32 id; /* 0: large */
} blocks[BLOCKS];

/* Written to at both ends, which is enough to see whether a block is another's or gone. */
static bool is_marked(u32 i)
{
	size_t n = min(blocks[i].size, FRAME_SIZE);

	return all_bytes_are(blocks[i].p, n, (u8)i) &&
	       all_bytes_are(blocks[i].p + blocks[i].size - n, n, (u8)i);
}

static void mark(u32 i)
{
	size_t n = min(blocks[i].size, FRAME_SIZE);

	memset(blocks[i].p, (int)i, n);
	memset(blocks[i].p + blocks[i].size - n, (int)i, n);
}

static void take(u32 i, u64 *rng)
{
	blocks[i].size = 1 + random_below(rng, 1u << random_below(rng, 24));
	blocks[i].id = blocks[i].size <= KMALLOC_MAX ? kmalloc_index(blocks[i].size) : 0;
	if (blocks[i].id)
		blocks[i].p = heap_untagged(heap_alloc(this_cpu, blocks[i].id));
	else
		blocks[i].p = large_alloc(z, blocks[i].size, FRAME_SIZE, false);
	assert_non_null(blocks[i].p);
	mark(i);
}

static void give(u32 i)
{
	if (!blocks[i].p)
		return;
	assert_true(is_marked(i));
	if (blocks[i].id)
		heap_free(this_cpu, blocks[i].id, blocks[i].p);
	else
		assert_true(large_free(blocks[i].p));
	blocks[i].p = NULL;
}

/* Blocks of all sizes; every n-th stays. */
static void use_and_free_all_but(u32 n)
{
	u64 rng = 13;

	for (u32 i = 0; i < BLOCKS; i++)
		take(i, &rng);
	for (u32 i = 0; i < BLOCKS; i++)
		if (i % n)
			give(i);
}

static void free_the_rest(void)
{
	for (u32 i = 0; i < BLOCKS; i++)
		give(i);
}

static void assert_nothing_is_kept(void)
{
	assert_int_equal(z->nr_free, z->nr_present);
	assert_int_equal(z->nr_dirty, 0);
	assert_int_equal(z->nr_huge, 0);
	assert_int_equal(z->nr_regions, 1);
	assert_int_equal(vm.nr_cached, 0);
	for (u32 id = 1; id < NR_KMALLOC; id++)
		assert_int_equal(cache_nodes[id].nr_slabs, 0);
	assert_int_equal(
		os_resident_in((void *)hlist_first_entry(&z->regions, struct region, link)->base,
			       REGION_SIZE),
		0);
}

TEST(all_that_is_free_goes_back)
{
	size_t gone;

	use_and_free_all_but(BLOCKS + 1);
	give(0);
	gone = reclaim_all(this_cpu, true);
	assert_true(gone > 0);
	assert_nothing_is_kept();
	verify_memory(z);
	assert_int_equal(reclaim_all(this_cpu, true), 0);
}

TEST(all_that_is_free_goes_back_from_huge_pages_too)
{
	options.thp = THP_ALWAYS;
	use_and_free_all_but(BLOCKS + 1);
	give(0);
	reclaim_all(this_cpu, true);
	options.thp = THP_NEVER;
	assert_nothing_is_kept();
}

TEST(what_is_in_use_stays_as_it_is)
{
	for (u32 n = 2; n < 200; n = n * 3 + 1) {
		use_and_free_all_but(n);
		reclaim_all(this_cpu, n % 2);
		assert_int_equal(z->nr_dirty, 0);
		assert_int_equal(vm.nr_cached, 0);
		verify_memory(z);
		free_the_rest();
	}
	reclaim_all(this_cpu, true);
	assert_nothing_is_kept();
}

TEST(a_thread_without_sheaves_can_ask_for_it)
{
	use_and_free_all_but(BLOCKS + 1);
	give(0);
	sheaf_detach();
	reclaim_all(NULL, true);
	assert_nothing_is_kept();
	assert_int_equal(memblock_used(), 0);
}

TEST(huge_pages_in_use_are_kept_unless_they_may_be_torn)
{
	void *p;
	bool clean;
	struct page *page;

	options.thp = THP_ALWAYS;
	page = zone_alloc(z, 10, 0, &clean);
	options.thp = THP_NEVER;
	p = page_address(page);
	memset(p, 1, 10 * FRAME_SIZE);
	zone_free(z, page + 1, 9, false);
	if (z->nr_huge) {
		reclaim_all(this_cpu, false);
		assert_int_equal(z->nr_huge, 1);
		assert_false(frames_are_zero(page + 1, 9));
	}
	reclaim_all(this_cpu, true);
	assert_int_equal(z->nr_huge, 0);
	assert_true(frames_are_zero(page + 1, 9));
	assert_true(all_bytes_are(p, FRAME_SIZE, 1));
	zone_free(z, page, 1, false);
}

TEST(what_it_gives_back_can_be_committed_elsewhere)
{
	struct page *page[200];
	bool clean;
	u32 n = 0;

	/* All that the system grants is in slabs' and sheaves' hands. */
	weather.os_commit = 3;
	while (n < ARRAY_SIZE(page) && (page[n] = zone_alloc(z, 100, 0, &clean)))
		n++;
	assert_true(n < ARRAY_SIZE(page));
	for (u32 i = 0; i < n; i++)
		zone_free(z, page[i], 100, false);
	reclaim_all(this_cpu, false);
	assert_int_equal(hlist_first_entry(&z->regions, struct region, link)->committed, 0);
}

TEST(other_threads_keep_their_sheaves)
{
	struct kmem_percpu *other = heap_second_thread();
	u32 id = kmalloc_index(64);

	heap_free(other, id, heap_alloc(other, id));
	reclaim_all(this_cpu, true);
	assert_true(other->slot[id].top > other->slot[id].base);
	heap_verify(other);
}

int main(void)
{
#define TRIM_TEST(name) cmocka_unit_test_setup_teardown(name, heap_setup, heap_teardown)
	const struct CMUnitTest tests[] = {
		TRIM_TEST(all_that_is_free_goes_back),
		TRIM_TEST(all_that_is_free_goes_back_from_huge_pages_too),
		TRIM_TEST(what_is_in_use_stays_as_it_is),
		TRIM_TEST(a_thread_without_sheaves_can_ask_for_it),
		TRIM_TEST(huge_pages_in_use_are_kept_unless_they_may_be_torn),
		TRIM_TEST(what_it_gives_back_can_be_committed_elsewhere),
		TRIM_TEST(other_threads_keep_their_sheaves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
