// SPDX-License-Identifier: MIT
#include <time.h>

#include "print.h"
#include "regions.h"

/* Names come out of another process: anything may be in them. */
void json_string(FILE *f, const char *text)
{
	fputc('"', f);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < ' ' || c >= 0x7f)
			fprintf(f, "\\u%04x", c);
		else if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else
			fputc(c, f);
	}
	fputc('"', f);
}

static void members(FILE *f, const void *row, const struct stat_field *field, u32 n)
{
	for (u32 i = 0; i < n; i++)
		fprintf(f, ", \"%s\": %lu", field[i].name, stat_value(row, &field[i]));
}

static void json_totals(FILE *f, const struct snapshot *s)
{
	const char *comma = "";

	fprintf(f, "\"totals\": {");
	for (u32 i = 0; i < nr_heap_fields; i++) {
		if (!stat_value(&s->known, &heap_fields[i]))
			continue;
		fprintf(f, "%s\"%s\": %lu", comma, heap_fields[i].name,
			stat_value(&s->total, &heap_fields[i]));
		comma = ", ";
	}
	fprintf(f, "}, \"changing\": [");
	comma = "";
	for (u32 i = 0; i < nr_heap_fields; i++) {
		if (!stat_value(&s->moved, &heap_fields[i]))
			continue;
		fprintf(f, "%s\"%s\"", comma, heap_fields[i].name);
		comma = ", ";
	}
	fputs("], \"kfence\": {", f);
	for (u32 i = 0; i < nr_kfence_fields && s->has_kfence; i++)
		fprintf(f, "%s\"%s\": %lu", i ? ", " : "", kfence_fields[i].name,
			stat_value(&s->kfence, &kfence_fields[i]));
	fputc('}', f);
}

static void json_caches(FILE *f, const struct snapshot *s)
{
	fprintf(f, ", \"caches\": [");
	for (u32 i = 0; i < s->nr_caches; i++) {
		fprintf(f, "%s{\"name\": ", i ? ", " : "");
		json_string(f, s->cache[i].name);
		members(f, &s->cache[i].d, cache_fields, nr_cache_fields);
		fputc('}', f);
	}
	fputc(']', f);
}

static void json_zones(FILE *f, const struct snapshot *s)
{
	fprintf(f, ", \"zones\": [");
	for (u32 i = 0; i < s->nr_zones; i++) {
		const struct zone *z = &s->zone[i];
		struct zone_detail d;

		stat_zone_detail(z, &d);
		fprintf(f, "%s{\"node\": %lu, \"zone\": \"%s\"", i ? ", " : "", d.node, d.name);
		members(f, &d, zone_fields, nr_zone_fields);
		fputs(", \"orders\": [", f);
		for (u32 order = 0; order <= MAX_ORDER; order++)
			fprintf(f, "%s%lu", order ? ", " : "", z->free_area[order].nr);
		fprintf(f, "]}");
	}
	fputc(']', f);
}

static void json_threads(FILE *f, const struct snapshot *s)
{
	fprintf(f, ", \"threads\": [");
	for (u32 i = 0; i < s->nr_threads; i++) {
		const struct thread_row *t = &s->thread[i];

		fprintf(f, "%s{\"tid\": %lu, \"name\": ", i ? ", " : "", t->d.tid);
		json_string(f, t->name);
		members(f, &t->d, thread_fields, nr_thread_fields);
		fputc('}', f);
	}
	fputc(']', f);
}

struct rows {
	FILE *f;
	enum stat_table table;
	const char *comma;
};

static void json_buckets(FILE *f, const struct latency *l)
{
	fputs(", \"buckets\": [", f);
	for (u32 b = 0; b < LATENCY_BUCKETS; b++)
		fprintf(f, "%s%u", b ? ", " : "", l->bucket[b]);
	fputc(']', f);
}

static void json_row(const struct stat_row *row, void *arg)
{
	struct rows *r = arg;
	const struct stat_names *names = stat_names(r->table);
	const char *comma = "";
	u32 nr;
	const struct stat_field *field = stat_fields(r->table, &nr);

	fprintf(r->f, "%s{", r->comma);
	r->comma = ", ";
	if (names->number[0]) {
		fprintf(r->f, "\"%s\": %lu", names->number, row->number);
		comma = ", ";
	}
	if (names->name[0]) {
		fprintf(r->f, "%s\"%s\": ", comma, names->name);
		json_string(r->f, row->name);
	}
	if (names->node[0])
		fprintf(r->f, ", \"%s\": %lu", names->node, row->node);
	for (u32 i = 0; i < nr; i++)
		if (row_tells(r->table, &field[i]))
			members(r->f, row->numbers, &field[i], 1);
	if (row->latency)
		json_buckets(r->f, row->latency);
	fputc('}', r->f);
}

static void json_rows(FILE *f, const struct snapshot *s)
{
	for (u32 i = 0; i < NR_ROW_TABLES; i++) {
		struct rows r = { f, row_tables[i], "" };

		fprintf(f, ", \"%s\": [", stat_names(r.table)->table);
		snapshot_rows(s, r.table, json_row, &r);
		fputc(']', f);
	}
}

static u64 wall_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (u64)now.tv_sec * 1000 + (u64)now.tv_nsec / 1000000;
}

void print_json(FILE *f, const struct heap *h, const struct snapshot *s)
{
	fprintf(f, "{\"pid\": %d, \"program\": ", h->r->pid);
	json_string(f, h->r->name);
	fprintf(f, ", \"state\": \"%s\", \"version\": ", state_name(h, s));
	json_string(f, h->library);
	if (!h->r->core)
		fprintf(f, ", \"time_ms\": %lu", wall_ms());
	fprintf(f, ", \"complete\": %s, ", s->broken ? "false" : "true");
	json_totals(f, s);
	json_caches(f, s);
	json_zones(f, s);
	json_threads(f, s);
	json_rows(f, s);
	if (s->regions)
		print_json_regions(f, s->regions);
	fprintf(f, "}\n");
}
