/* SPDX-License-Identifier: MIT */
/* Slab caches as the kernel documents them. */
#include "kernel.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "slabmalloc/slab.h"
#include "slabmalloc/slabmalloc.h"

struct point {
	long x, y, z;
};

static void *objects[20000];

static void fill_and_check(struct kmem_cache *s, size_t n)
{
	size_t size = kmem_cache_size(s);

	for (size_t i = 0; i < n; i++) {
		objects[i] = kmem_cache_alloc(s, GFP_KERNEL);
		assert_non_null(objects[i]);
		pattern_fill(objects[i], size, i);
	}
	for (size_t i = 0; i < n; i++)
		assert_true(pattern_holds(objects[i], size, i));
}

static void free_all(struct kmem_cache *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		kmem_cache_free(s, objects[i]);
}

TEST(objects_of_every_size_and_alignment_are_apart)
{
	static const size_t sizes[] = { 1,   7,    8,    9,    16,   24,   40,    100,
					192, 1000, 1025, 4000, 4096, 5000, 70000, 1 << 20 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (size_t align = 0; align <= 4096; align = align ? align * 4 : 1) {
			struct kmem_cache *s =
				kmem_cache_create("sized", sizes[i], align, SLAB_NO_MERGE, NULL);
			size_t n = 4 * MIB / sizes[i];

			if (n > 3000)
				n = 3000;
			assert_non_null(s);
			assert_int_equal(kmem_cache_size(s), sizes[i]);
			fill_and_check(s, n);
			for (size_t k = 0; align && k < n; k++)
				assert_int_equal((uintptr_t)objects[k] % align, 0);
			free_all(s, n);
			kmem_cache_destroy(s);
		}
	}
	assert_int_equal(slabmalloc_check(), 0);
}

TEST(all_three_forms_of_create_make_a_cache)
{
	struct kmem_cache_args args = { .align = 32 };
	struct kmem_cache *s[] = {
		kmem_cache_create("with-args", 48, &args, 0),
		kmem_cache_create("by-default", 48, NULL, 0),
		kmem_cache_create("of-old", 48, 0, SLAB_HWCACHE_ALIGN, NULL),
		KMEM_CACHE(point, 0),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(s); i++) {
		void *p;

		assert_non_null(s[i]);
		p = kmem_cache_alloc(s[i], GFP_KERNEL);
		assert_non_null(p);
		if (i == 0)
			assert_int_equal((uintptr_t)p % 32, 0);
		if (i == 2)
			assert_int_equal((uintptr_t)p % 64, 0);
		kmem_cache_free(s[i], p);
		kmem_cache_destroy(s[i]);
	}
}

static int constructed;

static void construct(void *p)
{
	struct point *point = p;

	constructed++;
	*point = (struct point){ 1, 2, 3 };
}

/* Bonwick's object caching: once for each object, however often it is used. */
TEST(the_constructor_runs_once_for_each_object)
{
	struct kmem_cache *s = kmem_cache_create("points", sizeof(struct point), 0, 0, construct);
	int first;

	(void)state;
	for (int i = 0; i < 100; i++)
		objects[i] = kmem_cache_alloc(s, GFP_KERNEL);
	first = constructed;
	assert_true(first >= 100);
	for (int round = 0; round < 1000; round++) {
		for (int i = 0; i < 100; i++) {
			struct point *p = objects[i];

			assert_true(p->x == 1 && p->y == 2 && p->z == 3);
			kmem_cache_free(s, p);
		}
		for (int i = 0; i < 100; i++)
			objects[i] = kmem_cache_alloc(s, round % 2 ? GFP_KERNEL : GFP_ATOMIC);
	}
	assert_int_equal(constructed, first);
	free_all(s, 100);
	kmem_cache_destroy(s);
}

TEST(like_caches_are_one_and_others_are_not)
{
	struct kmem_cache *a = kmem_cache_create("like-a", 120, 0, 0, NULL);
	struct kmem_cache *b = kmem_cache_create("like-b", 116, 0, 0, NULL);
	struct kmem_cache *own = kmem_cache_create("own", 120, 0, SLAB_NO_MERGE, NULL);
	struct kmem_cache *made = kmem_cache_create("made", 120, 0, 0, construct);
	void *p;

	(void)state;
	assert_ptr_equal(a, b);
	assert_ptr_not_equal(a, own);
	assert_ptr_not_equal(a, made);
	kmem_cache_destroy(a);
	p = kmem_cache_alloc(b, GFP_KERNEL);
	assert_non_null(p);
	kmem_cache_free(b, p);
	kmem_cache_destroy(b);
	kmem_cache_destroy(own);
	kmem_cache_destroy(made);
}

TEST(zeroed_objects_are_zero)
{
	struct kmem_cache *s = kmem_cache_create("zeroed", 2000, 0, SLAB_NO_MERGE, NULL);
	static const char zero[2000];

	(void)state;
	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < 100; i++) {
			objects[i] = kmem_cache_zalloc(s, GFP_KERNEL);
			assert_memory_equal(objects[i], zero, 2000);
			memset(objects[i], 0xff, 2000);
		}
		free_all(s, 100);
	}
	kmem_cache_destroy(s);
}

TEST(shrink_gives_back_every_slab_of_an_unused_cache)
{
	struct kmem_cache *s = kmem_cache_create("shrunk", 512, 0, SLAB_NO_MERGE, NULL);

	(void)state;
	fill_and_check(s, 5000);
	assert_int_not_equal(kmem_cache_shrink(s), 0);
	free_all(s, 5000);
	assert_int_equal(kmem_cache_shrink(s), 0);
	kmem_cache_destroy(s);
}

TEST(bulk_is_all_or_nothing)
{
	struct kmem_cache *s =
		kmem_cache_create("bulk", 1024, 0, SLAB_NO_MERGE | SLAB_ACCOUNT, NULL);

	(void)state;
	assert_int_equal(kmem_cache_alloc_bulk(s, GFP_KERNEL, 1000, objects), 1000);
	kmem_cache_free_bulk(s, 1000, objects);
	assert_int_equal(kmem_cache_shrink(s), 0);
	assert_int_equal(kmem_cache_set_limit(s, 512 * KIB), 0);
	assert_int_equal(kmem_cache_alloc_bulk(s, GFP_KERNEL | __GFP_NOWARN, 1000, objects), 0);
	assert_int_equal(errno, ENOMEM);
	assert_int_equal(kmem_cache_alloc_bulk(s, GFP_KERNEL, 400, objects), 400);
	kmem_cache_free_bulk(NULL, 400, objects);
	kmem_cache_destroy(s);
}

TEST(a_prefilled_sheaf_gives_what_it_holds)
{
	struct kmem_cache *s =
		kmem_cache_create("sheaved", 64, 0, SLAB_NO_MERGE | SLAB_ACCOUNT, NULL);
	struct slab_sheaf *sheaf = kmem_cache_prefill_sheaf(s, GFP_KERNEL, 300);

	(void)state;
	assert_non_null(sheaf);
	assert_true(kmem_cache_sheaf_size(sheaf) >= 300);
	assert_int_equal(kmem_cache_set_limit(s, 1), 0);
	for (int i = 0; i < 300; i++)
		assert_non_null(objects[i] = kmem_cache_alloc_from_sheaf(s, GFP_KERNEL | __GFP_ZERO,
									 sheaf));
	assert_null(kmem_cache_alloc_from_sheaf(s, GFP_KERNEL, sheaf));
	assert_int_equal(kmem_cache_refill_sheaf(s, GFP_KERNEL, &sheaf, 1900), -ENOMEM);
	assert_int_equal(kmem_cache_set_limit(s, 0), 0);
	assert_int_equal(kmem_cache_refill_sheaf(s, GFP_KERNEL, &sheaf, 1900), 0);
	assert_true(kmem_cache_sheaf_size(sheaf) >= 1900);
	kmem_cache_return_sheaf(s, GFP_KERNEL, sheaf);
	free_all(s, 300);
	kmem_cache_destroy(s);
	assert_null(kmem_cache_prefill_sheaf(s, GFP_KERNEL, 2001));
}

TEST(free_and_kfree_take_objects_of_caches)
{
	struct kmem_cache *plain = kmem_cache_create("plain", 96, 0, SLAB_NO_MERGE, NULL);
	struct kmem_cache *odd = kmem_cache_create("odd", 40, 0, SLAB_NO_MERGE, NULL);
	struct kmem_cache *made = kmem_cache_create("ctor", 96, 0, 0, construct);
	struct kmem_cache *all[] = { plain, odd, made };

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(all); k++) {
		for (int round = 0; round < 3; round++) {
			for (int i = 0; i < 1000; i++)
				objects[i] = kmem_cache_alloc(all[k], GFP_KERNEL);
			for (int i = 0; i < 1000; i++)
				i % 2 ? kfree(objects[i]) : free(objects[i]);
		}
		assert_int_equal(kmem_cache_shrink(all[k]), 0);
		kmem_cache_destroy(all[k]);
	}
	assert_int_equal(slabmalloc_check(), 0);
}

static void *free_half(void *cache)
{
	for (int i = 0; i < 10000; i++) {
		kmem_cache_free(cache, objects[i]);
		objects[i] = kmem_cache_alloc(cache, GFP_KERNEL);
	}
	for (int i = 0; i < 10000; i++)
		kmem_cache_free(cache, objects[i]);
	return NULL;
}

static pthread_barrier_t met, done;

static void *free_half_and_sleep(void *cache)
{
	free_half(cache);
	pthread_barrier_wait(&met);
	pthread_barrier_wait(&done);
	free(malloc(100));
	return NULL;
}

/* Its sheaves hold objects of a cache that is no more, whose number is another's. */
TEST(a_cache_ends_while_a_thread_that_used_it_sleeps)
{
	(void)state;
	pthread_barrier_init(&met, NULL, 2);
	pthread_barrier_init(&done, NULL, 2);
	for (int round = 0; round < 10; round++) {
		struct kmem_cache *s =
			kmem_cache_create("slept-on", 72 + 8 * (size_t)round, 0, SLAB_NO_MERGE,
					  round % 2 ? construct : NULL);
		struct kmem_cache *next;
		pthread_t thread;

		for (int i = 0; i < 10000; i++)
			objects[i] = kmem_cache_alloc(s, GFP_KERNEL);
		pthread_create(&thread, NULL, free_half_and_sleep, s);
		pthread_barrier_wait(&met);
		kmem_cache_destroy(s);
		next = kmem_cache_create("next", 3000, 0, SLAB_NO_MERGE, NULL);
		assert_ptr_equal(next, s);
		fill_and_check(next, 100);
		pthread_barrier_wait(&done);
		pthread_join(thread, NULL);
		free_all(next, 100);
		kmem_cache_destroy(next);
		assert_int_equal(slabmalloc_check(), 0);
	}
}

static void leave_objects_out(void *arg)
{
	struct kmem_cache *s = kmem_cache_create("leaky", 64, 0, SLAB_NO_MERGE, NULL);
	void *a = kmem_cache_alloc(s, GFP_KERNEL), *b;

	(void)arg;
	b = kmem_cache_alloc(s, GFP_KERNEL);
	check(a && b);
	kmem_cache_destroy(s);
	kmem_cache_free(s, a);
	kmem_cache_free(s, b);
	kmem_cache_destroy(s);
}

/* A cache that its last user is about to end is nobody else's any more. */
static void *make_use_and_end(void *arg)
{
	enum { ROUNDS = 60000, N = 3 };
	void *p[N];

	for (uintptr_t i = 0; i < ROUNDS; i++) {
		struct kmem_cache *s = kmem_cache_create("alike", 200, 0, 0, NULL);

		check(s);
		for (uintptr_t k = 0; k < N; k++) {
			p[k] = kmem_cache_alloc(s, GFP_KERNEL);
			check(p[k]);
			pattern_fill(p[k], 200, (uintptr_t)arg + k);
		}
		for (uintptr_t k = 0; k < N; k++) {
			check(pattern_holds(p[k], 200, (uintptr_t)arg + k));
			kmem_cache_free(s, p[k]);
		}
		kmem_cache_destroy(s);
	}
	return NULL;
}

static void alike_at_once(void *arg)
{
	pthread_t thread[4];

	(void)arg;
	for (uintptr_t i = 0; i < ARRAY_SIZE(thread); i++)
		check(!pthread_create(&thread[i], NULL, make_use_and_end, (void *)(i << 20)));
	for (size_t i = 0; i < ARRAY_SIZE(thread); i++)
		pthread_join(thread[i], NULL);
	check(slabmalloc_check() == 0);
	_exit(0);
}

TEST(threads_that_make_and_end_like_caches_do_not_meet)
{
	(void)state;
	assert_string_equal(told_by(alike_at_once, 0), "");
}

TEST(destroy_tells_of_objects_that_are_out_and_keeps_the_cache)
{
	(void)state;
	assert_string_equal(
		told_by(leave_objects_out, 0),
		"slabmalloc: kmem_cache_destroy(leaky): 2 objects are still in use: the cache is kept\n");
}

static int grace_periods;

static void grace_period(void)
{
	grace_periods++;
}

TEST(slabs_read_under_rcu_stay_until_synchronize)
{
	struct kmem_cache *s = kmem_cache_create("rcu", 256, 0, SLAB_TYPESAFE_BY_RCU, NULL);

	(void)state;
	fill_and_check(s, 10000);
	free_all(s, 10000);
	assert_int_not_equal(kmem_cache_shrink(s), 0);
	/* A reader may still look: the memory is there, and of this type. */
	for (int i = 0; i < 10000; i++)
		assert_true(pattern_holds(objects[i], 256, (uint64_t)i));
	assert_true(kmem_cache_synchronize(s, grace_period) >= 10000 * 256);
	assert_int_equal(grace_periods, 1);
	assert_int_equal(kmem_cache_shrink(s), 0);
	kmem_cache_destroy(s);
}

TEST(low_caches_have_low_addresses)
{
	struct kmem_cache *s = kmem_cache_create("low", 1000, 0, SLAB_CACHE_DMA32, NULL);

	(void)state;
	fill_and_check(s, 5000);
	for (int i = 0; i < 5000; i++)
		assert_true((uintptr_t)objects[i] >> 32 == 0);
	free_all(s, 5000);
	kmem_cache_destroy(s);
}

TEST(more_caches_than_there_are_numbers_are_refused)
{
	static struct kmem_cache *caches[1000];
	int n = 0;

	(void)state;
	while (n < 1000 && (caches[n] = kmem_cache_create("many", 64, 0, SLAB_NO_MERGE, NULL))) {
		objects[n] = kmem_cache_alloc(caches[n], GFP_KERNEL);
		assert_non_null(objects[n]);
		n++;
	}
	assert_int_equal(n, 768);
	assert_int_equal(errno, ENOSPC);
	while (n--) {
		kmem_cache_free(caches[n], objects[n]);
		kmem_cache_destroy(caches[n]);
	}
	assert_int_equal(slabmalloc_check(), 0);
}

TEST(what_cannot_be_a_cache_is_refused)
{
	(void)state;
	assert_null(kmem_cache_create(NULL, 64, 0, 0, NULL));
	assert_null(kmem_cache_create("", 64, 0, 0, NULL));
	assert_null(kmem_cache_create("two words", 64, 0, 0, NULL));
	assert_null(kmem_cache_create("empty", 0, 0, 0, NULL));
	assert_null(kmem_cache_create("large", ((size_t)1 << 20) + 1, 0, 0, NULL));
	assert_null(kmem_cache_create("askew", 64, 24, 0, NULL));
	assert_null(kmem_cache_create("flags", 64, 0, 1u << 31, NULL));
	assert_int_equal(errno, EINVAL);
	kmem_cache_destroy(NULL);
}

static void panic(void *arg)
{
	(void)arg;
	kmem_cache_create("panic", 0, 0, SLAB_PANIC, NULL);
}

static void wrong_cache(void *arg)
{
	struct kmem_cache *a = kmem_cache_create("right", 64, 0, SLAB_NO_MERGE, NULL);
	struct kmem_cache *b = kmem_cache_create("wrong", 64, 0, SLAB_NO_MERGE, NULL);

	(void)arg;
	kmem_cache_free(b, kmem_cache_alloc(a, GFP_KERNEL));
}

static void of_malloc(void *arg)
{
	struct kmem_cache *a = kmem_cache_create("mine", 64, 0, SLAB_NO_MERGE, NULL);

	(void)arg;
	kmem_cache_free(a, malloc(64));
}

static void foreign(void *arg)
{
	struct kmem_cache *a = kmem_cache_create("mine", 64, 0, SLAB_NO_MERGE, NULL);
	static char object[64];

	(void)arg;
	kmem_cache_free(a, object);
}

static void twice(void *arg)
{
	struct kmem_cache *a = kmem_cache_create("mine", 64, 0, SLAB_NO_MERGE, NULL);
	void *p = kmem_cache_alloc(a, GFP_KERNEL), *q = kmem_cache_alloc(a, GFP_KERNEL);

	(void)arg;
	kmem_cache_free(a, p);
	kmem_cache_free(a, q);
	kmem_cache_free(a, p);
}

static void twice_constructed(void *arg)
{
	struct kmem_cache *a = kmem_cache_create("points", sizeof(struct point), 0, 0, construct);
	void *p = kmem_cache_alloc(a, GFP_KERNEL);

	(void)arg;
	kmem_cache_free(a, p);
	kmem_cache_free(a, p);
}

static void inside(void *arg)
{
	struct kmem_cache *a = kmem_cache_create("points", sizeof(struct point), 0, 0, construct);

	(void)arg;
	kmem_cache_free(a, (char *)kmem_cache_alloc(a, GFP_KERNEL) + 8);
}

TEST(bad_input_is_named)
{
	(void)state;
	assert_dies_saying(
		panic, "slabmalloc: kmem_cache_create(panic, 0): objects have 1 to 1048576 bytes");
	assert_dies_saying(wrong_cache,
			   "slabmalloc: kmem_cache_free(%p): an object of right, not of wrong");
	assert_dies_saying(of_malloc,
			   "slabmalloc: kmem_cache_free(%p): an object of kmalloc-64, not of mine");
	assert_dies_saying(foreign,
			   "slabmalloc: kmem_cache_free(%p): invalid pointer: not of this heap");
	assert_dies_saying(twice, "slabmalloc: kmem_cache_free(%p): double free: object of mine");
	assert_dies_saying(twice_constructed,
			   "slabmalloc: kmem_cache_free(%p): double free: object of points");
	assert_dies_saying(
		inside,
		"slabmalloc: kmem_cache_free(%p): invalid pointer: misaligned, object of points");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_of_every_size_and_alignment_are_apart),
		cmocka_unit_test(all_three_forms_of_create_make_a_cache),
		cmocka_unit_test(the_constructor_runs_once_for_each_object),
		cmocka_unit_test(like_caches_are_one_and_others_are_not),
		cmocka_unit_test(zeroed_objects_are_zero),
		cmocka_unit_test(shrink_gives_back_every_slab_of_an_unused_cache),
		cmocka_unit_test(bulk_is_all_or_nothing),
		cmocka_unit_test(a_prefilled_sheaf_gives_what_it_holds),
		cmocka_unit_test(free_and_kfree_take_objects_of_caches),
		cmocka_unit_test(a_cache_ends_while_a_thread_that_used_it_sleeps),
		cmocka_unit_test(threads_that_make_and_end_like_caches_do_not_meet),
		cmocka_unit_test(destroy_tells_of_objects_that_are_out_and_keeps_the_cache),
		cmocka_unit_test(slabs_read_under_rcu_stay_until_synchronize),
		cmocka_unit_test(low_caches_have_low_addresses),
		cmocka_unit_test(more_caches_than_there_are_numbers_are_refused),
		cmocka_unit_test(what_cannot_be_a_cache_is_refused),
		cmocka_unit_test(bad_input_is_named),
	};

	require_library();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
