// SPDX-License-Identifier: MIT
/*
 * json.c - the dump as one line of JSON, so that dumps one after the other are JSON Lines. The schema is
 * preload/stats.schema.json.
 */
#include "base/platform.h"
#include "os/latency.h"
#include "page/zone.h"
#include "stat/stat.h"

enum { SCHEMA = 1 };

struct json {
	struct seq_file *m;
	enum stat_table table;
	const char *comma;
	bool complete;
};

static void put_orders(struct seq_file *m, const struct zone *z)
{
	seq_puts(m, ",\"orders\":[");
	for (u32 order = 0; order <= MAX_ORDER; order++)
		seq_printf(m, "%s%lu", order ? "," : "", READ_ONCE(z->free_area[order].nr));
	seq_putc(m, ']');
}

static void put_buckets(struct seq_file *m, const struct latency *l)
{
	seq_puts(m, ",\"buckets\":[");
	for (u32 b = 0; b < LATENCY_BUCKETS; b++)
		seq_printf(m, "%s%u", b ? "," : "", counter_read(l->bucket[b]));
	seq_putc(m, ']');
}

static void put_row(const struct stat_row *row, void *arg)
{
	struct json *j = arg;
	const struct stat_names *names = stat_names(j->table);
	const char *comma = "";
	u32 nr;
	const struct stat_field *field = stat_fields(j->table, &nr);

	if (!stat_is_single(j->table))
		seq_printf(j->m, "%s{", j->comma);
	if (names->number[0]) {
		seq_printf(j->m, "\"%s\":%lu", names->number, row->number);
		comma = ",";
	}
	if (names->name[0]) {
		seq_printf(j->m, "%s\"%s\":", comma, names->name);
		seq_json(j->m, row->name);
		comma = ",";
	}
	if (names->node[0]) {
		seq_printf(j->m, "%s\"%s\":%lu", comma, names->node, row->node);
		comma = ",";
	}
	for (u32 i = 0; i < nr; i++) {
		seq_printf(j->m, "%s\"%s\":%lu", comma, field[i].name,
			   stat_value(row->numbers, &field[i]));
		comma = ",";
	}
	if (row->zone)
		put_orders(j->m, row->zone);
	if (row->latency)
		put_buckets(j->m, row->latency);
	if (!stat_is_single(j->table))
		seq_putc(j->m, '}');
	if (j->table == STAT_TOTALS)
		j->complete = !((const struct heap_stats *)row->numbers)->unread;
	j->comma = ",";
}

/* A table with names is an array of objects, the others are one object. */
static void put_table(struct json *j)
{
	const struct stat_names *names = stat_names(j->table);
	bool many = !stat_is_single(j->table);

	j->comma = "";
	seq_printf(j->m, ",\"%s\":%c", names->table, many ? '[' : '{');
	stat_rows(j->table, put_row, j);
	seq_putc(j->m, many ? ']' : '}');
}

void stat_json(struct seq_file *m)
{
	struct json j = { .m = m };

	seq_printf(m, "{\"schema\":%d,\"version\":\"%s\",\"pid\":%d,\"time_ms\":%lu", SCHEMA,
		   SLABMALLOC_VERSION, platform_getpid(), (unsigned long)os_wall_ms());
	for (j.table = 0; j.table < NR_STAT_TABLES; j.table++) {
		put_table(&j);
		if (j.table == STAT_TOTALS)
			seq_printf(m, ",\"complete\":%s", j.complete ? "true" : "false");
	}
	seq_puts(m, "}\n");
}
