// SPDX-License-Identifier: MIT
#include <string.h>

#include "os/mem.h"
#include "page/large.h"
#include "page/memblock.h"
#include "page/vmalloc.h"
#include "reclaim/reclaim.h"
#include "sheaf/heap.h"
#include "stat/stat.h"
#include "unit.h"

static struct zone *const z = &zones[0];

static struct heap_stats now(void)
{
	struct heap_stats st;

	stat_read(&st);
	return st;
}

TEST(a_heap_without_blocks_has_nothing_live)
{
	struct heap_stats st = now();

	assert_int_equal(st.live_bytes, 0);
	assert_int_equal(st.sheaf_bytes, 0);
	assert_int_equal(st.vmalloc_bytes, 0);
	assert_int_equal(st.dirty_bytes, 0);
	assert_int_equal(st.committed_bytes, 0);
	assert_int_equal(st.threads, 1);
	assert_int_equal(st.areas, 0);
}

TEST(live_bytes_are_those_of_the_blocks_in_use_to_the_byte)
{
	static const size_t sizes[] = { 16, 64, 1024, 5120, 262144 };
	void *p[5][50], *large, *area;
	size_t sum = 0;

	for (int i = 0; i < 5; i++) {
		for (int j = 0; j < 50; j++) {
			p[i][j] = heap_untagged(heap_alloc(this_cpu, kmalloc_index(sizes[i])));
			sum += sizes[i];
			assert_int_equal(now().live_bytes, sum);
		}
	}
	large = large_alloc(z, MIB + 1, FRAME_SIZE, false);
	sum += MIB + FRAME_SIZE;
	area = large_alloc(z, 40 * MIB, FRAME_SIZE, false);
	sum += vsize(area);
	assert_int_equal(now().live_bytes, sum);
	assert_int_equal(now().vmalloc_bytes, vsize(area));
	assert_int_equal(now().areas, 1);
	assert_true(now().committed_bytes >= sum);
	for (int i = 0; i < 5; i++) {
		for (int j = 0; j < 50; j++) {
			heap_free(this_cpu, kmalloc_index(sizes[i]), p[i][j]);
			sum -= sizes[i];
			assert_int_equal(now().live_bytes, sum);
		}
	}
	large_free(large);
	large_free(area);
	assert_int_equal(now().live_bytes, 0);
	assert_int_equal(now().vmalloc_bytes, 0);
}

TEST(free_objects_at_hand_are_sheaf_bytes)
{
	u32 id = kmalloc_index(256);

	heap_free(this_cpu, id, heap_alloc(this_cpu, id));
	assert_int_equal(now().sheaf_bytes, sheaf_objects(id) * 256);
	sheaf_flush_all(this_cpu);
	assert_int_equal(now().sheaf_bytes, 0);
}

TEST(dirty_bytes_are_what_reclaim_would_give_back)
{
	void *p = large_alloc(z, MIB, FRAME_SIZE, false),
	     *area = large_alloc(z, 8 * MIB, FRAME_SIZE, false);

	large_free(p);
	large_free(area);
	assert_int_equal(now().dirty_bytes, 9 * MIB);
	reclaim_all(this_cpu, true);
	assert_int_equal(now().dirty_bytes, 0);
}

TEST(calls_and_address_space_are_those_of_the_os_room)
{
	struct heap_stats before = now(), after;
	void *p = os_map(MIB);

	os_purge(p, MIB);
	p = os_remap(p, MIB, 2 * MIB);
	after = now();
	assert_int_equal(after.mmap_calls, before.mmap_calls + 1);
	assert_int_equal(after.madvise_calls, before.madvise_calls + 1);
	assert_int_equal(after.mremap_calls, before.mremap_calls + 1);
	assert_int_equal(after.mapped_bytes, before.mapped_bytes + 2 * MIB);
	os_unmap(p, 2 * MIB);
	assert_int_equal(now().munmap_calls, before.munmap_calls + 1);
	assert_int_equal(now().mapped_bytes, before.mapped_bytes);
	p = os_reserve_aligned(MIB, MIB);
	os_commit(p, MIB);
	assert_int_equal(now().mprotect_calls, before.mprotect_calls + 1);
	os_unmap(p, MIB);
}

TEST(metadata_is_a_hundredth_of_a_heap_of_small_objects)
{
	enum { OBJECTS = 200000 };
	static void *object[OBJECTS];
	u32 id = kmalloc_index(64);
	struct heap_stats st;

	for (u32 i = 0; i < OBJECTS; i++)
		object[i] = heap_alloc(this_cpu, id);
	st = now();
	assert_int_equal(st.live_bytes, OBJECTS * 64ul);
	/* A section and a region have a fixed part. */
	assert_true(st.metadata_bytes > memblock_used());
	assert_true(st.metadata_bytes <= st.live_bytes / 100 + 128 * KIB);
	if (!under_valgrind())
		assert_true(st.resident_bytes > 0);
	for (u32 i = 0; i < OBJECTS; i++)
		heap_free(this_cpu, id, object[i]);
}

TEST(threads_are_those_with_sheaves)
{
	heap_second_thread();
	assert_int_equal(now().threads, 2);
	sheaf_detach();
	assert_int_equal(now().threads, 1);
}

int main(void)
{
#define TOTALS_TEST(name) cmocka_unit_test_setup_teardown(name, heap_setup, heap_teardown)
	const struct CMUnitTest tests[] = {
		TOTALS_TEST(a_heap_without_blocks_has_nothing_live),
		TOTALS_TEST(live_bytes_are_those_of_the_blocks_in_use_to_the_byte),
		TOTALS_TEST(free_objects_at_hand_are_sheaf_bytes),
		TOTALS_TEST(dirty_bytes_are_what_reclaim_would_give_back),
		TOTALS_TEST(calls_and_address_space_are_those_of_the_os_room),
		TOTALS_TEST(metadata_is_a_hundredth_of_a_heap_of_small_objects),
		TOTALS_TEST(threads_are_those_with_sheaves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
