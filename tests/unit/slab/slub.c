// SPDX-License-Identifier: MIT
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "page/model.h"
#include "slab/slab.h"
#include "unit.h"

enum { SIZES = 12, MAX_OBJECTS = 256 };

/* One word of bitmap and four, one frame and many, odd sizes, one object to a slab. */
static const size_t sizes[SIZES] = { 16,   32,   48,   64,   192,   1024,
				     1280, 2048, 3584, 5120, 65536, 256 << 10 };

static struct per_cpu_pages pcp;
static const struct page_source src = { NULL, &zones[0], false },
				pcp_src = { &pcp, &zones[0], false };

static u32 id_of(size_t size)
{
	return kmalloc_index(size);
}

static struct kmem_cache_node *node_of(u32 id)
{
	return &cache_nodes[id];
}

static void *untagged(void *object)
{
	return (void *)((uintptr_t)object & ~(uintptr_t)OBJECT_FRESH);
}

static u32 count_list(const struct hlist_head *list)
{
	const struct page *slab;
	u32 n = 0;

	hlist_for_each_entry(slab, list, link)
		n++;
	return n;
}

static u32 free_bits(struct page *slab)
{
	u32 sum = 0;

	for (u32 w = 0; w < MAP_WORDS && w * BITS_PER_LONG < cache_of(slab->cache)->objects; w++)
		sum += (u32)__builtin_popcountl(*slab_map_word(slab, w));
	return sum;
}

/* The lists and counts of slab.h, when `out` objects are out. */
static void assert_node_holds(u32 id, unsigned long out)
{
	const struct kmem_cache *s = cache_of(id);
	struct kmem_cache_node *n = node_of(id);
	unsigned long listed = 0, nr_free = 0;
	struct page *slab;

	for (u32 f = 0; f < NR_FULLNESS; f++) {
		hlist_for_each_entry(slab, &n->slabs[f], link) {
			u32 quarter = slab->inuse * 4u / s->objects;

			assert_int_equal(slab->type, PAGE_SLAB);
			assert_int_equal(slab->cache, id);
			assert_true(slab->inuse < s->objects);
			assert_int_equal(slab->inuse + free_bits(slab), s->objects);
			assert_int_equal(f, slab->inuse ? 1 + quarter : 0);
			nr_free += free_bits(slab);
			listed++;
		}
	}
	assert_int_equal(n->nr_free, nr_free);
	assert_int_equal(n->nr_empty, count_list(&n->slabs[0]));
	assert_true(listed <= n->nr_slabs);
	assert_int_equal((unsigned long)n->nr_slabs * s->objects, out + nr_free);
}

static int setup(__attribute__((unused)) void **state)
{
	options.abort = true;
	options.thp = THP_NEVER;
	return 0;
}

static int teardown(__attribute__((unused)) void **state)
{
	clear_weather();
	for (u32 id = 1; id < NR_KMALLOC; id++) {
		slab_shrink(id, src);
		assert_node_holds(id, 0);
		assert_int_equal(cache_nodes[id].nr_slabs, 0);
	}
	pcp_drain(&pcp);
	verify_memory(&zones[0]);
	assert_int_equal(zones[0].nr_free, zones[0].nr_present);
	zone_destroy(&zones[0]);
	return 0;
}

/* Exactly n objects, in as many batches as it takes, in the order in which they are popped. */
static void take(u32 id, void **objects, u32 n)
{
	while (n) {
		void *batch[MAX_OBJECTS];
		u32 got = slab_alloc_batch(id, src, batch + MAX_OBJECTS, min(n, (u32)MAX_OBJECTS));

		assert_in_range(got, 1, n);
		for (u32 i = 0; i < got; i++)
			*objects++ = untagged(batch[MAX_OBJECTS - 1 - i]);
		n -= got;
	}
}

static void give(u32 id, void *const *objects, u32 n)
{
	slab_free_batch(id, src, objects, n);
}

static void give_one(u32 id, void *object)
{
	give(id, &object, 1);
}

static struct page *slab_of(const void *object)
{
	return virt_to_slab((uintptr_t)object);
}

TEST(a_batch_is_one_slabs_objects_in_address_order_and_aligned)
{
	for (u32 k = 0; k < SIZES; k++) {
		const struct kmem_cache *s = cache_of(id_of(sizes[k]));
		u32 id = id_of(sizes[k]);
		void *batch[MAX_OBJECTS + 1], *last = NULL;
		u32 got = slab_alloc_batch(id, src, batch + MAX_OBJECTS, MAX_OBJECTS);

		assert_int_equal(got, s->objects);
		assert_node_holds(id, got);
		for (u32 i = 0; i < got; i++) {
			void *p = batch[MAX_OBJECTS - 1 - i] = untagged(batch[MAX_OBJECTS - 1 - i]);

			assert_int_equal(
				(uintptr_t)p & ((sizes[k] & -sizes[k]) - 1) & (FRAME_SIZE - 1), 0);
			assert_true(!last || p == (char *)last + s->size);
			assert_ptr_equal(slab_of(p), slab_of(batch[MAX_OBJECTS - 1]));
			assert_ptr_equal(slab_of((char *)p + s->size - 1), slab_of(p));
			memset(p, (int)i, s->size);
			last = p;
		}
		for (u32 i = 0; i < got; i++)
			assert_true(all_bytes_are(batch[MAX_OBJECTS - 1 - i], s->size, (u8)i));
		give(id, batch + MAX_OBJECTS - got, got);
		assert_node_holds(id, 0);
	}
}

TEST(frames_of_a_slab_have_its_class_and_free_frames_have_none)
{
	for (u32 k = 0; k < SIZES; k++) {
		u32 id = id_of(sizes[k]), frames = cache_of(id)->frames;
		char *start;
		void *p;

		take(id, &p, 1);
		start = page_address(slab_of(p));
		for (u32 f = 0; f < frames; f++) {
			assert_int_equal(*class_of((uintptr_t)start + f * FRAME_SIZE),
					 class_of_frame(cache_of(id), slab_of(p), f));
			assert_ptr_equal(virt_to_slab((uintptr_t)start + f * FRAME_SIZE),
					 slab_of(p));
		}
		give_one(id, p);
		assert_int_equal(slab_shrink(id, src), frames);
		for (u32 f = 0; f < frames; f++) {
			assert_int_equal(*class_of((uintptr_t)start + f * FRAME_SIZE), 0);
			assert_null(virt_to_slab((uintptr_t)start + f * FRAME_SIZE));
		}
	}
}

TEST(a_slab_goes_from_empty_through_each_quarter_to_full_and_back)
{
	for (u32 k = 0; k < SIZES; k++) {
		u32 id = id_of(sizes[k]), objects = cache_of(id)->objects;
		void *p[MAX_OBJECTS] = { NULL };

		take(id, p, objects);
		assert_true(hlist_unhashed(&slab_of(p[0])->link));
		for (u32 i = 0; i < objects; i++) {
			give_one(id, p[i]);
			assert_node_holds(id, objects - 1 - i);
		}
		assert_int_equal(node_of(id)->nr_empty, 1);
		for (u32 i = 0; i < objects; i++) {
			take(id, &p[i], 1);
			assert_node_holds(id, i + 1);
		}
		assert_int_equal(node_of(id)->nr_slabs, 1);
		give(id, p, objects);
	}
}

/* n slabs, slab i with out[i] of its objects out; the others are free. */
static void make_slabs(u32 id, void *(*p)[MAX_OBJECTS], const u32 *out, u32 n)
{
	u32 objects = cache_of(id)->objects;

	for (u32 i = 0; i < n; i++)
		take(id, p[i], objects);
	for (u32 i = 0; i < n; i++)
		give(id, p[i] + out[i], objects - out[i]);
}

TEST(the_fullest_slabs_are_used_first_so_that_others_become_empty)
{
	static void *p[5][MAX_OBJECTS];
	const u32 out[5] = { 10, 40, 60, 0, 20 }, order[5] = { 2, 1, 4, 0, 3 };
	u32 id = id_of(64);
	void *got[64];

	make_slabs(id, p, out, 5);
	assert_node_holds(id, 130);
	for (u32 i = 0; i < 5; i++) {
		u32 missing = 64 - out[order[i]];

		take(id, got, missing);
		for (u32 j = 0; j < missing; j++)
			assert_ptr_equal(slab_of(got[j]), slab_of(p[order[i]][0]));
	}
	assert_int_equal(node_of(id)->nr_slabs, 5);
	assert_node_holds(id, 5 * 64);
	for (u32 i = 0; i < 5; i++)
		give(id, p[i], 64);
}

TEST(a_batch_goes_on_in_the_next_slab_and_makes_a_new_one_only_if_there_is_nothing)
{
	static void *p[3][MAX_OBJECTS];
	const u32 out[3] = { 60, 50, 40 };
	u32 id = id_of(64);
	void *batch[MAX_OBJECTS];

	make_slabs(id, p, out, 3);
	assert_int_equal(slab_alloc_batch(id, src, batch + MAX_OBJECTS, 100), 4 + 14 + 24);
	assert_int_equal(node_of(id)->nr_slabs, 3);
	assert_node_holds(id, 3 * 64);
	assert_int_equal(slab_alloc_batch(id, src, batch + MAX_OBJECTS, 100), 64);
	assert_int_equal(node_of(id)->nr_slabs, 4);
	for (u32 i = 0; i < 3; i++)
		give(id, p[i], 64);
	give(id, batch + MAX_OBJECTS - 64, 64);
}

/* Four objects to a line: of the first one is free, of the last two all. */
TEST(lines_that_are_free_as_a_whole_come_first)
{
	void *p[64], *again[8];

	take(id_of(16), p, 64);
	give_one(id_of(16), p[0]);
	give(id_of(16), p + 56, 8);
	take(id_of(16), again, 8);
	assert_memory_equal(again, p + 56, sizeof(again));
	give(id_of(16), p + 1, 63);
}

TEST(an_object_alone_comes_out_of_each_word_of_the_bitmap)
{
	u32 id = id_of(16);
	void *p[MAX_OBJECTS], *again;

	take(id, p, MAX_OBJECTS);
	for (u32 i = 0; i < MAX_OBJECTS; i++) {
		give_one(id, p[i]);
		assert_int_equal(*slab_map_word(slab_of(p[i]), i / 64), 1ul << i % 64);
		assert_node_holds(id, MAX_OBJECTS - 1);
		take(id, &again, 1);
		assert_ptr_equal(again, p[i]);
	}
	give(id, p, MAX_OBJECTS);
}

TEST(successive_slabs_have_successive_colours)
{
	u32 id = id_of(192);
	const struct kmem_cache *s = cache_of(id);
	void *p[MAX_OBJECTS * 4];
	u32 seen = 0;

	take(id, p, 4u * s->objects);
	for (u32 i = 0; i < 4; i++) {
		struct page *slab = slab_of(p[i * s->objects]);
		size_t start = (size_t)((char *)p[i * s->objects] - (char *)page_address(slab));

		assert_int_equal(start, slab->colour * s->colour_unit);
		seen |= 1u << slab->colour;
	}
	assert_int_equal(__builtin_popcount(seen), min(4, (int)s->colours));
	give(id, p, 4u * s->objects);
}

TEST(fresh_objects_are_tagged_once_and_read_as_zero)
{
	for (u32 k = 0; k < SIZES; k++) {
		u32 id = id_of(sizes[k]), objects = cache_of(id)->objects;
		bool has_tags = sizes[k] > KMALLOC_FINE_MAX;
		void *batch[MAX_OBJECTS], **end = batch + MAX_OBJECTS;

		/* Some of the slab, back, and then all of it. */
		u32 some = slab_alloc_batch(id, src, end, max(objects / 3, 1u));

		for (u32 i = 0; i < some; i++) {
			assert_int_equal((uintptr_t)end[-1 - (int)i] & OBJECT_FRESH, has_tags);
			if (has_tags)
				assert_true(all_bytes_are(untagged(end[-1 - (int)i]), sizes[k], 0));
			memset(untagged(end[-1 - (int)i]), 1, sizes[k]);
		}
		give(id, end - some, some);
		assert_int_equal(slab_alloc_batch(id, src, end, objects), objects);
		for (u32 i = 0; i < objects; i++) {
			void *p = end[-1 - (int)i];

			assert_int_equal((uintptr_t)p & OBJECT_FRESH, has_tags && i >= some);
			if ((uintptr_t)p & OBJECT_FRESH)
				assert_true(all_bytes_are(untagged(p), sizes[k], 0));
			memset(untagged(p), 1, sizes[k]);
		}
		give(id, end - objects, objects);
		assert_int_equal(slab_alloc_batch(id, src, end, objects), objects);
		for (u32 i = 0; i < objects; i++)
			assert_int_equal((uintptr_t)end[-1 - (int)i] & OBJECT_FRESH, 0);
		give(id, end - objects, objects);
		/* The frames are dirty now: a new slab of them is not fresh. */
		slab_shrink(id, src);
		assert_int_equal(slab_alloc_batch(id, src, end, 1), 1);
		if (is_power_of_2(cache_of(id)->frames))
			assert_int_equal((uintptr_t)end[-1] & OBJECT_FRESH, 0);
		give(id, end - 1, 1);
		slab_shrink(id, src);
		zone_purge(&zones[0], ~0ul);
	}
}

TEST(a_pointer_is_told_for_what_it_is)
{
	for (u32 k = 0; k < SIZES; k++) {
		u32 id = id_of(sizes[k]);
		const struct kmem_cache *s = cache_of(id);
		void *p[MAX_OBJECTS];
		char *start, *slab_end;
		struct object o;

		take(id, p, s->objects);
		start = p[0];
		slab_end = (char *)page_address(slab_of(start)) + s->frames * FRAME_SIZE;
		give_one(id, p[s->objects / 2]);
		for (size_t at = 0; at < (size_t)s->objects * s->size; at += 1 + s->size / 7) {
			o = slab_object(start + at);
			assert_ptr_equal(o.cache, s);
			assert_ptr_equal(o.start, start + at / s->size * s->size);
			assert_int_equal(o.offset, at % s->size);
			if (at % s->size)
				assert_int_equal(o.state, OBJECT_INSIDE);
		}
		for (u32 i = 0; i < s->objects; i++) {
			o = slab_object(p[i]);
			assert_int_equal(o.state, i == s->objects / 2 ? OBJECT_FREE : OBJECT_USED);
			o = slab_object((char *)p[i] + s->size - 1);
			assert_int_equal(o.state, OBJECT_INSIDE);
			assert_ptr_equal(o.start, p[i]);
		}
		for (char *at = start + (size_t)s->objects * s->size; at < slab_end; at += 8)
			assert_int_equal(slab_object(at).state, OBJECT_NONE);
		for (char *at = page_address(slab_of(start)); at < start; at += 8)
			assert_int_equal(slab_object(at).state, OBJECT_NONE);
		if (s->objects > 1)
			give(id, p, s->objects / 2u);
		give(id, p + s->objects / 2 + 1, s->objects - s->objects / 2 - 1u);
	}
	assert_int_equal(slab_object(&src).state, OBJECT_NONE);
	assert_null(slab_object(&src).cache);
}

static u32 bad_id;
static void *bad_objects[3];
static u32 nr_bad;

static void free_bad(void)
{
	slab_free_batch(bad_id, src, bad_objects, nr_bad);
}

/* Among good ones the bad pointer is reported, skipped, and changes nothing. */
static void assert_rejected(u32 id, void *bad, void *good1, void *good2, const char *what)
{
	unsigned long nr_free = node_of(id)->nr_free;
	char expected[200];

	snprintf(expected, sizeof(expected), "slabmalloc: free(%p): %s\n", bad, what);
	bad_id = id;
	bad_objects[0] = good1;
	bad_objects[1] = bad;
	bad_objects[2] = good2;
	nr_bad = 3;
	options.abort = false;
	assert_string_equal(stderr_of(free_bad), expected);
	assert_int_equal(node_of(id)->nr_free, nr_free + 2);
	options.abort = true;
	bad_objects[0] = bad;
	nr_bad = 1;
	assert_child_aborts(free_bad, expected);
	take(id, &good1, 1);
	take(id, &good2, 1);
	assert_int_equal(node_of(id)->nr_free, nr_free);
}

TEST(bad_pointers_are_named_skipped_and_change_nothing)
{
	u32 id = id_of(192), objects = cache_of(id)->objects;
	void *p[MAX_OBJECTS], *other;
	char *end;
	int local;

	take(id, p, objects);
	take(id_of(64), &other, 1);
	end = (char *)p[objects - 1] + 192;
	give_one(id, p[5]);
	assert_rejected(id, p[5], p[0], p[1], "double free: object of kmalloc-192");
	assert_rejected(id, (char *)p[7] + 16, p[0], p[1],
			"invalid pointer: 16 bytes inside an object of kmalloc-192");
	assert_rejected(id, (char *)p[7] + 176, p[0], p[1],
			"invalid pointer: 176 bytes inside an object of kmalloc-192");
	assert_rejected(id, (char *)p[7] + 8, p[0], p[1],
			"invalid pointer: misaligned, object of kmalloc-192");
	assert_rejected(id, other, p[0], p[1],
			"double free: it was an object of kmalloc-192, since freed and reused");
	assert_rejected(id, end, p[0], p[1],
			"double free: it was an object of kmalloc-192, since freed and reused");
	assert_rejected(id, &local, p[0], p[1],
			"double free: it was an object of kmalloc-192, since freed and reused");
	assert_node_holds(id, objects - 1);
	give(id, p, 5);
	give(id, p + 6, objects - 6);
	give_one(id_of(64), other);
}

static struct object reported;

static void report(void)
{
	slab_report(&(struct call){ "realloc", (void *)0x1230 }, &reported);
}

static void assert_report(struct object o, const char *text)
{
	char expected[200];

	reported = o;
	reported.cache = cache_of(id_of(64));
	snprintf(expected, sizeof(expected), "slabmalloc: realloc(0x1230): %s\n", text);
	assert_string_equal(stderr_of(report), expected);
}

TEST(reports_say_what_the_pointer_is)
{
	options.abort = false;
	assert_report((struct object){ .state = OBJECT_FREE }, "double free: object of kmalloc-64");
	assert_report((struct object){ .state = OBJECT_INSIDE, .offset = 48 },
		      "invalid pointer: 48 bytes inside an object of kmalloc-64");
	assert_report((struct object){ .state = OBJECT_INSIDE, .offset = 33 },
		      "invalid pointer: misaligned, object of kmalloc-64");
	assert_report((struct object){ .state = OBJECT_NONE },
		      "invalid pointer: in a slab, but in no object");
}

TEST(without_memory_the_batch_is_empty_and_later_it_is_not)
{
	u32 id = id_of(64);
	void *batch[1];

	weather.os_reserve_guarded = weather.os_map = 0;
	assert_int_equal(slab_alloc_batch(id, src, batch + 1, 1), 0);
	assert_node_holds(id, 0);
	clear_weather();
	assert_int_equal(slab_alloc_batch(id, src, batch + 1, 1), 1);
	assert_node_holds(id, 1);
	give(id, batch, 1);
}

TEST(frames_of_small_slabs_come_from_the_page_sets_and_go_back_there)
{
	u32 id = id_of(64);
	void *batch[1];
	bool clean;

	/* Only a zone with frames fills page sets. */
	zone_free(&zones[0], zone_alloc(&zones[0], 1, 0, &clean), 1, true);
	assert_int_equal(slab_alloc_batch(id, pcp_src, batch + 1, 1), 1);
	assert_int_equal(pcp.count[0], PCP_BATCH - 1);
	slab_free_batch(id, pcp_src, batch, 1);
	slab_shrink(id, pcp_src);
	assert_int_equal(pcp.count[0], PCP_BATCH);
	/* Odd numbers of frames go straight to the zone. */
	id = id_of(5120);
	assert_int_equal(slab_alloc_batch(id, pcp_src, batch + 1, 1), 1);
	slab_free_batch(id, pcp_src, batch, 1);
	slab_shrink(id, pcp_src);
	assert_int_equal(pcp.count[0], PCP_BATCH);
	assert_int_equal(zones[0].nr_present - zones[0].nr_free, PCP_BATCH);
}

/* Everything at once: no object is handed out twice, and contents stay. */
TEST(random_batches_keep_contents_and_counts)
{
	enum { LIVE = 3000, ROUNDS = 4000 };
	static void *live[SIZES][LIVE];
	u32 n[SIZES] = { 0 };
	u64 rng = 11;

	for (u32 round = 0; round < ROUNDS; round++) {
		u32 k = random_below(&rng, SIZES - 2), id = id_of(sizes[k]);
		u32 want = 1 + random_below(&rng, 60);

		if (random_below(&rng, 100) < (round / 500 % 2 ? 40u : 60u)) {
			want = min(want, LIVE - n[k]);
			take(id, live[k] + n[k], want);
			for (u32 i = n[k]; i < n[k] + want; i++) {
				u64 *words = live[k][i];

				words[0] = words[sizes[k] / 8 - 1] = (u64)words;
			}
			n[k] += want;
		} else {
			want = min(want, n[k]);
			for (u32 i = 0; i < want; i++) {
				u32 j = random_below(&rng, n[k] - i), top = n[k] - 1 - i;
				u64 *words = live[k][j];

				assert_int_equal(words[0], (u64)words);
				assert_int_equal(words[sizes[k] / 8 - 1], (u64)words);
				live[k][j] = live[k][top];
				live[k][top] = words;
			}
			n[k] -= want;
			give(id, live[k] + n[k], want);
		}
		if (round % 50 == 0)
			assert_node_holds(id, n[k]);
	}
	for (u32 k = 0; k < SIZES; k++)
		give(id_of(sizes[k]), live[k], n[k]);
}

int main(void)
{
#define SLAB_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		SLAB_TEST(a_batch_is_one_slabs_objects_in_address_order_and_aligned),
		SLAB_TEST(frames_of_a_slab_have_its_class_and_free_frames_have_none),
		SLAB_TEST(a_slab_goes_from_empty_through_each_quarter_to_full_and_back),
		SLAB_TEST(the_fullest_slabs_are_used_first_so_that_others_become_empty),
		SLAB_TEST(
			a_batch_goes_on_in_the_next_slab_and_makes_a_new_one_only_if_there_is_nothing),
		SLAB_TEST(lines_that_are_free_as_a_whole_come_first),
		SLAB_TEST(an_object_alone_comes_out_of_each_word_of_the_bitmap),
		SLAB_TEST(successive_slabs_have_successive_colours),
		SLAB_TEST(fresh_objects_are_tagged_once_and_read_as_zero),
		SLAB_TEST(a_pointer_is_told_for_what_it_is),
		SLAB_TEST(bad_pointers_are_named_skipped_and_change_nothing),
		SLAB_TEST(reports_say_what_the_pointer_is),
		SLAB_TEST(without_memory_the_batch_is_empty_and_later_it_is_not),
		SLAB_TEST(frames_of_small_slabs_come_from_the_page_sets_and_go_back_there),
		SLAB_TEST(random_batches_keep_contents_and_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
