// SPDX-License-Identifier: MIT
#include "page/memblock.h"

#include <string.h>

#include "base/bitops.h"
#include "base/bug.h"
#include "os/mem.h"

enum { MIN_SHIFT = 6, MAX_SHIFT = 16, ALIGN_SHIFT = 14 }; /* larger: aligned to a frame */

static const size_t CHUNK_SIZE = 256 * KIB;

struct free_block {
	struct free_block *next;
};

struct lock memblock_lock;
struct free_block *memblock_free_blocks[MAX_SHIFT + 1];
static char *chunk, *chunk_end;
size_t memblock_bytes;

static unsigned int block_shift(size_t size)
{
	unsigned int shift = order_base_2(size);

	VM_BUG_ON(shift > MAX_SHIFT);
	return max(shift, (unsigned int)MIN_SHIFT);
}

/* What alignment skips, or is left of the old chunk, is put on the lists: nothing is lost. */
static void save_remainder(char *p, char *end)
{
	while (end - p >= 1 << MIN_SHIFT) {
		unsigned int shift = min(__ffs((uintptr_t)p), ilog2((size_t)(end - p)));
		struct free_block *b = (struct free_block *)p;

		shift = min(shift, (unsigned int)MAX_SHIFT);
		b->next = memblock_free_blocks[shift];
		memblock_free_blocks[shift] = b;
		p += 1ul << shift;
	}
}

static void *carve(unsigned int shift)
{
	size_t align = shift > ALIGN_SHIFT ? 4 * KIB : 1ul << shift;
	char *p = (char *)ALIGN((uintptr_t)chunk, align);

	if (!chunk || p + (1ul << shift) > chunk_end) {
		p = os_map(CHUNK_SIZE);
		if (!p)
			return NULL;
		if (chunk)
			save_remainder(chunk, chunk_end);
		chunk = p;
		chunk_end = p + CHUNK_SIZE;
		p = (char *)ALIGN((uintptr_t)p, align);
	}
	save_remainder(chunk, p);
	chunk = p + (1ul << shift);
	return p;
}

void *memblock_alloc(size_t size)
{
	unsigned int shift = block_shift(size);
	struct free_block *b;

	lock(&memblock_lock, RANK_MEMBLOCK);
	b = memblock_free_blocks[shift];
	if (b)
		memblock_free_blocks[shift] = b->next;
	else
		b = carve(shift);
	if (b)
		memblock_bytes += 1ul << shift;
	unlock(&memblock_lock, RANK_MEMBLOCK);
	return b;
}

void *memblock_zalloc(size_t size)
{
	void *p = memblock_alloc(size);

	return p ? memset(p, 0, size) : NULL;
}

void memblock_free(void *p, size_t size)
{
	unsigned int shift = block_shift(size);
	struct free_block *b = p;

	lock(&memblock_lock, RANK_MEMBLOCK);
	b->next = memblock_free_blocks[shift];
	memblock_free_blocks[shift] = b;
	memblock_bytes -= 1ul << shift;
	unlock(&memblock_lock, RANK_MEMBLOCK);
}

size_t memblock_used(void)
{
	return READ_ONCE(memblock_bytes);
}
