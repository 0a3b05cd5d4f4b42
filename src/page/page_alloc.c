// SPDX-License-Identifier: MIT
#include "page/page_alloc.h"

#include <string.h>

#include "page/highmem.h"

static void join(struct page *head, u32 n, unsigned int order)
{
	for (u32 i = 1; i < n; i++) {
		WRITE_ONCE(head[i].type, PAGE_TAIL);
		head[i].head = i;
	}
	head->order = (u8)order;
	head->frames = n;
	__atomic_store_n(&head->refs, 1, __ATOMIC_RELEASE);
	WRITE_ONCE(head->type, PAGE_ALLOC);
}

struct page *page_alloc(struct zone *z, u32 n, unsigned int order, bool zero, bool atomic)
{
	struct page *head;
	bool clean;

	head = atomic ? zone_alloc_atomic(z, n, order, &clean) : zone_alloc(z, n, order, &clean);
	if (!head)
		return NULL;
	if (zero && !clean)
		memset(page_address(head), 0, (size_t)n << FRAME_SHIFT);
	join(head, n, order);
	return head;
}

struct page *highmem_alloc(unsigned int order)
{
	struct page *head = highmem_take(order);

	if (head)
		join(head, 1u << order, order);
	return head;
}

struct page *page_head(struct page *page)
{
	if (READ_ONCE(page->type) == PAGE_TAIL)
		page -= page->head;
	return READ_ONCE(page->type) == PAGE_ALLOC ? page : NULL;
}

/* Relaxed: who takes a reference holds one. */
bool page_get(struct page *head)
{
	int refs = __atomic_load_n(&head->refs, __ATOMIC_RELAXED);

	do {
		if (refs <= 0)
			return false;
	} while (!__atomic_compare_exchange_n(&head->refs, &refs, refs + 1, true, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	return true;
}

/* Release, and acquire by the last: what others did to the frames comes before they are another's. */
bool page_put(struct page *head)
{
	return __atomic_fetch_sub(&head->refs, 1, __ATOMIC_ACQ_REL) == 1;
}

void page_release(struct page *head)
{
	u32 n = head->frames;

	for (u32 i = 1; i < n; i++)
		WRITE_ONCE(head[i].type, PAGE_NONE);
	head->refs = 0;
	if (is_highmem(head))
		highmem_give(head, n);
	else
		zone_free(page_zone(head), head, n, false);
}
