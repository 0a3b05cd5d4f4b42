// SPDX-License-Identifier: MIT
/*
 * rows.c - a walk over each table of a dump: the same for all formats.
 */
#include "debug/kfence.h"
#include "os/latency.h"
#include "os/mem.h"
#include "page/highmem.h"
#include "pool/mempool.h"
#include "reclaim/pressure.h"
#include "reclaim/vmscan.h"
#include "sheaf/sheaf.h"
#include "stat/stat.h"

struct walk {
	void (*fn)(const struct stat_row *row, void *arg);
	void *arg;
};

static void tell(const struct walk *w, const void *numbers, const char *name, unsigned long number)
{
	const struct stat_row row = { .numbers = numbers, .name = name, .number = number };

	w->fn(&row, w->arg);
}

static void totals(const struct walk *w)
{
	struct heap_stats st;

	stat_read(&st);
	tell(w, &st, NULL, 0);
}

static void kfence(const struct walk *w)
{
	struct kfence_counts d;

	if (kfence_counts(&d))
		tell(w, &d, NULL, 0);
}

static void caches(const struct walk *w)
{
	for_each_cache(id) {
		struct cache_detail d;

		if (stat_cache_detail(id, &d))
			tell(w, &d, d.name, id);
	}
}

static void zone(const struct walk *w, struct zone *z)
{
	struct zone_detail d;
	const struct stat_row row = {
		.numbers = &d, .name = zone_name(z), .number = z->nid, .zone = z
	};

	stat_zone_detail(z, &d);
	w->fn(&row, w->arg);
}

static void all_zones(const struct walk *w)
{
	struct zone *z;

	for_each_zone(z)
		if (stat_zone_shown(z))
			zone(w, z);
	if (READ_ONCE(highmem_zone.nr_present))
		zone(w, &highmem_zone);
}

static void nodes(const struct walk *w)
{
	for_each_node(nid) {
		struct node_detail d;

		if (!numa_many() || !numa_has_memory(nid))
			continue;
		stat_node_detail(nid, &d);
		tell(w, &d, NULL, nid);
	}
}

/* What was allocated before there were several nodes is node 0's, if that has memory or not. */
static void nodes_of_cache(const struct walk *w, u32 id)
{
	for_each_node(nid) {
		struct cache_node_detail d;
		const struct stat_row row = {
			.numbers = &d, .name = cache_of(id)->name, .number = id, .node = nid
		};

		stat_cache_node_detail(id, nid, &d);
		if (numa_has_memory(nid) || d.num_slabs)
			w->fn(&row, w->arg);
	}
}

static void caches_on_nodes(const struct walk *w)
{
	if (!numa_many())
		return;
	for_each_cache(id)
		if (stat_cache_shown(id))
			nodes_of_cache(w, id);
}

/*
 * New threads come first in the list: who stands on one that ends, and is a new one by the next step, begins once
 * more. So the walk ends where it meets one of the first that it saw.
 */
static void all_threads(const struct walk *w)
{
	enum { FIRST = 8 };
	u32 seen[FIRST], nr = 0;
	struct kmem_percpu *c;

	for_each_percpu_racy(c) {
		struct thread_detail d;

		stat_thread_detail(c, &d);
		for (u32 i = 0; i < nr; i++)
			if (seen[i] == d.tid)
				return;
		if (nr < FIRST)
			seen[nr++] = (u32)d.tid;
		tell(w, &d, NULL, d.tid);
	}
}

static void calls(const struct walk *w)
{
	for (u32 i = 0; i < NR_CALLS; i++) {
		struct call_detail d;

		stat_call_detail(&os_stats, i, &d);
		tell(w, &d, stat_call_name(i), 0);
	}
}

static void paths(const struct walk *w)
{
	for (u32 i = 0; i < NR_SLOW_PATHS; i++) {
		struct latency *l = &slow_paths[i];
		struct path_detail d = {
			.every = latency_every(i),
			.ns = counter_read(l->ns),
			.most_ns = counter_read(l->most_ns),
		};
		const struct stat_row row = { .numbers = &d,
					      .name = slow_path_name(i),
					      .latency = l };

		for (u32 b = 0; b < LATENCY_BUCKETS; b++)
			d.timed += counter_read(l->bucket[b]);
		w->fn(&row, w->arg);
	}
}

static void pressures(const struct walk *w)
{
	u32 listening = os_pressure_sources();

	for (u32 i = 0; i < NR_PRESSURE_SOURCES; i++) {
		const struct pressure_stat *s = &pressure_stats[i];
		const struct pressure_detail d = {
			.listening = i < NR_OS_PRESSURES && listening & 1u << i,
			.events = counter_read(s->events),
			.answers = counter_read(s->answers),
			.bytes = counter_read(s->bytes),
			.ns = counter_read(s->ns),
			.most_ns = READ_ONCE(s->longest_ns),
		};

		tell(w, &d, pressure_names[i], 0);
	}
}

static void shrinkers(const struct walk *w)
{
	for (u32 i = 0; i < NR_OWN_SHRINKERS; i++) {
		const struct shrink_stat *s = &shrink_stats[i];
		const struct shrinker_detail d = {
			.calls = READ_ONCE(s->calls),
			.bytes = READ_ONCE(s->bytes),
			.ns = READ_ONCE(s->ns),
			.most_ns = READ_ONCE(s->longest_ns),
		};

		tell(w, &d, shrink_names[i], 0);
	}
}

static void mempool(const struct mempool_info *info, void *w)
{
	const struct pool_detail d = {
		.element_size = info->element_size,
		.min_nr = (unsigned long)info->min_nr,
		.curr_nr = (unsigned long)info->curr_nr,
		.out = (unsigned long)max(info->out, 0l),
	};

	tell(w, &d, info->name, info->id);
}

void stat_rows(enum stat_table table, void (*fn)(const struct stat_row *row, void *arg), void *arg)
{
	struct walk w = { fn, arg };

	switch (table) {
	case STAT_TOTALS:
		totals(&w);
		break;
	case STAT_KFENCE:
		kfence(&w);
		break;
	case STAT_CACHES:
		caches(&w);
		break;
	case STAT_ZONES:
		all_zones(&w);
		break;
	case STAT_NODES:
		nodes(&w);
		break;
	case STAT_CACHE_NODES:
		caches_on_nodes(&w);
		break;
	case STAT_THREADS:
		all_threads(&w);
		break;
	case STAT_CALLS:
		calls(&w);
		break;
	case STAT_SLOW_PATHS:
		paths(&w);
		break;
	case STAT_PRESSURES:
		pressures(&w);
		break;
	case STAT_SHRINKERS:
		shrinkers(&w);
		break;
	default:
		mempool_for_each(mempool, &w);
	}
}
