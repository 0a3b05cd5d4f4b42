// SPDX-License-Identifier: MIT
/*
 * profile_options.c - option profile: INTERVAL[,PATH], and what option leaks makes of it.
 */
#include <string.h>

#include "base/options.h"
#include "base/printk.h"
#include "debug/profile_tables.h"

static const size_t DEFAULT_INTERVAL = 512 * KIB;

struct profile_settings profile_set;

/* A size from 16 bytes to 1 TiB, as "64k"; 0: it is none. */
static size_t interval_of(const char *s, size_t len)
{
	static const char units[] = "kmg";
	const char *unit = NULL;
	size_t v = 0, i = 0;

	for (; i < len && s[i] >= '0' && s[i] <= '9' && v < GIB; i++)
		v = v * 10 + (size_t)(s[i] - '0');
	if (i && i + 1 == len && (unit = strchr(units, s[i] | ' ')))
		i++;
	if (!i || i != len)
		return 0;
	v <<= unit ? 10 * (unit - units + 1) : 0;
	return v >= 16 && v <= 1024 * GIB ? v : 0;
}

/* Letter U among debug's, of whatever caches: who asks for call stacks wants all of them. */
static bool debug_tracks(const char *debug)
{
	for (; *debug; debug += *debug == ';') {
		size_t letters = strcspn(debug, ",;");

		if (memchr(debug, 'U', letters) || memchr(debug, 'u', letters))
			return true;
		debug += strcspn(debug, ";");
	}
	return false;
}

void profile_parse(const char *text, struct profile_settings *set)
{
	size_t len = strcspn(text, ",");

	*set = (struct profile_settings){ .leaks = options.leaks };
	if (!len || (len == 1 && *text == '0')) {
		if (options.leaks)
			set->interval = debug_tracks(options.debug) ? 1 : DEFAULT_INTERVAL;
		return;
	}
	if (len == 1 && *text == '1')
		set->interval = DEFAULT_INTERVAL;
	else if (len == 3 && !memcmp(text, "all", 3))
		set->interval = 1;
	else
		set->interval = interval_of(text, len);
	if (!set->interval)
		printk("profile: no interval: %s (1, all, or a size of 16 bytes or more, then ,PATH)",
		       text);
	strcpy(set->path, text[len] ? text + len + 1 : "slabmalloc.%p.pb");
}
