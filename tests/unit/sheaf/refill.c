// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "sheaf/barn.h"
#include "sheaf/heap.h"
#include "unit.h"

enum { MAX_LIVE = 4000, ALWAYS_BYTES = 4096 };

/* What the test holds of one cache, the last allocated on top. */
static void *live[MAX_LIVE];
static u32 held;

static void hold(struct kmem_percpu *c, u32 id, u32 n)
{
	while (n--)
		live[held++] = heap_untagged(heap_alloc(c, id));
}

static void drop(struct kmem_percpu *c, u32 id, u32 n)
{
	while (n--)
		heap_free(c, id, live[--held]);
}

static int setup(void **state)
{
	held = 0;
	return heap_setup(state);
}

static struct sheaf_slot *my_slot(u32 id)
{
	return &this_cpu->slot[id];
}

static u32 in_main(u32 id)
{
	return (u32)(my_slot(id)->top - my_slot(id)->base);
}

static u32 main_capacity(u32 id)
{
	return (u32)(my_slot(id)->limit - my_slot(id)->base);
}

static void swing(struct kmem_percpu *c, u32 id, u32 n)
{
	hold(c, id, n);
	drop(c, id, n);
	heap_verify(c);
}

enum { WEIGHT = 32 << (20 - FRAME_SHIFT) };

/* Beside a small heap sheaves are small. */
static struct page *be_large(void)
{
	bool clean;
	struct page *weight = zone_alloc(&zones[0], WEIGHT, 0, &clean);

	check(weight);
	sheaf_allow();
	return weight;
}

static void be_small(struct page *weight)
{
	zone_free(&zones[0], weight, WEIGHT, true);
	sheaf_allow();
}

TEST(a_first_sheaf_is_what_fits_a_frame_and_30_objects_at_the_most)
{
	static const size_t sizes[] = { 16, 64, 128, 256, 1024, 4096, 65536, 256 << 10 };
	static const u32 capacity[] = { 30, 30, 30, 16, 4, 1, 1, 1 };
	struct page *weight;

	options.sheaf_bytes = GIB;
	weight = be_large();
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct kmem_percpu *freeing = heap_second_thread();
		u32 id = kmalloc_index(sizes[i]);

		hold(this_cpu, id, 1);
		assert_int_equal(this_cpu->meta[id].capacity, capacity[i]);
		assert_int_equal(main_capacity(id), capacity[i]);
		drop(freeing, id, 1);
		assert_int_equal(freeing->meta[id].capacity, capacity[i]);
		assert_int_equal(freeing->slot[id].limit - freeing->slot[id].base, capacity[i]);
		assert_int_equal(freeing->slot[id].top - freeing->slot[id].base, 1);
		heap_verify(this_cpu);
		heap_verify(freeing);
	}
	be_small(weight);
}

/* Another thread's objects, and the lines that they lie in, do not come back to who frees them first. */
TEST(a_new_thread_has_no_sheaf_before_it_knows_a_cache)
{
	struct kmem_percpu *second = heap_second_thread();
	u32 id = kmalloc_index(32);
	void *dealt[4], *own[4];

	sheaf_first = 8;
	for (u32 i = 0; i < 4; i++)
		dealt[i] = sheaf_alloc_slow(this_cpu, id);
	for (u32 i = 0; i < 4; i++) {
		sheaf_free_slow(second, id, dealt[i]);
		own[i] = sheaf_alloc_slow(second, id);
		assert_null(slot_of(second, id)->base);
	}
	for (u32 i = 0; i < 4; i++) {
		sheaf_free_slow(second, id, own[i]);
		assert_non_null(slot_of(second, id)->base);
	}
}

TEST(objects_come_in_address_order)
{
	u32 id = kmalloc_index(64);
	char *last = NULL;

	for (u32 i = 0; i < 64; i++) {
		hold(this_cpu, id, 1);
		assert_true(!last || (char *)live[i] == last + 64);
		last = live[i];
	}
	drop(this_cpu, id, 64);
}

TEST(capacity_grows_with_misses_up_to_its_bounds)
{
	static const size_t sizes[] = { 16, 64, 256, 1024, 4096, 65536, 256 << 10 };
	static const u32 most[] = { 510, 510, 256, 64, 16, 2, 2 };
	struct page *weight;

	options.sheaf_bytes = GIB;
	weight = be_large();
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		u32 id = kmalloc_index(sizes[i]), last = 0;

		for (int round = 0; round < 40; round++) {
			swing(this_cpu, id, sizes[i] > 4096 ? 20 : 1200);
			assert_true(this_cpu->meta[id].capacity >= last);
			last = this_cpu->meta[id].capacity;
		}
		assert_int_equal(last, most[i]);
	}
	be_small(weight);
}

TEST(a_thread_that_stays_within_its_sheaves_misses_nothing)
{
	u32 id = kmalloc_index(64), capacity;

	swing(this_cpu, id, 20);
	capacity = this_cpu->meta[id].capacity;
	this_cpu->meta[id].misses = 0;
	for (int round = 0; round < 1000; round++)
		swing(this_cpu, id, 20);
	assert_int_equal(this_cpu->meta[id].misses, 0);
	assert_int_equal(this_cpu->meta[id].capacity, capacity);
}

static size_t bytes_in_sheaves(struct kmem_percpu *c)
{
	size_t sum = 0;

	for (u32 id = 1; id < NR_KMALLOC; id++) {
		struct sheaf_slot *slot = &c->slot[id];

		sum += (size_t)(slot->top - slot->base) * cache_of(id)->size;
		sum += slot->spare ? (size_t)slot->spare->size * cache_of(id)->size : 0;
	}
	return sum;
}

static void swing_all_classes(struct kmem_percpu *c)
{
	for (int round = 0; round < 6; round++)
		for (u32 id = 1; id < NR_KMALLOC; id += 3)
			swing(c, id, min(2 * MIB / cache_of(id)->size, 600ul));
}

TEST(all_sheaves_of_a_thread_stay_under_their_bound)
{
	static const size_t bounds[] = { 0, 16 * KIB, 256 * KIB, 2 * MIB };

	for (size_t i = 0; i < ARRAY_SIZE(bounds); i++) {
		struct page *weight;

		heap_teardown(NULL);
		heap_setup(NULL);
		options.sheaf_bytes = bounds[i];
		weight = be_large();
		swing_all_classes(this_cpu);
		for (int large = 0; large < 2; large++) {
			assert_true(this_cpu->bytes[large] <=
				    bounds[i] + NR_KMALLOC * ALWAYS_BYTES);
			assert_true(this_cpu->bytes[large] >= bounds[i] / 2);
		}
		for (u32 id = 1; id < NR_KMALLOC; id++)
			barn_drain(id, percpu_pages(NULL));
		assert_true(bytes_in_sheaves(this_cpu) <= this_cpu->bytes[0] + this_cpu->bytes[1]);
		be_small(weight);
	}
}

TEST(the_bound_of_one_thread_grows_with_the_heap)
{
	struct page *weight;

	options.sheaf_bytes = 2 * MIB;
	sheaf_allow();
	swing_all_classes(this_cpu);
	assert_in_range(counter_read(this_cpu->bytes[0]), 192 * KIB, 512 * KIB);
	weight = be_large();
	swing_all_classes(this_cpu);
	assert_in_range(counter_read(this_cpu->bytes[0]), MIB, 2 * MIB);
	be_small(weight);
}

TEST(the_bound_falls_where_there_are_many_threads)
{
	options.sheaf_bytes = MIB;
	nr_threads += 63;
	sheaf_allow();
	swing_all_classes(this_cpu);
	assert_true(this_cpu->bytes[0] <= MIB / 4 + NR_KMALLOC * ALWAYS_BYTES);
	assert_true(this_cpu->bytes[1] <= MIB / 4 + NR_KMALLOC * ALWAYS_BYTES);
	nr_threads -= 63;
}

TEST(a_class_without_room_for_a_sheaf_works_object_by_object)
{
	u32 id = kmalloc_index(64 << 10);

	options.sheaf_bytes = 0;
	sheaf_allow();
	swing(this_cpu, id, 20);
	assert_null(my_slot(id)->base);
	assert_int_equal(heap_objects_out(id), 0);
}

TEST(a_loop_around_any_edge_swaps_sheaves_and_touches_no_slab)
{
	enum { SWING = 5, LEVELS = 300 };
	u32 id = kmalloc_index(64);

	for (u32 level = 0; level < LEVELS; level++) {
		unsigned long out;

		hold(this_cpu, id, 1);
		swing(this_cpu, id, SWING);
		swing(this_cpu, id, SWING);
		out = heap_objects_out(id);
		this_cpu->meta[id].misses = 0;
		for (int round = 0; round < 20; round++)
			swing(this_cpu, id, SWING);
		assert_int_equal(this_cpu->meta[id].misses, 0);
		assert_int_equal(heap_objects_out(id), out);
		assert_int_equal(barns[id].nr, 0);
	}
	drop(this_cpu, id, LEVELS);
}

TEST(full_and_empty_swap_with_the_spare_whole)
{
	u32 id = kmalloc_index(64), n;
	struct slab_sheaf *full;

	hold(this_cpu, id, 600);
	while (my_slot(id)->top != my_slot(id)->limit)
		drop(this_cpu, id, 1);
	n = in_main(id);
	full = container_of(my_slot(id)->base, struct slab_sheaf, objects);
	drop(this_cpu, id, 1);
	assert_ptr_equal(my_slot(id)->spare, full);
	assert_int_equal(full->size, n);
	assert_int_equal(in_main(id), 1);
	/* And back, when the new one is empty. */
	hold(this_cpu, id, 2);
	assert_ptr_equal(my_slot(id)->base, full->objects);
	assert_int_equal(in_main(id), n - 1);
	assert_int_equal(my_slot(id)->spare->size, 0);
	drop(this_cpu, id, held);
}

TEST(where_only_the_spare_is_needed_no_slow_path_is)
{
	u32 id = kmalloc_index(64), n;
	uintptr_t *freed;

	hold(this_cpu, id, 600);
	while (my_slot(id)->top != my_slot(id)->limit)
		drop(this_cpu, id, 1);
	/* A full spare, an empty one, and a full main sheaf again. */
	drop(this_cpu, id, 1);
	hold(this_cpu, id, 2);
	drop(this_cpu, id, 1);
	n = in_main(id);
	assert_ptr_equal(my_slot(id)->top, my_slot(id)->limit);
	assert_int_equal(my_slot(id)->spare->size, 0);
	assert_null(sheaf_swap_alloc(id));
	freed = live[--held];
	/* One that carries the key was freed already: that is the slow path's to say. */
	freed[1] = object_key();
	assert_false(sheaf_swap_free(id, freed));
	freed[1] = 0;
	assert_true(sheaf_swap_free(id, freed));
	assert_int_equal(freed[1], object_key());
	assert_int_equal(in_main(id), 1);
	assert_int_equal(my_slot(id)->spare->size, n);
	assert_false(sheaf_swap_free(id, live[held - 1]));
	assert_null(sheaf_swap_alloc(id));
	heap_verify(this_cpu);
	hold(this_cpu, id, 1);
	live[held++] = sheaf_swap_alloc(id);
	assert_non_null(live[held - 1]);
	assert_int_equal(in_main(id), n - 1);
	assert_int_equal(my_slot(id)->spare->size, 0);
	assert_int_equal(this_cpu->busy, 0);
	heap_verify(this_cpu);
	drop(this_cpu, id, held);
}

TEST(what_one_thread_frees_another_gets_in_the_same_sheaves)
{
	struct kmem_percpu *producer = this_cpu, *consumer = heap_second_thread();
	u32 id = kmalloc_index(64), whole = 0, sheaves = 0;
	struct slab_sheaf *in_barn[BARN_SHEAVES];

	hold(producer, id, 600);
	drop(consumer, id, 600);
	for (struct slab_sheaf *s = barns[id].full; s; s = s->next) {
		assert_int_equal(s->size, s->capacity);
		in_barn[sheaves++] = s;
	}
	assert_true(sheaves >= 2);
	for (u32 i = 0; i < 600; i++) {
		hold(producer, id, 1);
		for (u32 k = 0; k < sheaves; k++)
			if (producer->slot[id].base == in_barn[k]->objects)
				whole |= 1u << k;
	}
	assert_int_equal(whole, (1u << sheaves) - 1);
	assert_int_equal(barns[id].nr, 0);
	drop(producer, id, 600);
	heap_verify(producer);
	heap_verify(consumer);
}

TEST(when_barn_and_sheaves_are_full_objects_go_to_their_slabs)
{
	struct kmem_percpu *producer = this_cpu, *consumer = heap_second_thread();
	u32 id = kmalloc_index(1024);

	for (int round = 0; round < 10; round++) {
		hold(producer, id, MAX_LIVE);
		drop(consumer, id, MAX_LIVE);
	}
	assert_true(heap_objects_out(id) * 1024 <= BARN_BYTES + 4 * 64 * KIB);
}

TEST(sheaves_left_alone_halve_and_go_and_busy_ones_stay)
{
	u32 idle = kmalloc_index(64), busy = kmalloc_index(128), capacity;

	swing(this_cpu, idle, 1000);
	capacity = this_cpu->meta[idle].capacity;
	assert_true(capacity > 100);
	this_cpu->aged_ms = 10000;
	for_each_cache(i)
		this_cpu->meta[i].misses = 0;
	sheaf_age(this_cpu, 10249);
	assert_int_equal(this_cpu->meta[idle].capacity, capacity);
	for (u64 now = 10250; capacity; now += 250) {
		swing(this_cpu, busy, 500);
		sheaf_age(this_cpu, now);
		heap_verify(this_cpu);
		capacity /= 2;
		assert_int_equal(this_cpu->meta[idle].capacity, capacity);
		assert_int_equal(capacity ? main_capacity(idle) : 0, capacity);
		assert_null(my_slot(idle)->spare);
		assert_true(this_cpu->meta[busy].capacity >= 30);
	}
	assert_null(my_slot(idle)->base);
	for (u32 id = 1; id < NR_KMALLOC; id++)
		barn_drain(id, percpu_pages(NULL));
	assert_int_equal(heap_objects_out(idle), 0);
	/* It opens again like new. */
	heap_free(this_cpu, idle, sheaf_alloc_one(idle));
	assert_int_equal(this_cpu->meta[idle].capacity, 30);
}

TEST(a_miss_keeps_the_sheaf_for_one_more_period)
{
	u32 id = kmalloc_index(64), capacity;

	swing(this_cpu, id, 1000);
	capacity = this_cpu->meta[id].capacity;
	assert_true(this_cpu->meta[id].misses > 0);
	sheaf_age(this_cpu, 1000);
	assert_int_equal(this_cpu->meta[id].capacity, capacity);
	sheaf_age(this_cpu, 2000);
	assert_int_equal(this_cpu->meta[id].capacity, capacity / 2);
}

TEST(flushing_gives_all_objects_and_pages_back)
{
	struct zone *z = &zones[0];

	for (u32 id = 1; id < NR_KMALLOC; id += 5)
		swing(this_cpu, id, 50);
	sheaf_flush_all(this_cpu);
	assert_int_equal(bytes_in_sheaves(this_cpu), 0);
	for (u32 id = 1; id < NR_KMALLOC; id++) {
		barn_drain(id, percpu_pages(NULL));
		assert_int_equal(heap_objects_out(id), 0);
		slab_shrink(id, percpu_pages(NULL));
	}
	assert_int_equal(z->nr_free, z->nr_present);
	heap_verify(this_cpu);
	swing(this_cpu, 1, 50);
}

TEST(fresh_objects_are_zero_and_carry_the_tag_once)
{
	enum { OBJECTS = 300, ROUNDS = 6000 };
	static bool handed_out[2 * FRAMES_PER_REGION];
	u32 id = kmalloc_index(2048), tagged = 0;
	u64 rng = 12;

	memset(handed_out, 0, sizeof(handed_out));
	for (int round = 0; round < ROUNDS; round++) {
		if (held < OBJECTS && random_below(&rng, 16) < (round / 500 % 2 ? 5 : 11)) {
			void *entry = heap_alloc(this_cpu, id), *p = heap_untagged(entry);
			bool *before = &handed_out[(uintptr_t)p / 2048 % ARRAY_SIZE(handed_out)];

			if (entry != p) {
				assert_false(*before);
				assert_true(all_bytes_are(p, 2048, 0));
				tagged++;
			}
			*before = true;
			memset(p, 1, 2048);
			live[held++] = p;
		} else if (held) {
			u32 i = random_below(&rng, held);
			void *p = live[i];

			live[i] = live[held - 1];
			live[held - 1] = p;
			drop(this_cpu, id, 1);
		}
	}
	assert_true(tagged >= OBJECTS / 2);
	drop(this_cpu, id, held);
}

static u32 verify_result;

static void verify(void)
{
	verify_result = sheaf_verify(this_cpu);
}

TEST(verify_finds_each_bad_pointer_in_main_spare_and_barn)
{
	u32 id = kmalloc_index(64);
	struct slab_sheaf *spare;
	void **good, *saved[3], *free_object;
	char expected[500];
	int local;

	options.abort = false;
	hold(this_cpu, id, 1500);
	free_object = live[--held];
	sheaf_free_one(id, free_object);
	drop(this_cpu, id, held);
	assert_true(in_main(id) >= 1);
	spare = my_slot(id)->spare;
	assert_true(spare->size >= 2);
	assert_string_equal(stderr_of(verify), "");
	assert_int_equal(verify_result, 0);

	good = my_slot(id)->base;
	saved[0] = good[0];
	saved[1] = spare->objects[0];
	saved[2] = spare->objects[1];
	good[0] = (char *)saved[0] + 16;
	spare->objects[0] = free_object;
	spare->objects[1] = &local;
	snprintf(expected, sizeof(expected),
		 "slabmalloc: free(%p): invalid pointer: 16 bytes inside an object of kmalloc-64\n"
		 "slabmalloc: free(%p): double free: object of kmalloc-64\n"
		 "slabmalloc: free(%p): invalid pointer: in a slab, but in no object\n",
		 good[0], free_object, (void *)&local);
	assert_string_equal(stderr_of(verify), expected);
	assert_int_equal(verify_result, 3);
	good[0] = saved[0];
	spare->objects[0] = saved[1];
	spare->objects[1] = saved[2];

	assert_non_null(barns[id].full);
	saved[0] = barns[id].full->objects[5];
	barns[id].full->objects[5] = (char *)saved[0] + 32;
	assert_string_not_equal(stderr_of(verify), "");
	assert_int_equal(verify_result, 1);
	for (struct slab_sheaf *s = barns[id].full; s; s = s->next)
		if (s->objects[5] == (char *)saved[0] + 32)
			s->objects[5] = saved[0];
	assert_string_equal(stderr_of(verify), "");
}

TEST(without_memory_for_sheaves_the_slabs_serve)
{
	u32 id = kmalloc_index(64);

	/* Frames are there, sheaves are not. */
	swing(this_cpu, kmalloc_index(16), 1);
	heap_exhaust_memblock();
	for (u32 i = 0; i < 3; i++) {
		hold(this_cpu, id, 1);
		assert_non_null(live[i]);
		assert_null(my_slot(id)->base);
		heap_verify(this_cpu);
	}
	drop(this_cpu, id, 3);
	assert_int_equal(heap_objects_out(id), 0);
	heap_restore_memblock();
}

TEST(without_memory_for_a_second_sheaf_the_first_goes_on)
{
	u32 id = kmalloc_index(64);

	hold(this_cpu, id, 400);
	heap_exhaust_memblock();
	while (held) {
		drop(this_cpu, id, 1);
		heap_verify(this_cpu);
	}
	swing(this_cpu, id, 400);
	heap_verify(this_cpu);
	sheaf_age(this_cpu, 1000);
	sheaf_age(this_cpu, 2000);
	heap_verify(this_cpu);
	heap_restore_memblock();
}

TEST(without_any_memory_the_answer_is_null)
{
	u32 id = kmalloc_index(64);
	void *p;

	weather.os_reserve_guarded = weather.os_map = 0;
	assert_null(heap_alloc(this_cpu, id));
	assert_null(sheaf_alloc_one(id));
	heap_verify(this_cpu);
	clear_weather();
	p = heap_alloc(this_cpu, id);
	assert_non_null(p);
	heap_free(this_cpu, id, p);
}

int main(void)
{
#define REFILL_TEST(name) cmocka_unit_test_setup_teardown(name, setup, heap_teardown)
	const struct CMUnitTest tests[] = {
		REFILL_TEST(a_first_sheaf_is_what_fits_a_frame_and_30_objects_at_the_most),
		REFILL_TEST(a_new_thread_has_no_sheaf_before_it_knows_a_cache),
		REFILL_TEST(objects_come_in_address_order),
		REFILL_TEST(capacity_grows_with_misses_up_to_its_bounds),
		REFILL_TEST(a_thread_that_stays_within_its_sheaves_misses_nothing),
		REFILL_TEST(all_sheaves_of_a_thread_stay_under_their_bound),
		REFILL_TEST(the_bound_of_one_thread_grows_with_the_heap),
		REFILL_TEST(the_bound_falls_where_there_are_many_threads),
		REFILL_TEST(a_class_without_room_for_a_sheaf_works_object_by_object),
		REFILL_TEST(a_loop_around_any_edge_swaps_sheaves_and_touches_no_slab),
		REFILL_TEST(full_and_empty_swap_with_the_spare_whole),
		REFILL_TEST(where_only_the_spare_is_needed_no_slow_path_is),
		REFILL_TEST(what_one_thread_frees_another_gets_in_the_same_sheaves),
		REFILL_TEST(when_barn_and_sheaves_are_full_objects_go_to_their_slabs),
		REFILL_TEST(sheaves_left_alone_halve_and_go_and_busy_ones_stay),
		REFILL_TEST(a_miss_keeps_the_sheaf_for_one_more_period),
		REFILL_TEST(flushing_gives_all_objects_and_pages_back),
		REFILL_TEST(fresh_objects_are_zero_and_carry_the_tag_once),
		REFILL_TEST(verify_finds_each_bad_pointer_in_main_spare_and_barn),
		REFILL_TEST(without_memory_for_sheaves_the_slabs_serve),
		REFILL_TEST(without_memory_for_a_second_sheaf_the_first_goes_on),
		REFILL_TEST(without_any_memory_the_answer_is_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
