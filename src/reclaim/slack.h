/* SPDX-License-Identifier: MIT */
/*
 * slack.h - when to give back what is free inside slabs (slab/purge.h).
 *
 * slack = bytes of free objects in slabs that hold memory; live = used without what is free in slabs; excess = what
 * slack has grown by since the last pass, which left what it could not give. All under reclaim_lock.
 *
 *	excess <= live / 4 + least + 2 * demand	it stays. Demand is what the program took out of slabs without the heap
 *						growing, a thirty-second less every 50 ms: half of it after
 *						a second.
 *	slack >= live				a pass now: the heap is collapsing. Then a rest as long as the pass.
 *	slack < live				a pass when the excess has stayed for decay_ms. Then a rest
 *						a hundred times as long.
 *
 * A pass leaves slabs more than half full alone: they are the next to be refilled. A huge page is torn if a quarter of
 * it comes free.
 */
#pragma once

#include "base/compiler.h"

/*
 * Looks, and makes a pass if one is due. least: bytes of excess that are not worth one. Returns what lives of `used`
 * bytes, about.
 */
size_t slack_look(size_t used, size_t least, u64 now);

/* Nobody took or gave for decay_ms: nothing is worth keeping for it. A pass through all slabs, if more than least is free. */
void slack_rest(size_t least, u64 now);
