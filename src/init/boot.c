// SPDX-License-Identifier: MIT
#include "init/boot.h"

#include <pthread.h>

#include "base/options.h"
#include "stat/stat.h"

static bool have_key;

static void boot_once(void)
{
	fork_init();
	have_key = thread_exit_init();
}

noinline struct kmem_percpu *boot_thread(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct kmem_percpu *c = this_cpu;

	if (likely(percpu_attached(c)))
		return c;
	options_init();
	c = sheaf_attach();
	if (!c)
		return NULL;
	pthread_once(&once, boot_once);
	if (have_key)
		thread_exit_arm(c);
	return c;
}

/* The first malloc may have come before the environment. */
__attribute__((constructor)) static void boot_process(void)
{
	options_init();
	stat_prepare(options.stats);
}

__attribute__((destructor)) static void end_process(void)
{
	if (percpu_attached(this_cpu))
		sheaf_verify(this_cpu);
	if (options.stats[0])
		stat_dump_to(options.stats);
}
