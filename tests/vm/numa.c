// SPDX-License-Identifier: MIT
/*
 * numa.c - on which node does memory lie that a thread got from malloc?
 *
 * Threads are pinned to processors, one of each node, and move_pages(2) says where the pages of their
 * blocks are. For each of these, "name percent": the bytes that lie on the thread's own node, or on
 * the nearest one that has memory, of those that were asked about.
 *
 *	small, medium, large   16 B to 1 KiB, to 256 KiB, to 64 MiB: each thread its own
 *	reused                 what a thread gets after another node's thread has freed all it had
 *	migrated               what a thread gets once it has moved, but for the first SETTLE objects
 *	swapped                what a thread gets after it has freed what another node's thread had, while that did the same
 *	bound, preferred       what a thread gets under such a policy of its own, for another node than its own
 *	interleaved            how even the nodes' parts are under such a policy: the smallest, of what it should be
 *
 * Arguments name those that are asked; without any all are. Others:
 *
 *	full                   a thread of the first node takes as many bytes as that node has: "beyond" is the part
 *	                       of what it could not have from there that the nearest other node gave; "failed", how
 *	                       many requests came back with nothing
 *	under MODE NODES COMMAND…   runs a command under a policy: a number of set_mempolicy's, and a mask
 *	all_on NODE            what part of all kinds of blocks, of threads everywhere, lies on this node
 */
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../bench/rng.h"

enum {
	PREFERRED = 1,
	BIND = 2,
	INTERLEAVE = 3,
	MEMS_ALLOWED = 4
}; /* set_mempolicy's, and a flag of get_mempolicy */

enum { NODES = 16, BLOCKS = 4096, PAGE = 4096, SETTLE = 16 * 64, MOVED = 8 * SETTLE };

struct place {
	int cpu, node; /* a processor, and the node that its memory should come from */
};

struct worker {
	struct place *place, *other; /* other: who frees what this one got, or where it moves to */
	unsigned int number;
	size_t lo, hi, most; /* sizes, and bytes in all */
	void *block[BLOCKS];
	size_t size[BLOCKS];
	size_t count;
	uint64_t near, all; /* bytes */
	uint64_t on[NODES];
	pthread_barrier_t *turn;
	struct worker *neighbour;
};

static void die(const char *why)
{
	perror(why);
	exit(1);
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
}

/* --- What the machine is --- */

/* The first line of a file of a node; empty if there is none. */
static void node_line(int node, const char *name, char *line, size_t size)
{
	char path[100];
	FILE *f;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/%s", node, name);
	f = fopen(path, "r");
	if (!f || !fgets(line, (int)size, f))
		*line = 0;
	if (f)
		fclose(f);
}

static size_t memory_of(int node)
{
	char line[200];
	const char *total;

	node_line(node, "meminfo", line, sizeof(line));
	total = strstr(line, "MemTotal:");
	return total ? (size_t)atol(total + 9) << 10 : 0;
}

/* That this process may use: a cpuset may say no. */
static bool has_memory(int node)
{
	unsigned long allowed[16] = { 0 };

	if (syscall(SYS_get_mempolicy, NULL, allowed, 1025ul, NULL, (unsigned long)MEMS_ALLOWED))
		allowed[0] = ~0ul;
	return allowed[0] >> node & 1 && memory_of(node);
}

/* But for `none`. */
static int nearest_but(int node, int none)
{
	int best = node, best_distance = 1 << 30;
	char line[200], *at = line;

	node_line(node, "distance", line, sizeof(line));
	for (int other = 0; other < NODES && *at; other++) {
		int distance = (int)strtol(at, &at, 10);

		if (other != none && distance && distance < best_distance && has_memory(other)) {
			best = other;
			best_distance = distance;
		}
	}
	return best;
}

/* A processor of each node that has one. */
static unsigned int find_places(struct place *place)
{
	unsigned int n = 0;
	char line[200];

	for (int node = 0; node < NODES; node++) {
		node_line(node, "cpulist", line, sizeof(line));
		if (*line >= '0' && *line <= '9')
			place[n++] = (struct place){ atoi(line), nearest_but(node, -1) };
	}
	return n;
}

/* --- Blocks --- */

static void get(struct worker *w, struct rng *rng, size_t blocks)
{
	size_t bytes = 0;

	for (w->count = 0; w->count < blocks && bytes < w->most; w->count++) {
		size_t size = rng_size(rng, w->lo, w->hi);
		char *p = malloc(size);

		if (!p)
			die("malloc");
		for (size_t at = 0; at < size; at += PAGE)
			p[at] = 1;
		p[size - 1] = 1;
		w->block[w->count] = p;
		w->size[w->count] = size;
		bytes += size;
	}
}

static void drop(struct worker *w)
{
	for (size_t i = 0; i < w->count; i++)
		free(w->block[i]);
	w->count = 0;
}

/* Of a block of many pages every sixteenth is asked about. */
static void look(struct worker *w, size_t first)
{
	for (size_t i = first; i < w->count; i++) {
		size_t step = w->size[i] > 64 * PAGE ? 16 * PAGE : PAGE;

		for (size_t at = 0; at < w->size[i]; at += step) {
			void *page = (void *)(((uintptr_t)w->block[i] + at) & -(uintptr_t)PAGE);
			size_t bytes = w->size[i] - at < step ? w->size[i] - at : step;
			int node = -1;

			if (syscall(SYS_move_pages, 0, 1ul, &page, NULL, &node, 0))
				die("move_pages");
			w->all += bytes;
			if (node >= 0 && node < NODES)
				w->on[node] += bytes;
			if (node == w->place->node)
				w->near += bytes;
		}
	}
}

/* --- The questions --- */

static void *own(void *arg)
{
	struct worker *w = arg;
	struct rng rng = rng_seed(w->number);

	pin(w->place->cpu);
	get(w, &rng, BLOCKS);
	look(w, 0);
	return w;
}

/* Frees what another node's thread has. */
static void *consume(void *arg)
{
	struct worker *w = arg;

	pin(w->other->cpu);
	drop(w);
	return w;
}

static void *reuse(void *arg)
{
	struct worker *w = arg;
	struct rng rng = rng_seed(w->number);
	pthread_t consumer;

	pin(w->place->cpu);
	for (int round = 0; round < 4; round++) {
		get(w, &rng, BLOCKS);
		if (pthread_create(&consumer, NULL, consume, w) || pthread_join(consumer, NULL))
			die("a consumer");
	}
	get(w, &rng, BLOCKS);
	look(w, 0);
	return w;
}

static void *migrate(void *arg)
{
	struct worker *w = arg;
	struct rng rng = rng_seed(w->number);
	struct place *to = w->other;

	pin(w->place->cpu);
	for (int round = 0; round < 4; round++) {
		get(w, &rng, BLOCKS);
		drop(w);
	}
	w->place = to;
	pin(to->cpu);
	get(w, &rng, MOVED < BLOCKS ? MOVED : BLOCKS);
	look(w, SETTLE);
	return w;
}

static void *swap(void *arg)
{
	struct worker *w = arg;
	struct rng rng = rng_seed(w->number);

	pin(w->place->cpu);
	for (int round = 0; round < 2; round++) {
		get(w, &rng, BLOCKS);
		pthread_barrier_wait(w->turn);
		drop(w->neighbour);
		pthread_barrier_wait(w->turn);
	}
	get(w, &rng, BLOCKS);
	look(w, 0);
	return w;
}

static void set_policy(int mode, unsigned long nodes)
{
	if (syscall(SYS_set_mempolicy, mode, nodes ? &nodes : NULL, nodes ? 64ul : 0ul))
		die("set_mempolicy");
}

/* After some blocks by the default one: a policy may come at any time. */
static void under_policy(struct worker *w, int mode, unsigned long nodes)
{
	struct rng rng = rng_seed(w->number);

	pin(w->place->cpu);
	get(w, &rng, BLOCKS);
	drop(w);
	set_policy(mode, nodes);
	get(w, &rng, BLOCKS);
	look(w, 2 * SETTLE);
	set_policy(0, 0);
}

static void *bound(void *arg)
{
	struct worker *w = arg;
	int node = w->other->node;

	under_policy(w, BIND, 1ul << node);
	w->near = w->on[node];
	return w;
}

static void *preferred(void *arg)
{
	struct worker *w = arg;
	int node = w->other->node;

	under_policy(w, PREFERRED, 1ul << node);
	w->near = w->on[node];
	return w;
}

static void *interleaved(void *arg)
{
	struct worker *w = arg;
	unsigned long nodes = 1ul << w->place->node | 1ul << w->other->node;
	uint64_t a, b;

	under_policy(w, INTERLEAVE, nodes);
	a = w->on[w->place->node];
	b = w->on[w->other->node];
	w->near = 2 * (a < b ? a : b);
	/* A node without memory has its neighbour for its own: there is nothing to divide. */
	if (w->place->node == w->other->node)
		w->near = w->all = 0;
	return w;
}

static int wanted_node;

static void *on_wanted(void *arg)
{
	struct worker *w = own(arg);

	w->near = w->on[wanted_node];
	return w;
}

static char **names;

static bool is_asked(const char *name)
{
	bool asked = !*names;

	for (char **n = names; *n; n++)
		asked |= !strcmp(*n, name);
	return asked;
}

static void ask(const char *name, void *(*run)(void *), size_t lo, size_t hi, size_t most)
{
	static struct worker workers[NODES];
	struct place places[NODES];
	unsigned int n = find_places(places);
	pthread_t threads[NODES];
	pthread_barrier_t turn;
	uint64_t near = 0, all = 0;

	if (!is_asked(name))
		return;
	pthread_barrier_init(&turn, NULL, n);
	for (unsigned int i = 0; i < n; i++)
		workers[i] = (struct worker){ .place = &places[i],
					      .other = &places[(i + 1) % n],
					      .number = i,
					      .lo = lo,
					      .hi = hi,
					      .most = most,
					      .turn = &turn,
					      .neighbour = &workers[(i + 1) % n] };
	for (unsigned int i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, run, &workers[i]))
			die("pthread_create");
	for (unsigned int i = 0; i < n; i++) {
		pthread_join(threads[i], NULL);
		near += workers[i].near;
		all += workers[i].all;
	}
	for (unsigned int i = 0; i < n; i++)
		drop(&workers[i]);
	printf("%s %.1f\n", name, all ? 100.0 * (double)near / (double)all : 0.0);
}

/* Has a library of this name come along? */
static bool is_loaded(const char *name)
{
	FILE *f = fopen("/proc/self/maps", "r");
	bool found = false;
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		found |= strstr(line, name) != NULL;
	if (f)
		fclose(f);
	return found;
}

static void *full(void *arg)
{
	static struct worker w;
	struct place places[NODES];
	struct rng rng = rng_seed(1);
	uint64_t beyond = 0;
	size_t failed = 0;
	int next;

	if (!find_places(places))
		die("no processor");
	w = (struct worker){ .place = &places[0], .most = memory_of(places[0].node) };
	next = nearest_but(w.place->node, w.place->node);
	pin(w.place->cpu);
	for (size_t bytes = 0; w.count < BLOCKS && bytes < w.most;) {
		size_t size = rng_size(&rng, 64ul << 10, 128ul << 10);
		char *p = malloc(size);

		failed += !p;
		if (failed > 10)
			break;
		if (!p)
			continue;
		memset(p, 1, size);
		w.block[w.count] = p;
		w.size[w.count++] = size;
		bytes += size;
	}
	look(&w, 0);
	for (int node = 0; node < NODES; node++)
		beyond += node == w.place->node ? 0 : w.on[node];
	printf("failed %zu\nbeyond_bytes %zu\nbeyond %.1f\n", failed, (size_t)beyond,
	       beyond ? 100.0 * (double)w.on[next] / (double)beyond : 0.0);
	return arg;
}

/* Everything at once, whatever processor asks. */
static void all_on(int node)
{
	static char *all[] = { NULL };

	wanted_node = node;
	names = all;
	ask("small", on_wanted, 16, 1024, 8ul << 20);
	ask("medium", on_wanted, 1024, 256ul << 10, 8ul << 20);
	ask("large", on_wanted, 256ul << 10, 16ul << 20, 32ul << 20);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	names = argv + 1;
	if (argc > 4 && !strcmp(argv[1], "under")) {
		set_policy(atoi(argv[2]), strtoul(argv[3], NULL, 0));
		execvp(argv[4], argv + 4);
		die(argv[4]);
	}
	if (argc == 2 && !strcmp(argv[1], "full")) {
		pthread_t thread;

		/* A process of one thread that has been on node 0 alone knows of no other. */
		if (pthread_create(&thread, NULL, full, NULL) || pthread_join(thread, NULL))
			die("pthread_create");
		return 0;
	}
	if (argc == 3 && !strcmp(argv[1], "all_on")) {
		all_on(atoi(argv[2]));
		return 0;
	}
	ask("small", own, 16, 1024, 64ul << 20);
	ask("medium", own, 1024, 256ul << 10, 8ul << 20);
	ask("large", own, 256ul << 10, 64ul << 20, 16ul << 20);
	ask("reused", reuse, 16, 8192, 4ul << 20);
	ask("migrated", migrate, 512, 512, 64ul << 20);
	ask("swapped", swap, 16, 8192, 4ul << 20);
	ask("bound", bound, 512, 512, 2ul << 20);
	ask("preferred", preferred, 512, 512, 2ul << 20);
	ask("interleaved", interleaved, 512, 512, 2ul << 20);
	printf("libnuma %d\n", is_loaded("libnuma"));
	return 0;
}
