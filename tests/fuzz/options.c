/* SPDX-License-Identifier: MIT */
/*
 * options.c - SLABMALLOC_CONF's text, and what the options that are languages of their own make of their values. The
 * rooms that know of heaps are not there: stubs.c.
 *
 * An input is lines: SLABMALLOC_CONF, then values of those options, in which commas do not end a value.
 */
#include "base/options.h"

#include <assert.h>
#include <string.h>

#include "debug/failslab.h"
#include "debug/harden.h"
#include "debug/kfence_pool.h"
#include "debug/profile_tables.h"
#include "debug/slub_debug_internal.h"

enum { LONGEST = 4096 };

static void check_strings(void)
{
	const char *const strings[] = { options.stats,    options.debug,   options.kfence,
					options.failslab, options.profile, options.harden };

	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		assert(memchr(strings[i], 0, OPTION_PATH_MAX));
}

static void check_values(void)
{
	assert(options.thp <= THP_ALWAYS && options.kshrinkd <= KSHRINKD_ON);
	assert(options.numa <= NUMA_FAKE_MAX && options.stats_format <= 3);
	assert(options.stats_signal < 65 && options.stats_interval <= 24 * 60 * 60);
}

static void read_kfence(void)
{
	struct kfence_settings set;
	bool on = kfence_parse(options.kfence, &set);

	assert(on || !*options.kfence || set.sample_interval == 0 || options.kfence[0] == '0');
	assert(set.num_objects >= 1 && set.num_objects <= 16384 && set.handler <= 1);
}

static void read_profile(void)
{
	struct profile_settings set;

	profile_parse(options.profile, &set);
	assert(memchr(set.path, 0, sizeof(set.path)));
	assert(!set.interval || set.interval == 1 || set.interval >= 16);
}

/* Of a few caches, as they are called by the library and by programs. */
static void read_debug(void)
{
	static const char *const names[] = { "kmalloc-64", "kmalloc-rnd-03-1k", "", "a*b",
					     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct cache_shape shape = { .name = names[i], .size = 64, .align = 16 };

		debug_flags(&shape);
	}
	debug_low_order();
}

static void read_harden(void)
{
	harden = (struct harden){ 0 };
	harden_boot();
	assert(harden.copies <= 16 && harden.copies != 1);
}

static void read_all(void)
{
	check_strings();
	check_values();
	read_kfence();
	read_profile();
	read_debug();
	read_harden();
	failslab_init();
}

/* Cuts a line off. */
static char *line_of(char **text)
{
	char *line = *text, *end = strchr(line, '\n');

	if (end)
		*end = 0;
	*text = end ? end + 1 : line + strlen(line);
	return line;
}

static void set(char *option, const char *value)
{
	if (*value && strlen(value) < OPTION_PATH_MAX)
		strcpy(option, value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct options defaults, once;
	static bool begun;
	char conf[LONGEST + 1], *rest = conf, *line;

	if (!begun)
		defaults = options;
	begun = true;
	size = min(size, (size_t)LONGEST);
	memcpy(conf, data, size);
	conf[size] = 0;
	options = defaults;
	line = line_of(&rest);
	options_parse_conf(line);
	once = options;
	options_parse_conf(line);
	assert(!memcmp(&once, &options, sizeof(once)));
	read_all();
	set(options.debug, line_of(&rest));
	set(options.kfence, line_of(&rest));
	set(options.failslab, line_of(&rest));
	set(options.profile, line_of(&rest));
	set(options.harden, line_of(&rest));
	read_all();
	return 0;
}
