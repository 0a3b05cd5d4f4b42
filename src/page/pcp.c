// SPDX-License-Identifier: MIT
#include "page/pcp.h"

#include "base/bug.h"

static void push(struct per_cpu_pages *pcp, struct page *page, unsigned int order, bool clean)
{
	WRITE_ONCE(page->type, PAGE_PCP);
	WRITE_ONCE(page->order, (u8)order);
	page->clean = clean;
	hlist_add_head(&page->link, &pcp->list[order]);
	ADD_ONCE(pcp->count[order], 1);
}

static struct page *pop(struct per_cpu_pages *pcp, unsigned int order, bool *clean)
{
	struct page *page = hlist_first_entry(&pcp->list[order], struct page, link);

	if (!page)
		return NULL;
	VM_BUG_ON(page->type != PAGE_PCP || page->order != order);
	hlist_del_init(&page->link);
	SUB_ONCE(pcp->count[order], 1);
	WRITE_ONCE(page->type, PAGE_NONE);
	*clean = page->clean;
	return page;
}

/* Pushed last to first, so that they come out in the buddy's order, which is address order when new. */
static void refill(struct per_cpu_pages *pcp, struct zone *z, unsigned int order)
{
	struct page *pages[PCP_BATCH];
	bool clean[PCP_BATCH];
	u32 n;

	pcp_drop_kept(pcp);
	n = zone_alloc_bulk(z, order, PCP_BATCH >> order, pages, clean);

	while (n--)
		push(pcp, pages[n], order, clean[n]);
}

struct page *pcp_alloc(struct per_cpu_pages *pcp, struct zone *z, unsigned int order, bool *clean)
{
	struct page *page = pop(pcp, order, clean);

	if (likely(page))
		return page;
	refill(pcp, z, order);
	page = pop(pcp, order, clean);
	return page ? page : zone_alloc(z, 1u << order, order, clean);
}

struct page *pcp_alloc_atomic(struct per_cpu_pages *pcp, unsigned int order, bool *clean)
{
	return pop(pcp, order, clean);
}

void pcp_free(struct per_cpu_pages *pcp, struct zone *z, struct page *page, unsigned int order,
	      bool clean)
{
	push(pcp, page, order, clean);
	if (pcp->count[order] << order <= PCP_HIGH)
		return;
	for (int i = 0; i < PCP_BATCH >> order; i++) {
		page = pop(pcp, order, &clean);
		zone_free(z, page, 1u << order, clean);
	}
}

static void set_kept(struct per_cpu_pages *pcp, struct page *page, u32 frames)
{
	pcp->kept = page;
	WRITE_ONCE(pcp->kept_frames, frames);
}

/* Of two threads that free it at once, one is wrong and must find out. */
bool pcp_keep(struct per_cpu_pages *pcp, struct page *page)
{
	u8 large = PAGE_LARGE;

	if (!__atomic_compare_exchange_n(&page->type, &large, PAGE_KEPT, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_RELAXED))
		return false;
	pcp_drop_kept(pcp);
	WRITE_ONCE(page->idle, false);
	set_kept(pcp, page, page->frames);
	return true;
}

struct page *pcp_take_kept(struct per_cpu_pages *pcp, const struct zone *z, u32 n)
{
	struct page *page = pcp->kept;

	if (!page)
		return NULL;
	if (page->frames != n || page_zone(page) != z) {
		pcp_drop_kept(pcp);
		return NULL;
	}
	set_kept(pcp, NULL, 0);
	return page;
}

void pcp_drop_kept(struct per_cpu_pages *pcp)
{
	struct page *page = pcp->kept;

	if (!page)
		return;
	set_kept(pcp, NULL, 0);
	zone_free(page_zone(page), page, page->frames, false);
}

void pcp_age(struct per_cpu_pages *pcp)
{
	if (!pcp->kept)
		return;
	if (pcp->kept->idle)
		pcp_drop_kept(pcp);
	else
		WRITE_ONCE(pcp->kept->idle, true);
}

void pcp_drain(struct per_cpu_pages *pcp)
{
	pcp_drop_kept(pcp);
	for (unsigned int order = 0; order < PCP_ORDERS; order++) {
		struct page *page;
		bool clean;

		while ((page = pop(pcp, order, &clean)))
			zone_free(page_zone(page), page, 1u << order, clean);
	}
}
