// SPDX-License-Identifier: MIT
/*
 * prometheus.c - the dump in Prometheus' text format 0.0.4: all samples of a metric together, HELP and TYPE before
 * them. So a walk over caches or threads is made for each of their numbers; the totals are read once.
 */
#include "os/latency.h"
#include "page/zone.h"
#include "stat/stat.h"

struct samples {
	struct seq_file *m;
	enum stat_table table;
	const struct stat_field *field;
	bool begun; /* there was a sample of it */
};

/* Is it a time? *stem: the letters before "ns". */
static bool is_ns(const char *name, int *stem)
{
	int n = 0;

	while (name[n])
		n++;
	*stem = n - 2;
	return n >= 2 && name[n - 2] == 'n' && name[n - 1] == 's' && (n == 2 || name[n - 3] == '_');
}

/* Times are in seconds, counters end in _total: so are the customs there. */
static void put_name(const struct samples *s)
{
	int stem;

	seq_printf(s->m, "slabmalloc_%s", stat_names(s->table)->prefix);
	if (is_ns(s->field->name, &stem)) {
		for (int i = 0; i < stem; i++)
			seq_putc(s->m, s->field->name[i]);
		seq_puts(s->m, "seconds");
	} else {
		seq_puts(s->m, s->field->name);
	}
	if (s->field->counter)
		seq_puts(s->m, "_total");
}

static void put_head(const struct samples *s)
{
	seq_puts(s->m, "# HELP ");
	put_name(s);
	seq_printf(s->m, " %s\n# TYPE ", s->field->help);
	put_name(s);
	seq_puts(s->m, s->field->counter ? " counter\n" : " gauge\n");
}

/* Two caches may have one name; their numbers never are the same. The brace stays open. */
static const char *put_labels(const struct samples *s, const struct stat_row *row)
{
	const struct stat_names *names = stat_names(s->table);
	const char *comma = "{";

	if (names->number[0]) {
		seq_printf(s->m, "{%s=\"%lu\"", names->number, row->number);
		comma = ",";
	}
	if (names->label[0]) {
		seq_printf(s->m, "%s%s=", comma, names->label);
		seq_label(s->m, row->name);
		comma = ",";
	}
	if (names->node[0]) {
		seq_printf(s->m, "%s%s=\"%lu\"", comma, names->node, row->node);
		comma = ",";
	}
	return comma;
}

static void put_sample(const struct stat_row *row, void *arg)
{
	struct samples *s = arg;
	unsigned long value = stat_value(row->numbers, s->field);
	int stem;

	if (!s->begun)
		put_head(s);
	s->begun = true;
	put_name(s);
	if (*put_labels(s, row) == ',')
		seq_putc(s->m, '}');
	seq_putc(s->m, ' ');
	if (is_ns(s->field->name, &stem))
		seq_seconds(s->m, value);
	else
		seq_printf(s->m, "%lu", value);
	seq_putc(s->m, '\n');
}

static void put_orders(const struct stat_row *row, void *arg)
{
	const struct samples *s = arg;

	for (u32 order = 0; order <= MAX_ORDER; order++) {
		seq_puts(s->m, "slabmalloc_zone_free_blocks");
		seq_printf(s->m, "%sorder=\"%u\"} %lu\n", put_labels(s, row), order,
			   READ_ONCE(row->zone->free_area[order].nr));
	}
}

static void put_histogram(const struct stat_row *row, void *arg)
{
	static const char name[] = "slabmalloc_slow_path_duration_seconds";
	const struct samples *s = arg;
	unsigned long sum = 0;

	for (u32 b = 0; b < LATENCY_BUCKETS; b++) {
		sum += counter_read(row->latency->bucket[b]);
		if (b < STAT_FIRST_BUCKET || b > STAT_LAST_BUCKET)
			continue;
		seq_printf(s->m, "%s_bucket{path=\"%s\",le=\"", name, row->name);
		seq_seconds(s->m, 1ull << b);
		seq_printf(s->m, "\"} %lu\n", sum);
	}
	seq_printf(s->m, "%s_bucket{path=\"%s\",le=\"+Inf\"} %lu\n", name, row->name, sum);
	seq_printf(s->m, "%s_sum{path=\"%s\"} ", name, row->name);
	seq_seconds(s->m, counter_read(row->latency->ns));
	seq_printf(s->m, "\n%s_count{path=\"%s\"} %lu\n", name, row->name, sum);
}

/* Of a table with one row: all its numbers are of one reading. */
static void put_single(const struct stat_row *row, void *arg)
{
	struct samples *s = arg;
	u32 nr;
	const struct stat_field *fields = stat_fields(s->table, &nr);

	for (u32 i = 0; i < nr; i++) {
		s->field = &fields[i];
		s->begun = false;
		put_sample(row, s);
	}
}

static void put_table(struct samples *s)
{
	u32 nr;
	const struct stat_field *fields = stat_fields(s->table, &nr);

	for (u32 i = 0; i < nr; i++) {
		s->field = &fields[i];
		s->begun = false;
		stat_rows(s->table, put_sample, s);
	}
}

void stat_prometheus(struct seq_file *m)
{
	struct samples s = { .m = m };

	seq_puts(m, "# HELP slabmalloc_info the library\n# TYPE slabmalloc_info gauge\n");
	seq_printf(m, "slabmalloc_info{version=\"%s\"} 1\n", SLABMALLOC_VERSION);
	for (s.table = 0; s.table < NR_STAT_TABLES; s.table++) {
		if (stat_is_single(s.table))
			stat_rows(s.table, put_single, &s);
		else
			put_table(&s);
	}
	s.table = STAT_ZONES;
	seq_puts(m, "# HELP slabmalloc_zone_free_blocks free blocks of 4 KiB << order\n"
		    "# TYPE slabmalloc_zone_free_blocks gauge\n");
	stat_rows(s.table, put_orders, &s);
	s.table = STAT_SLOW_PATHS;
	seq_puts(m, "# HELP slabmalloc_slow_path_duration_seconds how long slow paths take\n"
		    "# TYPE slabmalloc_slow_path_duration_seconds histogram\n");
	stat_rows(s.table, put_histogram, &s);
}
