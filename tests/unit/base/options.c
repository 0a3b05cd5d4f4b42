// SPDX-License-Identifier: MIT
#include "base/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define HINT " (SLABMALLOC_CONF=help:1 lists the options)\n"

static struct options defaults;
static char conf[1000];

static int reset(__attribute__((unused)) void **state)
{
	options = defaults;
	return 0;
}

static void parse(void)
{
	options_parse_conf(conf);
}

/* Parses text, and returns what was written to stderr. */
static const char *warnings_of(const char *text)
{
	snprintf(conf, sizeof(conf), "%s", text);
	return stderr_of(parse);
}

/* One warning that names it, and no option changed. */
static void assert_refused(const char *text)
{
	char expected[sizeof(conf) + 100];

	snprintf(expected, sizeof(expected), "slabmalloc: bad option value: %s" HINT, text);
	assert_string_equal(warnings_of(text), expected);
	assert_memory_equal(&options, &defaults, sizeof(options));
}

TEST(sizes_take_digits_and_one_suffix)
{
	static const struct {
		const char *text;
		size_t value;
	} cases[] = {
		{ "0", 0 },
		{ "1", 1 },
		{ "4096", 4096 },
		{ "007", 7 },
		{ "1k", KIB },
		{ "1K", KIB },
		{ "3m", 3 * MIB },
		{ "16M", 16 * MIB },
		{ "2g", 2 * GIB },
		{ "5G", 5 * GIB },
		{ "0G", 0 },
		{ "18446744073709551615", SIZE_MAX },
		{ "18014398509481983K", SIZE_MAX - KIB + 1 },
		{ "17179869183G", SIZE_MAX - GIB + 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[100];

		snprintf(text, sizeof(text), "dirty_max:%s", cases[i].text);
		assert_string_equal(warnings_of(text), "");
		assert_int_equal(options.dirty_max, cases[i].value);
	}
}

TEST(bad_sizes_are_named_and_change_nothing)
{
	static const char *const values[] = {
		"",
		"K",
		"abc",
		"1KB",
		"1 ",
		" 1",
		"-1",
		"+1",
		"0x10",
		"1T",
		"18446744073709551616",
		"18014398509481984K",
		"17179869184G",
		"1.5M",
		"1:",
		"1k1",
		"K1",
		"99999999999999999999",
		"1\n",
		"1K ",
		"\xff",
	};

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		char text[100];

		snprintf(text, sizeof(text), "vmalloc_cache:%s", values[i]);
		assert_refused(text);
	}
}

TEST(flags_take_0_and_1_only)
{
	assert_string_equal(warnings_of("abort:0"), "");
	assert_false(options.abort);
	assert_string_equal(warnings_of("abort:1"), "");
	assert_true(options.abort);
	assert_refused("abort:2");
	assert_refused("abort:");
	assert_refused("abort");
	assert_refused("abort:01");
	assert_refused("abort:yes");
}

TEST(thp_takes_its_three_names_only)
{
	assert_string_equal(warnings_of("thp:never"), "");
	assert_int_equal(options.thp, THP_NEVER);
	assert_string_equal(warnings_of("thp:always"), "");
	assert_int_equal(options.thp, THP_ALWAYS);
	assert_string_equal(warnings_of("thp:auto"), "");
	assert_int_equal(options.thp, THP_AUTO);
	assert_refused("thp:");
	assert_refused("thp:a");
	assert_refused("thp:autom");
	assert_refused("thp:Auto");
	assert_refused("thp:1");
}

TEST(stats_takes_nowhere_stderr_or_a_path)
{
	warnings_of("stats:1");
	assert_string_equal(options.stats, "stderr");
	warnings_of("stats:0");
	assert_string_equal(options.stats, "");
	warnings_of("stats:stderr");
	assert_string_equal(options.stats, "stderr");
	assert_string_equal(warnings_of("stats:/tmp/of.%p:x"), "");
	assert_string_equal(options.stats, "/tmp/of.%p:x");
}

TEST(stats_have_a_format_an_interval_and_a_signal)
{
	static const struct {
		const char *text;
		unsigned int number;
	} signals[] = { { "USR2", 12 }, { "SIGUSR2", 12 }, { "12", 12 }, { "HUP", 1 },
			{ "40", 40 },   { "WINCH", 28 },   { "0", 0 } };
	char text[100];

	assert_string_equal(warnings_of("stats_format:prometheus,stats_interval:60"), "");
	assert_int_equal(options.stats_format, 2);
	assert_int_equal(options.stats_interval, 60);
	assert_string_equal(warnings_of("stats_format:html,stats_interval:86400"), "");
	assert_int_equal(options.stats_format, 3);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		snprintf(text, sizeof(text), "stats_signal:%s", signals[i].text);
		assert_string_equal(warnings_of(text), "");
		assert_int_equal(options.stats_signal, signals[i].number);
	}
}

TEST(other_formats_intervals_and_signals_are_refused)
{
	static const char *const bad[] = {
		"stats_format:xml",     "stats_format:JSON",   "stats_format:",
		"stats_interval:86401", "stats_interval:1s",   "stats_signal:",
		"stats_signal:KILL",    "stats_signal:STOP",   "stats_signal:SEGV",
		"stats_signal:9",       "stats_signal:11",     "stats_signal:32",
		"stats_signal:12a",     "stats_signal:usr2",   "stats_signal:SIG",
		"stats_signal:USR",     "stats_signal:USR222", "stats_signal:99999",
		"stats_signal:0x",      "stats_signal:-1",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_refused(bad[i]);
}

TEST(a_path_that_does_not_fit_is_refused_and_its_name_cut)
{
	char text[1000] = "stats:";
	const char *err;

	memset(text + 6, 'p', OPTION_PATH_MAX - 1);
	assert_string_equal(warnings_of(text), "");
	assert_int_equal(strlen(options.stats), OPTION_PATH_MAX - 1);
	options = defaults;
	text[6 + OPTION_PATH_MAX - 1] = 'p';
	err = warnings_of(text);
	assert_memory_equal(err, "slabmalloc: bad option value: stats:ppp", 39);
	assert_true(strlen(err) < OPTION_PATH_MAX + 100);
	assert_non_null(strstr(err, HINT));
	assert_memory_equal(&options, &defaults, sizeof(options));
}

TEST(unknown_keys_are_named_each_and_the_rest_is_applied)
{
	assert_string_equal(warnings_of("dirt_max:1,decay_ms:7,nonsense,:3,abort:0,Abort:1,abor:1"),
			    "slabmalloc: unknown option: dirt_max" HINT
			    "slabmalloc: unknown option: nonsense" HINT
			    "slabmalloc: unknown option: " HINT
			    "slabmalloc: unknown option: Abort" HINT
			    "slabmalloc: unknown option: abor" HINT);
	assert_int_equal(options.decay_ms, 7);
	assert_false(options.abort);
	assert_int_equal(options.dirty_max, defaults.dirty_max);
}

TEST(empty_parts_are_nothing_and_the_last_word_counts)
{
	assert_string_equal(warnings_of(""), "");
	assert_string_equal(warnings_of(",,,"), "");
	assert_memory_equal(&options, &defaults, sizeof(options));
	assert_string_equal(warnings_of(",decay_ms:1,,decay_ms:2,"), "");
	assert_int_equal(options.decay_ms, 2);
}

TEST(every_option_lands_in_its_own_field)
{
	struct options expected = defaults;

	warnings_of("thp_start:11,dirty_min:12,dirty_max:13,decay_ms:14,sheaf_bytes:15,"
		    "vmalloc_cache:16,help:1");
	expected.thp_start = 11;
	expected.dirty_min = 12;
	expected.dirty_max = 13;
	expected.decay_ms = 14;
	expected.sheaf_bytes = 15;
	expected.vmalloc_cache = 16;
	expected.help = true;
	assert_memory_equal(&options, &expected, sizeof(options));
}

static void init_with_variables(void)
{
	clearenv();
	setenv("SLABMALLOC_DECAY_MS", "1", 1);
	setenv("SLABMALLOC_CONF", "decay_ms:2,dirty_min:3", 1);
	setenv("SLABMALLOC_DIRTY_MAX", "bad", 1);
	setenv("SLABMALLOC_ABORTS", "0", 1);
	setenv("slabmalloc_abort", "0", 1);
	setenv("XSLABMALLOC_ABORT", "0", 1);
	options_init();
	setenv("SLABMALLOC_DECAY_MS", "4", 1);
	options_init();
}

static void variables_win(void)
{
	init_with_variables();
	check(options.decay_ms == 1);
	check(options.dirty_min == 3);
	check(options.dirty_max == defaults.dirty_max);
	check(options.abort);
}

TEST(a_single_variable_wins_over_conf_and_the_environment_is_read_once)
{
	struct outcome o = run_in_child(variables_win);

	assert_int_equal(o.status, 0);
	assert_string_equal(o.err, "slabmalloc: bad value of SLABMALLOC variable: "
				   "DIRTY_MAX=bad" HINT);
}

static void ask_for_help(void)
{
	clearenv();
	setenv("SLABMALLOC_HELP", "1", 1);
	setenv("SLABMALLOC_SHEAF_BYTES", "1M", 1);
	options_init();
}

TEST(help_shows_each_option_with_the_value_that_counts)
{
	static const char *const lines[] = {
		"\n  abort          1            ",
		"\n  thp            auto         ",
		"\n  thp_start      16777216     ",
		"\n  dirty_min      ",
		"\n  dirty_max      ",
		"\n  decay_ms       ",
		"\n  sheaf_bytes    1048576      ",
		"\n  vmalloc_cache  ",
		"\n  stats          0            ",
		"\n  help           1            ",
	};
	struct outcome o = run_in_child(ask_for_help);

	assert_int_equal(o.status, 0);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		if (!strstr(o.err, lines[i]))
			fail_msg("no \"%s\" in %s", lines[i], o.err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(sizes_take_digits_and_one_suffix, reset),
		cmocka_unit_test_setup(bad_sizes_are_named_and_change_nothing, reset),
		cmocka_unit_test_setup(flags_take_0_and_1_only, reset),
		cmocka_unit_test_setup(thp_takes_its_three_names_only, reset),
		cmocka_unit_test_setup(stats_takes_nowhere_stderr_or_a_path, reset),
		cmocka_unit_test_setup(stats_have_a_format_an_interval_and_a_signal, reset),
		cmocka_unit_test_setup(other_formats_intervals_and_signals_are_refused, reset),
		cmocka_unit_test_setup(a_path_that_does_not_fit_is_refused_and_its_name_cut, reset),
		cmocka_unit_test_setup(unknown_keys_are_named_each_and_the_rest_is_applied, reset),
		cmocka_unit_test_setup(empty_parts_are_nothing_and_the_last_word_counts, reset),
		cmocka_unit_test_setup(every_option_lands_in_its_own_field, reset),
		cmocka_unit_test_setup(
			a_single_variable_wins_over_conf_and_the_environment_is_read_once, reset),
		cmocka_unit_test_setup(help_shows_each_option_with_the_value_that_counts, reset),
	};

	defaults = options;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
