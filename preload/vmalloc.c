// SPDX-License-Identifier: MIT
/*
 * vmalloc.c - areas and views as programs see them (include/slabmalloc/vmalloc.h). The room's own functions of these
 * names are renamed while the header is read.
 */
#include <errno.h>

#include "base/printk.h"
#include "init/boot.h"
#include "os/mem.h"
#include "page/highmem.h"
#include "page/page_alloc.h"
#include "page/vmalloc.h"
#include "preload/entry.h"
#include "reclaim/reclaim.h"

#define page_address api_page_address
#define virt_to_page api_virt_to_page
#define vmalloc api_vmalloc
#define vfree api_vfree
#include "slabmalloc/vmalloc.h"
#undef page_address
#undef virt_to_page
#undef vmalloc
#undef vfree

static void *area(size_t size, bool zero)
{
	unsigned int tries = 0;
	u32 nid = entry_node(GFP_KERNEL);
	void *p = NULL;

	if (!size || size > PTRDIFF_MAX)
		return entry_no_memory();
	do
		p = vmalloc(nid, size, os_page_size(), zero, false);
	while (!p && entry_retry(GFP_KERNEL, &tries));
	if (!p)
		return entry_no_memory();
	entry_tick();
	return p;
}

EXPORT void *api_vmalloc(unsigned long size)
{
	return area(size, false);
}

EXPORT void *vzalloc(unsigned long size)
{
	return area(size, true);
}

EXPORT void *vmalloc_node(unsigned long size, int node)
{
	unsigned int tries = 0;
	u32 nid;
	void *p;

	if (node == NUMA_NO_NODE || !size || size > PTRDIFF_MAX)
		return area(size, false);
	entry_node_named(node, GFP_KERNEL, &nid);
	do
		p = vmalloc_bound(nid, size, false);
	while (!p && entry_retry(GFP_KERNEL, &tries));
	if (!p)
		return entry_no_memory();
	entry_tick();
	return p;
}

static void not_an_area(const void *addr)
{
	const struct call call = { "vfree", addr };
	struct object o = slab_object(addr);

	if (o.state == OBJECT_USED)
		report_bad(&call, "an object of %s, not an area of vmalloc", o.cache->name);
	else
		entry_report(&call);
}

EXPORT void api_vfree(const void *addr)
{
	int saved = errno;

	if (!addr)
		return;
	if (highmem_in_view(addr))
		report_bad(&(struct call){ "vfree", addr }, "a view of vmap, which vunmap ends");
	else if (vfree((void *)(uintptr_t)addr))
		entry_tick();
	else
		not_an_area(addr);
	errno = saved;
}

static bool can_be_seen_twice(struct page *page)
{
	return page && is_highmem(page) && page_head(page);
}

EXPORT void *vmap(struct page **pages, unsigned int count, unsigned long flags, pgprot_t prot)
{
	void *addr;

	(void)flags;
	(void)prot;
	for (unsigned int i = 0; i < count; i++) {
		if (can_be_seen_twice(pages[i]))
			continue;
		printk("vmap: page %u of %u is no frame of ZONE_HIGHMEM: only those can be mapped twice",
		       i, count);
		errno = EINVAL;
		return NULL;
	}
	if (!count || os_page_size() != FRAME_SIZE) {
		errno = EINVAL;
		return NULL;
	}
	addr = highmem_view(pages, count);
	return addr ? addr : entry_no_memory();
}

EXPORT void vunmap(const void *addr)
{
	if (addr && !highmem_unview(addr))
		report_bad(&(struct call){ "vunmap", addr }, "no view of vmap begins there");
}

EXPORT bool is_vmalloc_addr(const void *addr)
{
	void *start;
	size_t size;

	return vm_find(addr, &start, &size) || highmem_in_view(addr);
}
