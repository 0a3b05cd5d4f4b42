/* SPDX-License-Identifier: MIT */
/*
 * list.h - the kernel's hlist: a one-pointer head, O(1) removal without knowing the head.
 *
 * An empty head is all zero, so lists in .bss need no initialisation: nothing has to run before the
 * first malloc. A node that is on no list has pprev == NULL.
 */
#pragma once

#include "base/compiler.h"

struct hlist_node {
	struct hlist_node *next, **pprev;
};

struct hlist_head {
	struct hlist_node *first;
};

static inline bool hlist_empty(const struct hlist_head *h)
{
	return !h->first;
}

static inline bool hlist_unhashed(const struct hlist_node *n)
{
	return !n->pprev;
}

static inline void hlist_add_head(struct hlist_node *n, struct hlist_head *h)
{
	WRITE_ONCE(n->next, h->first);
	if (n->next)
		n->next->pprev = &n->next;
	/* Some lists are walked without their lock. */
	__atomic_store_n(&h->first, n, __ATOMIC_RELEASE);
	n->pprev = &h->first;
}

static inline void hlist_add_before(struct hlist_node *n, struct hlist_node *next)
{
	n->pprev = next->pprev;
	WRITE_ONCE(n->next, next);
	next->pprev = &n->next;
	__atomic_store_n(n->pprev, n, __ATOMIC_RELEASE);
}

static inline void hlist_del_init(struct hlist_node *n)
{
	__atomic_store_n(n->pprev, n->next, __ATOMIC_RELEASE);
	if (n->next)
		n->next->pprev = n->pprev;
	WRITE_ONCE(n->next, NULL);
	n->pprev = NULL;
}

#define hlist_entry(ptr, type, member) container_of(ptr, type, member)

#define hlist_entry_safe(ptr, type, member)                               \
	({                                                                \
		struct hlist_node *hlist_p = (ptr);                       \
		hlist_p ? hlist_entry(hlist_p, type, member) : (type *)0; \
	})

#define hlist_first_entry(head, type, member) hlist_entry_safe((head)->first, type, member)

#define hlist_for_each_entry(pos, head, member)                                      \
	for (pos = hlist_entry_safe((head)->first, __typeof__(*(pos)), member); pos; \
	     pos = hlist_entry_safe((pos)->member.next, __typeof__(*(pos)), member))
