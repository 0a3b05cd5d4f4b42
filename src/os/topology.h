/* SPDX-License-Identifier: MIT */
/*
 * topology.h - NUMA nodes: which have memory, how far they are from each other, where threads run.
 *
 * Nothing is asked of the system while every thread that looks finds itself on node 0: the kernel puts memory beside who
 * touches it first, and a machine of one node never gets further. The state moves once, under numa_lock
 * (sheaf/node.c):
 *
 *	NUMA_UNKNOWN	nobody asked yet: all is node 0's
 *	NUMA_ONE	there is one node with memory, or numa:off: all is node 0's for ever
 *	NUMA_MANY	the tables below are filled in and do not change any more
 *
 * Node 0 is in the list of nodes even if it has no memory: what was allocated before is its.
 */
#pragma once

#include "base/compiler.h"

enum { MAX_NUMNODES = 1024 };

enum numa_state { NUMA_UNKNOWN, NUMA_ONE, NUMA_MANY };

struct numa {
	u32 state; /* enum numa_state */
	u32 fake; /* so many nodes are made up; 0: none */
	u32 nr; /* nodes in nid[] */
	u32 nr_ids; /* one more than the highest number of any node */
	u16 nid[MAX_NUMNODES]; /* node 0, and those with memory, by number */
	u16 index[MAX_NUMNODES]; /* a node's place in nid[] */
	u16 near[MAX_NUMNODES]; /* of any node the nearest with memory */
	u8 *distance; /* nr_ids * nr_ids, as the firmware says: 10 is a node's own */
};

extern struct numa numa;

static inline bool numa_many(void)
{
	return __atomic_load_n(&numa.state, __ATOMIC_ACQUIRE) == NUMA_MANY;
}

static inline u32 numa_nodes(void)
{
	return unlikely(numa_many()) ? numa.nr : 1;
}

/* The nodes that have a zone. */
#define for_each_node(n) \
	for (u32 node_i = 0, n; node_i < numa_nodes() && ((n) = numa.nid[node_i], true); node_i++)

/* Has the node memory that the process may use? */
static inline bool numa_has_memory(u32 nid)
{
	return nid < MAX_NUMNODES && (numa_many() ? numa.near[nid] == nid : !nid);
}

/* The node that the calling thread runs on. */
u32 os_node(void);

/*
 * Where the C library has each thread's area that the kernel writes (rseq), as an offset from the thread pointer. Until
 * it is told, or where the kernel does not write the node, os_node() asks the vDSO.
 */
void os_rseq_offset(ptrdiff_t offset);

/* The nodes whose memory the process may use; how many: 1 also if the kernel knows no nodes, 0: it does not tell. */
u32 os_mems_allowed(unsigned long *nodes);

/* Fills the tables in; false: there is one node. Reads files. fake: makes so many nodes up. */
bool os_topology_read(struct numa *n, u32 fake);

/* After nid and those before it in the walk: the next nearest node with memory. walk begins at 0. False: no more. */
bool numa_next(u32 nid, u32 *walk, u32 *next);

/* The library's words for the kernel's calls, if it is loaded (preload/libnuma.c). */
struct numa_library {
	long (*mbind)(void *addr, unsigned long len, int mode, const unsigned long *nodes,
		      unsigned long maxnode, unsigned int flags);
	long (*get_mempolicy)(int *mode, unsigned long *nodes, unsigned long maxnode, void *addr,
			      unsigned int flags);
	int (*distance)(int from, int to);
};

void os_numa_library(const struct numa_library *library);

/* 0: it is not loaded, or does not know. */
u32 os_library_distance(u32 from, u32 to);

/* A thread's own policy, as the program has set it. */
enum policy_mode {
	POLICY_LOCAL, /* none: beside the processor */
	POLICY_PREFERRED,
	POLICY_BIND,
	POLICY_INTERLEAVE,
	POLICY_MANY, /* any of the nodes, the nearest first */
};

struct policy {
	enum policy_mode mode;
	unsigned long nodes[MAX_NUMNODES / 64];
};

/* False: the system does not tell. */
bool os_policy_read(struct policy *p);

/*
 * The memory of this range is to lie on a node, or, where the calling thread's policy is strict, on those that it
 * permits. Untouched pages only. False: the system would not; then the first touch decides.
 */
bool os_bind(void *addr, size_t size, u32 nid);

/* The node that the page at p lies on, which was written to; -1: nobody knows. */
int os_node_of(void *p);

struct numa_calls {
	unsigned long mbind, refused; /* ranges, and those that the system would not bind */
};

extern struct numa_calls numa_calls;
