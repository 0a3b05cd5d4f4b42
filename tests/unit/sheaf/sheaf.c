// SPDX-License-Identifier: MIT
/*
 * The fast path of malloc and free.
 */
#include "sheaf/sheaf.h"

#include "os/mem.h"
#include "sheaf/heap.h"
#include "unit.h"

/* Objects in the main sheaf of a size, made by one slow call. */
static u32 prime(size_t n)
{
	u32 id = kmalloc_index(n);
	struct sheaf_slot *slot = &this_cpu->slot[id];

	heap_free(this_cpu, id, heap_alloc(this_cpu, id));
	return (u32)(slot->top - slot->base);
}

TEST(a_thread_without_sheaves_always_takes_the_slow_path)
{
	struct kmem_percpu *own = this_cpu;
	void *object;

	prime(64);
	object = sheaf_malloc(64);
	assert_non_null(object);
	for (int i = 0; i < 2; i++) {
		point_to(&this_thread, &percpu_none[i]);
		for (size_t n = 0; n <= KMALLOC_FINE_MAX + 1; n++)
			assert_null(sheaf_malloc(n));
		assert_false(sheaf_free(object));
		assert_false(sheaf_free(NULL));
	}
	point_to(&this_thread, own);
	assert_true(sheaf_free(object));
	assert_true(all_bytes_are(percpu_none, sizeof(percpu_none), 0));
}

TEST(malloc_takes_the_object_that_was_freed_last)
{
	u32 n = prime(100);
	void *p[64];

	assert_in_range(n, 3, ARRAY_SIZE(p));
	for (u32 i = 0; i < n; i++) {
		p[i] = sheaf_malloc(100);
		assert_non_null(p[i]);
	}
	assert_null(sheaf_malloc(100));
	for (u32 i = 0; i < n; i++)
		assert_true(sheaf_free(p[i]));
	for (u32 i = n; i-- > 0;)
		assert_ptr_equal(sheaf_malloc(100), p[i]);
	for (u32 i = 0; i < n; i++)
		assert_true(sheaf_free(p[i]));
}

TEST(every_small_size_is_served_from_its_own_class)
{
	for (size_t n = 1; n <= KMALLOC_FINE_MAX; n++) {
		void *p;

		prime(n);
		p = sheaf_malloc(n);
		assert_non_null(p);
		assert_int_equal((uintptr_t)p % KMALLOC_GRAIN, 0);
		assert_ptr_equal(slab_object(p).cache, cache_of(kmalloc_index(n)));
		assert_true(sheaf_free(p));
	}
	assert_null(sheaf_malloc(0));
	assert_null(sheaf_malloc(KMALLOC_FINE_MAX + 1));
	assert_null(sheaf_malloc(SIZE_MAX));
}

TEST(a_full_sheaf_refuses)
{
	struct sheaf_slot *slot = &this_cpu->slot[kmalloc_index(64)];
	void *p[600];
	u32 n = 0;

	for (n = 0; n < ARRAY_SIZE(p); n++)
		p[n] = heap_alloc(this_cpu, kmalloc_index(64));
	for (n = 0; slot->top != slot->limit; n++)
		assert_true(sheaf_free(p[n]));
	assert_false(sheaf_free(p[n]));
	for (; n < ARRAY_SIZE(p); n++)
		heap_free(this_cpu, kmalloc_index(64), p[n]);
}

TEST(a_second_free_is_not_taken_and_a_malloc_between_makes_it_good)
{
	uintptr_t *p;

	prime(48);
	p = sheaf_malloc(48);
	assert_int_equal(p[1], 0);
	assert_true(sheaf_free(p));
	assert_int_equal(p[1], object_key());
	assert_false(sheaf_free(p));
	assert_ptr_equal(sheaf_malloc(48), p);
	assert_int_equal(p[1], 0);
	p[0] = p[1] = p[2] = 1;
	assert_true(sheaf_free(p));
	assert_int_equal(p[0], 1);
	assert_int_equal(p[2], 1);
}

TEST(what_is_no_object_is_not_taken)
{
	uintptr_t *foreign = os_map(2 * os_page_size());
	char *p;

	prime(48);
	p = sheaf_malloc(48);
	assert_false(sheaf_free(NULL));
	assert_false(sheaf_free(foreign));
	for (int i = 1; i < KMALLOC_GRAIN; i++)
		assert_false(sheaf_free(p + i));
	for (int bit = ADDRESS_BITS; bit < 64; bit++) {
		assert_false(sheaf_free((void *)(1ul << bit)));
		assert_false(sheaf_free((void *)((uintptr_t)p | 1ul << bit)));
	}
	assert_false(sheaf_free((void *)~15ul));
	assert_true(sheaf_free(p));
	os_unmap(foreign, 2 * os_page_size());
}

int main(void)
{
#define SHEAF_TEST(name) cmocka_unit_test_setup_teardown(name, heap_setup, heap_teardown)
	const struct CMUnitTest tests[] = {
		SHEAF_TEST(a_thread_without_sheaves_always_takes_the_slow_path),
		SHEAF_TEST(malloc_takes_the_object_that_was_freed_last),
		SHEAF_TEST(every_small_size_is_served_from_its_own_class),
		SHEAF_TEST(a_full_sheaf_refuses),
		SHEAF_TEST(a_second_free_is_not_taken_and_a_malloc_between_makes_it_good),
		SHEAF_TEST(what_is_no_object_is_not_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
