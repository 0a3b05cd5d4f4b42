// SPDX-License-Identifier: MIT
#include "view.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "print.h"

static double by_objects(const struct cache_row *row)
{
	return (double)row->d.num_objs;
}

static double by_active(const struct cache_row *row)
{
	return (double)row->d.active_objs;
}

static double by_use(const struct cache_row *row)
{
	return row->d.num_objs ? (double)row->d.active_objs / (double)row->d.num_objs : 0;
}

static double by_object_size(const struct cache_row *row)
{
	return (double)row->d.objsize;
}

static double by_per_slab(const struct cache_row *row)
{
	return (double)row->d.objperslab;
}

static double by_pages(const struct cache_row *row)
{
	return (double)row->d.pagesperslab;
}

static double by_slabs(const struct cache_row *row)
{
	return (double)row->d.num_slabs;
}

static double by_active_slabs(const struct cache_row *row)
{
	return (double)(row->d.active_slabs);
}

static double by_bytes(const struct cache_row *row)
{
	return (double)row->d.slab_bytes;
}

static double by_waste(const struct cache_row *row)
{
	return (double)row->d.waste_bytes;
}

static double by_rate(const struct cache_row *row)
{
	return row->rate < 0 ? -row->rate : row->rate;
}

static const struct sort_key keys[] = {
	{ 'o', "objects", by_objects },
	{ 'a', "active objects", by_active },
	{ 'b', "objects per slab", by_per_slab },
	{ 'c', "cache size", by_bytes },
	{ 'l', "slabs", by_slabs },
	{ 'v', "active slabs", by_active_slabs },
	{ 'n', "name", NULL },
	{ 'p', "pages per slab", by_pages },
	{ 's', "object size", by_object_size },
	{ 'u', "use", by_use },
	{ 'w', "waste", by_waste },
	{ 'r', "rate", by_rate },
};

const struct sort_key *sort_key_find(int letter)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (keys[i].letter == letter)
			return &keys[i];
	return NULL;
}

__attribute__((format(printf, 2, 3))) static void add(struct lines *l, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(l->text[l->nr++], VIEW_LINE, fmt, args);
	va_end(args);
}

static double seconds(const struct screen *s)
{
	return s->before && s->now->ns > s->before->ns ? (double)(s->now->ns - s->before->ns) / 1e9
						       : 0;
}

/* Change a second; 0, the first time. */
static double rate(const struct screen *s, size_t now, size_t before)
{
	double t = seconds(s);

	return t > 0 ? ((double)now - (double)before) / t : 0;
}

static const struct cache_row *row_before(const struct screen *s, const struct cache_row *row)
{
	for (u32 i = 0; s->before && i < s->before->nr_caches; i++)
		if (!strcmp(s->before->cache[i].name, row->name))
			return &s->before->cache[i];
	return NULL;
}

static double row_rate(const struct screen *s, const struct cache_row *row)
{
	const struct cache_row *old = row_before(s, row);

	return s->before ? rate(s, row->d.active_objs, old ? old->d.active_objs : 0) : 0;
}

struct sums {
	size_t active, objects, slabs, active_slabs, bytes, active_bytes, smallest, largest;
};

static struct sums sum_up(const struct snapshot *s)
{
	struct sums t = { .smallest = SIZE_MAX };

	for (u32 i = 0; i < s->nr_caches; i++) {
		const struct cache_detail *d = &s->cache[i].d;

		t.active += d->active_objs;
		t.objects += d->num_objs;
		t.slabs += d->num_slabs;
		t.active_slabs += d->active_slabs;
		t.bytes += d->slab_bytes;
		t.active_bytes += d->active_objs * d->objsize;
		t.smallest = min(t.smallest, d->objsize);
		t.largest = max(t.largest, d->objsize);
	}
	if (!s->nr_caches)
		t.smallest = 0;
	return t;
}

static double percent(size_t part, size_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static size_t calls(const struct snapshot *s)
{
	const struct heap_stats *t = &s->total;

	return t->mmap_calls + t->munmap_calls + t->madvise_calls + t->mprotect_calls +
	       t->mremap_calls;
}

static void head(const struct screen *s, struct lines *l)
{
	const struct snapshot *n = s->now, *b = s->before ? s->before : n;
	struct sums t = sum_up(n);
	char x[4][16];

	add(l, " slabmalloc-top: %s (%d), %s; libslabmalloc %s; by %s", s->heap->r->name,
	    s->heap->r->pid, s->ended ? "HAS ENDED" : state_name(s->heap, n), s->heap->library,
	    s->sort->name);
	add(l, " Active / Total Objects (%% used)    : %zu / %zu (%.1f%%)", t.active, t.objects,
	    percent(t.active, t.objects));
	add(l, " Active / Total Slabs (%% used)      : %zu / %zu (%.1f%%)", t.active_slabs, t.slabs,
	    percent(t.active_slabs, t.slabs));
	add(l, " Active / Total Size (%% used)       : %s / %s (%.1f%%)",
	    human(t.active_bytes, x[0]), human(t.bytes, x[1]), percent(t.active_bytes, t.bytes));
	add(l, " Minimum / Average / Maximum Object : %s / %s / %s", human(t.smallest, x[0]),
	    human(t.active ? t.active_bytes / t.active : 0, x[1]), human(t.largest, x[2]));
	add(l, " Live / Committed / Resident / Free : %s / %s / %s / %s",
	    human(n->total.live_bytes, x[0]), human(n->total.committed_bytes, x[1]),
	    n->known.resident_bytes ? human(n->total.resident_bytes, x[2]) : "-",
	    human(n->total.dirty_bytes, x[3]));
	add(l, " Large blocks / Areas / In sheaves  : %s / %s / %s", human(n->large_bytes, x[0]),
	    human(n->total.vmalloc_bytes, x[1]), human(n->total.sheaf_bytes, x[2]));
	add(l, " A second: live %+.0fK, frames taken %.0fK, system calls %.0f; threads %lu%s",
	    rate(s, n->total.live_bytes, b->total.live_bytes) / 1024,
	    rate(s, n->taken_bytes, b->taken_bytes) / 1024, rate(s, calls(n), calls(b)),
	    n->total.threads, n->broken ? "; a list broke off" : "");
	add(l, "%s", "");
}

struct item {
	const struct cache_row *row;
	double value;
};

static int compare(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->value != y->value)
		return x->value < y->value ? 1 : -1;
	/* As the library has them: by size, the program's own after malloc's. */
	return x->row < y->row ? -1 : 1;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct item *)a)->row->name, ((const struct item *)b)->row->name);
}

static void caches(const struct screen *s, struct lines *l)
{
	struct snapshot *n = s->now;
	struct item *items = calloc(n->nr_caches + 1ul, sizeof(*items));

	add(l, "%7s %7s %4s %8s %6s %10s %7s %8s %-14s %s", "OBJS", "ACTIVE", "USE", "OBJ SIZE",
	    "SLABS", "CACHE SIZE", "WASTE", "ACTIVE/s", "NAME", "OBJ/SLAB");
	if (!items)
		return;
	for (u32 i = 0; i < n->nr_caches; i++) {
		n->cache[i].rate = row_rate(s, &n->cache[i]);
		items[i] = (struct item){ &n->cache[i], 0 };
		if (s->sort->value)
			items[i].value = s->sort->value(&n->cache[i]);
	}
	qsort(items, n->nr_caches, sizeof(*items), s->sort->value ? compare : compare_names);
	for (u32 i = 0; i < n->nr_caches; i++) {
		const struct cache_row *row = items[i].row;
		const struct cache_detail *d = &row->d;
		char size[16], bytes[16], waste[16];

		add(l, "%7lu %7lu %3.0f%% %8s %6lu %10s %7s %+8.0f %-14s %8lu", d->num_objs,
		    d->active_objs, percent(d->active_objs, d->num_objs), human(d->objsize, size),
		    d->num_slabs, human(d->slab_bytes, bytes), human(d->waste_bytes, waste),
		    row->rate, d->name, d->objperslab);
	}
	free(items);
}

static void nodes(const struct screen *s, struct lines *l)
{
	add(l, "NODE %8s %9s %9s %9s %9s %8s  FREE BLOCKS OF 4K << 0 ... %d", "ZONE", "PRESENT",
	    "FREE", "DIRTY", "HUGE FREE", "REGIONS", MAX_ORDER);
	for (u32 i = 0; i < s->now->nr_zones; i++) {
		const struct zone *z = &s->now->zone[i];
		char x[4][16], orders[128];
		int at = 0;

		for (u32 order = 0; order <= MAX_ORDER && at < (int)sizeof(orders); order++)
			at += snprintf(orders + at, sizeof(orders) - (size_t)at, " %lu",
				       z->free_area[order].nr);
		add(l, "%4u %8s %9s %9s %9s %9s %8u %s", z->nid, zone_name(z),
		    human(z->nr_present << FRAME_SHIFT, x[0]),
		    human(z->nr_free << FRAME_SHIFT, x[1]), human(z->nr_dirty << FRAME_SHIFT, x[2]),
		    human(z->nr_huge_free << FRAME_SHIFT, x[3]), z->nr_regions, orders);
	}
}

static void thread_lines(const struct screen *s, struct lines *l)
{
	add(l, "%8s %9s %10s %12s %s", "TID", "OBJECTS", "IN SHEAVES", "IN PAGE SETS", "NAME");
	for (u32 i = 0; i < s->now->nr_threads; i++) {
		const struct thread_row *t = &s->now->thread[i];
		char bytes[16], pages[16];

		add(l, "%8lu %9lu %10s %12s %s", t->d.tid, t->d.sheaf_objs,
		    human(t->d.sheaf_bytes, bytes), human(t->d.pcp_pages << FRAME_SHIFT, pages),
		    *t->name ? t->name : "-");
	}
}

bool view_make(const struct screen *s, struct lines *l)
{
	const struct snapshot *n = s->now;
	size_t most = 16ul + n->nr_caches + n->nr_zones + n->nr_threads;

	*l = (struct lines){ .text = calloc(most, sizeof(*l->text)) };
	if (!l->text)
		return false;
	head(s, l);
	l->heading = l->nr;
	switch (s->view) {
	case VIEW_NODES:
		nodes(s, l);
		break;
	case VIEW_THREADS:
		thread_lines(s, l);
		break;
	default:
		caches(s, l);
	}
	return true;
}
