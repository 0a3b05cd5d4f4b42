// SPDX-License-Identifier: MIT
/*
 * touch.c - what the first touch of memory costs now.
 *
 * The system finds, zeroes and maps a page then: 0.3 us for a small one in most places, 15 where a hypervisor maps it, too.
 */
#include "os/mem.h"
#include "os/thread.h"

enum { SAMPLE = 8 /* pages */ };

u64 os_touch(void *p)
{
	u64 start = os_now_ns();

	*(volatile uintptr_t *)p = 0;
	return os_now_ns() - start;
}

/* The first page, which is not counted, pays for the page table. */
u64 os_small_touch(void)
{
	size_t page = os_page_size();
	char *p = os_map((1 + SAMPLE) * page);
	u64 ns = 0;

	if (!p)
		return 0;
	os_touch(p);
	for (int i = 1; i <= SAMPLE; i++)
		ns += os_touch(p + i * page);
	os_unmap(p, (1 + SAMPLE) * page);
	return ns / SAMPLE;
}
