// SPDX-License-Identifier: MIT
#include "os/mem.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

#include "unit.h"

static size_t page;

static size_t mapped(void)
{
	return counter_read(os_stats.mapped);
}

/* May it be read? Asked of the kernel, which says EFAULT instead of killing. */
static bool readable(void *p)
{
	char byte;
	const struct iovec here = { &byte, 1 }, there = { p, 1 };

	return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == 1;
}

TEST(the_page_size_is_the_systems)
{
	assert_int_equal(page, sysconf(_SC_PAGESIZE));
}

TEST(a_mapping_is_zero_writable_and_counted_until_it_is_unmapped)
{
	unsigned long calls = os_stats.mmap, undone = os_stats.munmap;
	size_t before = mapped();
	char *p = os_map(8 * page);

	assert_non_null(p);
	assert_true(all_bytes_are(p, 8 * page, 0));
	memset(p, 1, 8 * page);
	assert_int_equal(mapped(), before + 8 * page);
	assert_int_equal(os_stats.mmap, calls + 1);
	assert_true(os_unmap(p, 8 * page));
	assert_int_equal(mapped(), before);
	assert_int_equal(os_stats.munmap, undone + 1);
	assert_false(readable(p));
}

TEST(aligned_mappings_are_aligned_and_keep_no_slack)
{
	size_t before = mapped(), sum = 0;
	char *p[24];

	for (size_t i = 0; i < ARRAY_SIZE(p); i++) {
		size_t align = page << i % 12, size = page * (1 + i % 5);

		p[i] = i & 1 ? os_map_aligned(size, align) : os_reserve_aligned(size, align);
		assert_non_null(p[i]);
		assert_int_equal((uintptr_t)p[i] % align, 0);
		if (i & 1)
			memset(p[i], 1, size);
		sum += size;
		assert_int_equal(mapped(), before + sum);
	}
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		assert_true(os_unmap(p[i], page * (1 + i % 5)));
	assert_int_equal(mapped(), before);
}

TEST(a_guard_lies_in_front_and_is_mapped_with_it)
{
	size_t before = mapped(), guard = 3 * page;

	for (size_t align = page; align <= page << 12; align <<= 3) {
		char *p = os_reserve_guarded(2 * page, align, guard);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % align, 0);
		assert_int_equal(mapped(), before + guard + 2 * page);
		assert_true(os_commit(p, 2 * page));
		memset(p, 1, 2 * page);
		assert_false(os_map_at(p - guard, guard));
		assert_true(os_unmap(p - guard, guard + 2 * page));
		assert_int_equal(mapped(), before);
	}
	assert_null(os_reserve_guarded(SIZE_MAX - 2 * page + 1, 1ul << 20, page));
}

TEST(reserved_space_is_out_of_reach_until_it_is_committed)
{
	char *p = os_reserve_aligned(4 * page, page);

	assert_false(readable(p));
	assert_true(os_commit(p, 2 * page));
	assert_true(all_bytes_are(p, 2 * page, 0));
	memset(p, 1, 2 * page);
	assert_false(readable(p + 2 * page));
	os_unmap(p, 4 * page);
}

TEST(decommitted_space_is_out_of_reach_and_zero_when_it_comes_back)
{
	char *p = os_reserve_aligned(4 * page, page);
	size_t before = mapped();

	assert_true(os_commit(p, 4 * page));
	memset(p, 1, 4 * page);
	assert_true(os_decommit(p + page, 2 * page));
	assert_int_equal(mapped(), before);
	assert_false(readable(p + page));
	assert_true(all_bytes_are(p + 3 * page, page, 1));
	assert_true(os_commit(p, 4 * page));
	assert_true(all_bytes_are(p, page, 1));
	assert_true(all_bytes_are(p + page, 2 * page, 0));
	os_unmap(p, 4 * page);
}

TEST(purged_memory_reads_as_zero_and_is_resident_no_more)
{
	char *p = os_map(16 * page);

	memset(p, 1, 16 * page);
	assert_int_equal(os_resident_in(p, 16 * page), 16 * page);
	assert_true(os_purge(p + page, 14 * page));
	assert_int_equal(os_resident_in(p, 16 * page), 2 * page);
	assert_true(all_bytes_are(p, page, 1));
	assert_true(all_bytes_are(p + page, 14 * page, 0));
	assert_true(all_bytes_are(p + 15 * page, page, 1));
	os_unmap(p, 16 * page);
}

/* So many that they go as a list, where the kernel takes lists. */
TEST(ranges_go_together_and_those_refused_are_named)
{
	struct os_range range[OS_RANGES];
	bool kept[OS_RANGES];
	size_t size = 2 * OS_RANGES * page;
	unsigned long before = os_stats.purged;
	char *p = os_map(size);

	memset(p, 1, size);
	for (u32 i = 0; i < OS_RANGES; i++)
		range[i] = (struct os_range){ p + 2 * i * page, page };
	/* The kernel does not take from under a lock. */
	assert_false(mlock(range[40].addr, page));
	assert_false(mlock(range[OS_RANGES - 1].addr, page));
	os_purge_ranges(range, OS_RANGES, kept);
	for (u32 i = 0; i < OS_RANGES; i++) {
		bool refused = i == 40 || i == OS_RANGES - 1;

		assert_int_equal(kept[i], refused);
		assert_true(all_bytes_are(range[i].addr, page, refused));
		assert_true(all_bytes_are((char *)range[i].addr + page, page, 1));
	}
	assert_int_equal(os_stats.purged - before, (OS_RANGES - 2) * page);
	os_unmap(p, size);
}

TEST(remapping_keeps_contents_both_ways)
{
	size_t before = mapped();
	char *p = os_map(4 * page);

	memset(p, 7, 4 * page);
	p = os_remap(p, 4 * page, 1000 * page);
	assert_non_null(p);
	assert_int_equal(mapped(), before + 1000 * page);
	assert_true(all_bytes_are(p, 4 * page, 7));
	assert_true(all_bytes_are(p + 4 * page, 996 * page, 0));
	p = os_remap(p, 1000 * page, 2 * page);
	assert_int_equal(mapped(), before + 2 * page);
	assert_true(all_bytes_are(p, 2 * page, 7));
	os_unmap(p, 2 * page);
	assert_int_equal(mapped(), before);
}

TEST(pages_move_out_and_leave_zeroes)
{
	char *src = os_map(8 * page), *dst;
	size_t before = mapped();

	memset(src, 3, 8 * page);
	dst = os_move_out(src + 2 * page, 3 * page, 5 * page);
	if (!dst && under_valgrind())
		skip();
	assert_non_null(dst);
	assert_int_equal(mapped(), before + 5 * page);
	assert_true(all_bytes_are(dst, 3 * page, 3));
	assert_true(all_bytes_are(dst + 3 * page, 2 * page, 0));
	assert_true(all_bytes_are(src, 2 * page, 3));
	assert_true(all_bytes_are(src + 2 * page, 3 * page, 0));
	assert_true(all_bytes_are(src + 5 * page, 3 * page, 3));
	memset(dst, 4, 5 * page);
	memset(src, 5, 8 * page);
	assert_true(all_bytes_are(dst, 5 * page, 4));
	/* It is one mapping like any other: mremap takes it as a whole. */
	dst = os_remap(dst, 5 * page, 600 * page);
	assert_non_null(dst);
	assert_true(all_bytes_are(dst, 5 * page, 4));
	os_unmap(dst, 600 * page);
	os_unmap(src, 8 * page);
}

TEST(a_move_that_the_kernel_refuses_changes_nothing)
{
	char *src = os_map(4 * page);
	size_t before = mapped();

	memset(src, 3, 4 * page);
	os_purge(src, page);
	munmap(src + 2 * page, page);
	errno = 0;
	assert_null(os_move_out(src, 4 * page, 8 * page));
	assert_int_equal(mapped(), before);
	assert_true(all_bytes_are(src + page, page, 3));
	assert_true(all_bytes_are(src + 3 * page, page, 3));
	munmap(src, 4 * page);
}

TEST(failures_say_enomem_and_count_nothing)
{
	size_t before = mapped();

	errno = 0;
	assert_null(os_map(1ul << 60));
	/* valgrind's own mmap says EINVAL. */
	if (!RUNNING_ON_VALGRIND)
		assert_int_equal(errno, ENOMEM);
	assert_null(os_map_aligned(1ul << 60, 1ul << 20));
	assert_null(os_map_aligned(page, 1ul << 60));
	assert_null(os_reserve_aligned(SIZE_MAX - page + 1, 1ul << 20));
	assert_int_equal(mapped(), before);
}

TEST(success_keeps_errno)
{
	char *p;

	errno = 1234;
	p = os_map(2 * page);
	os_purge(p, page);
	os_hugepage(p, 2 * page, false);
	os_hugepage(p + 1, page, true); /* refused: advice is only advice */
	p = os_remap(p, 2 * page, 3 * page);
	os_resident();
	os_resident_in(p, 3 * page);
	os_unmap(p, 3 * page);
	os_unmap(p + 1, page); /* refused, too */
	assert_int_equal(errno, 1234);
}

TEST(resident_memory_is_what_was_touched)
{
	size_t before = os_resident(), size = 2000 * page;
	char *p = os_map(size);

	assert_int_equal(os_resident_in(p, size), 0);
	for (size_t i = 0; i < 2000; i += 2)
		p[i * page] = 1;
	assert_int_equal(os_resident_in(p, size), 1000 * page);
	if (!under_valgrind()) {
		assert_true(before > 0);
		assert_in_range(os_resident() - before, 900 * page, 1100 * page);
	}
	os_unmap(p, size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_page_size_is_the_systems),
		cmocka_unit_test(a_mapping_is_zero_writable_and_counted_until_it_is_unmapped),
		cmocka_unit_test(aligned_mappings_are_aligned_and_keep_no_slack),
		cmocka_unit_test(a_guard_lies_in_front_and_is_mapped_with_it),
		cmocka_unit_test(reserved_space_is_out_of_reach_until_it_is_committed),
		cmocka_unit_test(decommitted_space_is_out_of_reach_and_zero_when_it_comes_back),
		cmocka_unit_test(purged_memory_reads_as_zero_and_is_resident_no_more),
		cmocka_unit_test(ranges_go_together_and_those_refused_are_named),
		cmocka_unit_test(remapping_keeps_contents_both_ways),
		cmocka_unit_test(pages_move_out_and_leave_zeroes),
		cmocka_unit_test(a_move_that_the_kernel_refuses_changes_nothing),
		cmocka_unit_test(failures_say_enomem_and_count_nothing),
		cmocka_unit_test(success_keeps_errno),
		cmocka_unit_test(resident_memory_is_what_was_touched),
	};

	page = os_page_size();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
