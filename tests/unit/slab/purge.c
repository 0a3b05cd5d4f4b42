// SPDX-License-Identifier: MIT
#include "slab/purge.h"

#include <pthread.h>
#include <string.h>

#include "base/options.h"
#include "os/mem.h"
#include "page/model.h"
#include "slab/kmem_cache.h"
#include "unit.h"

enum { SLABS = 8, ALL = 4, MAX_OBJECTS = SLABS * 256 };

/* One frame and many, objects that share frames with others, and ones of several frames. */
static const size_t sizes[] = { 16, 48, 192, 512, 640, 1008, 1280, 3584, 5120, 7168, 16384, 65536 };

static const struct page_source src = { NULL, &zones[0], false };
static struct zone *const z = &zones[0];
static char *object[MAX_OBJECTS];
static u64 rng;

static int setup(__attribute__((unused)) void **state)
{
	options.abort = true;
	options.thp = THP_NEVER;
	rng = 15;
	return 0;
}

static int teardown(__attribute__((unused)) void **state)
{
	clear_weather();
	options.thp = THP_NEVER;
	for_each_cache(id) {
		slab_shrink(id, src);
		assert_int_equal(cache_nodes[id].nr_slabs, 0);
		assert_int_equal(cache_nodes[id].nr_given, 0);
		assert_int_equal(cache_nodes[id].nr_isolated, 0);
	}
	assert_int_equal(slab_bytes().free, 0);
	verify_memory(z);
	assert_int_equal(z->nr_free, z->nr_present);
	zone_destroy(z);
	return 0;
}

static void mark(const struct kmem_cache *s, u32 i)
{
	memset(object[i], (int)(1 + i % 255), s->size);
}

static bool is_marked(const struct kmem_cache *s, u32 i)
{
	return all_bytes_are(object[i], s->size, (u8)(1 + i % 255));
}

static void take(u32 id, u32 i)
{
	void *batch[1];

	assert_int_equal(slab_alloc_batch(id, src, batch + 1, 1), 1);
	object[i] = (void *)((uintptr_t)batch[0] & ~(uintptr_t)OBJECT_FRESH);
	mark(cache_of(id), i);
}

static void give(u32 id, u32 i)
{
	void *p = object[i];

	assert_true(is_marked(cache_of(id), i));
	object[i] = NULL;
	slab_free_batch(id, src, &p, 1);
}

/* Full slabs, of which one object in `n` stays. Returns how many there are to look through. */
static u32 use_and_free_all_but(u32 id, u32 n)
{
	u32 count = (u32)SLABS * cache_of(id)->objects;

	for (u32 i = 0; i < count; i++)
		take(id, i);
	for (u32 i = 0; i < count; i++)
		if (random_below(&rng, n))
			give(id, i);
	return count;
}

static void give_rest(u32 id, u32 count)
{
	for (u32 i = 0; i < count; i++)
		if (object[i])
			give(id, i);
}

/* Does any object in use touch these 4 KiB? */
static bool in_use(const struct kmem_cache *s, u32 count, const char *frame)
{
	for (u32 i = 0; i < count; i++)
		if (object[i] && object[i] < frame + FRAME_SIZE && object[i] + s->size > frame)
			return true;
	return false;
}

static bool is_given(const char *frame)
{
	struct page *slab = virt_to_slab((uintptr_t)frame);

	return slab_given(slab) >> (frame - (char *)page_address(slab)) / FRAME_SIZE & 1;
}

/* Calls fn with each frame of the slabs that hold an object. */
static u32 count_frames(const struct kmem_cache *s, u32 count, bool (*fn)(const char *frame))
{
	u32 sum = 0;

	for (u32 i = 0; i < count; i++) {
		struct page *slab = object[i] ? virt_to_slab((uintptr_t)object[i]) : NULL;
		bool seen = false;

		for (u32 j = 0; j < i && slab; j++)
			seen |= object[j] && virt_to_slab((uintptr_t)object[j]) == slab;
		for (u32 f = 0; slab && !seen && f < s->frames; f++) {
			const char *frame = (char *)page_address(slab) + f * FRAME_SIZE;

			assert_int_equal(is_given(frame), !in_use(s, count, frame));
			sum += fn(frame);
		}
	}
	return sum;
}

static bool is_not_resident(const char *frame)
{
	bool gone = os_resident_in((void *)frame, FRAME_SIZE) == 0;
	struct page *slab = virt_to_slab((uintptr_t)frame);
	u32 f = (u32)((frame - (char *)page_address(slab)) / FRAME_SIZE);

	if (is_given(frame)) {
		check(gone);
		check(*class_of((uintptr_t)frame) == GATE * CLASS_UNIT);
	} else {
		check(*class_of((uintptr_t)frame) ==
		      class_of_frame(cache_of(slab->cache), slab, f));
	}
	return gone;
}

TEST(frames_without_an_object_are_given_back_and_no_others)
{
	if (os_page_size() != FRAME_SIZE)
		skip();
	for (u32 k = 0; k < ARRAY_SIZE(sizes); k++) {
		u32 id = kmalloc_index(sizes[k]), count = use_and_free_all_but(id, 20);

		slab_shrink(id, src);
		slab_purge(z, ALL, 0);
		count_frames(cache_of(id), count, is_not_resident);
		assert_int_equal(slab_bytes().given, cache_nodes[id].nr_given * FRAME_SIZE);
		/* Once for each. */
		assert_int_equal(slab_purge(z, ALL, 0), 0);
		give_rest(id, count);
		slab_shrink(id, src);
	}
}

TEST(what_is_taken_from_given_frames_is_the_programs_again)
{
	for (u32 k = 0; k < ARRAY_SIZE(sizes); k++) {
		u32 id = kmalloc_index(sizes[k]), count = use_and_free_all_but(id, 10);

		for (int round = 0; round < 10; round++) {
			slab_purge(z, ALL, 0);
			for (u32 i = 0; i < count; i++)
				if (!object[i] && random_below(&rng, 3) == 0)
					take(id, i);
			for (u32 i = 0; i < count; i++)
				if (object[i] && *class_of((uintptr_t)object[i]) != id * CLASS_UNIT)
					fail();
			for (u32 i = 0; i < count; i++)
				if (object[i] && random_below(&rng, 4))
					give(id, i);
		}
		give_rest(id, count);
		assert_int_equal(cache_nodes[id].nr_isolated, 0);
		slab_shrink(id, src);
		assert_int_equal(cache_nodes[id].nr_given, 0);
	}
}

TEST(slabs_that_are_fuller_than_asked_for_stay)
{
	u32 id = kmalloc_index(2048), objects = cache_of(id)->objects;

	/* The first half of a slab of two frames: the other could be given. */
	for (u32 i = 0; i < objects; i++)
		take(id, i);
	for (u32 i = objects / 2; i < objects; i++)
		give(id, i);
	assert_int_equal(slab_purge(z, 1, 0), 0);
	assert_int_equal(slab_purge(z, 2, 0), os_page_size() == FRAME_SIZE ? 1 : 0);
	give_rest(id, objects);
}

TEST(what_the_system_does_not_take_stays_as_it_is)
{
	u32 id = kmalloc_index(640), count = use_and_free_all_but(id, 20);

	weather.os_purge = 0;
	assert_int_equal(slab_purge(z, ALL, 0), 0);
	assert_int_equal(slab_bytes().given, 0);
	clear_weather();
	give_rest(id, count);
}

static void construct(void *p)
{
	memset(p, 7, 600);
}

TEST(constructed_objects_keep_their_memory)
{
	const struct cache_shape shape = { .name = "constructed", .size = 600, .ctor = construct };
	const struct cache_shape plain = { .name = "plain", .size = 640, .flags = SLAB_NO_MERGE };
	struct kmem_cache *s = kmem_cache_new(&shape, NULL), *t = kmem_cache_new(&plain, NULL);
	void *p[2][64];

	assert_int_equal(slab_alloc_batch(s->id, src, p[0] + s->objects, s->objects), s->objects);
	assert_int_equal(slab_alloc_batch(t->id, src, p[1] + t->objects, t->objects), t->objects);
	slab_free_batch(s->id, src, p[0] + 1, s->objects - 1u);
	slab_free_batch(t->id, src, p[1] + 1, t->objects - 1u);
	slab_purge(z, ALL, 0);
	assert_int_equal(cache_nodes[s->id].nr_given, 0);
	if (os_page_size() == FRAME_SIZE)
		assert_int_equal(cache_nodes[t->id].nr_given, t->frames - 1);
	assert_true(all_bytes_are(p[0][1], 600, 7));
	slab_free_batch(s->id, src, p[0], 1);
	slab_free_batch(t->id, src, p[1], 1);
	assert_int_equal(slab_close(s->id, src), 0);
	assert_int_equal(slab_close(t->id, src), 0);
	kmem_cache_drop(s);
	kmem_cache_forget(s);
	kmem_cache_drop(t);
	kmem_cache_forget(t);
}

TEST(a_huge_page_is_torn_only_if_it_is_worth_it)
{
	u32 id = kmalloc_index(640), count = (u32)SLABS * cache_of(id)->objects;
	u32 frames = (u32)SLABS * cache_of(id)->frames;

	options.thp = THP_ALWAYS;
	for (u32 i = 0; i < count; i++)
		take(id, i);
	options.thp = THP_NEVER;
	if (z->nr_huge && os_page_size() == FRAME_SIZE) {
		for (u32 i = 0; i < count; i++)
			if (i % cache_of(id)->objects)
				give(id, i);
		assert_int_equal(slab_purge(z, ALL, 0), 0);
		assert_int_equal(slab_purge(z, ALL, FRAMES_PER_HUGE - SLABS + 1), 0);
		assert_int_equal(z->nr_huge, 1);
		assert_true(slab_purge(z, ALL, FRAMES_PER_HUGE - 2 * SLABS) >= frames - 2 * SLABS);
		assert_int_equal(z->nr_huge, 0);
		count_frames(cache_of(id), count, is_not_resident);
	}
	give_rest(id, count);
	zone_tear(z, 1);
}

enum { THREADS = 4, EACH = 400, CALLS = 32000, ENOUGH = 2000 };

static u32 running;
static unsigned long purged; /* frames */

/* Random calls; each object holds its owner's word at both ends and in between. */
static void *churn(void *arg)
{
	struct {
		u64 *p;
		u32 id;
	} mine[EACH] = { { NULL, 0 } };
	u64 random = 100 + (uintptr_t)arg, word = (uintptr_t)arg << 32;

	for (u32 round = 0; round < CALLS || counter_read(purged) < ENOUGH; round++) {
		/* Full and empty in turn, so that slabs are emptied at random. */
		u32 i = random_below(&random, EACH), words;
		bool filling = round / 2000 % 2 == 0;
		void *p[1];

		if (mine[i].p) {
			if (filling)
				continue;
			words = cache_of(mine[i].id)->size / 8;
			check(mine[i].p[0] == word + i && mine[i].p[words - 1] == word + i);
			check(mine[i].p[words / 2] == word + i);
			p[0] = mine[i].p;
			slab_free_batch(mine[i].id, src, p, 1);
			mine[i].p = NULL;
		} else if (filling) {
			mine[i].id = kmalloc_index(sizes[random_below(&random, 10)]);
			check(slab_alloc_batch(mine[i].id, src, p + 1, 1) == 1);
			mine[i].p = (void *)((uintptr_t)p[0] & ~(uintptr_t)OBJECT_FRESH);
			words = cache_of(mine[i].id)->size / 8;
			mine[i].p[0] = mine[i].p[words / 2] = mine[i].p[words - 1] = word + i;
		}
	}
	for (u32 i = 0; i < EACH; i++) {
		void *p[1] = { mine[i].p };

		if (!p[0])
			continue;
		check(mine[i].p[0] == word + i);
		slab_free_batch(mine[i].id, src, p, 1);
	}
	counter_sub(running, 1);
	return NULL;
}

TEST(live_objects_keep_their_bytes_whatever_other_threads_do)
{
	pthread_t threads[THREADS];

	if (os_page_size() != FRAME_SIZE)
		skip();
	running = THREADS;
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)), 0);
	while (counter_read(running))
		counter_add(purged, slab_purge(z, ALL, 1));
	for (u32 i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
}

int main(void)
{
#define PURGE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		PURGE_TEST(frames_without_an_object_are_given_back_and_no_others),
		PURGE_TEST(what_is_taken_from_given_frames_is_the_programs_again),
		PURGE_TEST(slabs_that_are_fuller_than_asked_for_stay),
		PURGE_TEST(what_the_system_does_not_take_stays_as_it_is),
		PURGE_TEST(constructed_objects_keep_their_memory),
		PURGE_TEST(a_huge_page_is_torn_only_if_it_is_worth_it),
		PURGE_TEST(live_objects_keep_their_bytes_whatever_other_threads_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
