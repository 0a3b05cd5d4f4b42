// SPDX-License-Identifier: MIT
#include "sheaf/barn.h"

#include "base/options.h"
#include "page/memblock.h"
#include "sheaf/heap.h"
#include "unit.h"

/* A full sheaf of the cache, out of fresh slabs. */
static struct slab_sheaf *full_sheaf(u32 id, u32 capacity)
{
	struct slab_sheaf *sheaf = sheaf_new(capacity);

	assert_non_null(sheaf);
	while (sheaf->size < capacity)
		sheaf->objects[sheaf->size++] = heap_untagged(sheaf_alloc_one(id));
	return sheaf;
}

static void free_sheaf(u32 id, struct slab_sheaf *sheaf)
{
	slab_free_batch(id, percpu_pages(NULL), sheaf->objects, sheaf->size);
	sheaf_delete(sheaf);
}

/* How many go in; what is too much is freed. */
static u32 fill_barn(u32 id, u32 capacity)
{
	u32 n = 0;
	struct slab_sheaf *sheaf;

	while (barn_put(id, 0, sheaf = full_sheaf(id, capacity)))
		n++;
	free_sheaf(id, sheaf);
	return n;
}

TEST(sheaves_come_out_whole_and_the_last_one_first)
{
	u32 id = kmalloc_index(64);
	struct slab_sheaf *sheaf[BARN_SHEAVES];

	heap_second_thread();
	assert_null(barn_get(id, 0));
	for (int i = 0; i < BARN_SHEAVES; i++) {
		sheaf[i] = full_sheaf(id, 10);
		assert_true(barn_put(id, 0, sheaf[i]));
		assert_int_equal(barn_objects(id), 10 * (i + 1));
	}
	for (int i = BARN_SHEAVES; i-- > 0;) {
		assert_ptr_equal(barn_get(id, 0), sheaf[i]);
		assert_int_equal(sheaf[i]->size, 10);
		free_sheaf(id, sheaf[i]);
	}
	assert_null(barn_get(id, 0));
	assert_int_equal(barn_objects(id), 0);
}

TEST(a_barn_is_bounded_in_sheaves_and_bytes_and_takes_one_in_any_case)
{
	static const struct {
		size_t size;
		u32 capacity, sheaves;
	} cases[] = {
		{ 16, 254, BARN_SHEAVES }, { 256, 254, 8 }, { 1024, 64, 8 },     { 4096, 16, 8 },
		{ 65536, 2, 4 },           { 65536, 8, 1 }, { 256 << 10, 2, 1 },
	};

	heap_second_thread();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		u32 id = kmalloc_index(cases[i].size);

		assert_int_equal(fill_barn(id, cases[i].capacity), cases[i].sheaves);
		assert_int_equal(barns[id].nr, cases[i].sheaves);
		barn_drain(id, percpu_pages(NULL));
	}
}

TEST(a_thread_alone_keeps_less)
{
	u32 id = kmalloc_index(64), large = kmalloc_index(1024);

	assert_int_equal(fill_barn(id, 254), BARN_BYTES_ALONE / (254 * 64));
	assert_int_equal(fill_barn(large, 64), BARN_BYTES_ALONE / (64 << 10));
}

TEST(a_drained_barn_gives_all_objects_to_their_slabs)
{
	u32 id = kmalloc_index(64);

	heap_second_thread();
	fill_barn(id, 100);
	assert_int_equal(heap_objects_out(id), BARN_SHEAVES * 100);
	barn_drain(id, percpu_pages(NULL));
	assert_int_equal(heap_objects_out(id), 0);
	assert_int_equal(barns[id].nr, 0);
	assert_null(barns[id].full);
}

TEST(a_barn_that_nobody_came_to_between_two_looks_is_drained)
{
	u32 id = kmalloc_index(64);
	struct page_source src = percpu_pages(NULL);
	u32 full = fill_barn(id, 10);

	barn_age(id, src);
	assert_int_equal(barns[id].nr, full);
	/* Somebody comes. */
	assert_true(barn_put(id, 0, barn_get(id, 0)));
	barn_age(id, src);
	assert_int_equal(barns[id].nr, full);
	barn_age(id, src);
	assert_int_equal(barns[id].nr, 0);
	assert_int_equal(heap_objects_out(id), 0);
	barn_age(id, src);
	fill_barn(id, 10);
	barn_age(id, src);
	assert_int_equal(barns[id].nr, full);
}

TEST(a_barn_holds_its_objects_and_no_others)
{
	u32 id = kmalloc_index(64);
	struct slab_sheaf *sheaf = full_sheaf(id, 10);
	void *other = heap_untagged(sheaf_alloc_one(id)), *last = sheaf->objects[9];

	barn_put(id, 0, sheaf);
	assert_true(barn_holds(id, last));
	assert_false(barn_holds(id, other));
	assert_false(barn_holds(id, (char *)last + 16));
	assert_false(barn_holds(id + 1, last));
	sheaf_free_one(id, other);
}

TEST(verifying_leaves_the_barn_as_it_was)
{
	u32 id = kmalloc_index(64);

	heap_second_thread();
	fill_barn(id, 10);
	assert_int_equal(barn_verify(id), 0);
	assert_int_equal(barns[id].nr, BARN_SHEAVES);
	assert_int_equal(barn_objects(id), 10 * BARN_SHEAVES);
}

TEST(empty_sheaves_come_back_for_full_ones)
{
	u32 id = kmalloc_index(64);
	struct slab_sheaf *empty = sheaf_new(10), *mine = empty, *full = full_sheaf(id, 10);
	size_t before;

	/* Not for nothing. */
	assert_null(barn_replace_empty(id, 0, &mine));
	assert_ptr_equal(mine, empty);
	before = memblock_used();
	assert_true(barn_replace_full(id, 0, full, &mine));
	assert_null(mine);
	mine = empty;
	assert_ptr_equal(barn_replace_empty(id, 0, &mine), full);
	assert_null(mine);
	assert_true(barn_replace_full(id, 0, full, &mine));
	assert_ptr_equal(mine, empty);
	/* No more than have room, and none when the barn is drained. */
	for (u32 i = 0; i < BARN_EMPTY; i++) {
		assert_ptr_equal(barn_replace_empty(id, 0, &mine), full);
		assert_null(mine);
		assert_true(barn_put(id, 0, full));
		mine = sheaf_new(10);
	}
	assert_ptr_equal(barn_replace_empty(id, 0, &mine), full);
	assert_non_null(mine);
	sheaf_delete(mine);
	free_sheaf(id, full);
	barn_drain(id, percpu_pages(NULL));
	assert_true(memblock_used() < before);
}

static u32 bad_id;

static void verify_bad(void)
{
	assert_int_equal(barn_verify(bad_id), 1);
}

TEST(verifying_finds_a_bad_pointer_in_any_sheaf)
{
	u32 id = bad_id = kmalloc_index(64);
	struct slab_sheaf *s;

	options.abort = false;
	heap_second_thread();
	fill_barn(id, BARN_SHEAVES);
	for (u32 i = 0; i < BARN_SHEAVES; i++) {
		u32 k = 0;
		char *good;

		for (s = barns[id].full; k < i; k++)
			s = s->next;
		good = s->objects[i];
		s->objects[i] = good + 16;
		assert_string_not_equal(stderr_of(verify_bad), "");
		s->objects[i] = good;
	}
	assert_int_equal(barn_verify(id), 0);
}

int main(void)
{
#define BARN_TEST(name) cmocka_unit_test_setup_teardown(name, heap_setup, heap_teardown)
	const struct CMUnitTest tests[] = {
		BARN_TEST(sheaves_come_out_whole_and_the_last_one_first),
		BARN_TEST(a_barn_is_bounded_in_sheaves_and_bytes_and_takes_one_in_any_case),
		BARN_TEST(a_thread_alone_keeps_less),
		BARN_TEST(a_drained_barn_gives_all_objects_to_their_slabs),
		BARN_TEST(a_barn_that_nobody_came_to_between_two_looks_is_drained),
		BARN_TEST(a_barn_holds_its_objects_and_no_others),
		BARN_TEST(empty_sheaves_come_back_for_full_ones),
		BARN_TEST(verifying_leaves_the_barn_as_it_was),
		BARN_TEST(verifying_finds_a_bad_pointer_in_any_sheaf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
