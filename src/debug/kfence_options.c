// SPDX-License-Identifier: MIT
#include <string.h>

#include "base/printk.h"
#include "debug/kfence_pool.h"

static const struct setting {
	const char *key;
	size_t offset;
	size_t least, most;
} table[] = {
	{ "sample_interval", offsetof(struct kfence_settings, sample_interval), 0, 3600000 },
	/* Each takes up to two of the mappings that a process may have (65,530 by default). */
	{ "num_objects", offsetof(struct kfence_settings, num_objects), 1, 16384 },
	{ "num_large", offsetof(struct kfence_settings, num_large), 0, 8192 },
	{ "burst", offsetof(struct kfence_settings, burst), 0, 1000000 },
	{ "skip_covered_thresh", offsetof(struct kfence_settings, skip_covered_thresh), 0, 100 },
	{ "handler", offsetof(struct kfence_settings, handler), 0, 1 },
};

/* Every allocation that finds room, for tests. 9,216 objects leave the program two thirds of its mappings. */
static const struct kfence_settings everything = {
	.sample_interval = 1,
	.num_objects = 8192,
	.num_large = 1024,
	.burst = 1000000,
	.skip_covered_thresh = 100,
	.handler = 1,
};

static bool number(const char *s, size_t len, const struct setting *o, size_t *out)
{
	size_t v = 0;

	for (size_t i = 0; i < len; i++) {
		if (s[i] < '0' || s[i] > '9' || v > o->most)
			return false;
		v = v * 10 + (size_t)(s[i] - '0');
	}
	if (!len || v < o->least || v > o->most)
		return false;
	*out = v;
	return true;
}

static void warn(const char *what, const char *text, size_t len)
{
	struct seq_file m;

	seq_open(&m, 2);
	seq_printf(&m, "slabmalloc: kfence: %s: ", what);
	for (size_t i = 0; i < len; i++)
		seq_putc(&m, text[i]);
	seq_puts(&m, " (keys:");
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		seq_printf(&m, " %s:%zu-%zu", table[i].key, table[i].least, table[i].most);
	seq_puts(&m, ")\n");
	seq_flush(&m);
}

static void apply(const char *pair, size_t len, struct kfence_settings *set)
{
	const char *colon = memchr(pair, ':', len);
	size_t key = colon ? (size_t)(colon - pair) : len;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const struct setting *o = &table[i];

		if (strlen(o->key) != key || memcmp(o->key, pair, key))
			continue;
		if (!colon ||
		    !number(colon + 1, len - key - 1, o, (size_t *)((char *)set + o->offset)))
			warn("bad value", pair, len);
		return;
	}
	warn("unknown key", pair, key);
}

bool kfence_parse(const char *text, struct kfence_settings *set)
{
	*set = (struct kfence_settings){ .sample_interval = 100,
					 .num_objects = 255,
					 .skip_covered_thresh = 75 };
	if (strcmp(text, "1") == 0)
		return true;
	if (!*text || strcmp(text, "0") == 0)
		return false;
	if (strncmp(text, "all", 3) == 0 && (!text[3] || text[3] == ',')) {
		*set = everything;
		text += 3;
	}
	while (*text) {
		size_t len = strcspn(text, ",");

		if (len)
			apply(text, len, set);
		text += len + (text[len] == ',');
	}
	return set->sample_interval != 0;
}
