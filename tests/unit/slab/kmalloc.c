// SPDX-License-Identifier: MIT
#include <stdio.h>

#include "sheaf/sheaf.h"
#include "slab/slab.h"
#include "unit.h"

static const struct kmem_cache *class(u32 k)
{
	return &kmalloc_caches[k];
}

static size_t bytes_of_slab(const struct kmem_cache *s)
{
	return s->frames * FRAME_SIZE;
}

/* The alignment that every object of the class has: the largest power of two in its size. */
static size_t natural_align(const struct kmem_cache *s)
{
	return min((size_t)1 << __ffs(s->size), FRAME_SIZE);
}

TEST(every_size_has_the_smallest_class_that_holds_it)
{
	u32 last = 1;

	for (size_t n = 1; n <= KMALLOC_MAX; n++) {
		u32 k = kmalloc_index(n);

		assert_in_range(k, last, last + 1);
		assert_true(k < NR_KMALLOC);
		assert_true(class(k)->size >= n);
		assert_true(k == 1 || class(k - 1)->size < n ||
			    class(k - 1)->size == class(k)->size);
		last = k;
	}
	assert_int_equal(last, NR_KMALLOC - 1);
	assert_int_equal(kmalloc_index(0), 1);
}

TEST(the_fast_path_computes_the_same_class)
{
	for (size_t n = 1; n <= KMALLOC_FINE_MAX; n++)
		assert_int_equal((2 * n + 30) & ~31ul, kmalloc_index(n) * CLASS_UNIT);
	/* No byte: slot 0, which is always empty. */
	assert_int_equal((2 * 0 + 30) & ~31ul, 0);
}

TEST(sizes_rise_and_names_say_them)
{
	for (u32 k = 1; k < NR_KMALLOC; k++) {
		char name[sizeof(class(k)->name)];

		snprintf(name, sizeof(name), "kmalloc-%u", class(k)->size);
		assert_string_equal(class(k)->name, name);
		assert_true(class(k)->size >= class(k - 1)->size);
		assert_int_equal(class(k)->size % KMALLOC_GRAIN, 0);
	}
	assert_int_equal(class(NR_KMALLOC - 1)->size, KMALLOC_MAX);
	assert_int_equal(class(0)->size, 0);
}

TEST(a_slab_holds_its_objects_and_wastes_a_sixteenth_at_the_most)
{
	for (u32 k = 1; k < NR_KMALLOC; k++) {
		const struct kmem_cache *s = class(k);
		size_t objects = (size_t)s->objects * s->size;

		assert_int_equal(s->objects, bytes_of_slab(s) / s->size);
		assert_true((bytes_of_slab(s) - objects) * 16 <= bytes_of_slab(s));
		assert_true(s->objects <= MAP_WORDS * BITS_PER_LONG);
		assert_true(s->objects >= (s->size < FRAME_SIZE ? 4 : 1));
		assert_true(bytes_of_slab(s) <= max((size_t)s->size, (size_t)64 * KIB));
		/* Fresh objects are counted in a byte, whose largest value means none. */
		assert_true(s->size <= KMALLOC_FINE_MAX || s->objects < FRESH_NONE);
	}
}

TEST(slabs_of_small_objects_fit_the_page_sets)
{
	for (u32 k = 1; k < NR_KMALLOC; k++)
		if (class(k)->size <= 2 * KIB)
			assert_true(is_power_of_2(class(k)->frames) &&
				    class(k)->frames < 1u << PCP_ORDERS);
}

TEST(no_smaller_slab_wastes_as_little)
{
	for (u32 k = 1; k < NR_KMALLOC; k++) {
		const struct kmem_cache *s = class(k);

		for (u32 frames = 1; frames < min((u32)s->frames, 9u) && s->size < FRAME_SIZE;
		     frames *= 2) {
			size_t bytes = frames * FRAME_SIZE;

			assert_true(bytes / s->size < 4 || bytes % s->size * 64 > bytes ||
				    (frames == 1 && bytes / s->size > BITS_PER_LONG));
		}
	}
}

TEST(colours_stay_in_the_slab_and_keep_the_alignment)
{
	for (u32 k = 1; k < NR_KMALLOC; k++) {
		const struct kmem_cache *s = class(k);
		size_t last = (s->colours - 1ul) * s->colour_unit;

		assert_true(s->colours >= 1 && s->colours <= 256);
		assert_true(last + (size_t)s->objects * s->size <= bytes_of_slab(s));
		assert_int_equal(s->colour_unit % natural_align(s), 0);
		if (s->colours == 1)
			continue;
		assert_true(s->colour_unit >= 64);
		/* None is given away. */
		assert_true(s->colours == 256 ||
			    last + s->colour_unit + (size_t)s->objects * s->size >
				    bytes_of_slab(s));
	}
}

TEST(a_frame_knows_whether_an_object_begins_in_it)
{
	for (u32 k = 1; k < NR_KMALLOC; k++) {
		const struct kmem_cache *s = class(k);

		for (u32 colour = 0; colour < s->colours; colour++) {
			bool begins[KMALLOC_MAX / FRAME_SIZE] = { false };

			for (u32 i = 0; i < s->objects; i++)
				begins[(colour * s->colour_unit + i * s->size) / FRAME_SIZE] = true;
			for (u32 f = 0; f < s->frames; f++)
				assert_int_equal(object_begins(s, colour, f), begins[f]);
		}
	}
}

static u32 index_of(const struct kmem_cache *s, u32 offset)
{
	return (u32)((u64)offset * s->inverse >> 32);
}

TEST(the_inverse_finds_every_object_from_every_aligned_byte)
{
	for (u32 k = 1; k < NR_KMALLOC; k++) {
		const struct kmem_cache *s = class(k);

		for (u32 offset = 0; offset < s->objects * s->size; offset += KMALLOC_GRAIN)
			assert_int_equal(index_of(s, offset), offset / s->size);
		/* Behind the objects, and (as u32) before them: no index of an object. */
		for (u32 offset = s->objects * s->size; offset < bytes_of_slab(s); offset += 8)
			assert_true(index_of(s, offset) >= s->objects);
		for (u32 before = 1; before <= 256 * 64; before++)
			assert_true(index_of(s, -before) >= s->objects);
	}
}

TEST(an_aligned_class_is_the_first_that_is_large_enough_and_aligned)
{
	for (size_t align = 1; align <= FRAME_SIZE; align *= 2) {
		for (size_t n = 1; n <= KMALLOC_MAX; n += 1 + n / 64) {
			u32 k = 1;

			while (class(k)->size < n || class(k)->size % align)
				k++;
			assert_int_equal(class(kmalloc_index_aligned(n, align))->size,
					 class(k)->size);
			assert_true(natural_align(class(k)) >= align);
		}
		assert_int_equal(kmalloc_index_aligned(KMALLOC_MAX + 1, align), 0);
		assert_int_equal(kmalloc_index_aligned(SIZE_MAX, align), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_has_the_smallest_class_that_holds_it),
		cmocka_unit_test(the_fast_path_computes_the_same_class),
		cmocka_unit_test(sizes_rise_and_names_say_them),
		cmocka_unit_test(a_slab_holds_its_objects_and_wastes_a_sixteenth_at_the_most),
		cmocka_unit_test(slabs_of_small_objects_fit_the_page_sets),
		cmocka_unit_test(no_smaller_slab_wastes_as_little),
		cmocka_unit_test(colours_stay_in_the_slab_and_keep_the_alignment),
		cmocka_unit_test(a_frame_knows_whether_an_object_begins_in_it),
		cmocka_unit_test(the_inverse_finds_every_object_from_every_aligned_byte),
		cmocka_unit_test(an_aligned_class_is_the_first_that_is_large_enough_and_aligned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
