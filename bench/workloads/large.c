// SPDX-License-Identifier: MIT
/*
 * large.c - blocks of 64 KiB to 25 MiB that come and go, every page of them written.
 *
 * Who returns each freed block to the system at once pays a page fault for every page of the next.
 */
#include "object.h"

enum { MAX_SLOTS = 1024 };

static struct knob knobs[] = {
	{ "slots", 20, 4 }, /* live blocks */
	{ "operations", 3000, 20 },
	{ NULL, 0, 0 },
};

int main(int argc, char **argv)
{
	static struct object *slot[MAX_SLOTS];
	struct rng rng = rng_seed(0);
	struct measure m;
	unsigned long slots, operations;
	double bytes = 0, seconds;

	knobs_read(knobs, argc, argv);
	slots = knob(knobs, "slots");
	operations = knob(knobs, "operations");
	if (slots < 1 || slots > MAX_SLOTS)
		die("slots: 1 to 1024");

	m = measure_begin();
	for (unsigned long i = 0; i < operations; i++) {
		struct object **at = &slot[rng_below(&rng, (uint32_t)slots)];

		object_free(*at);
		*at = object_new(rng_size(&rng, 64 << 10, 25 * MIB));
		bytes += (double)(*at)->size;
	}
	for (unsigned long i = 0; i < slots; i++)
		object_free(slot[i]);
	seconds = measure_end(&m);
	result("operations_per_second", (double)operations / seconds);
	result("gib_per_second", bytes / (double)(1ul << 30) / seconds);
	return 0;
}
