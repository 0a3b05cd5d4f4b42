// SPDX-License-Identifier: MIT
#include "stat/check.h"

#include <string.h>

#include "base/options.h"
#include "page/large.h"
#include "sheaf/heap.h"
#include "unit.h"

enum { BLOCKS = 1000 };

static struct zone *const z = &zones[0];
static struct {
	void *p;
	u32 id; /* 0: large */
} blocks[BLOCKS];
static u64 rng;

static void change(u32 i)
{
	size_t size = 1 + random_below(&rng, 1u << random_below(&rng, 21));

	if (blocks[i].p && blocks[i].id)
		heap_free(this_cpu, blocks[i].id, blocks[i].p);
	else if (blocks[i].p)
		assert_true(large_free(blocks[i].p));
	if (blocks[i].p || random_below(&rng, 8) == 0) {
		blocks[i].p = NULL;
		return;
	}
	blocks[i].id = size <= KMALLOC_MAX ? kmalloc_index(size) : 0;
	blocks[i].p = blocks[i].id ? heap_untagged(heap_alloc(this_cpu, blocks[i].id))
				   : large_alloc(z, size, FRAME_SIZE, false);
	memset(blocks[i].p, 1, size);
}

static int setup(void **state)
{
	heap_setup(state);
	options.abort = false;
	rng = 14;
	for (u32 i = 0; i < 3 * BLOCKS; i++)
		change(random_below(&rng, BLOCKS));
	return 0;
}

static int teardown(void **state)
{
	for (u32 i = 0; i < BLOCKS; i++)
		while (blocks[i].p)
			change(i);
	return heap_teardown(state);
}

TEST(a_sound_heap_has_nothing_to_report)
{
	for (int round = 0; round < 20; round++) {
		assert_int_equal(check_all(), 0);
		for (u32 i = 0; i < BLOCKS; i++)
			change(random_below(&rng, BLOCKS));
		if (round % 5 == 0)
			zone_purge(z, ~0ul);
		if (round % 7 == 0)
			options.thp = THP_ALWAYS;
		if (round % 7 == 2)
			zone_tear(z, 1);
	}
	options.thp = THP_NEVER;
	zone_tear(z, 1);
}

static unsigned long found;

static void look(void)
{
	found = check_all();
}

/* Each kind of damage is found, told in a line, and gone when it is undone. */
#define assert_found(damaged, value)                            \
	do {                                                    \
		__typeof__(damaged) sound = (damaged);          \
		const char *lines;                              \
                                                                \
		(damaged) = (__typeof__(damaged))(value);       \
		lines = stderr_of(look);                        \
		(damaged) = sound;                              \
		assert_true(found > 0);                         \
		assert_memory_equal(lines, "slabmalloc: ", 12); \
		assert_string_equal(stderr_of(look), "");       \
		assert_int_equal(found, 0);                     \
	} while (0)

/* A slab of the cache that is neither full nor empty. */
static struct page *partial_slab(u32 id)
{
	for (int f = 1; f < NR_FULLNESS; f++)
		if (!hlist_empty(&cache_nodes[id].slabs[f]))
			return hlist_first_entry(&cache_nodes[id].slabs[f], struct page, link);
	fail();
	return NULL;
}

static struct page *free_block(enum block_kind kind)
{
	for (int order = MAX_ORDER; order >= 0; order--)
		if (!hlist_empty(&z->free_area[order].list[kind]))
			return hlist_first_entry(&z->free_area[order].list[kind], struct page,
						 link);
	fail();
	return NULL;
}

TEST(damage_to_a_slab_is_found)
{
	u32 id = kmalloc_index(16);
	struct page *slab;
	void *p;

	while (cache_nodes[id].nr_free < 10 || cache_nodes[id].nr_empty == cache_nodes[id].nr_slabs)
		sheaf_free_one(id, heap_untagged(sheaf_alloc_one(id)));
	slab = partial_slab(id);
	assert_found(slab->inuse, slab->inuse + 1);
	assert_found(slab->inuse, 0);
	for (u32 w = 0; w < MAP_WORDS; w++) {
		unsigned long *word = slab_map_word(slab, w);

		assert_found(*word, *word ^ 1ul << (7 * w));
	}
	assert_found(slab->link.pprev, NULL);
	assert_found(*class_of((uintptr_t)page_address(slab)), 0);
	assert_found(slab->cache, id + 1);
	assert_found(slab->cache, 0);
	assert_found(slab->cache, UINT16_MAX);
	assert_found(slab->type, PAGE_NONE);
	assert_found(cache_nodes[id].nr_slabs, cache_nodes[id].nr_slabs + 1);
	assert_found(cache_nodes[id].nr_free, cache_nodes[id].nr_free - 1);
	assert_found(cache_nodes[id].nr_empty, cache_nodes[id].nr_empty + 1);
	assert_found(cache_nodes[id].nr_given, cache_nodes[id].nr_given + 1);
	assert_found(cache_nodes[id].nr_surplus, cache_nodes[id].nr_surplus + 1);
	assert_found(zone_surplus, zone_surplus - 1);
	id = kmalloc_index(2048);
	p = heap_untagged(sheaf_alloc_one(id));
	slab = partial_slab(id);
	assert_found(slab[1].given, slab[1].given ^ 1);
	sheaf_free_one(id, p);
}

TEST(damage_to_the_tail_of_a_slab_is_found)
{
	void *object = sheaf_alloc_one(kmalloc_index(3000));
	struct page *slab = virt_to_slab((uintptr_t)object);

	assert_found(slab[1].type, PAGE_NONE);
	assert_found(slab[1].head, 2);
	assert_found(class_of((uintptr_t)page_address(slab))[1], 5);
	sheaf_free_one(kmalloc_index(3000), object);
}

TEST(damage_to_the_buddy_is_found)
{
	struct page *clean = free_block(BLOCK_CLEAN), *dirty = free_block(BLOCK_DIRTY);
	struct region *r = region_of(clean);

	assert_found(z->nr_free, z->nr_free + 1);
	assert_found(z->nr_dirty, z->nr_dirty + 1);
	assert_found(z->free_area[3].nr, z->free_area[3].nr + 1);
	assert_found(clean->type, PAGE_NONE);
	assert_found(clean->order, clean->order - 1);
	assert_found(clean->kind, BLOCK_DIRTY);
	assert_found(clean->kind, BLOCK_HUGE);
	assert_found(dirty->kind, BLOCK_CLEAN);
	assert_found(r->dirty[page_index(clean) / BITS_PER_LONG], ~0ul);
	assert_found(*class_of((uintptr_t)page_address(clean)), CLASS_UNIT);
	assert_found(*class_of((uintptr_t)page_address(dirty)), CLASS_UNIT);
	assert_found(r->nid, 7);
}

TEST(buddies_that_were_not_merged_are_found)
{
	struct page *page = free_block(BLOCK_CLEAN), *half;

	/* Two halves instead of a whole, with all counts right. */
	assert_true(page->order > 0);
	buddy_isolate(z, page);
	half = page + (1u << (page->order - 1));
	page->order--;
	z->free_area[page->order].nr += 2;
	z->nr_free += 2ul << page->order;
	page->type = half->type = PAGE_BUDDY;
	half->order = page->order;
	half->kind = page->kind;
	stderr_of(look);
	assert_true(found > 0);
	z->free_area[page->order].nr -= 2;
	z->nr_free -= 2ul << page->order;
	page->type = half->type = PAGE_NONE;
	buddy_free(z, region_of(page), page_index(page), page->order + 1u, false);
	assert_int_equal(check_all(), 0);
}

TEST(damage_to_a_large_block_ends_the_walk_nevertheless)
{
	struct page *page;
	void *p = large_alloc(z, MIB, FRAME_SIZE, false);

	page = virt_to_page((uintptr_t)p);
	assert_int_equal(page->type, PAGE_LARGE);
	page->frames = 0;
	stderr_of(look);
	page->frames = MIB >> FRAME_SHIFT;
	assert_int_equal(check_all(), 0);
	assert_true(large_free(p));
}

TEST(a_bad_pointer_in_a_sheaf_is_found)
{
	u32 id = kmalloc_index(64);
	void **entry;

	heap_free(this_cpu, id, heap_untagged(heap_alloc(this_cpu, id)));
	entry = this_cpu->slot[id].base;
	assert_found(*entry, (char *)*entry + 16);
}

int main(void)
{
#define CHECK_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CHECK_TEST(a_sound_heap_has_nothing_to_report),
		CHECK_TEST(damage_to_a_slab_is_found),
		CHECK_TEST(damage_to_the_tail_of_a_slab_is_found),
		CHECK_TEST(damage_to_the_buddy_is_found),
		CHECK_TEST(buddies_that_were_not_merged_are_found),
		CHECK_TEST(damage_to_a_large_block_ends_the_walk_nevertheless),
		CHECK_TEST(a_bad_pointer_in_a_sheaf_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
