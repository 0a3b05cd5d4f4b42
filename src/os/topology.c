// SPDX-License-Identifier: MIT
#include "os/topology.h"

#include <sys/auxv.h>

#include "base/bitops.h"
#include "base/printk.h"
#include "os/cgroup.h"
#include "os/mem.h"
#include "os/thread.h"

#define NODES "/sys/devices/system/node/"

enum { NEAR = 10, FAR = 20, DISTANCE_MAX = 255 };

typedef unsigned long node_mask[BITS_TO_LONGS(MAX_NUMNODES)];

#ifndef AT_RSEQ_FEATURE_SIZE
#define AT_RSEQ_FEATURE_SIZE 27
#endif

/* The beginning of the kernel's struct rseq. */
struct rseq_area {
	u32 cpu_id_start;
	int cpu_id; /* negative: the thread is not registered */
	u64 rseq_cs;
	u32 flags;
	u32 node_id;
};

static ptrdiff_t rseq_offset;

void os_rseq_offset(ptrdiff_t offset)
{
	if (getauxval(AT_RSEQ_FEATURE_SIZE) >= sizeof(struct rseq_area))
		WRITE_ONCE(rseq_offset, offset);
}

static u32 ask_node(void)
{
	unsigned int cpu, node;

	os_getcpu(&cpu, &node);
	return node;
}

u32 os_node(void)
{
	ptrdiff_t offset = READ_ONCE(rseq_offset);
	const struct rseq_area *area;
	u32 node;

	if (unlikely(numa.fake))
		return os_cpu() % numa.fake;
	area = (void *)((char *)__builtin_thread_pointer() + offset);
	if (offset && READ_ONCE(area->cpu_id) >= 0)
		node = READ_ONCE(area->node_id);
	else
		node = ask_node();
	return min(node, (u32)MAX_NUMNODES - 1);
}

/* "0-1,4\n" as bits; how many. */
static u32 parse_list(const char *s, unsigned long *mask)
{
	u32 n = 0;

	while (*s >= '0' && *s <= '9') {
		size_t first = os_number(s), last = first;

		while (*s >= '0' && *s <= '9')
			s++;
		if (*s == '-') {
			last = os_number(++s);
			while (*s >= '0' && *s <= '9')
				s++;
		}
		for (; first <= last && first < MAX_NUMNODES; first++, n++)
			bitmap_set(mask, (u32)first, 1);
		s += *s == ',';
	}
	return n;
}

static u32 read_list(const char *path, unsigned long *mask)
{
	char text[OS_TEXT_MAX];

	return os_read_text(path, text) ? parse_list(text, mask) : 0;
}

/* The file tells of the nodes that are online, one after the other. */
static void read_distances(struct numa *n, const unsigned long *online, u32 from)
{
	char text[OS_TEXT_MAX], *at = text;
	struct seq_file path;

	seq_open(&path, -1);
	seq_printf(&path, NODES "node%u/distance%c", from, 0);
	if (!os_read_text(path.buf, text))
		return;
	for (u32 to = bitmap_next(online, 0, n->nr_ids, true); to < n->nr_ids && *at;
	     to = bitmap_next(online, to + 1, n->nr_ids, true)) {
		size_t distance = os_number(at);

		if (distance && distance <= DISTANCE_MAX)
			n->distance[from * n->nr_ids + to] = (u8)distance;
		while (*at >= '0' && *at <= '9')
			at++;
		while (*at == ' ')
			at++;
	}
}

static bool make_distances(struct numa *n, const unsigned long *online)
{
	u32 ids = n->nr_ids;
	size_t size = ALIGN((size_t)ids * ids, os_page_size());

	n->distance = os_map(size);
	if (!n->distance)
		return false;
	for (u32 i = 0; i < ids * ids; i++)
		n->distance[i] = i % (ids + 1) ? FAR : NEAR;
	for (u32 from = 0; online && from < ids; from++) {
		u32 own;

		if (!test_bit(online, from))
			continue;
		own = os_library_distance(from, from);
		if (!own)
			read_distances(n, online, from);
		for (u32 to = 0; own && to < ids; to++)
			if (test_bit(online, to))
				n->distance[from * ids + to] =
					(u8)min(os_library_distance(from, to), (u32)DISTANCE_MAX);
	}
	return true;
}

static void find_nearest(struct numa *n, const unsigned long *memory)
{
	u32 first = bitmap_next(memory, 0, n->nr_ids, true);

	for (u32 node = 0; node < MAX_NUMNODES; node++)
		n->near[node] = (u16)first;
	for (u32 node = 0; node < n->nr_ids; node++) {
		const u8 *distance = &n->distance[node * n->nr_ids];

		for (u32 to = 0; to < n->nr_ids; to++)
			if (test_bit(memory, to) && distance[to] < distance[n->near[node]])
				n->near[node] = (u16)to;
		if (test_bit(memory, node))
			n->near[node] = (u16)node;
	}
}

static bool fill_in(struct numa *n, const unsigned long *memory, const unsigned long *online)
{
	if (!make_distances(n, online))
		return false;
	find_nearest(n, memory);
	n->nr = 0;
	for (u32 node = 0; node < n->nr_ids; node++) {
		if (node && !test_bit(memory, node))
			continue;
		n->index[node] = (u16)n->nr;
		n->nid[n->nr++] = (u16)node;
	}
	return true;
}

static u32 last_of(const unsigned long *mask)
{
	u32 last = 0;

	for (u32 i = 0; i < MAX_NUMNODES; i++)
		if (test_bit(mask, i))
			last = i;
	return last;
}

bool os_topology_read(struct numa *n, u32 fake)
{
	node_mask allowed, memory = { 0 }, online = { 0 };
	u32 count = 0, usable;

	n->fake = min(fake, (u32)MAX_NUMNODES);
	if (fake) {
		bitmap_set(memory, 0, n->fake);
		n->nr_ids = n->fake;
		return fake > 1 && fill_in(n, memory, NULL);
	}
	usable = os_mems_allowed(allowed);
	if (usable == 1)
		return false;
	if (!read_list(NODES "has_memory", memory) && !read_list(NODES "has_normal_memory", memory))
		return false;
	for (u32 i = 0; i < ARRAY_SIZE(memory); i++) {
		if (usable)
			memory[i] &= allowed[i];
		count += (u32)__builtin_popcountl(memory[i]);
	}
	if (count < 2 || !read_list(NODES "online", online))
		return false;
	n->nr_ids = max(last_of(online), last_of(memory)) + 1;
	return fill_in(n, memory, online);
}

static u32 distance_of(u32 from, u32 to)
{
	return from < numa.nr_ids ? numa.distance[from * numa.nr_ids + to] : FAR;
}

/* The walk's place is the last one's distance and number. */
bool numa_next(u32 nid, u32 *walk, u32 *next)
{
	u32 best = UINT32_MAX;

	if (!numa_many())
		return false;
	for (u32 i = 0; i < numa.nr; i++) {
		u32 to = numa.nid[i], place;

		if (to == nid || numa.near[to] != to)
			continue;
		place = (distance_of(nid, to) << 16 | to) + 1;
		if (place > *walk && place < best)
			best = place;
	}
	if (best == UINT32_MAX)
		return false;
	*walk = best;
	*next = (best - 1) & 0xffff;
	return true;
}
