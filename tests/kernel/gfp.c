/* SPDX-License-Identifier: MIT */
/* Page frames by order and zone. */
#include "kernel.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "slabmalloc/gfp.h"
#include "slabmalloc/slab.h"
#include "slabmalloc/slabmalloc.h"

static struct page *pages[4000];

TEST(blocks_of_every_order_are_aligned_and_whole)
{
	(void)state;
	for (unsigned int order = 0; order <= MAX_PAGE_ORDER; order++) {
		struct page *page = alloc_pages(GFP_KERNEL, order);
		char *addr = page_address(page);

		assert_non_null(page);
		assert_int_equal((uintptr_t)addr % (PAGE_SIZE << order), 0);
		pattern_fill(addr, PAGE_SIZE << order, order);
		assert_true(pattern_holds(addr, PAGE_SIZE << order, order));
		assert_ptr_equal(virt_to_page(addr), page);
		assert_ptr_equal(pfn_to_page(page_to_pfn(page)), page);
		assert_int_equal(page_to_pfn(page), (uintptr_t)addr >> PAGE_SHIFT);
		assert_int_equal(compound_order(page), order);
		assert_int_equal(page_zonenum(page), ZONE_NORMAL);
		assert_true(page_to_nid(page) >= 0);
		if (order) {
			struct page *last = virt_to_page(addr + (PAGE_SIZE << order) - 1);

			assert_ptr_equal(compound_head(last), page);
			assert_int_equal(compound_nr(last), 1 << order);
		}
		__free_pages(page, order);
	}
	assert_null(alloc_pages(GFP_KERNEL | __GFP_NOWARN, MAX_PAGE_ORDER + 1));
	assert_int_equal(errno, ENOMEM);
	assert_int_equal(slabmalloc_check(), 0);
}

TEST(zeroed_frames_are_zero)
{
	(void)state;
	for (int round = 0; round < 100; round++) {
		unsigned long addr = get_zeroed_page(GFP_KERNEL);
		const char *p = (const char *)addr;

		for (size_t i = 0; i < PAGE_SIZE; i++)
			assert_int_equal(p[i], 0);
		memset((void *)addr, 0xff, PAGE_SIZE);
		free_page(addr);
	}
}

TEST(low_zones_have_low_addresses)
{
	static const struct {
		gfp_t gfp;
		unsigned int bits, count;
	} zones[] = { { GFP_KERNEL | GFP_DMA, 24, 200 }, { GFP_KERNEL | GFP_DMA32, 32, 4000 } };

	(void)state;
	for (size_t z = 0; z < ARRAY_SIZE(zones); z++) {
		for (unsigned int i = 0; i < zones[z].count; i++) {
			pages[i] = alloc_page(zones[z].gfp);
			assert_non_null(pages[i]);
			assert_true((uintptr_t)page_address(pages[i]) >> zones[z].bits == 0);
			pattern_fill(page_address(pages[i]), PAGE_SIZE, i);
		}
		for (unsigned int i = 0; i < zones[z].count; i++) {
			assert_true(pattern_holds(page_address(pages[i]), PAGE_SIZE, i));
			__free_page(pages[i]);
		}
	}
	assert_int_equal(slabmalloc_check(), 0);
}

/* 16 MiB are soon gone: a line says so, and what was had can be given back and had again. */
static void use_up_dma(void *arg)
{
	unsigned int n = 0, again = 0;

	(void)arg;
	while (n < ARRAY_SIZE(pages) && (pages[n] = alloc_pages(GFP_KERNEL | GFP_DMA, 2)))
		n++;
	check(n > 100 && n <= 1024 && errno == ENOMEM);
	for (unsigned int i = 0; i < n; i++)
		__free_pages(pages[i], 2);
	while (again < n && (pages[again] = alloc_pages(GFP_KERNEL | GFP_DMA, 2)))
		again++;
	check(again == n);
}

TEST(a_zone_without_addresses_says_so)
{
	(void)state;
	assert_string_equal(
		told_by(use_up_dma, 0),
		"slabmalloc: alloc_pages: page allocation failure: order:2, gfp_mask=0x31: no addresses that low are left, or no memory\n");
}

TEST(the_last_reference_frees)
{
	struct page *page = alloc_pages(GFP_KERNEL, 3);

	(void)state;
	assert_int_equal(page_ref_count(page), 1);
	get_page(page);
	get_page(virt_to_page((char *)page_address(page) + 5 * PAGE_SIZE));
	assert_int_equal(page_ref_count(page), 3);
	put_page(page);
	__free_pages(page, 3);
	assert_int_equal(page_ref_count(page), 1);
	pattern_fill(page_address(page), PAGE_SIZE << 3, 1);
	assert_true(pattern_holds(page_address(page), PAGE_SIZE << 3, 1));
	put_page(page);
	assert_int_equal(page_ref_count(page), 0);
}

TEST(an_exact_block_has_no_frame_too_many)
{
	(void)state;
	for (size_t size = 1; size < 3 * MIB; size += 77777) {
		void *p = alloc_pages_exact(size, GFP_KERNEL | __GFP_ZERO);

		assert_non_null(p);
		assert_int_equal(compound_nr(virt_to_page(p)), (size + PAGE_SIZE - 1) / PAGE_SIZE);
		pattern_fill(p, size, size);
		assert_true(pattern_holds(p, size, size));
		free_pages_exact(p, size);
	}
	assert_int_equal(slabmalloc_check(), 0);
}

static void *get_and_put(void *page)
{
	for (int i = 0; i < 200000; i++) {
		get_page(page);
		put_page(page);
	}
	put_page(page);
	return NULL;
}

TEST(references_of_many_threads_are_counted)
{
	struct page *page = alloc_page(GFP_KERNEL);
	pthread_t thread[4];

	(void)state;
	for (int i = 0; i < 4; i++) {
		get_page(page);
		pthread_create(&thread[i], NULL, get_and_put, page);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(page_ref_count(page), 1);
	put_page(page);
}

TEST(flags_tell_what_a_frame_is)
{
	void *object = malloc(100), *large = malloc(MIB);
	struct page *page = alloc_pages(GFP_KERNEL, 1);

	(void)state;
	assert_true(PageSlab(virt_to_page(object)));
	assert_true(page_flags(virt_to_page(large)) >> PG_large & 1);
	assert_int_equal(page_flags(page), 1 << PG_head);
	assert_false(PageHighMem(page));
	assert_null(virt_to_page(&state));
	free(object);
	free(large);
	__free_pages(page, 1);
}

static void wrong_order(void *arg)
{
	(void)arg;
	__free_pages(alloc_pages(GFP_KERNEL, 2), 1);
}

static void tail(void *arg)
{
	(void)arg;
	free_pages(__get_free_pages(GFP_KERNEL, 2) + PAGE_SIZE, 0);
}

static void twice(void *arg)
{
	unsigned long addr = __get_free_pages(GFP_KERNEL, 2);

	(void)arg;
	free_pages(addr, 2);
	free_pages(addr, 2);
}

static void of_a_slab(void *arg)
{
	(void)arg;
	free_pages((unsigned long)malloc(64) & PAGE_MASK, 0);
}

static void of_malloc(void *arg)
{
	(void)arg;
	free_pages((unsigned long)malloc(MIB), 8);
}

static void foreign(void *arg)
{
	static char here[2 * 4096];

	(void)arg;
	free_pages((unsigned long)(here + 4096) & PAGE_MASK, 0);
}

static void inside(void *arg)
{
	(void)arg;
	free_pages(__get_free_page(GFP_KERNEL) + 64, 0);
}

static void by_free(void *arg)
{
	(void)arg;
	free((void *)__get_free_pages(GFP_KERNEL, 2));
}

static void exact_by_order(void *arg)
{
	(void)arg;
	free_pages((unsigned long)alloc_pages_exact(5 * PAGE_SIZE, GFP_KERNEL), 3);
}

static void get_after_free(void *arg)
{
	struct page *page = alloc_page(GFP_KERNEL);

	(void)arg;
	__free_page(page);
	get_page(page);
}

TEST(pages_that_were_not_allocated_are_not_freed)
{
	(void)state;
	assert_dies_saying(
		wrong_order,
		"slabmalloc: __free_pages(%p): 2 frames (order 1), but the block has 4 (order 2)");
	assert_dies_saying(tail,
			   "slabmalloc: free_pages(%p): frame 1 of a block of 4, not its first");
	assert_dies_saying(
		twice,
		"slabmalloc: free_pages(%p): the frame is free, or was never allocated by alloc_pages");
	assert_dies_saying(
		of_a_slab,
		"slabmalloc: free_pages(%p): a frame of a slab of kmalloc-64, not of alloc_pages");
	assert_dies_saying(
		of_malloc,
		"slabmalloc: free_pages(%p): a frame of a large block of malloc, not of alloc_pages");
	assert_dies_saying(foreign,
			   "slabmalloc: free_pages(%p): invalid pointer: not of this heap");
	assert_dies_saying(inside,
			   "slabmalloc: free_pages(%p): invalid pointer: no page begins here");
	assert_dies_saying(
		by_free,
		"slabmalloc: free(%p): invalid pointer: a block of 4 frames of alloc_pages");
	assert_dies_saying(
		exact_by_order,
		"slabmalloc: free_pages(%p): 8 frames (order 3), but the block has 5 (order 3)");
	assert_dies_saying(
		get_after_free,
		"slabmalloc: get_page(%p): the frame is free, or was never allocated by alloc_pages");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_of_every_order_are_aligned_and_whole),
		cmocka_unit_test(zeroed_frames_are_zero),
		cmocka_unit_test(low_zones_have_low_addresses),
		cmocka_unit_test(a_zone_without_addresses_says_so),
		cmocka_unit_test(the_last_reference_frees),
		cmocka_unit_test(an_exact_block_has_no_frame_too_many),
		cmocka_unit_test(references_of_many_threads_are_counted),
		cmocka_unit_test(flags_tell_what_a_frame_is),
		cmocka_unit_test(pages_that_were_not_allocated_are_not_freed),
	};

	require_library();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
