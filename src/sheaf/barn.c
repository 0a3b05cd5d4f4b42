// SPDX-License-Identifier: MIT
#include "sheaf/barn.h"

struct barn barns[NR_CACHES];

static size_t bytes_held;

/* With threads enough for a few classes to be handed over in any heap. */
static size_t bytes_allowed(void)
{
	size_t heap = zones_used() << FRAME_SHIFT;

	return READ_ONCE(nr_threads) > 1 ? 4 * MIB + heap / 16 : 512 * KIB + heap / 32;
}

static size_t sheaf_size(u32 id, const struct slab_sheaf *sheaf)
{
	return (size_t)sheaf->size * cache_of(id)->size;
}

struct slab_sheaf *barn_get(u32 id)
{
	struct barn *b = &barns[id];
	struct slab_sheaf *sheaf;

	if (!READ_ONCE(b->nr))
		return NULL;
	lock(&b->lock, RANK_BARN);
	sheaf = b->full;
	b->idle = false;
	if (sheaf) {
		b->full = sheaf->next;
		WRITE_ONCE(b->nr, b->nr - 1);
	}
	unlock(&b->lock, RANK_BARN);
	if (sheaf)
		counter_sub(bytes_held, sheaf_size(id, sheaf));
	return sheaf;
}

bool barn_put(u32 id, struct slab_sheaf *sheaf)
{
	struct barn *b = &barns[id];
	u32 bytes = READ_ONCE(nr_threads) > 1 ? BARN_BYTES : BARN_BYTES_ALONE;
	u32 room = bytes / (cache_of(id)->size * sheaf->capacity);
	bool put;

	room = min(max(room, 1u), (u32)BARN_SHEAVES);
	if (READ_ONCE(b->nr) >= room || counter_read(bytes_held) > bytes_allowed())
		return false;
	counter_add(bytes_held, sheaf_size(id, sheaf));
	lock(&b->lock, RANK_BARN);
	put = b->nr < room;
	b->idle = false;
	if (put) {
		sheaf->next = b->full;
		b->full = sheaf;
		WRITE_ONCE(b->nr, b->nr + 1);
	}
	unlock(&b->lock, RANK_BARN);
	if (!put)
		counter_sub(bytes_held, sheaf_size(id, sheaf));
	return put;
}

void barn_drain(u32 id, struct page_source src)
{
	struct slab_sheaf *sheaf;

	while ((sheaf = barn_get(id))) {
		slab_free_batch(id, src, sheaf->objects, sheaf->size);
		sheaf_delete(sheaf);
	}
}

void barn_age(u32 id, struct page_source src)
{
	struct barn *b = &barns[id];
	bool idle;

	if (!READ_ONCE(b->nr))
		return;
	lock(&b->lock, RANK_BARN);
	idle = b->idle;
	b->idle = true;
	unlock(&b->lock, RANK_BARN);
	if (idle)
		barn_drain(id, src);
}

/* One sheaf at a time is out of the barn meanwhile: a report must not be made under its lock. */
u32 barn_verify(u32 id)
{
	struct slab_sheaf *first = barn_get(id), *next;
	u32 bad = 0;

	for (struct slab_sheaf *sheaf = first; sheaf; sheaf = next) {
		next = barn_get(id);
		bad += verify_objects(sheaf->objects, sheaf->size);
		sheaf->next = next;
	}
	for (struct slab_sheaf *sheaf = first; sheaf; sheaf = next) {
		next = sheaf->next;
		if (barn_put(id, sheaf))
			continue;
		slab_free_batch(id, percpu_pages(NULL), sheaf->objects, sheaf->size);
		sheaf_delete(sheaf);
	}
	return bad;
}

bool barn_holds(u32 id, const void *p)
{
	struct barn *b = &barns[id];
	bool found = false;

	lock(&b->lock, RANK_BARN);
	for (struct slab_sheaf *sheaf = b->full; sheaf && !found; sheaf = sheaf->next)
		for (u32 i = 0; i < sheaf->size; i++)
			found |= sheaf->objects[i] == p;
	unlock(&b->lock, RANK_BARN);
	return found;
}

unsigned long barn_objects(u32 id)
{
	struct barn *b = &barns[id];
	unsigned long sum = 0;

	lock(&b->lock, RANK_BARN);
	for (struct slab_sheaf *sheaf = b->full; sheaf; sheaf = sheaf->next)
		sum += sheaf->size;
	unlock(&b->lock, RANK_BARN);
	return sum;
}
