// SPDX-License-Identifier: MIT
// The kernel's interfaces from C++: every header, and what is written differently there.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "slabmalloc/gfp.h"
#include "slabmalloc/kref.h"
#include "slabmalloc/mempool.h"
#include "slabmalloc/shrinker.h"
#include "slabmalloc/slab.h"
#include "slabmalloc/slabmalloc.h"
#include "slabmalloc/vmalloc.h"

#define check(cond)                                                                     \
	do {                                                                            \
		if (!(cond)) {                                                          \
			std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
			std::abort();                                                   \
		}                                                                       \
	} while (0)

struct session {
	kref ref;
	long number;
};

static int released;

static void release(kref *ref)
{
	session *s = container_of(ref, struct session, ref);

	released++;
	kfree(s);
}

static void construct(void *p)
{
	static_cast<session *>(p)->number = 42;
}

static void caches()
{
	kmem_cache_args args = {};
	args.align = 64;
	args.ctor = construct;
	kmem_cache *made = kmem_cache_create("made", sizeof(session), &args, 0);
	kmem_cache *plain = kmem_cache_create("plain", sizeof(session), nullptr, SLAB_NO_MERGE);
	kmem_cache *old = kmem_cache_create("old", 100, 8, SLAB_NO_MERGE, nullptr);
	kmem_cache *named = KMEM_CACHE(session, SLAB_NO_MERGE);
	void *many[10];

	check(made && plain && old && named);
	session *s = static_cast<session *>(kmem_cache_alloc(made, GFP_KERNEL));
	check(s->number == 42 && reinterpret_cast<uintptr_t>(s) % 64 == 0);
	kmem_cache_free(made, s);
	check(kmem_cache_alloc_bulk(plain, GFP_KERNEL, 10, many) == 10);
	kmem_cache_free_bulk(plain, 10, many);
	slab_sheaf *sheaf = kmem_cache_prefill_sheaf(named, GFP_KERNEL, 5);
	check(kmem_cache_sheaf_size(sheaf) >= 5);
	kmem_cache_free(named, kmem_cache_alloc_from_sheaf(named, GFP_KERNEL, sheaf));
	check(!kmem_cache_refill_sheaf(named, GFP_KERNEL, &sheaf, 9));
	kmem_cache_return_sheaf(named, GFP_KERNEL, sheaf);
	check(kmem_cache_size(old) == 100);
	kmem_cache_free(old, kmem_cache_zalloc(old, GFP_ATOMIC));
	check(!kmem_cache_shrink(old));
	kmem_cache_destroy(made);
	kmem_cache_destroy(plain);
	kmem_cache_destroy(old);
	kmem_cache_destroy(named);
}

static void memory()
{
	char *p = static_cast<char *>(kmalloc(100, GFP_KERNEL));

	p = static_cast<char *>(krealloc(p, 1000, GFP_KERNEL | __GFP_ZERO));
	check(ksize(p) >= 1000);
	kfree_sensitive(p);
	kfree(kcalloc(10, 10, GFP_KERNEL));
	check(!kmalloc_array(SIZE_MAX, 2, GFP_KERNEL));
	kvfree(kvzalloc(10 << 20, GFP_KERNEL));
	p = kstrdup("text", GFP_KERNEL);
	check(!std::strcmp(p, "text"));
	kfree(p);
	check(kmalloc(0, GFP_KERNEL) == ZERO_SIZE_PTR);

	page *frame = alloc_page(GFP_KERNEL);
	check(virt_to_page(page_address(frame)) == frame);
	get_page(frame);
	put_page(frame);
	__free_page(frame);
	free_page(get_zeroed_page(GFP_KERNEL));
	frame = alloc_page(GFP_HIGHUSER);
	std::memset(kmap_local_page(frame), 1, PAGE_SIZE);
	kunmap_local(page_address(frame));
	void *view = vmap(&frame, 1, VM_MAP, PAGE_KERNEL);
	check(*static_cast<char *>(view) == 1);
	vunmap(view);
	__free_page(frame);
	vfree(vzalloc(5 << 20));
}

static unsigned long counted(shrinker *, shrink_control *)
{
	return 1000;
}

static unsigned long scanned(shrinker *, shrink_control *sc)
{
	return sc->nr_to_scan;
}

int main()
{
	caches();
	memory();

	session *s = static_cast<session *>(kzalloc(sizeof(session), GFP_KERNEL));
	kref_init(&s->ref);
	kref_get(&s->ref);
	check(!kref_put(&s->ref, release));
	check(kref_put(&s->ref, release) && released == 1);

	mempool_t *pool = mempool_create_kmalloc_pool(4, 256);
	void *element = mempool_alloc(pool, GFP_KERNEL);
	check(element);
	mempool_free(element, pool);
	mempool_destroy(pool);

	shrinker *old = shrinker_alloc(0, "counted-%d", 1);
	old->count_objects = counted;
	old->scan_objects = scanned;
	shrinker_register(old);
	check(slabmalloc_shrink(0) > 0);
	shrinker_free(old);
	return slabmalloc_check();
}
