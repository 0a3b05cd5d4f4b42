// SPDX-License-Identifier: MIT
/*
 * nodes.c - the tables that several nodes need. Linked behind everything else: on one node they are never written to, and
 * small variables of other files share no page with them, nor lie further apart for them.
 */
#include "sheaf/barn.h"

struct numa numa;
struct zone *node_zones[MAX_NUMNODES];
struct kmem_cache_node *node_caches[MAX_NUMNODES];
struct cache_events *node_events[MAX_NUMNODES];
struct barn *node_barns[MAX_NUMNODES];
