// SPDX-License-Identifier: MIT
#include "debug/profile.h"

#include <math.h>
#include <string.h>

#include "base/options.h"
#include "debug/profile_math.h"
#include "debug/profile_tables.h"
#include "unit.h"

static void start(const char *setting)
{
	strcpy(options.profile, setting);
	profile_init();
	profile_divert();
	check(profile_on());
	check(sheaf_attach());
}

TEST(logarithm_and_probability_are_those_of_libm)
{
	for (double x = 1e-9; x < 100; x *= 1.37) {
		assert_true(fabs(profile_ln(x) - log(x)) < 1e-11);
		assert_true(fabs(profile_probability(x) + expm1(-x)) < 1e-12 * fmin(x, 1) + 1e-300);
	}
	assert_true(profile_probability(0) == 0);
}

TEST(an_option_is_an_interval_and_a_path)
{
	struct profile_settings s;

	profile_parse("64k,/tmp/x", &s);
	assert_int_equal(s.interval, 65536);
	assert_string_equal(s.path, "/tmp/x");
	profile_parse("1", &s);
	assert_int_equal(s.interval, 512 * KIB);
	assert_string_equal(s.path, "slabmalloc.%p.pb");
	profile_parse("all", &s);
	assert_int_equal(s.interval, 1);
	profile_parse("0", &s);
	assert_int_equal(s.interval, 0);
	profile_parse("", &s);
	assert_int_equal(s.interval, 0);
}

TEST(leaks_alone_sample_and_under_U_record_all)
{
	struct profile_settings s;

	options.leaks = true;
	profile_parse("", &s);
	assert_int_equal(s.interval, 512 * KIB);
	assert_string_equal(s.path, "");
	strcpy(options.debug, "FZ,kmalloc-64;PU");
	profile_parse("", &s);
	assert_int_equal(s.interval, 1);
	strcpy(options.debug, "FZ,kmalloc-U");
	profile_parse("", &s);
	assert_int_equal(s.interval, 512 * KIB);
	options.debug[0] = 0;
	options.leaks = false;
}

/* Whatever length of run is asked for, samples come after so many objects on average. */
static void reserve_in_runs(void)
{
	u32 id = kmalloc_index(1024), samples = 0, objects = 0;
	struct kmem_percpu *c;

	start("64k");
	c = percpu_get();
	while (objects < 1 << 20) {
		u32 n = profile_reserve(c, id);

		/* Sometimes not all of it can be handed out. */
		if (n > 1 && objects % 3 == 0) {
			counted_return(c, id, 1);
			n--;
		}
		samples += !n;
		objects += n ? n : 1;
	}
	/* 1 - exp(-1/64) of 2^20 are 16,257; five deviations are 633. */
	check(samples > 15600 && samples < 16900);
}

TEST(a_sample_comes_as_often_as_its_bytes_say)
{
	assert_child_succeeds(reserve_in_runs);
}

static void every_one(void)
{
	struct kmem_percpu *c;

	start("all");
	c = percpu_get();
	for (int i = 0; i < 100; i++)
		check(profile_reserve(c, 5) == 0);
}

TEST(all_means_all)
{
	assert_child_succeeds(every_one);
}

static const struct profile_site *only_site(void)
{
	const struct profile_site *s, *found = NULL;

	for_each_profile_site(s) {
		check(!found);
		found = s;
	}
	return found;
}

static void take_and_give(void)
{
	static char block[100];
	const struct profile_site *s;

	start("all");
	for (int i = 0; i < 100; i++)
		profile_sample(block + i, 10, 16, NULL);
	s = only_site();
	check(s->nr > 1 && s->samples == 100);
	check(profile_live(s) == 100 && profile_live_bytes(s) == 1000);
	for (int i = 0; i < 60; i++)
		profile_free(block + i);
	profile_free(block);
	profile_free(NULL);
	check(profile_live(s) == 40 && profile_live_bytes(s) == 400);
	/* One that went unseen is replaced. */
	profile_sample(block + 99, 20, 32, (void *)take_and_give);
	check(profile_whole(s->sums.frees) + profile_live(s) == s->samples);
}

TEST(samples_are_in_use_until_they_are_freed)
{
	assert_child_succeeds(take_and_give);
}

static void weigh(void)
{
	static char block;

	start("64k");
	profile_sample(&block, 64, 64, NULL);
	/* 1 / (1 - exp(-64 / 65536)) */
	check(profile_live(only_site()) == 1025 || profile_live(only_site()) == 1024);
	check(profile_live_bytes(only_site()) / 64 == 1024);
}

TEST(a_sample_stands_for_its_kind)
{
	assert_child_succeeds(weigh);
}

static void without_memory(void)
{
	weather.os_map = 0;
	strcpy(options.profile, "64k");
	profile_init();
	check(!profile_on());
}

TEST(without_memory_it_says_so_and_is_off)
{
	assert_string_equal(stderr_of(without_memory), "slabmalloc: profile: no memory: off\n");
	clear_weather();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(logarithm_and_probability_are_those_of_libm),
		cmocka_unit_test(an_option_is_an_interval_and_a_path),
		cmocka_unit_test(leaks_alone_sample_and_under_U_record_all),
		cmocka_unit_test(a_sample_comes_as_often_as_its_bytes_say),
		cmocka_unit_test(all_means_all),
		cmocka_unit_test(samples_are_in_use_until_they_are_freed),
		cmocka_unit_test(a_sample_stands_for_its_kind),
		cmocka_unit_test(without_memory_it_says_so_and_is_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
