// SPDX-License-Identifier: MIT
#include "preload/entry.h"

#include <errno.h>
#include <string.h>

#include "init/boot.h"
#include "page/large.h"
#include "page/vmalloc.h"
#include "reclaim/reclaim.h"

static struct kmem_percpu *thread_sheaves(void)
{
	struct kmem_percpu *c = this_cpu;

	return likely(percpu_attached(c)) ? c : boot_thread();
}

static __cold void *no_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

/* An object as it lies in a sheaf; NULL: no memory, and errno says so. */
static void *class_alloc(u32 id)
{
	struct kmem_percpu *c = thread_sheaves();
	void *object = c ? sheaf_alloc_slow(c, id) : sheaf_alloc_one(id);

	if (unlikely(!object)) {
		reclaim_all(c, false);
		object = c ? sheaf_alloc_slow(c, id) : sheaf_alloc_one(id);
		return object ? object : no_memory();
	}
	reclaim_tick(c);
	return object;
}

/*
 * From a sheaf's entry to the program's block of n bytes. One that was never handed out reads as zero and
 * carries no key: it is not touched, so its memory does not exist until the program writes.
 */
static __always_inline void *hand_out(void *entry, size_t n, bool zero)
{
	uintptr_t *object = entry;

	if ((uintptr_t)entry & OBJECT_FRESH)
		return (char *)entry - OBJECT_FRESH;
	if (!entry)
		return NULL;
	object[1] = 0;
	return zero ? memset(object, 0, n) : object;
}

static __always_inline void *kmalloc_class(u32 id, size_t n, bool zero)
{
	struct sheaf_slot *slot = &this_cpu->slot[id];
	void **top = slot->top;

	if (likely(top != slot->base))
		return hand_out(sheaf_pop(slot, top), n, zero);
	return hand_out(class_alloc(id), n, zero);
}

static noinline void *large(size_t n, size_t align, bool zero)
{
	struct kmem_percpu *c = thread_sheaves();
	struct zone *z = node_zone((u32)numa_node_id());
	void *p;

	if (n > PTRDIFF_MAX)
		return no_memory();
	p = large_alloc(z, n, align, zero);
	if (unlikely(!p)) {
		reclaim_all(c, false);
		p = large_alloc(z, n, align, zero);
		return p ? p : no_memory();
	}
	reclaim_tick(c);
	return p;
}

noinline void *entry_malloc_slow(size_t n)
{
	if (unlikely(n > KMALLOC_MAX))
		return large(n, FRAME_SIZE, false);
	return kmalloc_class(kmalloc_index(n), n, false);
}

noinline void *entry_calloc_slow(size_t n)
{
	if (unlikely(n > KMALLOC_MAX))
		return large(n, FRAME_SIZE, true);
	return kmalloc_class(kmalloc_index(n), n, true);
}

void *entry_memalign(size_t align, size_t n)
{
	u32 id;

	if (!is_power_of_2(align)) {
		errno = EINVAL;
		return NULL;
	}
	if (align <= KMALLOC_GRAIN)
		return entry_malloc(n);
	if (n > PTRDIFF_MAX || align > PTRDIFF_MAX)
		return no_memory();
	n = max(n, (size_t)1);
	id = align <= FRAME_SIZE ? kmalloc_index_aligned(n, align) : 0;
	return id ? kmalloc_class(id, n, false) : large(n, max(align, FRAME_SIZE), false);
}

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
		if (head->type != PAGE_NONE)
			break;
	}
	if ((uintptr_t)call->ptr % FRAME_SIZE)
		report_bad(call, "invalid pointer: in free memory of this heap");
	else
		report_bad(call, "double free: large block");
}

/* Any pointer that is not the start of an object or block in use: the one line. */
static __cold void report_pointer(const struct call *call)
{
	uintptr_t p = (uintptr_t)call->ptr;
	struct page *page = virt_to_page(p);
	struct object o = slab_object(call->ptr);
	void *area;
	size_t size;

	if (o.cache)
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

/* The cache id of the slab object that starts at p; 0: there is none. */
static u32 object_class(void *p)
{
	uintptr_t address = (uintptr_t)p;

	if (address >> ADDRESS_BITS || address % KMALLOC_GRAIN)
		return 0;
	return *class_of(address) / CLASS_UNIT;
}

static __cold bool object_is_bad(u32 id, void *p, const char *function)
{
	const struct call call = { function, p };
	struct object o = slab_object(p);

	if (o.state == OBJECT_USED && sheaf_holds(id, p))
		o.state = OBJECT_FREE;
	if (o.state == OBJECT_USED)
		return false;
	slab_report(&call, &o);
	return true;
}

/* Is p an object that its owner may free or resize? Otherwise the line has been written. */
static bool object_in_use(u32 id, void *p, const char *function)
{
	return likely(slab_object_used(id, p) && ((uintptr_t *)p)[1] != object_key()) ||
	       !object_is_bad(id, p, function);
}

static void free_object(u32 id, void *p)
{
	struct kmem_percpu *c = thread_sheaves();

	((uintptr_t *)p)[1] = object_key();
	if (c)
		sheaf_free_slow(c, id, p);
	else
		sheaf_free_one(id, p);
	reclaim_tick(c);
}

noinline void entry_free_slow(void *p, const char *function)
{
	int saved = errno;
	u32 id;

	if (!p)
		return;
	id = object_class(p);
	if (id) {
		if (object_in_use(id, p, function))
			free_object(id, p);
	} else if (large_free(p)) {
		reclaim_tick(thread_sheaves());
	} else {
		report_pointer(&(struct call){ function, p });
	}
	errno = saved;
}

static size_t block_size(void *p, u32 id, const char *function)
{
	size_t size = id ? cache_of(id)->size : large_size(p);

	if (id ? !object_in_use(id, p, function) : !size) {
		if (!id)
			report_pointer(&(struct call){ function, p });
		return 0;
	}
	return size;
}

size_t entry_usable_size(void *p, const char *function)
{
	return p ? block_size(p, object_class(p), function) : 0;
}

/*
 * Who lets a block grow lets it grow again: an eighth to spare, so that appending copies each byte a few times
 * and not once for every class.
 */
static size_t with_room(size_t n)
{
	return n + n / 8 <= KMALLOC_MAX ? n + n / 8 : n;
}

/*
 * In place where the class is the same, or a smaller one would save less than half; large blocks by
 * moving pages, never bytes. Otherwise a new block and a copy.
 */
void *entry_realloc(void *p, size_t n)
{
	u32 id;
	size_t old;
	void *q;

	if (!p)
		return entry_malloc(n);
	if (!n) {
		entry_free_slow(p, "realloc");
		return NULL;
	}
	if (n > PTRDIFF_MAX)
		return no_memory();
	id = object_class(p);
	old = block_size(p, id, "realloc");
	if (!old)
		return NULL;
	if (id && n <= old && (n > old / 2 || kmalloc_index(n) == id % NR_KMALLOC))
		return p;
	if (!id && n > KMALLOC_MAX) {
		q = large_resize(p, n);
		reclaim_tick(thread_sheaves());
		if (q)
			return q;
	}
	q = entry_malloc(n > old ? with_room(n) : n);
	if (!q)
		return NULL;
	memcpy(q, p, min(old, n));
	entry_free(p);
	return q;
}
