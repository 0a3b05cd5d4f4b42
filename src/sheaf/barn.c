// SPDX-License-Identifier: MIT
#include "sheaf/barn.h"

#include "os/mem.h"

struct barn barns[NR_CACHES];

static size_t bytes_held;

/* With threads enough for a few classes to be handed over in any heap. */
static size_t bytes_allowed(void)
{
	size_t heap = zones_used() << FRAME_SHIFT;

	return READ_ONCE(nr_threads) > 1 ? 4 * MIB + heap / 16 : 512 * KIB + heap / 16;
}

bool barns_divide(const struct numa *n)
{
	size_t size = ALIGN(NR_CACHES * sizeof(struct barn), os_page_size());

	for (u32 i = 1; i < n->nr; i++) {
		u32 nid = n->nid[i];

		if (!node_barns[nid])
			node_barns[nid] = os_map(size);
		if (!node_barns[nid])
			return false;
		os_bind(node_barns[nid], size, nid);
	}
	return true;
}

static size_t sheaf_size(u32 id, const struct slab_sheaf *sheaf)
{
	return (size_t)sheaf->size * cache_of(id)->size;
}

/* The lists; the barn's lock is held. */
static void add_empty(struct barn *b, struct slab_sheaf **empty)
{
	if (!*empty || b->nr_empty == BARN_EMPTY)
		return;
	(*empty)->next = b->empty;
	b->empty = *empty;
	WRITE_ONCE(b->nr_empty, (u8)(b->nr_empty + 1));
	*empty = NULL;
}

static struct slab_sheaf *del_empty(struct barn *b)
{
	struct slab_sheaf *empty = b->empty;

	if (empty) {
		b->empty = empty->next;
		WRITE_ONCE(b->nr_empty, (u8)(b->nr_empty - 1));
	}
	return empty;
}

struct slab_sheaf *barn_replace_empty(u32 id, u32 nid, struct slab_sheaf **empty)
{
	struct barn *b = barn_of(id, nid);
	struct slab_sheaf *sheaf;

	if (!READ_ONCE(b->nr))
		return NULL;
	lock(&b->lock, RANK_BARN);
	sheaf = b->full;
	b->idle = false;
	if (sheaf) {
		b->full = sheaf->next;
		WRITE_ONCE(b->nr, b->nr - 1);
		WRITE_ONCE(b->objects, b->objects - sheaf->size);
		ADD_ONCE(b->gets, 1);
		add_empty(b, empty);
	}
	unlock(&b->lock, RANK_BARN);
	if (sheaf)
		counter_sub(bytes_held, sheaf_size(id, sheaf));
	return sheaf;
}

bool barn_replace_full(u32 id, u32 nid, struct slab_sheaf *sheaf, struct slab_sheaf **empty)
{
	struct barn *b = barn_of(id, nid);
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
		WRITE_ONCE(b->objects, b->objects + sheaf->size);
		ADD_ONCE(b->puts, 1);
		if (empty)
			*empty = del_empty(b);
	}
	unlock(&b->lock, RANK_BARN);
	if (!put)
		counter_sub(bytes_held, sheaf_size(id, sheaf));
	return put;
}

bool barn_filled(u32 id)
{
	for_each_node(nid)
		if (READ_ONCE(barn_of(id, nid)->nr))
			return true;
	return false;
}

static void drain(u32 id, u32 nid, struct page_source src)
{
	struct barn *b = barn_of(id, nid);
	struct slab_sheaf *sheaf;

	while ((sheaf = barn_get(id, nid))) {
		slab_free_batch(id, src, sheaf->objects, sheaf->size);
		sheaf_delete(sheaf);
	}
	while (READ_ONCE(b->nr_empty)) {
		lock(&b->lock, RANK_BARN);
		sheaf = del_empty(b);
		unlock(&b->lock, RANK_BARN);
		if (sheaf)
			sheaf_delete(sheaf);
	}
}

void barn_drain(u32 id, struct page_source src)
{
	for_each_node(nid)
		drain(id, nid, src);
}

static void age(u32 id, u32 nid, struct page_source src)
{
	struct barn *b = barn_of(id, nid);
	bool idle;

	if (!READ_ONCE(b->nr) && !READ_ONCE(b->nr_empty))
		return;
	lock(&b->lock, RANK_BARN);
	idle = b->idle;
	b->idle = true;
	unlock(&b->lock, RANK_BARN);
	if (idle)
		drain(id, nid, src);
}

void barn_age(u32 id, struct page_source src)
{
	for_each_node(nid)
		age(id, nid, src);
}

/* One sheaf at a time is out of the barn meanwhile: a report must not be made under its lock. */
static u32 verify(u32 id, u32 nid)
{
	struct slab_sheaf *first = barn_get(id, nid), *next;
	u32 bad = 0;

	for (struct slab_sheaf *sheaf = first; sheaf; sheaf = next) {
		next = barn_get(id, nid);
		bad += verify_objects(sheaf->objects, sheaf->size);
		sheaf->next = next;
	}
	for (struct slab_sheaf *sheaf = first; sheaf; sheaf = next) {
		next = sheaf->next;
		if (barn_put(id, nid, sheaf))
			continue;
		slab_free_batch(id, cache_pages(NULL, id), sheaf->objects, sheaf->size);
		sheaf_delete(sheaf);
	}
	return bad;
}

u32 barn_verify(u32 id)
{
	u32 bad = 0;

	for_each_node(nid)
		bad += verify(id, nid);
	return bad;
}

static bool holds(struct barn *b, const void *p)
{
	bool found = false;

	lock(&b->lock, RANK_BARN);
	for (struct slab_sheaf *sheaf = b->full; sheaf && !found; sheaf = sheaf->next)
		for (u32 i = 0; i < sheaf->size; i++)
			found |= sheaf->objects[i] == p;
	unlock(&b->lock, RANK_BARN);
	return found;
}

bool barn_holds(u32 id, const void *p)
{
	bool found = false;

	for_each_node(nid)
		found |= holds(barn_of(id, nid), p);
	return found;
}

unsigned long barn_objects_on(u32 id, u32 nid)
{
	return READ_ONCE(barn_of(id, nid)->objects);
}

unsigned long barn_objects(u32 id)
{
	unsigned long objects = 0;

	for_each_node(nid)
		objects += barn_objects_on(id, nid);
	return objects;
}
