// SPDX-License-Identifier: MIT
/*
 * metadata.c - a heap of 64-byte objects, 1 GiB of them: what stands beside the objects?
 *
 * The objects are chained through themselves, so that the heap holds nothing else, and are live
 * when the process ends: the statistics that SLABMALLOC_STATS writes then are those of the full
 * heap.
 */
#include "workloads/workload.h"

enum { OBJECT = 64 };

static struct knob knobs[] = {
	{ "mib", 1024, 4 },
	{ NULL, 0, 0 },
};

int main(int argc, char **argv)
{
	void *volatile chain = NULL;
	unsigned long start_kib;
	struct measure m;
	size_t live;

	knobs_read(knobs, argc, argv);
	live = knob(knobs, "mib") * MIB;
	start_kib = status_kib("VmRSS:");

	m = measure_begin();
	for (size_t i = 0; i < live / OBJECT; i++) {
		void **object = must_malloc(OBJECT);

		*object = chain;
		chain = object;
	}
	measure_end(&m);
	result("rss_over_live", (double)(status_kib("VmRSS:") - start_kib) * 1024 / (double)live);
	return 0;
}
