// SPDX-License-Identifier: MIT
#include "page/pcp.h"

#include "base/options.h"
#include "page/model.h"
#include "unit.h"

/* pcp_drain gives blocks to the zone of their node. */
static struct zone *const z = &zones[0];
static struct per_cpu_pages pcp;

static int setup(__attribute__((unused)) void **state)
{
	bool clean;

	options.thp = THP_NEVER;
	zone_free(z, zone_alloc(z, 1, 0, &clean), 1, true);
	return 0;
}

static int teardown(__attribute__((unused)) void **state)
{
	clear_weather();
	pcp_drain(&pcp);
	zone_destroy(z);
	return 0;
}

static struct page *alloc(unsigned int order)
{
	bool clean;

	return pcp_alloc(&pcp, z, order, &clean);
}

static u32 frames_in_set(void)
{
	u32 sum = 0;

	for (unsigned int order = 0; order < PCP_ORDERS; order++) {
		const struct page *page;
		u32 n = 0;

		hlist_for_each_entry(page, &pcp.list[order], link) {
			assert_int_equal(page->type, PAGE_PCP);
			assert_int_equal(page->order, order);
			n++;
		}
		assert_int_equal(pcp.count[order], n);
		assert_true(n << order <= PCP_HIGH);
		sum += n << order;
	}
	return sum;
}

TEST(a_batch_comes_under_one_lock_and_in_address_order)
{
	for (unsigned int order = 0; order < PCP_ORDERS; order++) {
		struct page *first = alloc(order);
		unsigned long nr_free = z->nr_free;

		assert_int_equal(first->type, PAGE_NONE);
		assert_int_equal(page_index(first) % (1u << order), 0);
		for (u32 i = 1; i < (u32)PCP_BATCH >> order; i++)
			assert_ptr_equal(alloc(order), first + (i << order));
		assert_int_equal(z->nr_free, nr_free);
		alloc(order);
		assert_int_equal(z->nr_free, nr_free - PCP_BATCH);
	}
}

TEST(a_set_keeps_some_and_the_last_freed_is_the_next)
{
	struct page *pages[3 * PCP_HIGH];

	for (unsigned int order = 0; order < PCP_ORDERS; order++) {
		u32 n = 3u * PCP_HIGH >> order;

		for (u32 i = 0; i < n; i++)
			pages[i] = alloc(order);
		for (u32 i = 0; i < n; i++) {
			pcp_free(&pcp, z, pages[i], order, false);
			assert_true(frames_in_set() <= (order + 1) * PCP_HIGH);
		}
		/* The one that made it overflow may have gone; then the set is the top of what is left. */
		pcp_free(&pcp, z, pages[0] = alloc(order), order, false);
		assert_ptr_equal(alloc(order), pages[0]);
		pcp_free(&pcp, z, pages[0], order, false);
	}
	verify_zone(z);
	assert_int_equal(z->nr_present - z->nr_free, frames_in_set());
}

TEST(zeroes_and_dirt_keep_their_word)
{
	struct page *page;
	bool clean;

	page = pcp_alloc(&pcp, z, 1, &clean);
	assert_true(clean);
	pcp_free(&pcp, z, page, 1, true);
	assert_ptr_equal(pcp_alloc(&pcp, z, 1, &clean), page);
	assert_true(clean);
	frames_fill(page, 2, 1);
	pcp_free(&pcp, z, page, 1, false);
	assert_ptr_equal(pcp_alloc(&pcp, z, 1, &clean), page);
	assert_false(clean);
	pcp_free(&pcp, z, page, 1, false);
	pcp_drain(&pcp);
	assert_int_equal(z->nr_dirty, 2);
	verify_memory(z);
}

TEST(drained_sets_are_empty_and_the_zone_has_everything)
{
	struct page *pages[PCP_ORDERS][5];

	for (unsigned int order = 0; order < PCP_ORDERS; order++)
		for (int i = 0; i < 5; i++)
			pages[order][i] = alloc(order);
	for (unsigned int order = 0; order < PCP_ORDERS; order++)
		for (int i = 0; i < 5; i++)
			pcp_free(&pcp, z, pages[order][i], order, i & 1);
	pcp_drain(&pcp);
	assert_int_equal(frames_in_set(), 0);
	assert_int_equal(z->nr_free, z->nr_present);
	verify_zone(z);
}

TEST(random_use_agrees_with_the_model)
{
	enum { LIVE = 120, ROUNDS = 5000 };
	static struct {
		struct page *page;
		unsigned int order;
	} live[LIVE];
	u64 rng = 7;

	model_reset();
	for (u32 round = 0; round < ROUNDS; round++) {
		u32 i = random_below(&rng, LIVE);

		if (live[i].page) {
			u32 n = 1u << live[i].order;

			assert_true(frames_hold(live[i].page, n, i));
			model_give(live[i].page, n);
			pcp_free(&pcp, z, live[i].page, live[i].order, false);
			live[i].page = NULL;
		} else {
			bool clean;

			live[i].order = random_below(&rng, PCP_ORDERS);
			live[i].page = pcp_alloc(&pcp, z, live[i].order, &clean);
			assert_true(!clean || frames_are_zero(live[i].page, 1u << live[i].order));
			model_take(live[i].page, 1u << live[i].order);
			frames_fill(live[i].page, 1u << live[i].order, i);
		}
		if (round % 500)
			continue;
		frames_in_set();
		pcp_drain(&pcp);
		model_verify(z);
	}
}

TEST(an_exhausted_zone_is_asked_for_a_region_and_says_no_by_null)
{
	struct page *rest;
	bool clean;

	rest = zone_alloc(z, FRAMES_PER_REGION, 0, &clean);
	assert_non_null(rest);
	assert_non_null(alloc(0));
	assert_int_equal(z->nr_regions, 2);
	pcp_drain(&pcp);
	weather.os_reserve_guarded = weather.os_map = 0;
	while (alloc(3) || alloc(0))
		;
	assert_null(alloc(0));
	assert_null(alloc(3));
	assert_int_equal(frames_in_set(), 0);
}

int main(void)
{
#define PCP_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		PCP_TEST(a_batch_comes_under_one_lock_and_in_address_order),
		PCP_TEST(a_set_keeps_some_and_the_last_freed_is_the_next),
		PCP_TEST(zeroes_and_dirt_keep_their_word),
		PCP_TEST(drained_sets_are_empty_and_the_zone_has_everything),
		PCP_TEST(random_use_agrees_with_the_model),
		PCP_TEST(an_exhausted_zone_is_asked_for_a_region_and_says_no_by_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
