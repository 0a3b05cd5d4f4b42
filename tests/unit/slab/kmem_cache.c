/* SPDX-License-Identifier: MIT */
/* The table of typed caches and the shape of their slabs. */
#include "slab/kmem_cache.h"

#include "unit.h"

static struct kmem_cache *make(const char *name, size_t size, slab_flags_t flags)
{
	struct cache_shape shape = { .name = name, .size = size, .flags = flags };
	struct kmem_cache *s = kmem_cache_find_alias(&shape);

	return s ? s : kmem_cache_new(&shape, NULL);
}

static void end(struct kmem_cache *s)
{
	if (kmem_cache_drop(s))
		kmem_cache_forget(s);
}

/* One rule, said twice: by the script that makes the kmalloc table, and at run time. */
TEST(slabs_of_objects_below_a_frame_are_shaped_as_kmallocs)
{
	for (u32 id = 1; id < NR_KMALLOC && cache_of(id)->size < FRAME_SIZE; id++) {
		const struct kmem_cache *k = cache_of(id);
		struct kmem_cache s = { .size = k->size, .align = k->size & -k->size };

		assert_true(kmem_cache_geometry(&s));
		assert_int_equal(s.frames, k->frames);
		assert_int_equal(s.objects, k->objects);
		assert_int_equal(s.inverse, k->inverse);
		assert_int_equal(s.quarter, k->quarter);
		assert_int_equal(s.colours, k->colours);
	}
}

TEST(every_size_has_a_slab_that_holds_its_objects)
{
	for (u32 size = 16; size <= 2 * MIB;
	     size = size < 8192 ? size + 8 : size + size / 7 / 8 * 8) {
		struct kmem_cache s = { .size = size, .align = 8 };
		u32 bytes;

		assert_true(kmem_cache_geometry(&s));
		bytes = s.frames * (u32)FRAME_SIZE;
		assert_true(s.objects >= 1 && s.objects <= SLAB_OBJECTS_MAX);
		assert_true((size_t)s.objects * size + (s.colours - 1u) * s.colour_unit <= bytes);
		for (u32 i = 0; i < s.objects; i++)
			assert_int_equal((u64)i * size * s.inverse >> 32, i);
		assert_true(size > 16384 || (bytes - s.objects * size) * 8 <= bytes);
	}
}

TEST(numbers_are_given_out_again)
{
	struct kmem_cache *a = make("a", 64, SLAB_NO_MERGE), *b = make("b", 64, SLAB_NO_MERGE);

	assert_int_equal(a->id, TYPED_FIRST);
	assert_int_equal(b->id, TYPED_FIRST + 1);
	assert_int_equal(cache_end, TYPED_FIRST + 2);
	end(a);
	a = make("c", 128, SLAB_NO_MERGE);
	assert_int_equal(a->id, TYPED_FIRST);
	assert_string_equal(a->name, "c");
	end(a);
	end(b);
}

TEST(aliases_count_and_the_last_ends_the_cache)
{
	struct kmem_cache *a = make("a", 100, 0), *b = make("b", 97, 0);

	assert_ptr_equal(a, b);
	assert_int_equal(a->refcount, 2);
	assert_int_equal(a->object_size, 100);
	assert_false(kmem_cache_drop(a));
	assert_true(kmem_cache_drop(b));
	kmem_cache_forget(b);
}

static void nothing(void *object)
{
	(void)object;
}

TEST(only_plain_objects_are_let_past_the_gate)
{
	static const struct {
		struct cache_shape shape;
		bool open;
	} cases[] = {
		{ { .name = "plain", .size = 64 }, true },
		{ { .name = "odd", .size = 24 }, true },
		{ { .name = "made", .size = 64, .ctor = nothing }, false },
		{ { .name = "rcu", .size = 64, .flags = SLAB_TYPESAFE_BY_RCU }, false },
		{ { .name = "debug", .size = 64, .flags = SLAB_POISON }, false },
		{ { .name = "line", .size = 24, .flags = SLAB_HWCACHE_ALIGN }, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct kmem_cache *s = kmem_cache_new(&cases[i].shape, NULL);

		assert_int_equal(s->class, (cases[i].open ? s->id : (u32)GATE) * CLASS_UNIT);
		end(s);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(slabs_of_objects_below_a_frame_are_shaped_as_kmallocs),
		cmocka_unit_test(every_size_has_a_slab_that_holds_its_objects),
		cmocka_unit_test(numbers_are_given_out_again),
		cmocka_unit_test(aliases_count_and_the_last_ends_the_cache),
		cmocka_unit_test(only_plain_objects_are_let_past_the_gate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
