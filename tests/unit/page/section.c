// SPDX-License-Identifier: MIT
#include "page/section.h"

#include <stdlib.h>

#include "os/mem.h"
#include "sheaf/sheaf.h"
#include "unit.h"

/* Where no mapping of this process lies: region_get only makes metadata. */
static const uintptr_t SOMEWHERE = 0x123456ul << REGION_SHIFT;

/* As its zone does; nothing is mapped there, which munmap permits. */
static void put(struct region *r)
{
	assert_true(region_put(r));
	os_unmap(r, REGION_META_SIZE);
}

static void assert_foreign(uintptr_t p)
{
	assert_null(region_at(p));
	assert_null(virt_to_page(p));
	assert_null(virt_to_slab(p));
	if (p >> ADDRESS_BITS)
		return;
	assert_int_equal(*class_of(p), 0);
	assert_ptr_equal(section_of(p), &mem.none);
}

static void assert_foreign_pointers_are_foreign(void)
{
	static int variable;
	int local;
	void *of_libc = malloc(100);

	assert_foreign(0);
	assert_foreign(1);
	assert_foreign(4096);
	assert_foreign((uintptr_t)&variable);
	assert_foreign((uintptr_t)&local);
	assert_foreign((uintptr_t)of_libc);
	assert_foreign((uintptr_t)assert_foreign);
	for (int bit = 12; bit < 64; bit++) {
		assert_foreign(1ul << bit);
		assert_foreign((1ul << bit) - 1);
		assert_foreign((1ul << bit) + 16);
		assert_foreign(~0ul << bit);
	}
	assert_foreign(~0ul);
	free(of_libc);
}

TEST(before_any_initialisation_every_pointer_is_foreign)
{
	assert_foreign_pointers_are_foreign();
	assert_false(sheaf_free(NULL));
	assert_false(sheaf_free((void *)~0ul));
	assert_false(sheaf_free((void *)(1ul << ADDRESS_BITS)));
	assert_false(sheaf_free((void *)((1ul << ADDRESS_BITS) + 16)));
	assert_false(sheaf_free((void *)0x7ffffffff001));
}

TEST(address_and_struct_page_are_inverse_for_every_frame)
{
	struct region *r = region_get(SOMEWHERE + 5 * FRAME_SIZE, 0);

	assert_non_null(r);
	assert_int_equal((uintptr_t)r % REGION_META_SIZE, 0);
	assert_int_equal(r->base, SOMEWHERE);
	for (u32 i = 0; i < FRAMES_PER_REGION; i++) {
		uintptr_t p = SOMEWHERE + i * FRAME_SIZE;
		struct page *page = virt_to_page(p);

		assert_ptr_equal(page, &r->page[i]);
		assert_ptr_equal(virt_to_page(p + i % FRAME_SIZE), page);
		assert_ptr_equal(virt_to_page(p + FRAME_SIZE - 1), page);
		assert_ptr_equal(page_address(page), (void *)p);
		assert_ptr_equal(region_of(page), r);
		assert_int_equal(page_index(page), i);
	}
	assert_null(virt_to_page(SOMEWHERE - 1));
	assert_null(virt_to_page(SOMEWHERE + REGION_SIZE));
	put(r);
	assert_foreign_pointers_are_foreign();
}

TEST(a_region_is_made_once_and_forgotten_when_put)
{
	struct region *r = region_get(SOMEWHERE, 3);
	size_t mapped = os_stats.mapped;

	assert_int_equal(r->nid, 3);
	assert_ptr_equal(region_get(SOMEWHERE + REGION_SIZE - 1, 3), r);
	assert_int_equal(os_stats.mapped, mapped);
	assert_true(region_put(r));
	assert_null(region_at(SOMEWHERE));
	os_unmap(r, REGION_META_SIZE);
	r = region_get(SOMEWHERE, 0);
	assert_int_equal(r->nid, 0);
	assert_int_equal(r->frames, 0);
	assert_true(all_bytes_are(r->page, sizeof(r->page), 0));
	put(r);
}

TEST(all_regions_of_a_section_share_it_and_none_of_their_entries)
{
	const uintptr_t base = ALIGN_DOWN(SOMEWHERE, 1ul << SECTION_SHIFT);
	struct region *r[REGIONS_PER_SECTION], *next;

	for (u32 i = 0; i < REGIONS_PER_SECTION; i++) {
		r[i] = region_get(base + i * REGION_SIZE, 0);
		assert_non_null(r[i]);
		*class_of(r[i]->base) = (u16)(i + 1);
		*class_of(r[i]->base + REGION_SIZE - 1) = (u16)(i + 1);
	}
	next = region_get(base + (1ul << SECTION_SHIFT), 0);
	assert_ptr_equal(section_of(base), section_of(base + (1ul << SECTION_SHIFT) - 1));
	assert_ptr_not_equal(section_of(base), section_of(next->base));
	for (u32 i = 0; i < REGIONS_PER_SECTION; i++) {
		assert_ptr_equal(region_at(base + i * REGION_SIZE), r[i]);
		assert_int_equal(*class_of(r[i]->base), i + 1);
		assert_int_equal(*class_of(r[i]->base + FRAME_SIZE), 0);
		assert_int_equal(*class_of(r[i]->base + REGION_SIZE - FRAME_SIZE), i + 1);
	}
	for (u32 i = 0; i < REGIONS_PER_SECTION; i++) {
		*class_of(r[i]->base) = *class_of(r[i]->base + REGION_SIZE - 1) = 0;
		put(r[i]);
	}
	assert_ptr_equal(region_at(next->base), next);
	put(next);
}

TEST(the_map_reaches_to_the_end_of_the_address_space)
{
	const uintptr_t last = (1ul << ADDRESS_BITS) - REGION_SIZE;
	struct region *r = region_get(last, 0);

	assert_ptr_equal(virt_to_page((1ul << ADDRESS_BITS) - 1), &r->page[FRAMES_PER_REGION - 1]);
	assert_null(virt_to_page(1ul << ADDRESS_BITS));
	assert_null(region_get(1ul << ADDRESS_BITS, 0));
}

TEST(a_region_that_the_kernel_does_not_unmap_stays)
{
	void *p = os_reserve_aligned(REGION_SIZE, REGION_SIZE);
	struct region *r = region_get((uintptr_t)p, 0);
	size_t mapped = os_stats.mapped;

	weather.os_unmap = 0;
	assert_false(region_put(r));
	clear_weather();
	assert_ptr_equal(region_at((uintptr_t)p), r);
	assert_int_equal(os_stats.mapped, mapped);
	assert_true(region_put(r));
	assert_null(region_at((uintptr_t)p));
	assert_int_equal(os_stats.mapped, mapped - REGION_SIZE);
	os_unmap(r, REGION_META_SIZE);
}

TEST(without_memory_there_is_no_region_and_later_there_is)
{
	const uintptr_t new_section = SOMEWHERE + (9ul << SECTION_SHIFT);
	struct region *r;

	weather.os_map = 0;
	assert_null(region_get(new_section, 0));
	clear_weather();
	assert_foreign(new_section);
	weather.os_map_aligned = 0;
	assert_null(region_get(new_section, 0));
	clear_weather();
	assert_null(region_at(new_section));
	r = region_get(new_section, 0);
	assert_non_null(r);
	put(r);
}

TEST(a_slab_is_found_from_each_of_its_frames_and_from_no_other)
{
	struct region *r = region_get(SOMEWHERE, 0);

	r->page[7].type = PAGE_SLAB;
	for (u32 i = 1; i < 5; i++) {
		r->page[7 + i].type = PAGE_TAIL;
		r->page[7 + i].head = i;
	}
	for (u32 i = 0; i < 20; i++) {
		struct page *slab = virt_to_slab(SOMEWHERE + i * FRAME_SIZE + 100);

		assert_ptr_equal(slab, i >= 7 && i < 12 ? &r->page[7] : NULL);
	}
	put(r);
}

TEST(words_of_slabs_bitmaps_do_not_overlap)
{
	struct region *r = region_get(SOMEWHERE, 0);

	for (u32 i = 0; i < 200; i++)
		for (u32 w = 0; w < MAP_WORDS; w++)
			*slab_map_word(&r->page[i], w) = i * MAP_WORDS + w + 1;
	for (u32 i = 0; i < 200; i++) {
		assert_int_equal(r->page[i].map, i * MAP_WORDS + 1);
		for (u32 w = 0; w < MAP_WORDS; w++)
			assert_int_equal(*slab_map_word(&r->page[i], w), i * MAP_WORDS + w + 1);
	}
	put(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(before_any_initialisation_every_pointer_is_foreign),
		cmocka_unit_test(address_and_struct_page_are_inverse_for_every_frame),
		cmocka_unit_test(a_region_is_made_once_and_forgotten_when_put),
		cmocka_unit_test(all_regions_of_a_section_share_it_and_none_of_their_entries),
		cmocka_unit_test(the_map_reaches_to_the_end_of_the_address_space),
		cmocka_unit_test(a_region_that_the_kernel_does_not_unmap_stays),
		cmocka_unit_test(without_memory_there_is_no_region_and_later_there_is),
		cmocka_unit_test(a_slab_is_found_from_each_of_its_frames_and_from_no_other),
		cmocka_unit_test(words_of_slabs_bitmaps_do_not_overlap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
