// SPDX-License-Identifier: MIT
#include "reclaim/shrinker.h"

#include <limits.h>

#include "base/bitops.h"
#include "base/platform.h"
#include "os/thread.h"
#include "page/memblock.h"

struct lock shrinker_lock;

struct walk {
	struct walk *next;
	struct shrinker_entry *at; /* pinned */
	u64 last_id; /* what was registered when it began */
	u32 thread; /* lock_id() */
};

/* Under shrinker_lock. */
static struct {
	struct shrinker_entry *first, **tail;
	struct walk *walks;
	u64 last_id;
	u32 event; /* futex: changes when a dead entry loses a pin */
} registry;

struct shrinker_entry *shrinker_entry_alloc(const char *name)
{
	struct shrinker_entry *e = memblock_zalloc(sizeof(*e));

	for (u32 i = 0; e && name && name[i] && i < SHRINKER_NAME_MAX - 1; i++)
		e->name[i] = name[i];
	return e;
}

void shrinker_entry_free(struct shrinker_entry *e)
{
	memblock_free(e, sizeof(*e));
}

static struct shrinker_entry *find(const struct shrinker *s)
{
	struct shrinker_entry *e = registry.first;

	while (e && (e->shrinker != s || e->dead))
		e = e->next;
	return e;
}

static struct walk *own_walk(void)
{
	struct walk *w = registry.walks;

	while (w && w->thread != lock_id())
		w = w->next;
	return w;
}

static void take_off(struct shrinker_entry *e)
{
	WRITE_ONCE(*e->pprev, e->next);
	if (e->next)
		e->next->pprev = e->pprev;
	else
		registry.tail = e->pprev;
}

bool shrinkers_exist(void)
{
	return READ_ONCE(registry.first) != NULL;
}

bool shrinker_add(struct shrinker_entry *e, struct shrinker *s)
{
	bool fresh;

	lock(&shrinker_lock, RANK_SHRINKER);
	fresh = !find(s);
	if (fresh) {
		if (!registry.first)
			registry.tail = &registry.first;
		e->shrinker = s;
		e->id = ++registry.last_id;
		e->pprev = registry.tail;
		WRITE_ONCE(*registry.tail, e);
		registry.tail = &e->next;
		s->entry = e;
		s->flags |= SHRINKER_REGISTERED;
	}
	unlock(&shrinker_lock, RANK_SHRINKER);
	return fresh;
}

bool shrinker_remove(struct shrinker *s)
{
	struct shrinker_entry *e;
	struct walk *own;
	u32 mine, event;

	lock(&shrinker_lock, RANK_SHRINKER);
	e = find(s);
	if (!e) {
		unlock(&shrinker_lock, RANK_SHRINKER);
		return false;
	}
	own = own_walk();
	mine = own && own->at == e;
	WRITE_ONCE(e->dead, true);
	e->awaited = true;
	while (e->pins > mine) {
		event = registry.event;
		unlock(&shrinker_lock, RANK_SHRINKER);
		platform_futex_wait(&registry.event, event);
		lock(&shrinker_lock, RANK_SHRINKER);
	}
	e->awaited = false;
	s->entry = NULL;
	s->flags &= ~SHRINKER_REGISTERED;
	if (!mine)
		take_off(e);
	unlock(&shrinker_lock, RANK_SHRINKER);
	if (!mine)
		shrinker_entry_free(e);
	return true;
}

/* Returns the entry if it is gone: the caller frees it when it holds no lock any more. */
static struct shrinker_entry *unpin(struct shrinker_entry *e)
{
	e->pins--;
	if (!e->dead)
		return NULL;
	WRITE_ONCE(registry.event, registry.event + 1);
	os_futex_wake_all(&registry.event);
	if (e->pins || e->awaited)
		return NULL;
	take_off(e);
	return e;
}

/* Pins the first entry from e on that the walk has to visit; it leaves the one before it only then. */
static void pin_from(struct walk *w, struct shrinker_entry *e)
{
	while (e && e->dead)
		e = e->next;
	w->at = e && e->id <= w->last_id ? e : NULL;
	if (w->at)
		w->at->pins++;
}

/* False: this thread walks already. */
static bool walk_begin(struct walk *w)
{
	bool first;

	w->thread = lock_id();
	lock(&shrinker_lock, RANK_SHRINKER);
	first = !own_walk();
	if (first) {
		w->last_id = registry.last_id;
		w->next = registry.walks;
		registry.walks = w;
		pin_from(w, registry.first);
	}
	unlock(&shrinker_lock, RANK_SHRINKER);
	return first;
}

static void walk_next(struct walk *w)
{
	struct shrinker_entry *e = w->at, *gone;

	lock(&shrinker_lock, RANK_SHRINKER);
	pin_from(w, e->next);
	gone = unpin(e);
	unlock(&shrinker_lock, RANK_SHRINKER);
	if (gone)
		shrinker_entry_free(gone);
}

static void walk_end(struct walk *w)
{
	struct walk **link = &registry.walks;

	lock(&shrinker_lock, RANK_SHRINKER);
	while (*link != w)
		link = &(*link)->next;
	*link = w->next;
	unlock(&shrinker_lock, RANK_SHRINKER);
}

/* No cache has more; twice of it, and four times, are still longs. */
#define FREEABLE_MAX (LONG_MAX / 8)

/* In batches, while there is a whole batch to be scanned or as much as there is. Returns how many were scanned. */
static long scan_batches(struct shrinker *s, struct shrink_control *sc, long total, long freeable,
			 const bool *dead, unsigned long *freed)
{
	long batch = s->batch > 0 ? s->batch : SHRINK_BATCH, left = total;

	while (left >= batch || left >= freeable) {
		unsigned long n;

		sc->nr_to_scan = (unsigned long)min(batch, left);
		sc->nr_scanned = sc->nr_to_scan;
		n = s->scan_objects(s, sc);
		if (n == SHRINK_STOP)
			break;
		*freed += n;
		left -= (long)min(sc->nr_scanned, (unsigned long)FREEABLE_MAX);
		/* One that neither looks at an object nor frees one would never end. */
		if (READ_ONCE(*dead) || (!n && !sc->nr_scanned))
			break;
	}
	return total - left;
}

unsigned long do_shrink_slab(struct shrinker *s, struct shrink_control *sc, long *nr_deferred,
			     int priority, const bool *dead)
{
	unsigned long count = s->count_objects(s, sc), freed = 0;
	long freeable, deferred, delta, scanned;

	if (READ_ONCE(*dead) || !count || count == SHRINK_EMPTY)
		return 0;
	freeable = (long)min(count, (unsigned long)FREEABLE_MAX);
	deferred = __atomic_exchange_n(nr_deferred, 0, __ATOMIC_RELAXED);
	delta = s->seeks > 0 ? (freeable >> priority) * 4 / s->seeks : freeable / 2;
	scanned = scan_batches(s, sc, min((deferred >> priority) + delta, 2 * freeable), freeable,
			       dead, &freed);
	deferred = min(max(deferred + delta - scanned, 0l), 2 * freeable);
	__atomic_fetch_add(nr_deferred, deferred, __ATOMIC_RELAXED);
	return freed;
}

unsigned long shrink_all(int priority, gfp_t gfp)
{
	struct walk w;
	unsigned long freed = 0;

	priority = min(max(priority, 0), BITS_PER_LONG - 1);
	if (!walk_begin(&w))
		return 0;
	for (; w.at; walk_next(&w)) {
		struct shrinker_entry *e = w.at;
		bool by_node = e->shrinker->flags & SHRINKER_NUMA_AWARE;
		u32 nodes = by_node ? numa_nodes() : 1;

		for (u32 i = 0; i < nodes && !READ_ONCE(e->dead); i++) {
			struct shrink_control sc = { .gfp_mask = gfp, .nid = (int)numa.nid[i] };
			long *deferred = &e->nr_deferred[min(i, (u32)SHRINKER_NODES - 1)];

			freed += do_shrink_slab(e->shrinker, &sc, deferred, priority, &e->dead);
		}
	}
	walk_end(&w);
	return freed;
}

void shrinker_after_fork(void)
{
	struct walk **link = &registry.walks, *w;

	while ((w = *link)) {
		struct shrinker_entry *gone = NULL;

		if (w->thread == lock_id()) {
			link = &w->next;
			continue;
		}
		*link = w->next;
		if (w->at)
			gone = unpin(w->at);
		if (gone)
			shrinker_entry_free(gone);
	}
}
