// SPDX-License-Identifier: MIT
/*
 * section.cc - the memory orders of the section map: section_get, region_get and region_put in src/page/section.c, and who
 * looks up without a lock, section_of and region_at in src/page/page.h.
 *
 * The readers' loads are plain in the source: each depends on the one before by its address, and no processor that we
 * run on reads what an address leads to before the address. Relacy knows no dependent loads: they are acquire here.
 *
 *	a reader that finds a section, or a region, finds in it what was there when it was published
 *	who was handed a pointer into a region finds the region
 *
 * What a system call gives (os_map's zeroes) is stored by the one who made it.
 */
#include "orders.h"

static int root_store = release, slot_store = release, slot_back = release;
static int root_load = acquire, slot_load = acquire;

static const mutation mutations[] = {
	{ "WEAKEN_SECTION_GET", &root_store, relaxed },
	{ "WEAKEN_REGION_GET", &slot_store, relaxed },
	{ "WEAKEN_REGION_PUT_BACK", &slot_back, relaxed },
	{ "WEAKEN_SECTION_OF", &root_load, relaxed },
	{ "WEAKEN_REGION_AT", &slot_load, relaxed },
};

struct region {
	rl::var<int> base;
};

struct section {
	rl::atomic<region *> slot;
};

struct section_model : rl::test_suite<section_model, 3> {
	rl::atomic<section *> root;
	section s;
	region r;
	rl::mutex section_lock;
	rl::atomic<int> handed; /* by the program, in its own way */
	bool goes; /* the region is free: nobody has a pointer into it */

	void before()
	{
		root.store(NULL, in(relaxed));
		handed.store(0, in(relaxed));
		goes = rl::rand(2);
	}

	section *section_get()
	{
		section *found = root.load(in(relaxed));

		if (found)
			return found;
		s.slot.store(NULL, in(relaxed));
		root.store(&s, in(root_store));
		return &s;
	}

	void region_get()
	{
		section_lock.lock($);
		section *found = section_get();
		if (!found->slot.load(in(relaxed))) {
			r.base($) = 1;
			found->slot.store(&r, in(slot_store));
		}
		section_lock.unlock($);
	}

	/* The system refuses. */
	void region_put()
	{
		section_lock.lock($);
		section *found = root.load(in(relaxed));
		if (found && found->slot.load(in(relaxed))) {
			found->slot.store(NULL, in(relaxed));
			found->slot.store(&r, in(slot_back));
		}
		section_lock.unlock($);
	}

	region *region_at()
	{
		section *found = root.load(in(root_load));

		return found ? found->slot.load(in(slot_load)) : NULL;
	}

	void thread(unsigned index)
	{
		if (index == 0) {
			region_get();
			if (!goes)
				handed.store(1, in(release));
		} else if (index == 1) {
			if (goes)
				region_put();
			else
				region_get();
		} else {
			bool ours = handed.load(in(acquire));
			region *found = region_at();

			RL_ASSERT(found || !ours);
			RL_ASSERT(!found || found->base($) == 1);
		}
	}
};

int main()
{
	return check<section_model>("section", mutations);
}
