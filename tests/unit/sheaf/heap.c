// SPDX-License-Identifier: MIT
#include "sheaf/heap.h"

#include "base/options.h"
#include "page/memblock.h"
#include "page/model.h"
#include "page/vmalloc.h"
#include "sheaf/barn.h"
#include "unit.h"

static struct options defaults;

int heap_setup(__attribute__((unused)) void **state)
{
	if (!defaults.dirty_max)
		defaults = options;
	options = defaults;
	options.thp = THP_NEVER;
	clear_weather();
	this_cpu = &percpu_none[0];
	check(sheaf_attach());
	sheaf_first = 0;
	return 0;
}

/* Every object must be free by now, in a sheaf of any thread, or a slab. */
int heap_teardown(__attribute__((unused)) void **state)
{
	const struct page_source src = percpu_pages(NULL);

	clear_weather();
	while ((this_cpu = hlist_first_entry(&threads, struct kmem_percpu, link)))
		sheaf_detach();
	assert_int_equal(nr_threads, 0);
	for (u32 id = 1; id < NR_KMALLOC; id++) {
		barn_drain(id, src);
		slab_shrink(id, src);
		assert_int_equal(cache_nodes[id].nr_slabs, 0);
		assert_int_equal(cache_nodes[id].nr_free, 0);
	}
	vm_purge(SIZE_MAX, UINT64_MAX);
	assert_int_equal(vm.nr_used, 0);
	assert_int_equal(memblock_used(), 0);
	assert_int_equal(zones[0].nr_free, zones[0].nr_present);
	verify_memory(&zones[0]);
	zone_destroy(&zones[0]);
	this_cpu = &percpu_none[0];
	return 0;
}

struct kmem_percpu *heap_second_thread(void)
{
	struct kmem_percpu *first = this_cpu, *second;

	this_cpu = &percpu_none[0];
	second = sheaf_attach();
	this_cpu = first;
	check(second && second != first);
	return second;
}

void *heap_alloc(struct kmem_percpu *c, u32 id)
{
	struct sheaf_slot *slot = &c->slot[id];
	void *entry = slot->top != slot->base ? *--slot->top : sheaf_alloc_slow(c, id);

	if (entry && heap_untagged(entry) == entry)
		((uintptr_t *)entry)[1] = 0;
	return entry;
}

void heap_free(struct kmem_percpu *c, u32 id, void *object)
{
	struct sheaf_slot *slot = &c->slot[id];

	if (slot->top != slot->limit)
		sheaf_push(slot, slot->top, object);
	else
		sheaf_free_slow(c, id, object);
}

unsigned long heap_objects_out(u32 id)
{
	return cache_slabs(id) * cache_of(id)->objects - cache_free_objects(id);
}

void heap_verify(const struct kmem_percpu *c)
{
	size_t bytes[2] = { 0, 0 };

	check(!c->busy);
	for (u32 id = 0; id < NR_KMALLOC; id++) {
		const struct sheaf_slot *slot = &c->slot[id];
		const struct slab_sheaf *spare = slot->spare;

		check(slot->base <= slot->top && slot->top <= slot->limit);
		check(!slot->base == !c->meta[id].capacity);
		check(!spare || (slot->base && (!spare->size || spare->size == spare->capacity)));
		check(!spare || has_spare(cache_of(id)));
		bytes[!has_spare(cache_of(id))] += sheaf_cost(cache_of(id), c->meta[id].capacity);
	}
	check(c->bytes[0] == bytes[0] && c->bytes[1] == bytes[1]);
	check(!c->slot[0].limit);
}

struct block {
	struct block *next;
	size_t size;
};

static struct block *hoard;

void heap_exhaust_memblock(void)
{
	weather.os_map = 0;
	for (size_t size = 64 * KIB; size >= 64; size /= 2) {
		struct block *b;

		while ((b = memblock_alloc(size))) {
			*b = (struct block){ hoard, size };
			hoard = b;
		}
	}
}

void heap_restore_memblock(void)
{
	while (hoard) {
		struct block *b = hoard;

		hoard = b->next;
		memblock_free(b, b->size);
	}
	clear_weather();
}
