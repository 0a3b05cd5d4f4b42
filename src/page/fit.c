// SPDX-License-Identifier: MIT
/*
 * fit.c - where a large block goes: of all runs of free frames that are long enough the one that holds the most memory, so that
 * what is missing, and must be touched anew, is as little as can be. The first by address of those that are equal.
 *
 * It looks at the free runs of n frames of REGIONS regions that have some, the oldest first, and in them where memory begins,
 * but not more often than STEPS times in n frames: the zone's lock is held for REGIONS * STEPS counts of a region's bits at most.
 */
#include "page/zone.h"

enum { STEPS = 8, REGIONS = 16 };

static u32 held_in(const struct region *r, u32 from, u32 n)
{
	u32 sum = 0;

	for_each_word(w, from, n)
		sum += (u32)__builtin_popcountl(r->map[RUN_HELD][w] & word_mask(w, from, n));
	return sum;
}

/* Of the n frames from `from` on, and on from where memory begins in [from, to), those that hold the most memory. */
static u32 most_held_between(const struct region *r, u32 from, u32 to, u32 n, u32 align, u32 *held)
{
	u32 best = from, most = 0;

	for (u32 at = from, next; at <= to; at = next) {
		u32 sum = held_in(r, at, n);

		if (sum > most) {
			most = sum;
			best = at;
		}
		next = at + max(n / STEPS, align);
		if (next < to)
			next = ALIGN(bitmap_next(r->map[RUN_HELD], next, to, true), align);
	}
	*held = most;
	return best;
}

struct page *buddy_find_most_held(struct zone *z, u32 n, unsigned int align_order)
{
	u32 align = 1u << align_order, most = 0;
	struct page *best = NULL;
	int tries = REGIONS;

	for (u32 i = 1; i < z->nr_runs && tries; i++) {
		struct region *r = z->runs[i].region;
		bool found = false;

		if (z->runs[i].longest[RUN_FREE] < n)
			continue;
		for (u32 from = 0, end; from < FRAMES_PER_REGION; from = end) {
			u32 start, held;

			from = bitmap_next(r->map[RUN_FREE], from, FRAMES_PER_REGION, true);
			end = bitmap_next(r->map[RUN_FREE], from, FRAMES_PER_REGION, false);
			start = ALIGN(from, align);
			if (start + n > end)
				continue;
			found = true;
			start = most_held_between(r, start, end - n, n, align, &held);
			if (!best || held > most) {
				best = &r->page[start];
				most = held;
			}
		}
		tries -= found;
		if (!found && align == 1)
			z->runs[i].longest[RUN_FREE] = (u16)(n - 1);
	}
	return best;
}
