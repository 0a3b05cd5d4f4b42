/* SPDX-License-Identifier: MIT */
/*
 * reclaim.h - giving memory back: what is free, resident and not needed.
 *
 * dirty = the buddy's dirty blocks + cached areas; used = frames and areas in use. dirty_min, below, is less for
 * a small heap: a quarter of the most that was used lately, or 512 KiB. Bounds:
 *
 *	amount	dirty <= dirty_min + live / 8 + demand, and <= dirty_max. Live is used without what is free in
 *		slabs; demand is what the program took lately without growing, wherever it came from: one that
 *		churns keeps what it churns, one that only frees an eighth of what it has, so that neighbours come
 *		together before they go. Where kshrinkd runs, who will come and look, what is more than that stays for
 *		half of decay_ms: it was in use a moment ago, and may be in the next.
 *	peak	used + dirty <= 9/8 of the most that was used lately + dirty_min: what did not serve a growing
 *		heap does not stay beside it.
 *	age	no demand for decay_ms, and nothing new either: everything goes.
 *	patience	what comes back within two seconds after it was given back counts as demand, and decay_ms is 4 times
 *		as long next time, up to 16 times: a program that works in bursts keeps its memory from the second on. Only what
 *		went in a pause is a reason for patience; what went while other threads were taking is not.
 *	huge	free parts of huge pages in use <= used / 4 + dirty_min, or pages that are three quarters free are
 *		torn.
 *	slabs	what lies free inside slabs: slack.h.
 *
 * Where used falls to half, the barns' sheaves and the caches' empty slabs go back to the buddy too.
 *
 * All is looked at on slow paths. Nothing below this room knows it: a failing allocation returns failure
 * upward, and the entry layer calls reclaim_all and tries again.
 *
 * Lock: reclaim_lock; one thread at a time gives back. A tick only tries it; reclaim_all waits, since
 * what another is just giving back may be what the caller needs.
 */
#pragma once

#include "base/lock.h"
#include "sheaf/sheaf.h"

extern struct lock reclaim_lock;

/* Free memory that is resident, in bytes: of zones, of areas, and in slabs that need not stay. */
size_t reclaim_dirty(void);

/* The heap: what is in use, touched or not, and what is dirty. */
size_t reclaim_held(void);

/* After every slow path; c is the calling thread's sheaves or NULL. Keeps errno. */
void reclaim_tick(struct kmem_percpu *c);

/* The same for kshrinkd, and what only it does: threads that sleep, caches of a quiet heap. True: nothing is left to age. */
bool reclaim_age(u64 now_ms);

/* kshrinkd leaves, and nobody will come for what was to be waited for. */
void reclaim_leave(u64 now_ms);

/*
 * Gives back all that can be, now: the calling thread's sheaves, barns, empty slabs, cached areas, free
 * frames; tear: also out of huge pages that are partly in use. Returns bytes.
 */
size_t reclaim_all(struct kmem_percpu *c, bool tear);

/*
 * Ends a typed cache that nobody uses any more: its objects go from sheaves and barn to the slabs, and these back.
 * Not while a reclaimer has some of them in its hands. Returns how many objects are still out.
 */
unsigned long reclaim_cache(u32 id);
