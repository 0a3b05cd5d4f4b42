// SPDX-License-Identifier: MIT
/*
 * calls.c - which block a call is about: live blocks by address.
 *
 * In the order of numbers an address is born and dies by turns (format.h, 3). Blocks get small
 * identifiers, which index the replay's table of pointers. An identifier is used again only when
 * its block died more than two rounds ago: until then a slower thread may still have to free it.
 *
 * A call can be missing: made before the recording, or by a thread past its last destructor. Then
 * a block dies that is not known, or is born where another one lives, whose identifier is lost.
 */
#include "trace.h"

#include "../workloads/workload.h"

struct block {
	uint64_t address; /* 0: the place is empty */
	uint64_t size;
	uint32_t id, thread;
};

/* An identifier at rest, in a queue. */
struct rest {
	uint64_t number; /* of the death */
	uint32_t next;
};

struct live {
	struct calls now;
	struct block *table; /* open addressing; at most half full */
	uint64_t mask, used;
	struct block *moving; /* by thread: what its realloc is about */
	struct rest *rest;
	uint32_t oldest, newest; /* BLOCK_NONE: none */
};

static uint64_t place(const struct live *l, uint64_t address)
{
	return (address >> 3) * 0x9e3779b97f4a7c15ull >> 20 & l->mask;
}

static struct block *find(const struct live *l, uint64_t address)
{
	uint64_t i = place(l, address);

	while (l->table[i].address && l->table[i].address != address)
		i = (i + 1) & l->mask;
	return &l->table[i];
}

static void table_resize(struct live *l, uint64_t places)
{
	struct block *old = l->table;
	uint64_t n = old ? l->mask + 1 : 0;

	l->table = table_map(places * sizeof(*l->table));
	l->mask = places - 1;
	for (uint64_t i = 0; i < n; i++)
		if (old[i].address)
			*find(l, old[i].address) = old[i];
	if (old)
		munmap(old, n * sizeof(*old));
}

static void put(struct live *l, const struct block *b)
{
	if (2 * ++l->used > l->mask)
		table_resize(l, 2 * (l->mask + 1));
	*find(l, b->address) = *b;
	l->now.live_bytes += b->size;
	l->now.live_blocks++;
}

/* Those behind it move up, unless they are at home between the gap and where they are. */
static bool take(struct live *l, uint64_t address, struct block *b)
{
	struct block *found = find(l, address);
	uint64_t gap = (uint64_t)(found - l->table);

	*b = *found;
	if (!b->address)
		return false;
	for (uint64_t i = (gap + 1) & l->mask; l->table[i].address; i = (i + 1) & l->mask) {
		uint64_t home = place(l, l->table[i].address);

		if (((i - home) & l->mask) >= ((i - gap) & l->mask)) {
			l->table[gap] = l->table[i];
			gap = i;
		}
	}
	l->table[gap].address = 0;
	l->used--;
	l->now.live_bytes -= b->size;
	l->now.live_blocks--;
	return true;
}

static uint32_t id_new(struct live *l, uint64_t number)
{
	uint32_t id = l->oldest;

	if (id != BLOCK_NONE && l->rest[id].number / TRACE_ROUND + 2 < number / TRACE_ROUND) {
		l->oldest = l->rest[id].next;
		return id;
	}
	l->rest = table_grow(l->rest, l->now.blocks, sizeof(*l->rest));
	return l->now.blocks++;
}

static void id_rest(struct live *l, uint32_t id, uint64_t number)
{
	l->rest[id] = (struct rest){ number, BLOCK_NONE };
	if (l->oldest == BLOCK_NONE)
		l->oldest = id;
	else
		l->rest[l->newest].next = id;
	l->newest = id;
}

/* What CALLOC and an alignment ask for, as one size. */
static uint64_t bytes(const struct record *r)
{
	return r->kind == TRACE_CALLOC ? r->count * r->size : r->size;
}

static void birth(struct live *l, const struct record *r, struct call *call)
{
	struct block b = { r->block, bytes(r), 0, r->thread }, lost;

	if (!b.address)
		return;
	take(l, b.address, &lost);
	b.id = call->born = id_new(l, r->number);
	put(l, &b);
}

static void death(struct live *l, const struct record *r, struct call *call, const struct block *b)
{
	call->unknown = !b->address;
	if (!b->address)
		return;
	call->died = b->id;
	call->died_size = b->size;
	call->remote = b->thread != r->thread;
	id_rest(l, b->id, r->number);
}

/*
 * realloc's old block leaves the table at the first number. At the second it has died, or it is
 * put back: there was no memory, and the old block stayed.
 */
static void reallocated(struct live *l, const struct record *r, struct call *call)
{
	const struct block *b = &l->moving[r->thread];

	birth(l, r, call);
	if (r->old && (r->block || r->size == 0))
		death(l, r, call, b);
	else if (b->address)
		put(l, b);
}

void calls_each(struct trace *t, call_seen *see, void *arg)
{
	struct live l = { .oldest = BLOCK_NONE };
	struct record r;

	table_resize(&l, 1024);
	l.moving = table_map((t->threads + 1ul) * sizeof(*l.moving));
	while (trace_next(t, &r)) {
		struct call call = { .record = &r, .born = BLOCK_NONE, .died = BLOCK_NONE };
		struct block b;

		if (r.kind == TRACE_REALLOC && !r.birth) {
			l.moving[r.thread].address = 0;
			if (r.old)
				take(&l, r.old, &l.moving[r.thread]);
			continue;
		}
		if (r.kind == TRACE_REALLOC) {
			reallocated(&l, &r, &call);
		} else if (r.kind == TRACE_FREE) {
			take(&l, r.old, &b);
			death(&l, &r, &call, &b);
		} else {
			birth(&l, &r, &call);
		}
		see(arg, &l.now, &call);
	}
}
