// SPDX-License-Identifier: MIT
#include "slab/empty.h"

#include "base/options.h"
#include "page/model.h"
#include "reclaim/reclaim.h"
#include "unit.h"

enum { SLABS = 40, MAX_OBJECTS = 256 };

static const size_t sizes[] = { 16, 192, 1024, 1280, 5120, 65536, 256 << 10 };

static struct zone *const z = &zones[0];
static const struct page_source src = { NULL, &zones[0], false };
static void *objects[SLABS * MAX_OBJECTS];

static int setup(__attribute__((unused)) void **state)
{
	options.thp = THP_NEVER;
	return 0;
}

static int teardown(__attribute__((unused)) void **state)
{
	for (u32 id = 1; id < NR_KMALLOC; id++) {
		cache_nodes[id].min_partial = 0;
		slab_shrink(id, src);
		assert_int_equal(cache_nodes[id].nr_slabs, 0);
	}
	assert_int_equal(zone_surplus, 0);
	assert_int_equal(z->nr_free, z->nr_present);
	verify_memory(z);
	zone_destroy(z);
	return 0;
}

static unsigned long frames_in_use(void)
{
	return z->nr_present - z->nr_free;
}

static unsigned long surplus(void)
{
	unsigned long sum = 0;

	for (u32 id = 1; id < NR_KMALLOC; id++) {
		const struct kmem_cache_node *n = &cache_nodes[id];
		u32 keep = n->min_partial ? n->min_partial - 1 : slab_empty_kept(cache_of(id));

		assert_int_equal(n->nr_surplus, n->nr_empty - min(n->nr_empty, keep));
		sum += (unsigned long)n->nr_surplus * cache_of(id)->frames;
	}
	return sum;
}

/* So many slabs of the cache are used, and left empty by one batch. */
static void leave_empty(u32 id, u32 slabs)
{
	u32 n = slabs * cache_of(id)->objects;

	for (u32 got = 0; got < n;) {
		void *batch[MAX_OBJECTS];
		u32 more = slab_alloc_batch(id, src, batch + MAX_OBJECTS,
					    min(n - got, (u32)MAX_OBJECTS));

		assert_true(more);
		for (u32 i = 1; i <= more; i++)
			objects[got++] = batch[MAX_OBJECTS - i];
	}
	slab_free_batch(id, src, objects, n);
}

TEST(a_few_stay_in_any_case_and_the_surplus_until_it_is_wanted)
{
	for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
		u32 id = kmalloc_index(sizes[k]);
		const struct kmem_cache *s = cache_of(id);
		struct kmem_cache_node *n = &cache_nodes[id];

		leave_empty(id, slab_empty_kept(s) + 1);
		assert_int_equal(n->nr_empty, slab_empty_kept(s) + 1);
		assert_int_equal(n->nr_surplus, 1);
		assert_int_equal(zone_surplus, s->frames);
		zone_take_surplus();
		assert_int_equal(n->nr_slabs, slab_empty_kept(s));
		assert_int_equal(zone_surplus, 0);
		assert_int_equal(slab_shrink(id, src), slab_empty_kept(s) * s->frames);
		assert_int_equal(slab_shrink(id, src), 0);
	}
}

TEST(the_surplus_of_all_caches_has_a_bound)
{
	unsigned long most = 0;

	for (int round = 0; round < 3; round++) {
		for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
			u32 id = kmalloc_index(sizes[k]);

			leave_empty(id, SLABS);
			assert_int_equal(zone_surplus, surplus());
			/* The last batch may go beyond it, and the next one does not. */
			leave_empty(id, 1);
			assert_true(zone_surplus <= max(frames_in_use() / 16, 128ul));
			most = max(most, zone_surplus);
		}
	}
	assert_true(most > 64);
}

/* Or a heap would grow beside what it has. */
TEST(a_zone_takes_it_before_memory_that_is_new)
{
	u32 small = kmalloc_index(1024), large = kmalloc_index(5120);
	unsigned long before = frames_in_use();
	struct page *page;
	bool clean;
	u32 n;

	leave_empty(small, slab_empty_kept(cache_of(small)) + 20);
	leave_empty(large, slab_empty_kept(cache_of(large)) + 5);
	n = cache_of(small)->frames * 8;
	assert_true(zone_surplus >= n);
	page = zone_alloc(z, n, 0, &clean);
	assert_non_null(page);
	assert_false(clean);
	assert_int_equal(zone_surplus, 0);
	assert_int_equal(surplus(), 0);
	zone_free(z, page, n, false);
	assert_true(frames_in_use() > before);
}

TEST(free_frames_that_hold_memory_come_first)
{
	u32 id = kmalloc_index(1024);
	struct page *page;
	bool clean;

	page = zone_alloc(z, 8, 0, &clean);
	leave_empty(id, slab_empty_kept(cache_of(id)) + 20);
	zone_free(z, page, 8, false);
	page = zone_alloc(z, 4, 0, &clean);
	assert_false(clean);
	assert_true(zone_surplus);
	zone_free(z, page, 4, false);
}

TEST(it_counts_as_free_memory_that_may_go_back)
{
	u32 id = kmalloc_index(1024);
	size_t dirty = reclaim_dirty();

	leave_empty(id, slab_empty_kept(cache_of(id)) + 20);
	assert_int_equal(reclaim_dirty(),
			 dirty + ((size_t)20 * cache_of(id)->frames << FRAME_SHIFT));
}

TEST(where_the_program_says_how_many_there_is_no_surplus)
{
	u32 id = kmalloc_index(1024);

	cache_nodes[id].min_partial = 31;
	leave_empty(id, SLABS);
	assert_int_equal(cache_nodes[id].nr_empty, 30);
	assert_int_equal(zone_surplus, 0);
}

int main(void)
{
#define EMPTY_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		EMPTY_TEST(a_few_stay_in_any_case_and_the_surplus_until_it_is_wanted),
		EMPTY_TEST(the_surplus_of_all_caches_has_a_bound),
		EMPTY_TEST(a_zone_takes_it_before_memory_that_is_new),
		EMPTY_TEST(free_frames_that_hold_memory_come_first),
		EMPTY_TEST(it_counts_as_free_memory_that_may_go_back),
		EMPTY_TEST(where_the_program_says_how_many_there_is_no_surplus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
