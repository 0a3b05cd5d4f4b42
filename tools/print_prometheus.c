// SPDX-License-Identifier: MIT
/*
 * print_prometheus.c - the text format 0.0.4: all samples of a metric together, HELP and TYPE before them.
 */
#include <string.h>

#include "print.h"

static void metric(FILE *f, const char *name, const char *type, const char *help)
{
	fprintf(f, "# HELP slabmalloc_%s %s\n# TYPE slabmalloc_%s %s\n", name, help, name, type);
}

/* Is it a time? Its unit is seconds there. */
static bool is_ns(const char *name)
{
	size_t n = strlen(name);

	return n >= 2 && !strcmp(name + n - 2, "ns") && (n == 2 || name[n - 3] == '_');
}

/* The name of a number's metric, declared. */
static const char *declare(FILE *f, const char *kind, const struct stat_field *field)
{
	static char name[64];
	bool ns = is_ns(field->name);
	int length = (int)strlen(field->name) - 2 * ns;

	snprintf(name, sizeof(name), "%s%.*s%s%s", kind, length, field->name, ns ? "seconds" : "",
		 field->counter ? "_total" : "");
	metric(f, name, field->counter ? "counter" : "gauge", field->help);
	return name;
}

static void label(FILE *f, const char *text)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', f);
		fputc(*text == '\n' || (unsigned char)*text >= 0x7f ? '?' : *text, f);
	}
}

static void prometheus_totals(FILE *f, const struct snapshot *s)
{
	for (u32 i = 0; i < nr_heap_fields; i++) {
		if (!stat_value(&s->known, &heap_fields[i]))
			continue;
		fprintf(f, "slabmalloc_%s %lu\n", declare(f, "", &heap_fields[i]),
			stat_value(&s->total, &heap_fields[i]));
	}
	for (u32 i = 0; i < nr_kfence_fields && s->has_kfence; i++)
		fprintf(f, "slabmalloc_%s %lu\n", declare(f, "kfence_", &kfence_fields[i]),
			stat_value(&s->kfence, &kfence_fields[i]));
}

static void prometheus_caches(FILE *f, const struct snapshot *s)
{
	for (u32 m = 0; m < nr_cache_fields; m++) {
		const char *name = declare(f, "cache_", &cache_fields[m]);

		for (u32 i = 0; i < s->nr_caches; i++) {
			fprintf(f, "slabmalloc_%s{id=\"%u\",cache=\"", name, s->cache[i].id);
			label(f, s->cache[i].name);
			fprintf(f, "\"} %lu\n", stat_value(&s->cache[i].d, &cache_fields[m]));
		}
	}
}

static void prometheus_zones(FILE *f, const struct snapshot *s)
{
	for (u32 m = 0; m < nr_zone_fields; m++) {
		const char *name = declare(f, "zone_", &zone_fields[m]);

		for (u32 i = 0; i < s->nr_zones; i++) {
			struct zone_detail d;

			stat_zone_detail(&s->zone[i], &d);
			fprintf(f, "slabmalloc_%s{node=\"%lu\",zone=\"%s\"} %lu\n", name, d.node,
				d.name, stat_value(&d, &zone_fields[m]));
		}
	}
	metric(f, "zone_free_blocks", "gauge", "free blocks of 4 KiB << order");
	for (u32 i = 0; i < s->nr_zones; i++)
		for (u32 order = 0; order <= MAX_ORDER; order++)
			fprintf(f,
				"slabmalloc_zone_free_blocks{node=\"%u\",zone=\"%s\",order=\"%u\"} "
				"%lu\n",
				s->zone[i].nid, zone_name(&s->zone[i]), order,
				s->zone[i].free_area[order].nr);
}

static void prometheus_threads(FILE *f, const struct snapshot *s)
{
	for (u32 m = 0; m < nr_thread_fields; m++) {
		const char *name = declare(f, "thread_", &thread_fields[m]);

		for (u32 i = 0; i < s->nr_threads; i++) {
			fprintf(f, "slabmalloc_%s{tid=\"%lu\",name=\"", name, s->thread[i].d.tid);
			label(f, s->thread[i].name);
			fprintf(f, "\"} %lu\n", stat_value(&s->thread[i].d, &thread_fields[m]));
		}
	}
}

struct samples {
	FILE *f;
	enum stat_table table;
	const struct stat_field *field;
	const char *name; /* of the metric; NULL: not declared yet */
};

static void seconds(FILE *f, u64 ns)
{
	fprintf(f, "%lu.%09lu", ns / 1000000000, ns % 1000000000);
}

static void put_sample(const struct stat_row *row, void *arg)
{
	struct samples *s = arg;
	const struct stat_names *names = stat_names(s->table);
	unsigned long value = stat_value(row->numbers, s->field);
	const char *comma = "";

	if (!s->name)
		s->name = declare(s->f, names->prefix, s->field);
	fprintf(s->f, "slabmalloc_%s{", s->name);
	if (names->number[0]) {
		fprintf(s->f, "%s=\"%lu\"", names->number, row->number);
		comma = ",";
	}
	if (names->label[0]) {
		fprintf(s->f, "%s%s=\"", comma, names->label);
		label(s->f, row->name);
		fputc('"', s->f);
	}
	if (names->node[0])
		fprintf(s->f, ",%s=\"%lu\"", names->node, row->node);
	fputs("} ", s->f);
	if (is_ns(s->field->name))
		seconds(s->f, value);
	else
		fprintf(s->f, "%lu", value);
	fputc('\n', s->f);
}

static void prometheus_rows(FILE *f, const struct snapshot *s, enum stat_table table)
{
	u32 nr;
	const struct stat_field *fields = stat_fields(table, &nr);

	for (u32 i = 0; i < nr; i++) {
		struct samples samples = { f, table, &fields[i], NULL };

		if (row_tells(table, &fields[i]))
			snapshot_rows(s, table, put_sample, &samples);
	}
}

static void put_histogram(const struct stat_row *row, void *arg)
{
	static const char name[] = "slabmalloc_slow_path_duration_seconds";
	const struct latency *l = row->latency;
	unsigned long sum = 0;
	FILE *f = arg;

	for (u32 b = 0; b < LATENCY_BUCKETS; b++) {
		sum += l->bucket[b];
		if (b < STAT_FIRST_BUCKET || b > STAT_LAST_BUCKET)
			continue;
		fprintf(f, "%s_bucket{path=\"%s\",le=\"", name, row->name);
		seconds(f, 1ul << b);
		fprintf(f, "\"} %lu\n", sum);
	}
	fprintf(f, "%s_bucket{path=\"%s\",le=\"+Inf\"} %lu\n", name, row->name, sum);
	fprintf(f, "%s_sum{path=\"%s\"} ", name, row->name);
	seconds(f, l->ns);
	fprintf(f, "\n%s_count{path=\"%s\"} %lu\n", name, row->name, sum);
}

void print_prometheus(FILE *f, const struct heap *h, const struct snapshot *s)
{
	metric(f, "info", "gauge", "the process");
	fprintf(f, "slabmalloc_info{pid=\"%d\",program=\"", h->r->pid);
	label(f, h->r->name);
	fprintf(f, "\",state=\"%s\",version=\"%s\"} 1\n", state_name(h, s), h->library);
	prometheus_totals(f, s);
	prometheus_caches(f, s);
	prometheus_zones(f, s);
	prometheus_threads(f, s);
	for (u32 i = 0; i < NR_ROW_TABLES; i++)
		prometheus_rows(f, s, row_tables[i]);
	metric(f, "slow_path_duration_seconds", "histogram", "how long slow paths take");
	snapshot_rows(s, STAT_SLOW_PATHS, put_histogram, f);
}
