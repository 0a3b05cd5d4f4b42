// SPDX-License-Identifier: MIT
#include "walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool get(const struct heap *h, enum heap_address from, void *to, size_t n)
{
	return reader_get(h->r, h->at[from], to, n);
}

/* What the library's table has for the i-th node; 0: it cannot be read. */
static uintptr_t of_node(const struct heap *h, const struct reading *g, enum heap_address table,
			 u32 i)
{
	uintptr_t at = 0;

	reader_get(h->r, h->at[table] + g->numa.nid[i] % MAX_NUMNODES * sizeof(at), &at,
		   sizeof(at));
	return at;
}

static bool zones_read(const struct heap *h, struct reading *g)
{
	u32 n;

	if (!get(h, AT_numa, &g->numa, sizeof(g->numa)))
		return false;
	n = reading_nodes(g);
	g->nr_zones = n + ZONE_NORMAL;
	g->zone = calloc(g->nr_zones + 1, sizeof(g->zone[0]));
	if (!g->zone || !get(h, AT_zones, g->zone, sizeof(g->zone[0])) ||
	    !get(h, AT_low_zones, &g->zone[n], ZONE_NORMAL * sizeof(g->zone[0])) ||
	    !get(h, AT_highmem_zone, &g->zone[g->nr_zones], sizeof(g->zone[0])))
		return false;
	for (u32 i = 1; i < n; i++)
		if (!reader_get(h->r, of_node(h, g, AT_node_zones, i), &g->zone[i],
				sizeof(g->zone[0])))
			return false;
	return true;
}

static void add_node(struct kmem_cache_node *sum, const struct kmem_cache_node *n)
{
	sum->lock.word |= n->lock.word;
	sum->nr_slabs += n->nr_slabs;
	sum->nr_empty += n->nr_empty;
	sum->nr_free += n->nr_free;
	sum->nr_given += n->nr_given;
	sum->nr_refills += n->nr_refills;
	sum->nr_refilled += n->nr_refilled;
	sum->nr_flushes += n->nr_flushes;
	sum->nr_flushed += n->nr_flushed;
	sum->nr_made += n->nr_made;
}

/* The counts of every cache on each node. */
static bool nodes_read(const struct heap *h, struct reading *g)
{
	size_t n = g->cache_end, nr = reading_nodes(g);
	bool ok = true;

	if (nr == 1)
		return true;
	g->by_node = calloc(nr * n, sizeof(g->by_node[0]));
	g->events = calloc(nr * n, sizeof(g->events[0]));
	if (!g->by_node || !g->events)
		return false;
	memcpy(g->by_node, g->node, n * sizeof(g->by_node[0]));
	for (u32 i = 0; ok && i < nr; i++) {
		ok = reader_get(h->r, of_node(h, g, AT_node_events, i), &g->events[i * n],
				n * sizeof(g->events[0]));
		if (!ok || !i)
			continue;
		ok = reader_get(h->r, of_node(h, g, AT_node_caches, i), &g->by_node[i * n],
				n * sizeof(g->by_node[0]));
		for (u32 id = 1; ok && id < n; id++)
			add_node(&g->node[id], &g->by_node[i * n + id]);
	}
	return ok;
}

/* What a number of objects in a sheaf can be: more is a reading of the moment. */
static size_t plausible(size_t n)
{
	return n <= UINT8_MAX ? n : 0;
}

static size_t size_of_sheaf(const struct slab_sheaf *sheaf)
{
	u32 size = min(sheaf->size, sheaf->capacity);

	return min(size, (u32)SHEAF_OBJECTS_MAX);
}

static size_t slot_objects(const struct heap *h, const struct sheaf_slot *slot, struct reading *g)
{
	size_t n = slot->base ? plausible((size_t)(slot->top - slot->base)) : 0;
	struct slab_sheaf spare;

	if (!slot->spare)
		return n;
	if (!reader_get(h->r, (uintptr_t)slot->spare, &spare, sizeof(spare))) {
		g->broken = true;
		return n;
	}
	return n + plausible(size_of_sheaf(&spare));
}

/* The slots of caches [first, end). */
static void slots(const struct heap *h, struct reading *g, struct thread_row *t,
		  const struct sheaf_slot *slot, u32 first, u32 end)
{
	for (u32 id = first; id < end; id++, slot++) {
		size_t n = slot_objects(h, slot, g);

		g->cached[id] += n;
		t->d.sheaf_objs += n;
		t->d.sheaf_bytes += n * g->cache[id].size;
	}
}

static void thread_name(const struct heap *h, struct thread_row *t)
{
	char path[64];
	FILE *f;

	if (h->r->core)
		return;
	snprintf(path, sizeof(path), "/proc/%d/task/%lu/comm", h->r->pid, t->d.tid);
	f = fopen(path, "re");
	if (f && fgets(t->name, sizeof(t->name), f))
		t->name[strcspn(t->name, "\n")] = 0;
	if (f)
		fclose(f);
}

static struct thread_detail events_of(const struct kmem_percpu *c)
{
	const struct sheaf_events *e = &c->events;

	return (struct thread_detail){
		.tid = c->tid,
		.swaps = e->swaps,
		.barn_gets = e->barn_gets,
		.barn_puts = e->barn_puts,
		.refills = e->refills,
		.flushes = e->flushes,
		.taken_bytes = e->taken,
		.given_bytes = e->given,
	};
}

static bool thread(const struct heap *h, struct reading *g, const struct kmem_percpu *c,
		   uintptr_t at)
{
	struct thread_row *rows = realloc(g->thread, (g->nr_rows + 1) * sizeof(*rows));
	struct sheaf_slot typed[NR_TYPED];
	struct thread_row *t;

	if (!rows)
		return false;
	g->thread = rows;
	t = &rows[g->nr_rows++];
	*t = (struct thread_row){ .d = events_of(c), .at = at };
	thread_name(h, t);
	slots(h, g, t, c->slot, 0, NR_KMALLOC);
	if (g->kmalloc_shift) {
		if (!reader_get(h->r, at + g->kmalloc_shift * CLASS_UNIT, typed,
				NR_KMALLOC * sizeof(typed[0])))
			return false;
		slots(h, g, t, typed, 0, NR_KMALLOC);
	}
	t->d.pcp_pages = pcp_frames(&c->pcp);
	g->pcp_frames += t->d.pcp_pages;
	if (g->cache_end > TYPED_FIRST) {
		u32 n = g->cache_end - TYPED_FIRST;

		if (!reader_get(h->r, at + offsetof(struct kmem_percpu, typed_slot), typed,
				n * sizeof(typed[0])))
			return false;
		slots(h, g, t, typed, TYPED_FIRST, g->cache_end);
	}
	for (u32 i = 1; i < min(reading_nodes(g), (u32)NR_PANELS); i++) {
		struct sheaf_slot panel[NR_KMALLOC];

		if (!reader_get(h->r,
				at + offsetof(struct kmem_percpu, panels) +
					(i - 1) * PANEL * sizeof(panel[0]),
				panel, sizeof(panel)))
			return false;
		slots(h, g, t, panel, 0, NR_KMALLOC);
	}
	t->d.remote_bytes = t->d.given_bytes + t->d.sheaf_bytes;
	t->d.remote_bytes -= min(t->d.taken_bytes, t->d.remote_bytes);
	return true;
}

/* New threads are put at the list's front: a walk that begins there passes each that was there, or breaks off. */
static void threads_walk(const struct heap *h, struct reading *g)
{
	union {
		struct kmem_percpu c;
		char bytes[offsetof(struct kmem_percpu, typed_slot)];
	} *front = malloc(sizeof(*front));
	struct hlist_head head;
	u32 most;

	if (!front || !get(h, AT_threads, &head, sizeof(head))) {
		g->failed = true;
		free(front);
		return;
	}
	most = 2 * g->nr_threads + 64;
	for (uintptr_t n = (uintptr_t)head.first; n; n = (uintptr_t)front->c.link.next) {
		uintptr_t at = n - offsetof(struct kmem_percpu, link);

		if (at % 64 || !most-- ||
		    !reader_get(h->r, at, front->bytes, sizeof(front->bytes)) ||
		    !thread(h, g, &front->c, at)) {
			g->broken = true;
			break;
		}
	}
	free(front);
}

static void barns_walk(const struct heap *h, struct reading *g, uintptr_t at)
{
	struct barn *barn = malloc(g->cache_end * sizeof(*barn));

	if (!barn || !reader_get(h->r, at, barn, g->cache_end * sizeof(*barn))) {
		g->failed = true;
		free(barn);
		return;
	}
	for (u32 id = 0; id < g->cache_end; id++) {
		struct slab_sheaf sheaf = { .next = barn[id].full };

		g->barn_gets[id] += barn[id].gets;
		g->barn_puts[id] += barn[id].puts;
		for (u32 n = 0; sheaf.next && n < 2 * BARN_SHEAVES; n++) {
			if (!reader_get(h->r, (uintptr_t)sheaf.next, &sheaf, sizeof(sheaf))) {
				g->broken = true;
				break;
			}
			g->cached[id] += size_of_sheaf(&sheaf);
		}
	}
	free(barn);
}

static bool caches(const struct heap *h, struct reading *g)
{
	if (!get(h, AT_cache_end, &g->cache_end, sizeof(g->cache_end)) ||
	    g->cache_end < NR_KMALLOC || g->cache_end > NR_CACHES ||
	    !get(h, AT_kmalloc_shift, &g->kmalloc_shift, sizeof(g->kmalloc_shift)) ||
	    (g->kmalloc_shift && g->kmalloc_shift != COUNTED_SHIFT) ||
	    !get(h, AT_kmalloc_caches, g->cache, NR_KMALLOC * sizeof(g->cache[0])) ||
	    !get(h, AT_cache_nodes, g->node, g->cache_end * sizeof(g->node[0])))
		return false;
	for (u32 id = 0; id < NR_KMALLOC; id++)
		if (id && !g->cache[id].size)
			return false;
	if (g->cache_end > TYPED_FIRST &&
	    (!get(h, AT_typed_caches, &g->cache[TYPED_FIRST],
		  (g->cache_end - TYPED_FIRST) * sizeof(g->cache[0])) ||
	     !get(h, AT_debug_bytes_asked, g->debug_asked,
		  (g->cache_end - TYPED_FIRST) * sizeof(g->debug_asked[0]))))
		return false;
	return nodes_read(h, g);
}

struct reading *reading_take(const struct heap *h)
{
	struct reading *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	if (!zones_read(h, g) || !caches(h, g) ||
	    !get(h, AT_vm, &g->vm, offsetof(struct vm, cache)) || !activity_read(h, &g->did) ||
	    !get(h, AT_memblock_bytes, &g->memblock_bytes, sizeof(g->memblock_bytes)) ||
	    !get(h, AT_nr_threads, &g->nr_threads, sizeof(g->nr_threads)) ||
	    !get(h, AT_nr_threads_most, &g->nr_threads_most, sizeof(g->nr_threads_most)) ||
	    !get(h, AT_ended_events, &g->ended, sizeof(g->ended)) ||
	    !get(h, AT_large_stats, &g->large, sizeof(g->large)) ||
	    !get(h, AT_kfence_gate, &g->gate, sizeof(g->gate)) ||
	    !get(h, AT_kfence, &g->kfence, sizeof(g->kfence))) {
		reading_free(g);
		return NULL;
	}
	threads_walk(h, g);
	barns_walk(h, g, h->at[AT_barns]);
	for (u32 i = 1; i < reading_nodes(g); i++)
		barns_walk(h, g, of_node(h, g, AT_node_barns, i));
	if (!g->failed)
		return g;
	reading_free(g);
	return NULL;
}

void reading_free(struct reading *g)
{
	free(g->thread);
	free(g->zone);
	free(g->by_node);
	free(g->events);
	free(g->did.pool);
	free(g);
}

/* Resident pages of a range, by /proc/PID/pagemap. */
static size_t resident_in(FILE *pagemap, uintptr_t addr, size_t size)
{
	long page = sysconf(_SC_PAGESIZE);
	u64 entry[512];
	size_t sum = 0, n;

	if (fseek(pagemap, (long)(addr / (uintptr_t)page * sizeof(entry[0])), SEEK_SET))
		return 0;
	for (size_t left = DIV_ROUND_UP(size, (size_t)page); left; left -= n) {
		n = fread(entry, sizeof(entry[0]), min(left, ARRAY_SIZE(entry)), pagemap);
		if (!n)
			break;
		for (size_t i = 0; i < n; i++)
			sum += (entry[i] >> 63) * (size_t)page;
	}
	return sum;
}

static void section_of_region(const struct heap *h, FILE *pagemap, uintptr_t base, size_t *sum)
{
	static const size_t none = offsetof(struct mem, none);
	uintptr_t entry;

	if (reader_get(h->r, h->at[AT_mem] + (base >> SECTION_SHIFT) * sizeof(entry), &entry,
		       sizeof(entry)) &&
	    entry)
		*sum += resident_in(pagemap, h->at[AT_mem] + none + entry * sizeof(u16),
				    sizeof(struct mem_section));
}

/* Sections seen, so that each counts once: addresses come in any order, but sections are few. */
struct seen {
	uintptr_t section[64];
	u32 n;
};

static bool first_time(struct seen *seen, uintptr_t section)
{
	for (u32 i = 0; i < min(seen->n, (u32)ARRAY_SIZE(seen->section)); i++)
		if (seen->section[i] == section)
			return false;
	if (seen->n < ARRAY_SIZE(seen->section))
		seen->section[seen->n++] = section;
	return true;
}

static void regions_of(const struct heap *h, struct reading *g, const struct zone *z, FILE *pagemap,
		       struct seen *seen, size_t *sum)
{
	static struct region r; /* its first bytes are read */
	uintptr_t n = (uintptr_t)z->regions.first;

	for (u32 most = 2 * z->nr_regions + 16; n; n = (uintptr_t)r.link.next) {
		uintptr_t at = n - offsetof(struct region, link);

		if (at % REGION_META_SIZE || !most-- ||
		    !reader_get(h->r, at, &r, offsetof(struct region, page))) {
			g->broken = true;
			break;
		}
		*sum += resident_in(pagemap, at, sizeof(struct region));
		if (first_time(seen, r.base >> SECTION_SHIFT))
			section_of_region(h, pagemap, r.base, sum);
	}
}

/* A line "name: number kB" of /proc/PID/status. */
static bool status_line(const struct heap *h, const char *name, size_t *bytes)
{
	size_t length = strlen(name);
	char path[64], line[256];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", h->r->pid);
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f))
		found = !strncmp(line, name, length) && sscanf(line + length, ": %zu", bytes) == 1;
	if (f)
		fclose(f);
	*bytes *= KIB;
	return found;
}

bool resident_read(const struct heap *h, struct reading *g, struct resident *r)
{
	struct seen seen = { .n = 0 };
	char path[64];
	FILE *f;

	*r = (struct resident){ .metadata = g->memblock_bytes };
	if (h->r->core || !status_line(h, "VmRSS", &r->now) || !status_line(h, "VmHWM", &r->most))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/pagemap", h->r->pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	for (u32 i = 0; i < g->nr_zones; i++)
		regions_of(h, g, &g->zone[i], f, &seen, &r->metadata);
	/* Most of a thread's block is never touched. */
	for (u32 i = 0; i < g->nr_rows; i++) {
		size_t touched = resident_in(f, g->thread[i].at, sizeof(struct kmem_percpu));

		touched = min(touched, (size_t)PERCPU_BLOCK);
		r->metadata -= min(PERCPU_BLOCK - touched, r->metadata);
	}
	fclose(f);
	return true;
}
