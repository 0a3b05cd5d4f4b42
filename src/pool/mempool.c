// SPDX-License-Identifier: MIT
#include "pool/mempool.h"

#include "base/platform.h"
#include "os/thread.h"

struct lock mempool_lock;

struct mempool *mempools;
static unsigned long last_id;

void pool_register(struct mempool *pool)
{
	lock(&mempool_lock, RANK_MEMPOOL);
	pool->id = ++last_id;
	pool->next = mempools;
	pool->pprev = &mempools;
	if (mempools)
		mempools->pprev = &pool->next;
	mempools = pool;
	unlock(&mempool_lock, RANK_MEMPOOL);
}

void pool_unregister(struct mempool *pool)
{
	lock(&mempool_lock, RANK_MEMPOOL);
	*pool->pprev = pool->next;
	if (pool->next)
		pool->next->pprev = pool->pprev;
	pool->next = NULL;
	pool->pprev = NULL;
	pool->id = 0;
	unlock(&mempool_lock, RANK_MEMPOOL);
}

/* The oldest pool that is younger than id. */
static struct mempool *pool_after(unsigned long id)
{
	struct mempool *found = NULL;

	for (struct mempool *p = mempools; p && p->id > id; p = p->next)
		found = p;
	return found;
}

/* A copy of each: fn may make and end pools, so only its id is remembered between two of them. */
void mempool_for_each(void (*fn)(const struct mempool_info *info, void *arg), void *arg)
{
	char name[sizeof(mempools->name)];
	struct mempool_info info = { .name = name };
	struct mempool *p;
	unsigned long id = 0;

	for (;;) {
		if (!lock_peek(&mempool_lock))
			return;
		p = pool_after(id);
		if (p) {
			info.id = id = p->id;
			__builtin_memcpy(name, p->name, sizeof(name));
			info.min_nr = p->min_nr;
			info.curr_nr = p->curr_nr;
			info.element_size = p->element_size;
			info.out = counter_read(p->out);
		}
		unlock_peek(&mempool_lock);
		if (!p)
			return;
		fn(&info, arg);
	}
}

static void *pop(struct mempool *pool)
{
	WRITE_ONCE(pool->curr_nr, pool->curr_nr - 1);
	return pool->elements[pool->curr_nr];
}

static void push(struct mempool *pool, void *element)
{
	pool->elements[pool->curr_nr] = element;
	WRITE_ONCE(pool->curr_nr, pool->curr_nr + 1);
}

/* Elements that the array has room for. */
static int room(const struct mempool *pool)
{
	return max(1, pool->min_nr);
}

static void fill(struct mempool *pool, void **elems, u32 n)
{
	for (; n; elems++) {
		if (!*elems) {
			*elems = pop(pool);
			n--;
		}
	}
}

static void leave(struct mempool *pool, struct mempool_waiter **link)
{
	struct mempool_waiter *w = *link;

	WRITE_ONCE(*link, w->next);
	if (pool->tail == &w->next)
		pool->tail = link;
}

/* The last that is done with w: its thread may return and use the stack for something else. */
static void wake(struct mempool_waiter *w)
{
	__atomic_store_n(&w->served, 1, __ATOMIC_RELEASE);
	platform_futex_wake(&w->served);
}

/*
 * Hands the reserve to those who wait, in their order: the first gets nothing until there is all that it wants,
 * or all that a full reserve has. Waking is done under the lock: whom it concerns is about to sleep or does.
 */
static void serve_waiters(struct mempool *pool)
{
	struct mempool_waiter *w;

	while ((w = pool->waiters) && (u32)pool->curr_nr >= min(w->want, (u32)room(pool))) {
		u32 n = min(w->want, (u32)pool->curr_nr);

		fill(pool, w->elems, n);
		w->want -= n;
		if (!w->want) {
			leave(pool, &pool->waiters);
			wake(w);
		}
	}
}

bool pool_take(struct mempool *pool, void **elems, u32 want)
{
	bool done;

	if (!READ_ONCE(pool->curr_nr))
		return false;
	lock(&mempool_lock, RANK_MEMPOOL);
	done = !pool->waiters && (u32)pool->curr_nr >= want;
	if (done)
		fill(pool, elems, want);
	unlock(&mempool_lock, RANK_MEMPOOL);
	return done;
}

/*
 * No lock, and no barrier: who frees an element that came out of the reserve got it, in some ordered way, from
 * the thread that took it out, so it sees curr_nr as low as that thread left it, or sees what others put back since.
 * So a reserve is never left short by the last element that comes back. Elements that are taken at the same
 * time come back later and are seen then; a waiter that is missed asks alloc_fn again in a moment.
 */
bool pool_wants(const struct mempool *pool)
{
	return READ_ONCE(pool->curr_nr) < READ_ONCE(pool->min_nr) || READ_ONCE(pool->waiters);
}

static bool holds(const struct mempool *pool, const void *element)
{
	for (int i = 0; i < pool->curr_nr; i++)
		if (pool->elements[i] == element)
			return true;
	return false;
}

enum pool_put pool_put(struct mempool *pool, void *element, bool unique)
{
	enum pool_put result = POOL_KEPT;

	lock(&mempool_lock, RANK_MEMPOOL);
	if (unique && holds(pool, element))
		result = POOL_TWICE;
	else if (pool->curr_nr < (pool->waiters ? room(pool) : pool->min_nr))
		push(pool, element);
	else
		result = POOL_FULL;
	if (result == POOL_KEPT)
		serve_waiters(pool);
	unlock(&mempool_lock, RANK_MEMPOOL);
	return result;
}

bool pool_queue(struct mempool *pool, struct mempool_waiter *w)
{
	w->next = NULL;
	w->served = 0;
	w->thread = lock_id();
	lock(&mempool_lock, RANK_MEMPOOL);
	if (!pool->waiters)
		pool->tail = &pool->waiters;
	WRITE_ONCE(*pool->tail, w);
	pool->tail = &w->next;
	serve_waiters(pool);
	unlock(&mempool_lock, RANK_MEMPOOL);
	return __atomic_load_n(&w->served, __ATOMIC_ACQUIRE);
}

bool pool_sleep(struct mempool_waiter *w, u32 ms)
{
	if (!__atomic_load_n(&w->served, __ATOMIC_ACQUIRE))
		os_futex_wait_ms(&w->served, 0, ms);
	return __atomic_load_n(&w->served, __ATOMIC_ACQUIRE);
}

bool pool_serve(struct mempool *pool, struct mempool_waiter *w, void *element)
{
	struct mempool_waiter **link = &pool->waiters;
	bool taken = false;

	lock(&mempool_lock, RANK_MEMPOOL);
	if (!w->served) {
		for (void **e = w->elems; !taken; e++) {
			if (!*e) {
				*e = element;
				taken = true;
			}
		}
		if (!--w->want) {
			while (*link != w)
				link = &(*link)->next;
			leave(pool, link);
			w->served = 1;
		}
		serve_waiters(pool);
	}
	unlock(&mempool_lock, RANK_MEMPOOL);
	return taken;
}

void *pool_shrink(struct mempool *pool, int nr)
{
	void *element = NULL;

	lock(&mempool_lock, RANK_MEMPOOL);
	if (nr < pool->min_nr)
		WRITE_ONCE(pool->min_nr, nr);
	if (pool->curr_nr > pool->min_nr)
		element = pop(pool);
	else
		serve_waiters(pool);
	unlock(&mempool_lock, RANK_MEMPOOL);
	return element;
}

void **pool_grow(struct mempool *pool, void **elements, int nr)
{
	void **old = elements;

	lock(&mempool_lock, RANK_MEMPOOL);
	if (nr > pool->min_nr) {
		old = pool->elements;
		for (int i = 0; i < pool->curr_nr; i++)
			elements[i] = old[i];
		pool->elements = elements;
		WRITE_ONCE(pool->min_nr, nr);
	}
	unlock(&mempool_lock, RANK_MEMPOOL);
	return old;
}

/* The stacks of threads that did not come along are still there to be read. */
void pool_after_fork(void)
{
	for (struct mempool *p = mempools; p; p = p->next) {
		struct mempool_waiter **link = &p->waiters;

		while (*link) {
			if ((*link)->thread == lock_id())
				link = &(*link)->next;
			else
				leave(p, link);
		}
	}
}
