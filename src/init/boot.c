// SPDX-License-Identifier: MIT
#include "init/boot.h"

#include <pthread.h>

#include "base/memcheck.h"
#include "base/options.h"
#include "debug/kfence.h"
#include "debug/profile.h"
#include "debug/slub_debug.h"
#include "stat/stat.h"

static bool have_key;

static void boot_once(void)
{
	pthread_atfork(fork_prepare, fork_parent, fork_child);
	have_key = thread_exit_init();
}

/* Before the first object of a class that is to be diverted, or as soon as there is an environment. */
static void set_up_if_wanted(void)
{
	if (unlikely(options.profile[0] || options.leaks))
		profile_init();
	if (unlikely(options.debug[0] || options.harden[0] || options.failslab[0] ||
		     memcheck_running()))
		debug_boot();
	if (unlikely(options.kfence[0]))
		kfence_init();
	if (profile_on())
		profile_divert();
	if (unlikely(options.numa != NUMA_AUTO))
		numa_turn_on();
}

struct kmem_percpu *boot_thread(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct kmem_percpu *c = percpu_get();

	if (likely(c))
		return c;
	options_init();
	set_up_if_wanted();
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
	set_up_if_wanted();
	asan_warn();
	stat_prepare();
}

__attribute__((destructor)) static void end_process(void)
{
	struct kmem_percpu *c = percpu_get();

	if (c)
		sheaf_verify(c);
	percpu_put(c);
	if (unlikely(cache_end > NR_KMALLOC))
		debug_exit();
	if (unlikely(kfence_gate.size))
		kfence_exit();
	if (profile_on())
		profile_exit();
	stat_exit();
}
