// SPDX-License-Identifier: MIT
/*
 * report.c - the one line about a pointer that is no start of an object or block in use.
 */
#include "debug/kfence.h"
#include "debug/slub_debug.h"
#include "debug/zero_size.h"
#include "page/vmalloc.h"
#include "preload/entry.h"

/* A frame of ours that belongs to no slab: what is wrong with a pointer into it? */
static void report_frame(const struct call *call, struct page *page)
{
	struct region *r = region_of(page);
	u32 index = page_index(page);

	for (u32 i = index + 1; i-- > 0;) {
		const struct page *head = &r->page[i];

		if (head->type == PAGE_LARGE && index - i < head->frames) {
			report_bad(call, "invalid pointer: inside a large block of %zu bytes at %p",
				   (size_t)head->frames << FRAME_SHIFT, page_address(head));
			return;
		}
		if (head->type == PAGE_ALLOC && index - i < head->frames) {
			report_bad(call, "invalid pointer: a block of %u frames of alloc_pages",
				   head->frames);
			return;
		}
		if (head->type != PAGE_NONE && head->type != PAGE_TAIL)
			break;
	}
	if ((uintptr_t)call->ptr % FRAME_SIZE)
		report_bad(call, "invalid pointer: in free memory of this heap");
	else
		report_bad(call, "double free: large block");
}

/* Any pointer that is not the start of an object or block in use: the one line, or debugging's many. */
void entry_report(const struct call *call)
{
	uintptr_t p = (uintptr_t)call->ptr;
	struct kmem_cache *s = cache_at(call->ptr);
	struct page *page = virt_to_page(p);
	struct object o = slab_object(call->ptr);
	void *area;
	size_t size;

	if (unlikely(is_kfence_address(call->ptr)))
		kfence_report_bad(call, CALLER);
	else if (is_zero_size(call->ptr))
		zero_size_in_use(call);
	else if (s && s->flags & SLAB_DEBUG_FLAGS)
		debug_bad_pointer(s, call, CALLER);
	else if (o.cache)
		slab_report(call, &o);
	else if (page)
		report_frame(call, page);
	else if (vm_find(call->ptr, &area, &size))
		report_bad(call, "invalid pointer: inside a large block of %zu bytes at %p", size,
			   area);
	else if (vm_cached(call->ptr))
		report_bad(call, "double free: large block");
	else
		report_bad(call, "invalid pointer: not of this heap");
}
