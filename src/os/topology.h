/* SPDX-License-Identifier: MIT */
/*
 * topology.h - NUMA nodes.
 *
 * Zones, slab lists, barns and class ids exist for each node. This build serves one.
 */
#pragma once

enum { MAX_NUMNODES = 1 };

/* The node that the calling thread runs on. */
static inline int numa_node_id(void)
{
	return 0;
}
