// SPDX-License-Identifier: MIT
#include "print.h"

#include <string.h>

const char *human(size_t bytes, char buf[16])
{
	static const char units[] = " KMGTPE";
	double value = (double)bytes;
	u32 unit = 0;

	while (value >= 1023.95 && unit + 2 < sizeof(units)) {
		value /= 1024;
		unit++;
	}
	if (unit)
		snprintf(buf, 16, "%.1f%c", value, units[unit]);
	else
		snprintf(buf, 16, "%zu", bytes);
	return buf;
}

const char *state_name(const struct heap *h, const struct snapshot *s)
{
	if (h->r->core)
		return "core";
	return s->running ? "running" : "stopped";
}

static void text_head(FILE *f, const struct heap *h, const struct snapshot *s)
{
	fprintf(f, "# %s (%d), %s; libslabmalloc %s%s\n", h->r->name, h->r->pid, state_name(h, s),
		h->library, h->linked ? ", linked" : "");
	if (s->running)
		fprintf(f,
			"# It runs: numbers with a ~ changed while they were read, and any may be "
			"other ones now.\n");
	if (s->broken)
		fprintf(f, "# A list led nowhere%s: what lies in sheaves is more than is shown.\n",
			s->running ? ", since it changed" : "");
}

/* Bytes, as the names say: "..._bytes", and jemalloc's six. */
static bool is_bytes(const struct stat_field *f)
{
	return strstr(f->name, "_bytes") || (f->offset >= offsetof(struct heap_stats, allocated) &&
					     f->offset <= offsetof(struct heap_stats, retained));
}

struct lines {
	FILE *f;
	enum stat_table table;
};

/* Under the names of the library's dump; what is 0 stays away. */
static void text_lines(const struct stat_row *row, void *arg)
{
	const struct lines *l = arg;
	u32 nr;
	const struct stat_field *fields = stat_fields(l->table, &nr);

	for (u32 i = 0; i < nr; i++)
		if (stat_value(row->numbers, &fields[i]))
			fprintf(l->f, "%s%s_%s %lu\n", stat_names(l->table)->prefix, row->name,
				fields[i].name, stat_value(row->numbers, &fields[i]));
}

static void text_totals(FILE *f, const struct snapshot *s)
{
	char buf[16];

	for (u32 i = 0; i < nr_heap_fields; i++) {
		const struct stat_field *field = &heap_fields[i];
		unsigned long value = stat_value(&s->total, field);
		const char *mark = stat_value(&s->moved, field) ? "~" : "";

		if (!stat_value(&s->known, field))
			continue;
		fprintf(f, "%-19s %lu%s", field->name, value, mark);
		if (is_bytes(field) && value >= 1024)
			fprintf(f, " (%s)", human(value, buf));
		fputc('\n', f);
	}
	snapshot_rows(s, STAT_PRESSURES, text_lines, &(struct lines){ f, STAT_PRESSURES });
	snapshot_rows(s, STAT_SHRINKERS, text_lines, &(struct lines){ f, STAT_SHRINKERS });
	for (u32 i = 0; i < nr_kfence_fields && s->has_kfence; i++)
		fprintf(f, "kfence_%s %lu\n", kfence_fields[i].name,
			stat_value(&s->kfence, &kfence_fields[i]));
}

static void text_caches(FILE *f, const struct snapshot *s)
{
	char total[16], waste[16];

	fprintf(f, "# %-22s %10s %10s %8s %5s %8s %8s %8s\n", "cache", "active", "objects", "size",
		"use", "slabs", "bytes", "waste");
	for (u32 i = 0; i < s->nr_caches; i++) {
		const struct cache_detail *d = &s->cache[i].d;

		fprintf(f, "%-24s %10lu %10lu %8lu %4lu%% %8lu %8s %8s%s\n", d->name,
			d->active_objs, d->num_objs, d->objsize,
			d->num_objs ? 100 * d->active_objs / d->num_objs : 0, d->num_slabs,
			human(d->slab_bytes, total), human(d->waste_bytes, waste),
			d->changing ? " ~" : "");
	}
	fprintf(f, "# in slabs %s, of it waste %s;", human(s->slab_bytes, total),
		human(s->total.external_bytes, waste));
	fprintf(f, " large blocks %s, areas %s\n", human(s->large_bytes, total),
		human(s->total.vmalloc_bytes, waste));
}

static void text_zones(FILE *f, const struct snapshot *s)
{
	fprintf(f, "# free blocks of 4 KiB << 0 to %d\n", MAX_ORDER);
	for (u32 i = 0; i < s->nr_zones; i++) {
		const struct zone *z = &s->zone[i];

		fprintf(f, "Node %u, zone %8s ", z->nid, zone_name(z));
		for (u32 order = 0; order <= MAX_ORDER; order++)
			fprintf(f, "%6lu ", z->free_area[order].nr);
		fputc('\n', f);
	}
	for (u32 i = 0; i < s->nr_zones; i++) {
		const struct zone *z = &s->zone[i];

		fprintf(f,
			"Node %u, zone %8s pages: present %lu, free %lu, dirty %lu, free in huge pages "
			"%lu; regions %u\n",
			z->nid, zone_name(z), z->nr_present, z->nr_free, z->nr_dirty,
			z->nr_huge_free, z->nr_regions);
	}
}

static void text_threads(FILE *f, const struct snapshot *s)
{
	char bytes[16], pages[16];

	fprintf(f, "# %-22s %10s %10s %12s %12s\n", "thread", "tid", "objects", "in sheaves",
		"in page sets");
	for (u32 i = 0; i < s->nr_threads; i++) {
		const struct thread_row *t = &s->thread[i];

		fprintf(f, "%-24s %10lu %10lu %12s %12s\n", *t->name ? t->name : "-", t->d.tid,
			t->d.sheaf_objs, human(t->d.sheaf_bytes, bytes),
			human(t->d.pcp_pages << FRAME_SHIFT, pages));
	}
}

/* "1.5 ms" */
static const char *duration(u64 ns, char buf[16])
{
	static const char *const units[] = { "ns", "us", "ms", "s" };
	double value = (double)ns;
	u32 unit = 0;

	while (value >= 999.5 && unit + 1 < ARRAY_SIZE(units)) {
		value /= 1000;
		unit++;
	}
	snprintf(buf, 16, "%.*f %s", unit && value < 99.5, value, units[unit]);
	return buf;
}

static void text_path(const struct stat_row *row, void *f)
{
	const struct path_detail *d = row->numbers;
	char mean[16], most[16];

	fprintf(f, "%-24s %10lu %10lu %12s %12s\n", row->name, d->timed, d->every,
		duration(d->timed ? d->ns / d->timed : 0, mean), duration(d->most_ns, most));
}

static void text_call(const struct stat_row *row, void *f)
{
	const struct call_detail *d = row->numbers;
	char sum[16], most[16];

	fprintf(f, "%-24s %10lu %10s %12s %12s\n", row->name, d->made, "", duration(d->ns, sum),
		duration(d->most_ns, most));
}

static void text_pool(const struct stat_row *row, void *f)
{
	const struct pool_detail *d = row->numbers;

	fprintf(f, "%-24s %10lu %10lu %12lu %12lu\n", row->name, d->element_size, d->min_nr,
		d->curr_nr, d->out);
}

static void text_activity(FILE *f, const struct snapshot *s)
{
	fprintf(f, "\n# %-22s %10s %10s %12s %12s\n", "slow path", "timed", "one in", "mean",
		"longest");
	snapshot_rows(s, STAT_SLOW_PATHS, text_path, f);
	fprintf(f, "\n# %-22s %10s %10s %12s %12s\n", "system call", "made", "", "time", "longest");
	snapshot_rows(s, STAT_CALLS, text_call, f);
	if (!s->did.nr_pools)
		return;
	fprintf(f, "\n# %-22s %10s %10s %12s %12s\n", "memory pool", "element", "reserve",
		"in it now", "out");
	snapshot_rows(s, STAT_MEMPOOLS, text_pool, f);
}

/* As in the library's dump: a row for each number, a column for each node. */
static void text_nodes(FILE *f, const struct snapshot *s)
{
	u32 nr;
	const struct stat_field *fields = stat_fields(STAT_NODES, &nr);

	if (!s->nr_nodes)
		return;
	fprintf(f, "\n# %-13s", "bytes");
	for (u32 i = 0; i < s->nr_nodes; i++)
		fprintf(f, " node%-10u", s->node[i].nid);
	for (u32 k = 0; k < nr; k++) {
		fprintf(f, "\n%-15s", fields[k].name);
		for (u32 i = 0; i < s->nr_nodes; i++)
			fprintf(f, " %14lu", stat_value(&s->node[i].d, &fields[k]));
	}
	fputc('\n', f);
}

void print_text(FILE *f, const struct heap *h, const struct snapshot *s)
{
	text_head(f, h, s);
	fputc('\n', f);
	text_totals(f, s);
	fputc('\n', f);
	text_caches(f, s);
	fputc('\n', f);
	text_zones(f, s);
	fputc('\n', f);
	text_threads(f, s);
	text_nodes(f, s);
	text_activity(f, s);
}
