// SPDX-License-Identifier: MIT
/*
 * pthread.c - where a program becomes multi-threaded, and where it must not be.
 *
 * The first thread brings kshrinkd along, and libnuma before it on a machine of several nodes. unshare and setns want a single-threaded process for some of their flags, so
 * it leaves before. In the shared library alone: a static one would define libc's own functions again.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>

#include "base/options.h"
#include "init/boot.h"
#include "os/thread.h"
#include "preload/entry.h"
#include "preload/libnuma.h"
#include "reclaim/kshrinkd.h"

static thread_create_fn real_create(void)
{
	/* An array: literals lie together, on a page that nothing else wants. */
	static const char name[] = "pthread_create";
	static thread_create_fn fn;

	if (!fn)
		fn = (thread_create_fn)dlsym(RTLD_NEXT, name);
	return fn;
}

EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg)
{
	thread_create_fn create = real_create();
	int error;

	libnuma_load();
	error = create ? create(thread, attr, fn, arg) : EAGAIN;

	if (!error)
		kshrinkd_start(create);
	return error;
}

/* The thread may have been the last but one. Those that are not waited for say so themselves if they ever allocated. */
EXPORT int pthread_join(pthread_t thread, void **result)
{
	static const char name[] = "pthread_join";
	static int (*join)(pthread_t, void **);
	int error;

	if (!join)
		join = (int (*)(pthread_t, void **))dlsym(RTLD_NEXT, name);
	error = join ? join(thread, result) : EINVAL;
	if (!error)
		kshrinkd_thread_ends();
	return error;
}

EXPORT int unshare(int flags)
{
	kshrinkd_stop();
	return os_unshare(flags);
}

EXPORT int setns(int fd, int type)
{
	kshrinkd_stop();
	return os_setns(fd, type);
}

__attribute__((constructor)) static void start_if_wanted(void)
{
	options_init();
	if (options.kshrinkd == KSHRINKD_ON && real_create())
		kshrinkd_start(real_create());
}
