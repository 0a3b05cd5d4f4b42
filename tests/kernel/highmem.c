/* SPDX-License-Identifier: MIT */
/* Frames that are not mapped until somebody looks, and views of scattered ones. */
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "slabmalloc/slabmalloc.h"
#include "slabmalloc/vmalloc.h"

enum { WINDOWS = 1024, MANY = 5000 };

static struct page *pages[MANY];

/* More frames than there are windows. */
TEST(unmapped_frames_keep_what_was_written)
{
	(void)state;
	for (int i = 0; i < MANY; i++) {
		void *p;

		pages[i] = alloc_page(GFP_HIGHUSER);
		assert_non_null(pages[i]);
		assert_true(PageHighMem(pages[i]));
		assert_null(page_address(pages[i]));
		p = kmap_local_page(pages[i]);
		assert_ptr_equal(page_address(pages[i]), p);
		assert_ptr_equal(virt_to_page(p), pages[i]);
		assert_ptr_equal(pfn_to_page(page_to_pfn(pages[i])), pages[i]);
		pattern_fill(p, PAGE_SIZE, (uint64_t)i);
		kunmap_local(p);
	}
	for (int i = 0; i < MANY; i++) {
		void *p = kmap(pages[i]);

		assert_true(pattern_holds(p, PAGE_SIZE, (uint64_t)i));
		kunmap(pages[i]);
		__free_page(pages[i]);
	}
}

TEST(a_frame_is_mapped_as_often_as_it_is_counted)
{
	struct page *page = alloc_page(GFP_HIGHUSER | __GFP_ZERO);
	char *p = kmap(page);

	(void)state;
	assert_int_equal(p[100], 0);
	assert_ptr_equal(kmap(page), p);
	kunmap(page);
	p[100] = 1;
	assert_ptr_equal(page_address(page), p);
	kunmap(page);
	assert_null(page_address(page));
	__free_page(page);
	page = alloc_page(GFP_HIGHUSER);
	p = kmap(page);
	assert_int_equal(p[100], 0);
	kunmap(page);
	__free_page(page);
}

TEST(windows_in_use_are_not_taken)
{
	(void)state;
	for (int i = 0; i < WINDOWS + 1; i++) {
		pages[i] = alloc_page(GFP_HIGHUSER);
		if (i < WINDOWS)
			*(int *)kmap(pages[i]) = i;
	}
	assert_null(kmap(pages[WINDOWS]));
	assert_int_equal(errno, ENOMEM);
	kunmap(pages[7]);
	assert_non_null(kmap(pages[WINDOWS]));
	kunmap(pages[WINDOWS]);
	assert_int_equal(*(int *)kmap(pages[7]), 7);
	for (int i = 0; i <= WINDOWS; i++) {
		if (i < WINDOWS) {
			assert_int_equal(*(int *)page_address(pages[i]), i);
			kunmap(pages[i]);
		}
		__free_page(pages[i]);
	}
}

TEST(freed_frames_give_their_memory_back)
{
	struct page *page = alloc_pages(GFP_HIGHUSER, 12);
	size_t before = rss_bytes();

	(void)state;
	assert_non_null(page);
	for (unsigned int i = 0; i < 1 << 12; i++) {
		struct page *frame = pfn_to_page(page_to_pfn(page) + i);

		memset(kmap(frame), 1, PAGE_SIZE);
		kunmap(frame);
	}
	__free_pages(page, 12);
	assert_true(rss_bytes() < before + 5 * MIB);
}

TEST(a_view_shows_scattered_frames_side_by_side)
{
	enum { N = 300 };
	struct page *turned[N];
	char *view;

	(void)state;
	for (int i = 0; i < N; i++) {
		pages[i] = alloc_page(GFP_HIGHUSER);
		*(int *)kmap(pages[i]) = i;
		kunmap(pages[i]);
	}
	for (int i = 0; i < N; i++)
		turned[i] = pages[N - 1 - i];
	view = vmap(turned, N, VM_MAP, PAGE_KERNEL);
	assert_non_null(view);
	assert_true(is_vmalloc_addr(view + PAGE_SIZE));
	for (int i = 0; i < N; i++) {
		assert_int_equal(*(int *)(view + (size_t)i * PAGE_SIZE), N - 1 - i);
		*(int *)(view + (size_t)i * PAGE_SIZE) = i;
		assert_ptr_equal(virt_to_page(view + (size_t)i * PAGE_SIZE), turned[i]);
	}
	for (int i = 0; i < N; i++) {
		assert_int_equal(*(int *)kmap(turned[i]), i);
		kunmap(turned[i]);
	}
	vunmap(view);
	assert_false(is_vmalloc_addr(view));
	for (int i = 0; i < N; i++)
		__free_page(pages[i]);
}

static void view_of_mapped(void *arg)
{
	struct page *page = alloc_page(GFP_KERNEL);

	(void)arg;
	check(!vmap(&page, 1, VM_MAP, PAGE_KERNEL) && errno == EINVAL);
	__free_page(page);
}

TEST(other_frames_cannot_be_viewed)
{
	(void)state;
	assert_string_equal(
		told_by(view_of_mapped, 0),
		"slabmalloc: vmap: page 0 of 1 is no frame of ZONE_HIGHMEM: only those can be mapped twice\n");
}

static struct page *inherited;

static void new_frames_in_a_child(void *arg)
{
	struct page *page = alloc_page(GFP_HIGHUSER);

	(void)arg;
	*(int *)kmap(page) = 2;
	check(*(int *)kmap(inherited) == 1);
	kunmap(inherited);
	kunmap(page);
	__free_page(page);
	__free_page(inherited);
}

/* The file is shared: a child that dealt out its free frames would overwrite its parent's. */
TEST(a_child_does_not_give_its_parents_frames_away)
{
	struct page *page;

	(void)state;
	inherited = alloc_page(GFP_HIGHUSER);
	*(int *)kmap(inherited) = 1;
	kunmap(inherited);
	assert_true(succeeds_in_child(new_frames_in_a_child, NULL, 20));
	page = alloc_page(GFP_HIGHUSER);
	assert_int_equal(*(int *)kmap(page), 0);
	assert_int_equal(*(int *)kmap(inherited), 1);
	kunmap(page);
	kunmap(inherited);
	__free_page(page);
	__free_page(inherited);
}

TEST(areas_come_and_go)
{
	(void)state;
	for (size_t size = 1; size < 64 * MIB; size = size * 3 + 1) {
		char *p = vmalloc(size), *z = vzalloc(size);

		assert_true(p && z);
		assert_true(is_vmalloc_addr(p) && is_vmalloc_addr(z + size - 1));
		assert_int_equal(z[0] | z[size / 2] | z[size - 1], 0);
		memset(p, 1, size);
		memset(z, 1, size);
		vfree(p);
		vfree(z);
	}
	assert_null(vmalloc(0));
	assert_null(vmalloc(~0ul));
	vfree(NULL);
	vunmap(NULL);
	assert_false(is_vmalloc_addr(&state));
}

static void freed_while_mapped(void *arg)
{
	struct page *page = alloc_page(GFP_HIGHUSER);

	(void)arg;
	kmap(page);
	__free_page(page);
}

static void freed_while_viewed(void *arg)
{
	struct page *page = alloc_page(GFP_HIGHUSER);

	(void)arg;
	check(vmap(&page, 1, VM_MAP, PAGE_KERNEL));
	__free_page(page);
}

/* Whatever has the number then is the program's own. */
static void close_all(void *arg)
{
	struct page *page = alloc_page(GFP_HIGHUSER), *other;
	int fd;

	(void)arg;
	other = alloc_page(GFP_HIGHUSER);
	for (fd = 3; fd < 300; fd++)
		close(fd);
	for (int i = 3; i < 300; i++)
		check((fd = open("/dev/null", O_RDWR)) == i);
	check(!kmap(page));
	__free_page(page);
	__free_page(other);
}

TEST(a_file_that_the_program_closed_is_not_used)
{
	(void)state;
	assert_non_null(
		strstr(told_by(close_all, 0),
		       ", the file of ZONE_HIGHMEM: its frames cannot be mapped any more\n"));
}

static void not_mapped(void *arg)
{
	(void)arg;
	kunmap(alloc_page(GFP_HIGHUSER));
}

static void free_a_view(void *arg)
{
	struct page *page = alloc_page(GFP_HIGHUSER);

	(void)arg;
	vfree(vmap(&page, 1, VM_MAP, PAGE_KERNEL));
}

static void no_view(void *arg)
{
	(void)arg;
	vunmap(vmalloc(100));
}

static void no_area(void *arg)
{
	(void)arg;
	vfree(calloc(1, 100));
}

TEST(bad_input_is_named)
{
	(void)state;
	assert_dies_saying(
		freed_while_mapped,
		"slabmalloc: __free_pages(%p): the frame is still mapped, by kmap or vmap");
	assert_dies_saying(
		freed_while_viewed,
		"slabmalloc: __free_pages(%p): the frame is still mapped, by kmap or vmap");
	assert_dies_saying(not_mapped, "slabmalloc: kunmap(%p): the frame is not mapped");
	assert_dies_saying(free_a_view, "slabmalloc: vfree(%p): a view of vmap, which vunmap ends");
	assert_dies_saying(no_view, "slabmalloc: vunmap(%p): no view of vmap begins there");
	assert_dies_saying(
		no_area, "slabmalloc: vfree(%p): an object of kmalloc-112, not an area of vmalloc");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(unmapped_frames_keep_what_was_written),
		cmocka_unit_test(a_frame_is_mapped_as_often_as_it_is_counted),
		cmocka_unit_test(windows_in_use_are_not_taken),
		cmocka_unit_test(freed_frames_give_their_memory_back),
		cmocka_unit_test(a_view_shows_scattered_frames_side_by_side),
		cmocka_unit_test(other_frames_cannot_be_viewed),
		cmocka_unit_test(a_child_does_not_give_its_parents_frames_away),
		cmocka_unit_test(a_file_that_the_program_closed_is_not_used),
		cmocka_unit_test(areas_come_and_go),
		cmocka_unit_test(bad_input_is_named),
	};

	require_library();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
