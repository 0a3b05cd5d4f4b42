// SPDX-License-Identifier: MIT
#include "page/vmalloc.h"

#include <string.h>

#include "base/options.h"
#include "os/mem.h"
#include "page/memblock.h"
#include "page/page.h"
#include "unit.h"

static size_t page;

static int setup(__attribute__((unused)) void **state)
{
	clear_weather();
	weather.now_ms = 1000;
	options.vmalloc_cache = 256 * MIB;
	return 0;
}

static int teardown(__attribute__((unused)) void **state)
{
	clear_weather();
	vm_purge(SIZE_MAX, UINT64_MAX);
	assert_int_equal(vm.nr_used, 0);
	assert_int_equal(vm.used_bytes, 0);
	assert_int_equal(vm.nr_cached, 0);
	assert_int_equal(vm.cached_bytes, 0);
	assert_int_equal(memblock_used(), 0);
	return 0;
}

static char *alloc(size_t size)
{
	char *p = vmalloc(0, size, 1, false, false);

	assert_non_null(p);
	return p;
}

enum { ARENA = 32 << 20 };

static char *fence[16];
static u32 fences;

/*
 * n areas with one in use behind each, cut from one that was cached: they merge with nothing when they are
 * freed, wherever the system puts mappings.
 */
static void alloc_apart(char **p, const size_t *sizes, u32 n)
{
	vfree(alloc(ARENA));
	for (u32 i = 0; i < n; i++) {
		p[i] = alloc(sizes[i] * page);
		fence[fences++] = alloc(page);
	}
	fence[fences++] = alloc(vm.cached_bytes);
	assert_int_equal(vm.nr_cached, 0);
}

static void free_fences(void)
{
	while (fences)
		vfree(fence[--fences]);
}

/* Areas in use and in the cache, summed up one by one. */
static void assert_counts_hold(void)
{
	struct vm_struct *area;
	size_t used = 0, cached = 0;
	u32 nr_used = 0, nr_cached = 0;

	for (u32 i = 0; i < VM_HASH_SIZE; i++) {
		hlist_for_each_entry(area, &vm.table[i], link) {
			nr_used++;
			used += area->size;
		}
	}
	hlist_for_each_entry(area, &vm.cache, link) {
		nr_cached++;
		cached += area->size;
	}
	assert_int_equal(vm.nr_used, nr_used);
	assert_int_equal(vm.used_bytes, used);
	assert_int_equal(vm.nr_cached, nr_cached);
	assert_int_equal(vm.cached_bytes, cached);
}

TEST(an_area_is_zero_writable_and_of_whole_pages)
{
	for (size_t size = 1; size < 40 * page; size += 3 * page / 2) {
		size_t mapped = os_stats.mapped, rounded = ALIGN(size, page);
		char *p = vmalloc(0, size, 1, true, false);

		assert_int_equal((uintptr_t)p % page, 0);
		assert_int_equal(vsize(p), rounded);
		assert_int_equal(vm.used_bytes, rounded);
		assert_true(all_bytes_are(p, rounded, 0));
		memset(p, 1, rounded);
		assert_true(vfree(p));
		vm_purge(SIZE_MAX, UINT64_MAX);
		assert_in_range(os_stats.mapped, mapped, mapped + MIB); /* memblock's chunk */
	}
}

TEST(an_area_is_aligned_as_asked)
{
	for (size_t align = page; align <= 4 * GIB; align *= 4) {
		char *p = vmalloc(0, 3 * page, align, true, false);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % align, 0);
		memset(p, 1, 3 * page);
		assert_true(vfree(p));
	}
}

TEST(what_starts_no_area_is_not_freed_sized_or_resized)
{
	char *p = alloc(8 * page), local;

	assert_false(vfree(p + page));
	assert_false(vfree(p + 16));
	assert_false(vfree(&local));
	assert_false(vfree(NULL));
	assert_int_equal(vsize(p + page), 0);
	assert_null(vrealloc(p + page, 20 * page));
	assert_null(vrealloc(NULL, 20 * page));
	assert_true(vfree(p));
	assert_false(vfree(p));
	assert_int_equal(vsize(p), 0);
	assert_null(vrealloc(p, 20 * page));
	assert_counts_hold();
}

TEST(a_freed_area_is_used_again_without_a_call_and_zeroed_when_asked)
{
	char *p = alloc(100 * page);
	unsigned long taken = vm.taken_bytes, calls;

	memset(p, 1, 100 * page);
	vfree(p);
	calls = os_stats.mmap + os_stats.munmap + os_stats.mremap;
	assert_ptr_equal(alloc(100 * page), p);
	assert_true(all_bytes_are(p, 100 * page, 1));
	assert_int_equal(vm.taken_bytes - taken, 100 * page);
	vfree(p);
	assert_ptr_equal(vmalloc(0, 90 * page, 1, true, false), p);
	assert_true(all_bytes_are(p, 90 * page, 0));
	assert_int_equal(vsize(p), 90 * page);
	vfree(p);
	assert_int_equal(os_stats.mmap + os_stats.munmap + os_stats.mremap, calls);
	assert_counts_hold();
}

TEST(of_the_smallest_area_that_is_large_enough_the_front_is_taken)
{
	char *p[3];

	alloc_apart(p, (size_t[]){ 100, 110, 120 }, 3);
	for (int i = 0; i < 3; i++)
		vfree(p[i]);
	assert_ptr_equal(alloc(105 * page), p[1]);
	assert_int_equal(vsize(p[1]), 105 * page);
	assert_true(vm_cached(p[1] + 105 * page));
	assert_ptr_equal(alloc(5 * page), p[1] + 105 * page);
	assert_ptr_equal(alloc(120 * page), p[2]);
	assert_ptr_equal(alloc(99 * page), p[0]);
	assert_int_equal(vm.nr_cached, 1);
	assert_int_equal(vm.cached_bytes, page);
	assert_counts_hold();
	for (int i = 0; i < 3; i++)
		vfree(p[i]);
	vfree(p[1] + 105 * page);
	free_fences();
}

TEST(cached_neighbours_are_one_area_again)
{
	char *p;

	alloc_apart(&p, (size_t[]){ 90 }, 1);
	memset(p, 1, 90 * page);
	vfree(p);
	for (size_t i = 0; i < 3; i++)
		assert_ptr_equal(alloc(30 * page), p + 30 * i * page);
	assert_int_equal(vm.nr_cached, 0);
	vfree(p);
	vfree(p + 60 * page);
	assert_int_equal(vm.nr_cached, 2);
	vfree(p + 30 * page);
	assert_int_equal(vm.nr_cached, 1);
	assert_ptr_equal(vmalloc(0, 90 * page, 1, true, false), p);
	assert_true(all_bytes_are(p, 90 * page, 0));
	assert_counts_hold();
	vfree(p);
	free_fences();
}

TEST(the_largest_smaller_area_grows_where_none_fits)
{
	char *cached[2], *p;
	unsigned long mremaps;

	alloc_apart(cached, (size_t[]){ 10, 30 }, 2);
	memset(cached[1], 1, 30 * page);
	vfree(cached[1]);
	vfree(cached[0]);
	mremaps = os_stats.mremap;
	p = vmalloc(0, 60 * page, 1, true, false);
	assert_int_equal(os_stats.mremap, mremaps + 1);
	assert_int_equal(vm.cached_bytes, 10 * page);
	assert_int_equal(vsize(p), 60 * page);
	assert_true(all_bytes_are(p, 60 * page, 0));
	vfree(p);
	/* One that is less than half of it is not worth the call. */
	p = alloc(150 * page);
	assert_int_equal(os_stats.mremap, mremaps + 1);
	assert_counts_hold();
	vfree(p);
	free_fences();
}

TEST(a_cached_area_that_cannot_grow_makes_way_for_a_new_one)
{
	char *p = alloc(10 * page);

	vfree(p);
	weather.os_remap = 0;
	p = vmalloc(0, 15 * page, 1, true, false);
	assert_non_null(p);
	assert_int_equal(vm.nr_cached, 0);
	assert_true(all_bytes_are(p, 15 * page, 0));
	assert_counts_hold();
	vfree(p);
}

TEST(the_cache_is_bounded_in_bytes_and_in_areas)
{
	enum { AREAS = 200 };
	char *p[AREAS];

	options.vmalloc_cache = 50 * page;
	for (int i = 0; i < AREAS; i++)
		p[i] = alloc(4 * page);
	for (int i = 0; i < AREAS; i++) {
		vfree(p[i]);
		assert_true(vm.cached_bytes <= 50 * page);
	}
	assert_int_equal(vm.cached_bytes, 48 * page);
	options.vmalloc_cache = 256 * MIB;
	for (int i = 0; i < AREAS; i++)
		p[i] = alloc((size_t)(4 + i % 7) * page);
	/* Every other one first: nothing to merge with. */
	for (int i = 0; i < 2 * AREAS; i += 2) {
		vfree(p[i % AREAS + i / AREAS]);
		assert_true(vm.nr_cached <= 64);
	}
	assert_counts_hold();
	options.vmalloc_cache = 0;
	p[0] = alloc(200 * page);
	vfree(p[0]);
	assert_false(vm_cached(p[0]));
}

TEST(growth_and_shrinkage_keep_the_contents)
{
	size_t size = 10 * page;
	char *p = alloc(size);
	u64 rng = 8;

	memset(p, 5, size);
	for (int round = 0; round < 60; round++) {
		size_t new_size =
			page + random_below(&rng, (u32)(round < 30 ? 300 : 3000) * (u32)page);
		size_t kept = min(size, new_size), mapped;

		p = vrealloc(p, new_size);
		assert_non_null(p);
		mapped = vsize(p);
		assert_true(mapped >= new_size && mapped % page == 0);
		assert_true(mapped <=
			    max(new_size + new_size / 3, new_size + new_size / 8) + 2 * page);
		assert_true(all_bytes_are(p, kept, 5));
		memset(p, 5, new_size);
		size = new_size;
		assert_counts_hold();
	}
	vfree(p);
}

TEST(a_size_that_fits_already_costs_no_call)
{
	char *p = alloc(100 * page);
	unsigned long calls = os_stats.mremap;

	assert_ptr_equal(vrealloc(p, 100 * page), p);
	assert_ptr_equal(vrealloc(p, 75 * page), p);
	assert_ptr_equal(vrealloc(p, 99 * page + 1), p);
	assert_int_equal(os_stats.mremap, calls);
	p = vrealloc(p, 74 * page);
	assert_int_equal(vsize(p), 74 * page);
	/* An eighth to spare: the next small steps are free. */
	p = vrealloc(p, 80 * page);
	assert_int_equal(vsize(p), 90 * page);
	assert_ptr_equal(vrealloc(p, 90 * page), p);
	assert_int_equal(os_stats.mremap, calls + 2);
	vfree(p);
}

TEST(a_failed_growth_leaves_the_area_as_it_was)
{
	char *p = alloc(10 * page);

	memset(p, 9, 10 * page);
	weather.os_remap = 0;
	assert_null(vrealloc(p, 100 * page));
	clear_weather();
	assert_null(vrealloc(p, PTRDIFF_MAX));
	assert_null(vrealloc(p, SIZE_MAX));
	assert_int_equal(vsize(p), 10 * page);
	assert_true(all_bytes_are(p, 10 * page, 9));
	assert_counts_hold();
	vfree(p);
}

TEST(pages_become_an_area_without_copying_and_leave_zeroes)
{
	char *src = os_map(64 * page), *p;

	memset(src, 3, 64 * page);
	p = vmalloc_from(src + 4 * page, 8 * page, 12 * page);
	if (!p && under_valgrind()) {
		os_unmap(src, 64 * page);
		skip();
	}
	assert_non_null(p);
	assert_int_equal(vsize(p), 12 * page);
	assert_true(all_bytes_are(p, 8 * page, 3));
	assert_true(all_bytes_are(p + 8 * page, 4 * page, 0));
	assert_true(all_bytes_are(src, 4 * page, 3));
	assert_true(all_bytes_are(src + 4 * page, 8 * page, 0));
	assert_true(all_bytes_are(src + 12 * page, 52 * page, 3));
	assert_counts_hold();
	/* And grows like any other. */
	p = vrealloc(p, 1000 * page);
	assert_non_null(p);
	assert_true(all_bytes_are(p, 8 * page, 3));
	assert_true(vfree(p));
	os_unmap(src, 64 * page);
}

TEST(what_cannot_be_moved_stays)
{
	char *src = os_map(8 * page);

	memset(src, 3, 8 * page);
	assert_null(vmalloc_from(src + 16, 4 * page, 8 * page));
	assert_null(vmalloc_from(src, 4 * page + 16, 8 * page));
	assert_null(vmalloc_from(src, 4 * page, SIZE_MAX - 10));
	os_unmap(src + 4 * page, 4 * page);
	assert_null(vmalloc_from(src, 8 * page, 16 * page));
	assert_true(all_bytes_are(src, 4 * page, 3));
	assert_counts_hold();
	os_unmap(src, 4 * page);
}

TEST(every_byte_of_an_area_in_use_is_found_and_no_other)
{
	char *p = alloc(5 * page);
	size_t size;
	void *addr;

	for (size_t i = 0; i < 5 * page; i += 1000) {
		addr = NULL;
		assert_true(vm_find(p + i, &addr, &size));
		assert_ptr_equal(addr, p);
		assert_int_equal(size, 5 * page);
	}
	assert_true(vm_find(p + 5 * page - 1, &addr, &size));
	assert_false(vm_find(p + 5 * page, &addr, &size));
	assert_false(vm_find(p - 1, &addr, &size));
	assert_false(vm_find(&size, &addr, &size));
	assert_false(vm_cached(p));
	vfree(p);
	assert_false(vm_find(p, &addr, &size));
	assert_true(vm_cached(p));
	assert_true(vm_cached(p + page));
}

TEST(purging_takes_the_oldest_first_and_none_that_is_too_young)
{
	char *p[5];

	alloc_apart(p, (size_t[]){ 10, 11, 12, 13, 14 }, 5);
	for (size_t i = 0; i < 5; i++) {
		weather.now_ms = 1000 + 10 * i;
		vfree(p[i]);
	}
	assert_int_equal(vm_purge(0, UINT64_MAX), 0);
	assert_int_equal(vm_purge(1, UINT64_MAX), 10 * page);
	assert_false(vm_cached(p[0]));
	assert_int_equal(vm_purge(SIZE_MAX, 1030), (11 + 12) * page);
	assert_false(vm_cached(p[2]));
	assert_true(vm_cached(p[3]));
	assert_int_equal(vm_purge(13 * page + 1, UINT64_MAX), (13 + 14) * page);
	assert_counts_hold();
	free_fences();
}

TEST(purging_takes_the_end_of_a_large_area)
{
	char *p;

	alloc_apart(&p, (size_t[]){ 9 * HUGE_SIZE / page }, 1);
	vfree(p);
	assert_int_equal(vm_purge(HUGE_SIZE / 2, UINT64_MAX), HUGE_SIZE);
	assert_int_equal(vm_purge(2 * HUGE_SIZE, UINT64_MAX), 2 * HUGE_SIZE);
	assert_int_equal(vm.cached_bytes, 6 * HUGE_SIZE);
	assert_counts_hold();
	assert_ptr_equal(alloc(6 * HUGE_SIZE), p);
	vfree(p);
	assert_int_equal(vm_purge(SIZE_MAX, UINT64_MAX), 6 * HUGE_SIZE);
	free_fences();
}

TEST(an_area_that_the_kernel_does_not_unmap_gives_its_memory_back)
{
	char *p = alloc(10 * page);

	memset(p, 1, 10 * page);
	options.vmalloc_cache = 0;
	weather.os_unmap = 0;
	assert_true(vfree(p));
	clear_weather();
	assert_int_equal(os_resident_in(p, 10 * page), 0);
	os_unmap(p, 10 * page);
}

TEST(without_memory_the_answer_is_null_and_nothing_is_kept)
{
	weather.os_map = 0;
	assert_null(vmalloc(0, 10 * page, 1, true, false));
	clear_weather();
	weather.os_map_aligned = 0;
	assert_null(vmalloc(0, 10 * page, 4 * page, true, false));
	clear_weather();
	assert_null(vmalloc(0, SIZE_MAX, 1, true, false));
	assert_null(vmalloc(0, (size_t)PTRDIFF_MAX + 1, 1, true, false));
	assert_null(vmalloc(0, PTRDIFF_MAX - 2 * page, 1, true, false));
	assert_null(vmalloc(0, PTRDIFF_MAX - 2 * page, 1ul << 62, true, false));
}

TEST(a_huge_area_is_aligned_to_huge_pages_and_asks_for_them)
{
	unsigned long advices = os_stats.madvise;
	char *p = vmalloc(0, 5 * MIB, 1, false, true);

	assert_int_equal((uintptr_t)p % HUGE_SIZE, 0);
	assert_int_equal(os_stats.madvise, advices + 1);
	vfree(p);
}

TEST(many_areas_live_side_by_side)
{
	enum { AREAS = 1500, ROUNDS = 6000 };
	static struct {
		u32 *p;
		size_t size;
	} areas[AREAS];
	u64 rng = 9;

	for (u32 round = 0; round < ROUNDS; round++) {
		u32 i = random_below(&rng, AREAS), *p = areas[i].p;

		if (p) {
			assert_int_equal(p[0], i);
			assert_int_equal(p[areas[i].size / 4 - 1], i);
		}
		if (!p) {
			areas[i].size = page * (1 + random_below(&rng, 20));
			p = vmalloc(0, areas[i].size, 1, false, false);
		} else if (random_below(&rng, 3) == 0) {
			areas[i].size = page * (1 + random_below(&rng, 20));
			p = vrealloc(p, areas[i].size);
			assert_int_equal(p[0], i);
		} else {
			assert_true(vfree(p));
			p = NULL;
		}
		areas[i].p = p;
		if (p)
			p[0] = p[areas[i].size / 4 - 1] = i;
	}
	assert_counts_hold();
	for (u32 i = 0; i < AREAS; i++)
		assert_true(!areas[i].p || vfree(areas[i].p));
}

int main(void)
{
#define VM_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		VM_TEST(an_area_is_zero_writable_and_of_whole_pages),
		VM_TEST(an_area_is_aligned_as_asked),
		VM_TEST(what_starts_no_area_is_not_freed_sized_or_resized),
		VM_TEST(a_freed_area_is_used_again_without_a_call_and_zeroed_when_asked),
		VM_TEST(of_the_smallest_area_that_is_large_enough_the_front_is_taken),
		VM_TEST(cached_neighbours_are_one_area_again),
		VM_TEST(the_largest_smaller_area_grows_where_none_fits),
		VM_TEST(a_cached_area_that_cannot_grow_makes_way_for_a_new_one),
		VM_TEST(the_cache_is_bounded_in_bytes_and_in_areas),
		VM_TEST(growth_and_shrinkage_keep_the_contents),
		VM_TEST(a_size_that_fits_already_costs_no_call),
		VM_TEST(a_failed_growth_leaves_the_area_as_it_was),
		VM_TEST(pages_become_an_area_without_copying_and_leave_zeroes),
		VM_TEST(what_cannot_be_moved_stays),
		VM_TEST(every_byte_of_an_area_in_use_is_found_and_no_other),
		VM_TEST(purging_takes_the_oldest_first_and_none_that_is_too_young),
		VM_TEST(purging_takes_the_end_of_a_large_area),
		VM_TEST(an_area_that_the_kernel_does_not_unmap_gives_its_memory_back),
		VM_TEST(without_memory_the_answer_is_null_and_nothing_is_kept),
		VM_TEST(a_huge_area_is_aligned_to_huge_pages_and_asks_for_them),
		VM_TEST(many_areas_live_side_by_side),
	};

	page = os_page_size();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
