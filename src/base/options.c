// SPDX-License-Identifier: MIT
#include "base/options.h"

#include "base/platform.h"
#include "base/printk.h"

struct options options = {
	.abort = true,
	.thp = THP_AUTO,
	.thp_start = 16 * MIB,
	.dirty_min = 4 * MIB,
	.dirty_max = 256 * MIB,
	.decay_ms = 500,
	.sheaf_bytes = 2 * MIB,
	.vmalloc_cache = 256 * MIB,
	.kshrinkd = KSHRINKD_AUTO,
};

enum kind { BOOL, SIZE, SECONDS, LIMIT, THP, KSHRINKD, NUMA, FORMAT, SIGNAL, PATH, STRING };

static const char *const thp_names[] = { "never", "auto", "always" };
static const char *const kshrinkd_names[] = { "off", "auto", "on" };
static const char *const format_names[] = { "slabinfo", "json", "prometheus", "html" };

static const struct option {
	const char *key;
	enum kind kind;
	size_t offset;
	const char *help;
} table[] = {
/* clang-format off */
#define OPTION(name, kind, help) { #name, kind, offsetof(struct options, name), help }
	OPTION(abort, BOOL, "1: abort after a report of a bad free; 0: report, ignore the call"),
	OPTION(thp, THP, "huge pages: never, auto (a heap above thp_start), always"),
	OPTION(thp_start, SIZE, "heap size from which thp:auto asks for huge pages"),
	OPTION(dirty_min, SIZE, "free resident memory kept until decay_ms pass without reuse"),
	OPTION(dirty_max, SIZE, "free resident memory kept at the most, while it is being reused"),
	OPTION(decay_ms, SIZE, "milliseconds without reuse after which all free memory goes back"),
	OPTION(sheaf_bytes, SIZE, "free objects that one thread may keep at hand, in bytes"),
	OPTION(vmalloc_cache, SIZE, "free large areas kept mapped for reuse, in bytes"),
	OPTION(limit, LIMIT, "heap size beyond which malloc fails: bytes, or auto (the cgroup's); 0: none"),
	OPTION(soft_limit, SIZE, "heap size near which memory is given back as under pressure; 0: none"),
	OPTION(kshrinkd, KSHRINKD, "a thread that gives memory back: off, auto (with the first thread), on"),
	OPTION(numa, NUMA, "memory near the thread: off, auto (several nodes), fake=N (made-up nodes)"),
	OPTION(stats, PATH, "statistics at exit: 0, 1 or stderr, or a path (%p: process id, %n: number)"),
	OPTION(stats_format, FORMAT, "statistics as slabinfo, json, prometheus or html"),
	OPTION(stats_interval, SECONDS, "statistics every so many seconds too; 0: not"),
	OPTION(stats_signal, SIGNAL, "statistics on a signal too: a name such as USR2, or a number; 0: not"),
	OPTION(debug, STRING, "slab_debug: LETTERS[,cache,...][;...] of F Z P U T A O -"),
	OPTION(failslab, STRING, "failures for debug's A: key:value,... (SLABMALLOC_FAILSLAB only)"),
	OPTION(kfence, STRING, "sampled guard pages: 1, all, or key:value,... (sample_interval, num_objects)"),
	OPTION(profile, STRING, "heap profile: bytes between samples, 1 (512k) or all; then ,PATH"),
	OPTION(leaks, BOOL, "1: at exit, what is still in use, by call stack"),
	OPTION(harden, STRING, "hardening: names separated by commas"),
	OPTION(help, BOOL, "1: print this table at start"),
#undef OPTION
	/* clang-format on */
};

static bool equal(const char *a, const char *b, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (a[i] != b[i] || !b[i])
			return false;
	return !b[len];
}

static bool parse_size(const char *s, size_t len, size_t *out)
{
	size_t v = 0, i = 0;
	unsigned int shift = 0;

	for (; i < len && s[i] >= '0' && s[i] <= '9'; i++)
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (size_t)(s[i] - '0'), &v))
			return false;
	if (i && i + 1 == len) {
		switch (s[i++] | ' ') {
		case 'k':
			shift = 10;
			break;
		case 'm':
			shift = 20;
			break;
		case 'g':
			shift = 30;
			break;
		default:
			return false;
		}
	}
	if (!i || i != len || v << shift >> shift != v)
		return false;
	*out = v << shift;
	return true;
}

static bool parse_bool(const char *s, size_t len, bool *out)
{
	if (len != 1 || (*s != '0' && *s != '1'))
		return false;
	*out = *s == '1';
	return true;
}

/* One of n names. */
static bool parse_name(const char *const *names, unsigned int n, const char *s, size_t len,
		       unsigned int *out)
{
	for (unsigned int i = 0; i < n; i++) {
		if (equal(s, names[i], len)) {
			*out = i;
			return true;
		}
	}
	return false;
}

/* A day is as good as never, and a thousand times it fits. */
static bool parse_seconds(const char *s, size_t len, size_t *out)
{
	size_t v;

	if (!parse_size(s, len, &v) || v > 24 * 60 * 60)
		return false;
	*out = v;
	return true;
}

static bool parse_signal(const char *s, size_t len, unsigned int *out)
{
	unsigned int v = platform_signal(s, len);

	if (!v && !(len == 1 && *s == '0'))
		return false;
	*out = v;
	return true;
}

static bool parse_limit(const char *s, size_t len, size_t *out)
{
	if (!equal(s, "auto", len))
		return parse_size(s, len, out);
	*out = LIMIT_AUTO;
	return true;
}

static bool parse_numa(const char *s, size_t len, unsigned int *out)
{
	size_t nodes = NUMA_AUTO;

	if (equal(s, "off", len))
		nodes = NUMA_OFF;
	else if (!equal(s, "auto", len) &&
		 (len <= 5 || !equal(s, "fake=", 5) || !parse_size(s + 5, len - 5, &nodes) ||
		  !nodes || nodes > NUMA_FAKE_MAX))
		return false;
	*out = (unsigned int)nodes;
	return true;
}

/* "0" is nowhere, "1" is stderr; the value is copied, the environment may change under us. */
static bool parse_path(const char *s, size_t len, char *out)
{
	if (!len || len >= OPTION_PATH_MAX)
		return false;
	if (len == 1 && *s == '0') {
		*out = 0;
		return true;
	}
	if (len == 1 && *s == '1') {
		s = "stderr";
		len = 6;
	}
	for (size_t i = 0; i < len; i++)
		out[i] = s[i];
	out[len] = 0;
	return true;
}

static bool parse_string(const char *s, size_t len, char *out)
{
	if (len >= OPTION_PATH_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		out[i] = s[i];
	out[len] = 0;
	return true;
}

static bool set_option(const struct option *o, const char *value, size_t len)
{
	void *field = (char *)&options + o->offset;

	switch (o->kind) {
	case BOOL:
		return parse_bool(value, len, field);
	case SIZE:
		return parse_size(value, len, field);
	case THP:
		return parse_name(thp_names, ARRAY_SIZE(thp_names), value, len, field);
	case LIMIT:
		return parse_limit(value, len, field);
	case KSHRINKD:
		return parse_name(kshrinkd_names, ARRAY_SIZE(kshrinkd_names), value, len, field);
	case FORMAT:
		return parse_name(format_names, ARRAY_SIZE(format_names), value, len, field);
	case SIGNAL:
		return parse_signal(value, len, field);
	case SECONDS:
		return parse_seconds(value, len, field);
	case NUMA:
		return parse_numa(value, len, field);
	case PATH:
		return parse_path(value, len, field);
	case STRING:
		return parse_string(value, len, field);
	}
	return false;
}

static void warn(const char *what, const char *text, size_t len)
{
	struct seq_file m;

	seq_open(&m, 2);
	seq_printf(&m, "slabmalloc: %s: ", what);
	for (size_t i = 0; i < len && i < OPTION_PATH_MAX; i++)
		seq_putc(&m, text[i]);
	seq_puts(&m, " (SLABMALLOC_CONF=help:1 lists the options)\n");
	seq_flush(&m);
}

static void apply_pair(const char *pair, size_t len)
{
	size_t key = 0;

	while (key < len && pair[key] != ':')
		key++;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (!equal(pair, table[i].key, key))
			continue;
		if (key == len || !set_option(&table[i], pair + key + 1, len - key - 1))
			warn("bad option value", pair, len);
		return;
	}
	warn("unknown option", pair, key);
}

void options_parse_conf(const char *conf)
{
	while (*conf) {
		size_t len = 0;

		while (conf[len] && conf[len] != ',')
			len++;
		if (len)
			apply_pair(conf, len);
		conf += len + (conf[len] == ',');
	}
}

/* Does "NAME=value" name this key, in capitals? Returns the value or NULL. */
static const char *match_variable(const char *var, const char *key)
{
	for (; *key; var++, key++)
		if (*var != (*key >= 'a' && *key <= 'z' ? *key - 32 : *key))
			return NULL;
	return *var == '=' ? var + 1 : NULL;
}

static size_t length(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

static void apply_variable(const char *var)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const char *value = match_variable(var, table[i].key);

		if (value && !set_option(&table[i], value, length(value)))
			warn("bad value of SLABMALLOC variable", var, length(var));
	}
}

static void show_numa(struct seq_file *m, unsigned int nodes)
{
	if (nodes > NUMA_OFF)
		seq_printf(m, "fake=%-7u", nodes);
	else
		seq_printf(m, "%-12s", nodes == NUMA_OFF ? "off" : "auto");
}

static void show_help(void)
{
	struct seq_file m;

	seq_open(&m, 2);
	seq_puts(&m,
		 "slabmalloc: options (SLABMALLOC_CONF=key:value,... or SLABMALLOC_<KEY>=value)\n");
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		const void *field = (const char *)&options + table[i].offset;

		seq_printf(&m, "  %-14s ", table[i].key);
		switch (table[i].kind) {
		case BOOL:
			seq_printf(&m, "%-12d", *(const bool *)field);
			break;
		case SIZE:
		case SECONDS:
		case LIMIT:
			seq_printf(&m, "%-12zu", *(const size_t *)field);
			break;
		case THP:
			seq_printf(&m, "%-12s", thp_names[*(const unsigned int *)field]);
			break;
		case KSHRINKD:
			seq_printf(&m, "%-12s", kshrinkd_names[*(const unsigned int *)field]);
			break;
		case FORMAT:
			seq_printf(&m, "%-12s", format_names[*(const unsigned int *)field]);
			break;
		case SIGNAL:
			seq_printf(&m, "%-12u", *(const unsigned int *)field);
			break;
		case NUMA:
			show_numa(&m, *(const unsigned int *)field);
			break;
		case PATH:
		case STRING:
			seq_printf(&m, "%-12s", *(const char *)field ? (const char *)field : "0");
			break;
		}
		seq_printf(&m, " %s\n", table[i].help);
	}
	seq_flush(&m);
}

/* The part of "SLABMALLOC_x" behind the prefix, or NULL. */
static const char *strip_prefix(const char *var)
{
	static const char prefix[] = "SLABMALLOC_";

	for (size_t i = 0; prefix[i]; i++)
		if (var[i] != prefix[i])
			return NULL;
	return var + sizeof(prefix) - 1;
}

void options_init(void)
{
	static bool done;
	char **env = platform_environ();
	const char *var, *conf;

	if (done || !env)
		return;
	done = true;
	for (char **e = env; *e; e++)
		if ((var = strip_prefix(*e)) && (conf = match_variable(var, "conf")))
			options_parse_conf(conf);
	for (char **e = env; *e; e++)
		if ((var = strip_prefix(*e)))
			apply_variable(var);
	if (options.help)
		show_help();
}
