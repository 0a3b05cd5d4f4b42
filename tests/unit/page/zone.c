// SPDX-License-Identifier: MIT
#include "page/zone.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/options.h"
#include "os/mem.h"
#include "page/model.h"
#include "unit.h"

enum { LIVE = 500, ROUNDS = 6000, FULL_CHECK = 300 };

static struct zone z;
static struct live {
	struct page *page;
	u32 n;
	bool clean; /* never written to */
	u64 tag;
} live[LIVE];
static u32 nr_live;
static u64 rng = 5;

static int setup(__attribute__((unused)) void **state)
{
	z = (struct zone){ 0 };
	nr_live = 0;
	model_reset();
	options.thp = THP_NEVER;
	return 0;
}

static int teardown(__attribute__((unused)) void **state)
{
	clear_weather();
	zone_destroy(&z);
	return 0;
}

static struct page *alloc(u32 n)
{
	bool clean;

	return zone_alloc(&z, n, 0, &clean);
}

static bool alloc_is_clean(u32 n, struct page **page)
{
	bool clean;

	*page = zone_alloc(&z, n, 0, &clean);
	return clean;
}

TEST(a_block_has_exactly_as_many_frames_as_were_asked_for)
{
	struct page *page[80];

	for (u32 n = 1; n < ARRAY_SIZE(page); n++) {
		unsigned long used = z.nr_present - z.nr_free;

		page[n] = alloc(n);
		assert_non_null(page[n]);
		assert_int_equal(page[n]->type, PAGE_NONE);
		assert_int_equal(z.nr_present - z.nr_free, used + n);
		model_take(page[n], n);
		frames_fill(page[n], n, n << 8);
	}
	model_verify(&z);
	for (u32 n = 1; n < ARRAY_SIZE(page); n++) {
		assert_true(frames_hold(page[n], n, n << 8));
		model_give(page[n], n);
		zone_free(&z, page[n], n, false);
	}
	model_verify(&z);
	assert_int_equal(z.nr_free, z.nr_present);
}

/* A buddy system would cut 5 out of 8 and leave 3. */
TEST(memory_that_is_held_serves_any_number_of_frames_from_the_lowest_address_on)
{
	enum { FRAMES = 5, SIZE = FRAMES_PER_HUGE };
	struct page *low = alloc(2 * SIZE);
	u32 n = 2 * SIZE / FRAMES;

	for (u32 i = 0; i < 2 * SIZE; i += SIZE / 16)
		zone_free(&z, low + i, SIZE / 16, false);
	for (u32 i = 0; i < n; i++)
		assert_ptr_equal(alloc(FRAMES), low + i * FRAMES);
	assert_int_equal(z.nr_dirty, 2 * SIZE - n * FRAMES);
	/* Holes of 5, of 15 behind the hundredth: too small, then the first that is not. */
	for (u32 i = 1; i < n; i += 2)
		zone_free(&z, low + i * FRAMES, FRAMES, false);
	zone_free(&z, low + 100 * FRAMES, FRAMES, false);
	assert_ptr_equal(alloc(2 * FRAMES + 1), low + 99 * FRAMES);
	assert_ptr_equal(alloc(FRAMES), low + FRAMES);
	zone_free(&z, low + 4 * FRAMES, FRAMES, false);
	assert_ptr_equal(alloc(FRAMES + 2), low + 3 * FRAMES);
}

TEST(a_block_starts_at_a_multiple_of_the_alignment)
{
	for (unsigned int order = 0; order <= MAX_ORDER; order++) {
		bool clean;
		struct page *page = zone_alloc(&z, 3, order, &clean);

		assert_non_null(page);
		assert_int_equal((uintptr_t)page_address(page) % (FRAME_SIZE << order), 0);
		assert_int_equal(z.nr_present - z.nr_free, 3);
		zone_free(&z, page, 3, true);
	}
}

TEST(a_whole_region_can_be_had_and_nothing_larger)
{
	bool clean;
	struct page *page = alloc(FRAMES_PER_REGION);

	assert_non_null(page);
	assert_int_equal(z.nr_free, 0);
	frames_fill(page + FRAMES_PER_REGION - 1, 1, 1);
	assert_null(alloc(FRAMES_PER_REGION + 1));
	assert_null(zone_alloc(&z, 1, MAX_ORDER + 1, &clean));
	assert_int_equal(z.nr_regions, 1);
}

TEST(clean_means_zero_and_dirt_is_remembered_frame_by_frame)
{
	struct page *page, *other;

	assert_true(alloc_is_clean(8, &page));
	assert_true(frames_are_zero(page, 8));
	zone_free(&z, page, 8, true);
	assert_int_equal(z.nr_dirty, 0);
	assert_true(alloc_is_clean(8, &page));
	frames_fill(page + 5, 1, 1);
	zone_free(&z, page, 8, false);
	assert_int_equal(z.nr_dirty, 8);
	assert_false(alloc_is_clean(8, &other));
	assert_ptr_equal(other, page);
	/* One frame goes back dirty, the others as the zeroes that they are. */
	zone_free(&z, page + 5, 1, false);
	zone_free(&z, page, 5, true);
	zone_free(&z, page + 6, 2, true);
	assert_int_equal(z.nr_dirty, 1);
	assert_false(alloc_is_clean(1, &other));
	assert_ptr_equal(other, page + 5);
	for (int i = 0; i < 7; i++) {
		assert_true(alloc_is_clean(1, &other));
		assert_in_range(page_index(other), page_index(page), page_index(page) + 7);
	}
}

TEST(all_that_is_handed_out_is_counted)
{
	struct page *page = alloc(20);

	assert_int_equal(z.nr_taken, 20);
	zone_free(&z, page, 20, false);
	assert_int_equal(z.nr_taken, 20);
	alloc(3);
	alloc(1000);
	assert_int_equal(z.nr_taken, 1023);
}

TEST(a_bulk_takes_what_is_there_and_makes_no_region)
{
	struct page *pages[3000];
	static bool clean[3000];
	u32 got = zone_alloc_bulk(&z, 3, 5, pages, clean);

	assert_int_equal(got, 0);
	zone_free(&z, alloc(1), 1, true);
	got = zone_alloc_bulk(&z, 3, 3000, pages, clean);
	assert_int_equal(got, FRAMES_PER_REGION / 8);
	assert_int_equal(z.nr_regions, 1);
	assert_int_equal(z.nr_free, 0);
	for (u32 i = 0; i < got; i++) {
		model_take(pages[i], 8);
		assert_true(clean[i]);
		assert_int_equal(page_index(pages[i]) % 8, 0);
	}
}

TEST(a_block_grows_into_the_free_frames_behind_it_only)
{
	struct page *page = alloc(16), *next = page + 16;
	bool clean;

	assert_true(zone_extend(&z, next, 5, &clean));
	assert_true(clean);
	model_take(page, 21);
	model_verify(&z);
	assert_true(zone_extend(&z, page + 21, 1, &clean));
	zone_free(&z, page + 21, 1, false);
	assert_true(zone_extend(&z, page + 21, 2, &clean));
	assert_false(clean);
	frames_fill(page, 23, 1);
	/* One used frame in the way. */
	assert_true(zone_extend(&z, page + 40, 1, &clean));
	for (u32 n = 18; n < 40; n++)
		assert_false(zone_extend(&z, page + 23, n, &clean));
	assert_true(zone_extend(&z, page + 23, 17, &clean));
	/* The end of the region, and beyond it. */
	assert_false(zone_extend(&z, page + 41, FRAMES_PER_REGION - 40, &clean));
	assert_true(zone_extend(&z, page + 41, FRAMES_PER_REGION - 41, &clean));
	frames_fill(page + FRAMES_PER_REGION - 1, 1, 1);
	assert_false(zone_extend(&z, page + FRAMES_PER_REGION, 1, &clean));
	assert_int_equal(z.nr_free, 0);
}

static void take(void)
{
	struct live *l = &live[nr_live];
	unsigned int align_order = random_below(&rng, 8) ? 0 : random_below(&rng, 9);

	l->n = 1 + random_below(&rng, 1u << random_below(&rng, 8));
	l->page = zone_alloc(&z, l->n, align_order, &l->clean);
	assert_non_null(l->page);
	assert_int_equal(page_index(l->page) % (1u << align_order), 0);
	model_take(l->page, l->n);
	if (l->clean)
		assert_true(frames_are_zero(l->page, l->n));
	l->tag = (u64)rng;
	if (!l->clean || random_below(&rng, 3)) {
		frames_fill(l->page, l->n, l->tag);
		l->clean = false;
	}
	nr_live++;
}

static void give(u32 i)
{
	struct live *l = &live[i];

	assert_true(l->clean ? frames_are_zero(l->page, l->n) : frames_hold(l->page, l->n, l->tag));
	model_give(l->page, l->n);
	zone_free(&z, l->page, l->n, l->clean);
	*l = live[--nr_live];
}

static void grow(u32 i)
{
	struct live *l = &live[i];
	u32 n = 1 + random_below(&rng, 8);
	bool clean;

	if (!zone_extend(&z, l->page + l->n, n, &clean))
		return;
	model_take(l->page + l->n, n);
	if (clean)
		assert_true(frames_are_zero(l->page + l->n, n));
	if (l->clean)
		l->tag = rng;
	l->n += n;
	l->clean = false;
	frames_fill(l->page, l->n, l->tag);
}

/* The tail goes back, as a large block that shrinks gives it. */
static void shrink(u32 i)
{
	struct live *l = &live[i];
	u32 n = random_below(&rng, l->n);

	if (!n)
		return;
	l->n -= n;
	model_give(l->page + l->n, n);
	zone_free(&z, l->page + l->n, n, l->clean);
}

static void give_back(void)
{
	unsigned long target = random_below(&rng, 2) ? ~0ul : random_below(&rng, 500);
	unsigned long dirty = z.nr_dirty, gone = zone_purge(&z, target);

	assert_int_equal(z.nr_dirty, dirty - gone);
	assert_true(gone >= target || !z.nr_dirty);
	if (random_below(&rng, 2))
		zone_decommit(&z);
}

TEST(random_requests_keep_contents_zeroes_and_equations)
{
	for (int round = 0; round < ROUNDS; round++) {
		u32 what = random_below(&rng, 64), i = nr_live ? random_below(&rng, nr_live) : 0;

		if (what == 0)
			give_back();
		else if (nr_live < LIVE && what < (round / 1000 % 2 ? 24 : 38))
			take();
		else if (nr_live && what < 42)
			grow(i);
		else if (nr_live && what < 46)
			shrink(i);
		else if (nr_live)
			give(i);
		if (round % FULL_CHECK == 0) {
			model_verify(&z);
			verify_memory(&z);
		}
	}
	while (nr_live)
		give(nr_live - 1);
	model_verify(&z);
	assert_int_equal(z.nr_free, z.nr_present);
	zone_purge(&z, ~0ul);
	assert_int_equal(z.nr_dirty, 0);
	assert_int_equal(z.nr_regions, 1);
	verify_memory(&z);
}

static u32 committed_blocks(void)
{
	struct region *r;
	u32 sum = 0;

	hlist_for_each_entry(r, &z.regions, link)
		sum += (u32)__builtin_popcount(r->committed | !!r->open);
	return sum;
}

TEST(what_is_committed_is_what_is_used_nearly)
{
	for (u32 used = 1; used < 3 * FRAMES_PER_REGION; used += 16) {
		u32 needed;

		assert_non_null(alloc(used == 1 ? 1 : 16));
		needed = DIV_ROUND_UP(used, FRAMES_PER_HUGE);
		assert_in_range(committed_blocks(), needed, needed + needed / 8 + 1);
	}
}

TEST(without_memory_to_commit_nothing_changes_and_it_comes_back)
{
	struct page *page;
	unsigned long used;

	weather.os_commit = 0;
	for (int i = 0; i < 10; i++)
		assert_null(alloc(1));
	assert_true(z.nr_regions <= 1);
	verify_zone(&z);
	weather.os_commit = 1;
	while (alloc(16))
		;
	used = z.nr_present - z.nr_free;
	assert_true(used >= FRAMES_PER_HUGE / 2);
	for (int i = 0; i < 10; i++)
		assert_null(alloc(16));
	assert_int_equal(z.nr_present - z.nr_free, used);
	assert_true(z.nr_regions <= 1);
	verify_zone(&z);
	clear_weather();
	page = alloc(16);
	assert_non_null(page);
	frames_fill(page, 16, 1);
}

TEST(a_block_does_not_grow_into_memory_that_cannot_be_committed)
{
	struct page *page = alloc(FRAMES_PER_HUGE);
	unsigned long nr_free = z.nr_free;
	bool clean;

	weather.os_commit = 0;
	assert_false(zone_extend(&z, page + FRAMES_PER_HUGE, 10, &clean));
	assert_int_equal(z.nr_free, nr_free);
	verify_zone(&z);
	clear_weather();
	assert_true(zone_extend(&z, page + FRAMES_PER_HUGE, 10, &clean));
}

TEST(free_memory_is_found_again_when_no_more_can_be_committed)
{
	struct page *page[64];
	u32 n = 0;

	weather.os_commit = 4;
	while (n < ARRAY_SIZE(page) && (page[n] = alloc(128)))
		n++;
	assert_in_range(n, 1, ARRAY_SIZE(page) - 1);
	for (u32 i = 0; i < n; i++)
		zone_free(&z, page[i], 128, false);
	/* What direct reclaim does before the second try. */
	zone_purge(&z, ~0ul);
	assert_true(zone_decommit(&z) > 0);
	weather.os_commit = 4;
	for (u32 i = 0; i < n; i++)
		assert_non_null(alloc(128));
	verify_zone(&z);
}

TEST(decommitted_blocks_are_whole_free_clean_and_zero_when_used_again)
{
	struct page *page = alloc(3 * FRAMES_PER_HUGE), *kept = page + FRAMES_PER_HUGE, *again;
	struct region *r = region_of(page);
	u32 h = page_index(page) >> HUGE_ORDER;
	u32 blocks = committed_blocks();

	frames_fill(page, 3 * FRAMES_PER_HUGE, 1);
	assert_int_equal(zone_decommit(&z), (blocks - 3) * HUGE_SIZE);
	zone_free(&z, page, FRAMES_PER_HUGE, false);
	assert_int_equal(zone_decommit(&z), 0);
	zone_purge(&z, ~0ul);
	zone_free(&z, page + 2 * FRAMES_PER_HUGE, 200, true);
	assert_int_equal(zone_decommit(&z), HUGE_SIZE);
	assert_int_equal(r->committed, 6u << h);
	assert_true(frames_hold(kept, FRAMES_PER_HUGE, 1 + FRAMES_PER_HUGE));
	verify_zone(&z);
	assert_true(alloc_is_clean(FRAMES_PER_HUGE, &again));
	assert_true(frames_are_zero(again, FRAMES_PER_HUGE));
	frames_fill(again, FRAMES_PER_HUGE, 1);
}

TEST(without_address_space_or_metadata_there_is_no_region_and_nothing_leaks)
{
	size_t mapped;

	zone_free(&z, alloc(1), 1, true); /* the section stays for good */
	zone_destroy(&z);
	mapped = os_stats.mapped;
	weather.os_reserve_guarded = weather.os_map = 0;
	assert_null(alloc(1));
	clear_weather();
	weather.os_map_aligned = 0;
	assert_null(alloc(1));
	/* But for the map of a section that the second attempt may have been the first in. */
	mapped = os_stats.mapped - mapped;
	assert_true(mapped == 0 || mapped == ALIGN(sizeof(struct mem_section), os_page_size()));
	assert_int_equal(z.nr_regions, 0);
	verify_zone(&z);
	clear_weather();
	assert_non_null(alloc(1));
}

/* In a child: pieces are not given back. */
static void live_on_pieces(void)
{
	struct page *page;
	u32 n = 0;

	weather.os_reserve_guarded = 0;
	for (u32 want = 1; want <= FRAMES_PER_REGION / 4; want *= 2) {
		page = alloc(want);
		check(page);
		frames_fill(page, want, want);
		n += want;
		verify_zone(&z);
	}
	check(!alloc(FRAMES_PER_REGION / 2));
	check(z.nr_present - z.nr_free == n);
	zone_free(&z, page, FRAMES_PER_REGION / 4, false);
	check(zone_purge(&z, ~0ul) == FRAMES_PER_REGION / 4);
	zone_decommit(&z);
	verify_memory(&z);
	page = alloc(FRAMES_PER_REGION / 4);
	check(page && frames_are_zero(page, FRAMES_PER_REGION / 4));
}

TEST(pieces_serve_where_regions_cannot_be_had)
{
	assert_child_succeeds(live_on_pieces);
}

/* All of it, and what of it counts as data (and stack). */
static void read_sizes(size_t *all, size_t *data)
{
	FILE *f = fopen("/proc/self/statm", "r");

	check(f && fscanf(f, "%zu %*u %*u %*u %*u %zu", all, data) == 2);
	fclose(f);
	*all *= os_page_size();
	*data *= os_page_size();
}

static size_t address_space(void)
{
	size_t all, data;

	read_sizes(&all, &data);
	return all;
}

static size_t data_size(void)
{
	size_t all, data;

	read_sizes(&all, &data);
	return data;
}

static void limit(int resource, size_t bytes)
{
	struct rlimit rlim;

	check(getrlimit(resource, &rlim) == 0);
	rlim.rlim_cur = bytes;
	check(setrlimit(resource, &rlim) == 0);
}

/* Single frames until there are no more; each is written to. Returns how many. */
static u32 fill_up(struct page **pages, u32 max_pages)
{
	u32 n = 0;

	while (n < max_pages && (pages[n] = alloc(1))) {
		frames_fill(pages[n], 1, n);
		n++;
	}
	for (u32 i = 0; i < n; i++)
		check(frames_hold(pages[i], 1, i));
	check(n < max_pages);
	verify_zone(&z);
	return n;
}

static void fill_limited_address_space(void)
{
	static struct page *pages[FRAMES_PER_REGION];
	u32 n;

	limit(RLIMIT_AS, address_space() + 48 * MIB);
	n = fill_up(pages, ARRAY_SIZE(pages));
	check(n >= 40 * MIB >> FRAME_SHIFT);
	for (u32 i = 0; i < n; i++)
		zone_free(&z, pages[i], 1, false);
	verify_zone(&z);
	check(z.nr_free == z.nr_present);
	zone_purge(&z, ~0ul);
	verify_memory(&z);
	check(fill_up(pages, ARRAY_SIZE(pages)) == n);
	limit(RLIMIT_AS, RLIM_INFINITY);
	check(alloc(FRAMES_PER_REGION));
}

TEST(under_a_limit_of_address_space_most_of_it_is_served)
{
	if (under_valgrind())
		skip();
	assert_child_succeeds(fill_limited_address_space);
}

static void fill_limited_data(void)
{
	static struct page *pages[FRAMES_PER_REGION];
	size_t reserved = os_stats.mapped;
	u32 n;

	limit(RLIMIT_DATA, data_size() + 16 * MIB);
	n = fill_up(pages, ARRAY_SIZE(pages));
	check(n >= 8 * MIB >> FRAME_SHIFT);
	for (int i = 0; i < 100; i++)
		check(!alloc(1));
	check(os_stats.mapped - reserved <= REGION_SIZE + 8 * MIB);
	for (u32 i = 0; i < n; i++)
		zone_free(&z, pages[i], 1, false);
	zone_purge(&z, ~0ul);
	zone_decommit(&z);
	check(fill_up(pages, ARRAY_SIZE(pages)) >= n - n / 8);
	limit(RLIMIT_DATA, RLIM_INFINITY);
	check(alloc(FRAMES_PER_REGION));
}

TEST(under_a_limit_of_data_the_zone_fills_it_and_fills_it_again)
{
	if (under_valgrind())
		skip();
	assert_child_succeeds(fill_limited_data);
}

int main(void)
{
#define ZONE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		ZONE_TEST(a_block_has_exactly_as_many_frames_as_were_asked_for),
		ZONE_TEST(
			memory_that_is_held_serves_any_number_of_frames_from_the_lowest_address_on),
		ZONE_TEST(a_block_starts_at_a_multiple_of_the_alignment),
		ZONE_TEST(a_whole_region_can_be_had_and_nothing_larger),
		ZONE_TEST(clean_means_zero_and_dirt_is_remembered_frame_by_frame),
		ZONE_TEST(all_that_is_handed_out_is_counted),
		ZONE_TEST(a_bulk_takes_what_is_there_and_makes_no_region),
		ZONE_TEST(a_block_grows_into_the_free_frames_behind_it_only),
		ZONE_TEST(random_requests_keep_contents_zeroes_and_equations),
		ZONE_TEST(what_is_committed_is_what_is_used_nearly),
		ZONE_TEST(without_memory_to_commit_nothing_changes_and_it_comes_back),
		ZONE_TEST(a_block_does_not_grow_into_memory_that_cannot_be_committed),
		ZONE_TEST(free_memory_is_found_again_when_no_more_can_be_committed),
		ZONE_TEST(decommitted_blocks_are_whole_free_clean_and_zero_when_used_again),
		ZONE_TEST(without_address_space_or_metadata_there_is_no_region_and_nothing_leaks),
		ZONE_TEST(pieces_serve_where_regions_cannot_be_had),
		ZONE_TEST(under_a_limit_of_address_space_most_of_it_is_served),
		ZONE_TEST(under_a_limit_of_data_the_zone_fills_it_and_fills_it_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
