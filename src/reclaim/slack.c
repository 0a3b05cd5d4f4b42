// SPDX-License-Identifier: MIT
#include "reclaim/slack.h"

#include "base/options.h"
#include "os/thread.h"
#include "slab/purge.h"

enum {
	SHARE = 4, /* of what lives */
	FADE = 32, /* this part of the demand goes ... */
	FADE_MS = 50, /* ... so often ... */
	FADED_MS = 2000, /* ... and all of it where nobody looked for so long */
	REST_AMOUNT = 1, /* times the length of a pass */
	REST_AGE = 100,
	QUARTERS = 2,
	TEAR = FRAMES_PER_HUGE / 4,
	RESTING_TEAR = FRAMES_PER_HUGE / 8,
};

static struct {
	size_t left; /* slack after the last pass, or the least since */
	size_t used, live; /* at the last look */
	size_t demand;
	u64 fade_ms; /* when demand fades again */
	u64 grown_ms; /* since then the excess is worth a pass */
	u64 end_ms, took_ms; /* of the last pass */
} slack;

/* Lives now, did not before, and the heap did not grow for it. */
static size_t refilled(size_t used, size_t live)
{
	size_t more = live - min(slack.live, live), growth = used - min(slack.used, used);

	slack.live = live;
	slack.used = used;
	return more - min(growth, more);
}

static size_t demand(size_t used, size_t live, u64 now)
{
	if (now >= slack.fade_ms) {
		slack.demand -= now - slack.fade_ms < FADED_MS ? slack.demand / FADE : slack.demand;
		slack.fade_ms = now + FADE_MS;
	}
	slack.demand = min(slack.demand + refilled(used, live), used);
	return slack.demand;
}

static size_t slack_bytes(struct slab_bytes b)
{
	return b.free - min(b.given, b.free);
}

static void pass(u64 now, u32 quarters, u32 tear)
{
	struct zone *z;

	for_each_zone(z)
		slab_purge(z, quarters, tear);
	slack.left = slack_bytes(slab_bytes());
	slack.end_ms = os_now_ms();
	slack.took_ms = slack.end_ms - now + 1;
	slack.grown_ms = 0;
}

size_t slack_look(size_t used, size_t least, u64 now)
{
	struct slab_bytes b = slab_bytes();
	size_t bytes = slack_bytes(b), live = used - min(b.free, used);
	size_t wanted = demand(used, live, now);
	bool much = bytes >= live;

	slack.left = min(slack.left, bytes);
	if (bytes - slack.left <= live / SHARE + least + 2 * wanted) {
		slack.grown_ms = 0;
		return live;
	}
	if (!slack.grown_ms)
		slack.grown_ms = now;
	if (now - slack.end_ms >= slack.took_ms * (much ? REST_AMOUNT : REST_AGE) &&
	    (much || now - slack.grown_ms >= options.decay_ms))
		pass(now, QUARTERS, TEAR);
	return live;
}

void slack_rest(size_t least, u64 now)
{
	if (slack_bytes(slab_bytes()) > least)
		pass(now, 4, RESTING_TEAR);
}
