// SPDX-License-Identifier: MIT
#include "page/memblock.h"

#include <string.h>

#include "base/bitops.h"
#include "os/mem.h"
#include "unit.h"

enum { MIN_BLOCK = 64, MAX_BLOCK = 16 << 10, BLOCKS = 300 };

static struct block {
	u8 *p;
	size_t size;
	u8 tag;
} blocks[BLOCKS];

static size_t block_size(size_t size)
{
	return max(1ul << order_base_2(size), (unsigned long)MIN_BLOCK);
}

static void take(struct block *b, u8 tag, u64 *rng)
{
	/* All magnitudes alike. */
	b->size = 1 + random_below(rng, 1u << random_below(rng, 15));
	b->tag = tag;
	b->p = memblock_alloc(b->size);
	assert_non_null(b->p);
	assert_int_equal((uintptr_t)b->p % block_size(b->size), 0);
	memset(b->p, tag, block_size(b->size));
}

static void give(struct block *b)
{
	assert_true(all_bytes_are(b->p, block_size(b->size), b->tag));
	memblock_free(b->p, b->size);
	b->p = NULL;
}

TEST(blocks_are_aligned_to_their_size_overlap_nothing_and_are_counted)
{
	size_t used = memblock_used();
	u64 rng = 3;

	for (int round = 0; round < 20000; round++) {
		struct block *b = &blocks[random_below(&rng, BLOCKS)];

		if (b->p) {
			used -= block_size(b->size);
			give(b);
		} else {
			take(b, (u8)round, &rng);
			used += block_size(b->size);
		}
		assert_int_equal(memblock_used(), used);
	}
	for (int i = 0; i < BLOCKS; i++)
		if (blocks[i].p)
			give(&blocks[i]);
	assert_int_equal(memblock_used(), 0);
}

TEST(a_freed_block_is_the_next_of_its_size)
{
	for (size_t size = 1; size <= MAX_BLOCK; size = size * 3 / 2 + 1) {
		void *p = memblock_alloc(size);

		memblock_free(p, size);
		assert_ptr_equal(memblock_alloc(block_size(size)), p);
		memblock_free(p, block_size(size));
	}
}

TEST(zeroed_blocks_are_zero_also_when_used_before)
{
	for (size_t size = 1; size <= MAX_BLOCK; size *= 2) {
		u8 *p = memblock_alloc(size);

		memset(p, 0xff, size);
		memblock_free(p, size);
		p = memblock_zalloc(size);
		assert_true(all_bytes_are(p, size, 0));
		memblock_free(p, size);
	}
}

/* What alignment skips, and what is left of a chunk, comes out again as smaller blocks. */
TEST(every_byte_of_the_chunks_can_be_had)
{
	size_t used;

	for (int i = 0; i < 50; i++) {
		assert_non_null(memblock_alloc(64));
		assert_non_null(memblock_alloc(MAX_BLOCK));
		assert_non_null(memblock_alloc(1024));
	}
	weather.os_map = 0;
	for (size_t size = MAX_BLOCK; size >= MIN_BLOCK; size /= 2)
		while (memblock_alloc(size))
			;
	used = memblock_used();
	clear_weather();
	assert_int_equal(used, os_stats.mapped);
}

TEST(without_memory_the_answer_is_null_and_nothing_is_counted)
{
	void *p[64];
	size_t n = 0, used;

	weather.os_map = 0;
	while (n < ARRAY_SIZE(p) && (p[n] = memblock_alloc(MAX_BLOCK)))
		n++;
	assert_true(n < ARRAY_SIZE(p));
	used = memblock_used();
	assert_null(memblock_zalloc(MAX_BLOCK));
	assert_int_equal(memblock_used(), used);
	clear_weather();
	p[n] = memblock_alloc(MAX_BLOCK);
	assert_non_null(p[n]);
	for (size_t i = 0; i <= n; i++)
		memblock_free(p[i], MAX_BLOCK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_are_aligned_to_their_size_overlap_nothing_and_are_counted),
		cmocka_unit_test(a_freed_block_is_the_next_of_its_size),
		cmocka_unit_test(zeroed_blocks_are_zero_also_when_used_before),
		cmocka_unit_test(without_memory_the_answer_is_null_and_nothing_is_counted),
		cmocka_unit_test(every_byte_of_the_chunks_can_be_had),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
