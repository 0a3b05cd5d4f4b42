// SPDX-License-Identifier: MIT
/*
 * libnuma.c - libnuma, where there is more than one node to tell apart.
 *
 * Loading a library calls malloc and takes the loader's lock, so it is not done inside malloc, and not while there are
 * other threads: one of them could be loading a library whose constructor waits for this thread. The first
 * pthread_create is neither. There one system call says whether there are several nodes; only then a file is opened.
 * Without libnuma the system calls are our own: it does the same with them, but knows what a distance is where the kernel
 * does not tell.
 */
#include <dlfcn.h>

#include "base/options.h"
#include "os/thread.h"
#include "preload/entry.h"
#include "preload/libnuma.h"

static void load(void)
{
	void *lib = dlopen("libnuma.so.1", RTLD_NOW | RTLD_LOCAL);
	struct numa_library calls = { .distance = NULL };
	int (*available)(void);

	if (!lib)
		return;
	available = (int (*)(void))dlsym(lib, "numa_available");
	if (!available || available() < 0)
		return;
	*(void **)&calls.mbind = dlsym(lib, "mbind");
	*(void **)&calls.get_mempolicy = dlsym(lib, "get_mempolicy");
	*(void **)&calls.distance = dlsym(lib, "numa_distance");
	os_numa_library(&calls);
}

/* glibc's own registration of the area that the kernel writes the node into. */
static void find_rseq(void)
{
	const ptrdiff_t *offset = dlsym(RTLD_DEFAULT, "__rseq_offset");
	const unsigned int *size = dlsym(RTLD_DEFAULT, "__rseq_size");

	if (offset && size && *size)
		os_rseq_offset(*offset);
}

void libnuma_load(void)
{
	unsigned long allowed[MAX_NUMNODES / 64];
	static bool done;

	if (done || options.numa != NUMA_AUTO)
		return;
	done = true;
	if (!os_single_threaded())
		return;
	if (os_mems_allowed(allowed) > 1) {
		load();
		find_rseq();
	}
	numa_turn_on();
}
