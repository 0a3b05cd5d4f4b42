// SPDX-License-Identifier: MIT
/*
 * rows.c - a walk over the tables of a snapshot, as stat/rows.c walks over the library's own.
 */
#include <stdlib.h>
#include <string.h>

#include "walk.h"

const enum stat_table row_tables[NR_ROW_TABLES] = {
	STAT_NODES,     STAT_CACHE_NODES, STAT_CALLS,    STAT_SLOW_PATHS,
	STAT_PRESSURES, STAT_SHRINKERS,   STAT_MEMPOOLS,
};

bool row_tells(enum stat_table table, const struct stat_field *field)
{
	return table != STAT_CACHE_NODES ||
	       field->offset != offsetof(struct cache_node_detail, active_objs);
}

static struct cache_node_detail cache_on_node(const struct reading *g, u32 id, u32 i)
{
	const struct kmem_cache_node *n = &g->by_node[i * g->cache_end + id];
	const struct cache_events *e = &g->events[i * g->cache_end + id];

	return (struct cache_node_detail){
		.num_slabs = n->nr_slabs,
		.num_objs = (size_t)n->nr_slabs * g->cache[id].objects,
		.numa_hit = e->numa[NUMA_HIT],
		.numa_miss = e->numa[NUMA_MISS],
		.numa_foreign = e->numa[NUMA_FOREIGN],
		.interleave_hit = e->numa[NUMA_INTERLEAVE_HIT],
		.local_node = e->numa[NUMA_LOCAL],
		.other_node = e->numa[NUMA_OTHER],
		.remote_free = e->remote,
	};
}

static struct node_detail node_of(const struct reading *g, u32 i)
{
	const unsigned long *frames = g->zone[i].numa;
	struct node_detail d = {
		.numa_hit = frames[NUMA_HIT] << FRAME_SHIFT,
		.numa_miss = frames[NUMA_MISS] << FRAME_SHIFT,
		.numa_foreign = frames[NUMA_FOREIGN] << FRAME_SHIFT,
		.interleave_hit = frames[NUMA_INTERLEAVE_HIT] << FRAME_SHIFT,
		.local_node = frames[NUMA_LOCAL] << FRAME_SHIFT,
		.other_node = frames[NUMA_OTHER] << FRAME_SHIFT,
		.fallback = g->zone[i].nr_fallback << FRAME_SHIFT,
	};

	for (u32 id = 1; id < g->cache_end; id = next_cache(id)) {
		struct cache_node_detail c = cache_on_node(g, id, i);
		size_t size = g->cache[id].size;

		d.numa_hit += c.numa_hit * size;
		d.numa_miss += c.numa_miss * size;
		d.numa_foreign += c.numa_foreign * size;
		d.interleave_hit += c.interleave_hit * size;
		d.local_node += c.local_node * size;
		d.other_node += c.other_node * size;
		d.remote_free += c.remote_free * size;
	}
	return d;
}

static void add_cache_nodes(const struct reading *g, struct snapshot *s, u32 i, bool memory)
{
	for (u32 k = 0; k < s->nr_caches; k++) {
		struct cache_node_row row = {
			.id = s->cache[k].id,
			.nid = g->numa.nid[i],
			.name = s->cache[k].name,
			.d = cache_on_node(g, s->cache[k].id, i),
		};

		if (memory || row.d.num_slabs)
			s->cache_node[s->nr_cache_nodes++] = row;
	}
}

void add_nodes(const struct reading *g, struct snapshot *s)
{
	u32 nr = reading_nodes(g);

	if (nr == 1)
		return;
	s->node = calloc(nr, sizeof(*s->node));
	s->cache_node = calloc((size_t)nr * s->nr_caches + 1, sizeof(*s->cache_node));
	for (u32 i = 0; s->node && s->cache_node && i < nr; i++) {
		u32 nid = g->numa.nid[i] % MAX_NUMNODES;
		bool memory = g->numa.near[nid] == nid;

		if (memory)
			s->node[s->nr_nodes++] = (struct node_row){ nid, node_of(g, i) };
		add_cache_nodes(g, s, i, memory);
	}
}

struct walk {
	void (*fn)(const struct stat_row *row, void *arg);
	void *arg;
};

static void tell(const struct walk *w, const void *numbers, const char *name, unsigned long number)
{
	const struct stat_row row = { .numbers = numbers, .name = name, .number = number };

	w->fn(&row, w->arg);
}

static void nodes(const struct snapshot *s, const struct walk *w)
{
	for (u32 i = 0; i < s->nr_nodes; i++)
		tell(w, &s->node[i].d, NULL, s->node[i].nid);
}

/* In the dump's order: the nodes of a cache together. */
static void caches_on_nodes(const struct snapshot *s, const struct walk *w)
{
	for (u32 k = 0; k < s->nr_caches; k++) {
		for (u32 i = 0; i < s->nr_cache_nodes; i++) {
			const struct cache_node_row *c = &s->cache_node[i];
			const struct stat_row row = {
				.numbers = &c->d, .name = c->name, .number = c->id, .node = c->nid
			};

			if (c->id == s->cache[k].id)
				w->fn(&row, w->arg);
		}
	}
}

static void calls(const struct activity *did, const struct walk *w)
{
	for (u32 i = 0; i < NR_CALLS; i++) {
		struct call_detail d;

		stat_call_detail(&did->os, i, &d);
		tell(w, &d, stat_call_name(i), 0);
	}
}

static void paths(const struct activity *did, const struct walk *w)
{
	for (u32 i = 0; i < NR_SLOW_PATHS; i++) {
		const struct latency *l = &did->path[i];
		struct path_detail d = { .every = latency_every(i),
					 .ns = l->ns,
					 .most_ns = l->most_ns };
		const struct stat_row row = { .numbers = &d,
					      .name = slow_path_name(i),
					      .latency = l };

		for (u32 b = 0; b < LATENCY_BUCKETS; b++)
			d.timed += l->bucket[b];
		w->fn(&row, w->arg);
	}
}

static void pressures(const struct activity *did, const struct walk *w)
{
	for (u32 i = 0; i < NR_PRESSURE_SOURCES; i++) {
		const struct pressure_stat *p = &did->pressure[i];
		const struct pressure_detail d = {
			.listening = i < NR_OS_PRESSURES && did->listening.sources & 1u << i,
			.events = p->events,
			.answers = p->answers,
			.bytes = p->bytes,
			.ns = p->ns,
			.most_ns = p->longest_ns,
		};

		tell(w, &d, pressure_names[i], 0);
	}
}

static void shrinkers(const struct activity *did, const struct walk *w)
{
	for (u32 i = 0; i < NR_OWN_SHRINKERS; i++) {
		const struct shrink_stat *k = &did->shrink[i];
		const struct shrinker_detail d = {
			.calls = k->calls, .bytes = k->bytes, .ns = k->ns, .most_ns = k->longest_ns
		};

		tell(w, &d, shrink_names[i], 0);
	}
}

static void mempools_of(const struct activity *did, const struct walk *w)
{
	for (u32 i = did->nr_pools; i-- > 0;) {
		const struct mempool *p = &did->pool[i];
		const struct pool_detail d = {
			.element_size = p->element_size,
			.min_nr = (unsigned long)p->min_nr,
			.curr_nr = (unsigned long)p->curr_nr,
			.out = (unsigned long)max(p->out, 0l),
		};

		tell(w, &d, p->name, p->id);
	}
}

void snapshot_rows(const struct snapshot *s, enum stat_table table,
		   void (*fn)(const struct stat_row *row, void *arg), void *arg)
{
	const struct walk w = { fn, arg };

	switch (table) {
	case STAT_NODES:
		nodes(s, &w);
		break;
	case STAT_CACHE_NODES:
		caches_on_nodes(s, &w);
		break;
	case STAT_CALLS:
		calls(&s->did, &w);
		break;
	case STAT_SLOW_PATHS:
		paths(&s->did, &w);
		break;
	case STAT_PRESSURES:
		pressures(&s->did, &w);
		break;
	case STAT_SHRINKERS:
		shrinkers(&s->did, &w);
		break;
	default:
		mempools_of(&s->did, &w);
	}
}
