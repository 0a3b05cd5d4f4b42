// SPDX-License-Identifier: MIT
/*
 * stack.c - stacks, and the depot that keeps each once.
 *
 * The depot only grows. A record is complete before the head of its chain names it, and never changes: readers
 * and writers need no lock, and a child of fork loses at most the room of a record that another thread was writing.
 * Two threads that save the same new stack at once may get two numbers.
 */
#include "debug/stack.h"

#include <string.h>

#include "debug/unwind.h"
#include "os/mem.h"

struct depot *stack_depot;

/* Frames of the allocator itself between the walk's start and the caller. */
enum { SKIP_MAX = 24 };

/* The library's own code, where it is an object by itself. */
static struct loaded own_object(void)
{
	struct loaded o;

	if (!loaded_at((uintptr_t)&stack_depot, &o) || !*o.name)
		o = (struct loaded){ .start = NULL };
	return o;
}

void stack_save(struct stack *t, const void *caller)
{
	struct loaded own = own_object();
	struct unwind u;
	bool found = !caller;
	u32 skipped = 0;

	t->nr = 0;
	unwind_start(&u);
	while (t->nr < STACK_DEPTH && unwind_step(&u)) {
		const void *pc = (const void *)u.reg[UNWIND_PC];

		found |= pc == caller;
		if (found && (t->nr || (const char *)pc < own.start || (const char *)pc >= own.end))
			t->pc[t->nr++] = pc;
		else if (++skipped > SKIP_MAX)
			break;
	}
	if (!t->nr && caller) {
		t->pc[0] = caller;
		t->nr = 1;
	}
}

/* 8 MiB are about 80,000 stacks; they are touched as they are used. */
#define DEPOT_SIZE (8 * MIB)

enum { DEPOT_BUCKETS = 1 << 14, UNIT = sizeof(uintptr_t) };

struct record {
	u32 next; /* handle, or 0 */
	u32 hash;
	uintptr_t nr;
	const void *pc[];
};

/* A handle is a record's offset in the depot, in units; the heads come first, so none is 0. */
struct depot {
	u32 head[DEPOT_BUCKETS];
	uintptr_t records[];
};

static size_t depot_used; /* bytes */

static struct depot *depot_get(void)
{
	struct depot *d = __atomic_load_n(&stack_depot, __ATOMIC_ACQUIRE), *none = NULL;

	if (likely(d))
		return d;
	d = os_map(DEPOT_SIZE);
	if (!d)
		return NULL;
	if (__atomic_compare_exchange_n(&stack_depot, &none, d, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE))
		return d;
	os_unmap(d, DEPOT_SIZE);
	return none;
}

static struct record *record_at(struct depot *d, u32 handle)
{
	return (struct record *)((char *)d + (size_t)handle * UNIT);
}

static u32 hash_of(const struct stack *t)
{
	u64 h = t->nr;

	for (u32 i = 0; i < t->nr; i++)
		h = (h ^ (uintptr_t)t->pc[i]) * 0x9e3779b97f4a7c15ull;
	return (u32)(h >> 32);
}

static u32 find(struct depot *d, u32 handle, u32 hash, const struct stack *t)
{
	while (handle) {
		const struct record *r = record_at(d, handle);

		if (r->hash == hash && r->nr == t->nr &&
		    memcmp(r->pc, t->pc, t->nr * sizeof(t->pc[0])) == 0)
			return handle;
		handle = r->next;
	}
	return 0;
}

static u32 new_record(struct depot *d, u32 hash, const struct stack *t)
{
	size_t size = sizeof(struct record) + t->nr * sizeof(t->pc[0]);
	size_t at = __atomic_load_n(&depot_used, __ATOMIC_RELAXED);
	struct record *r;

	do {
		if (sizeof(*d) + at + size > DEPOT_SIZE)
			return 0;
	} while (!__atomic_compare_exchange_n(&depot_used, &at, at + size, false, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	r = (struct record *)((char *)d->records + at);
	r->hash = hash;
	r->nr = t->nr;
	memcpy(r->pc, t->pc, t->nr * sizeof(t->pc[0]));
	return (u32)((size_t)((char *)r - (char *)d) / UNIT);
}

u32 stack_depot_save(const struct stack *t)
{
	struct depot *d = depot_get();
	u32 hash = hash_of(t), *head, first, handle;

	if (!d)
		return 0;
	head = &d->head[hash % DEPOT_BUCKETS];
	first = __atomic_load_n(head, __ATOMIC_ACQUIRE);
	handle = find(d, first, hash, t);
	if (handle)
		return handle;
	handle = new_record(d, hash, t);
	if (!handle)
		return 0;
	do
		record_at(d, handle)->next = first;
	while (!__atomic_compare_exchange_n(head, &first, handle, false, __ATOMIC_ACQ_REL,
					    __ATOMIC_ACQUIRE));
	return handle;
}

void stack_depot_fetch(u32 handle, struct stack *t)
{
	struct depot *d = __atomic_load_n(&stack_depot, __ATOMIC_ACQUIRE);
	const struct record *r;

	t->nr = 0;
	if (!handle || !d)
		return;
	/* It may come out of memory that somebody wrote over. */
	if ((size_t)handle * UNIT > DEPOT_SIZE - sizeof(*r))
		return;
	r = record_at(d, handle);
	if (r->nr > STACK_DEPTH || (size_t)handle * UNIT + r->nr * UNIT > DEPOT_SIZE - sizeof(*r))
		return;
	t->nr = (u32)r->nr;
	memcpy(t->pc, r->pc, r->nr * sizeof(t->pc[0]));
}
