// SPDX-License-Identifier: MIT
/*
 * weather.c - the linker (--wrap) leads the other rooms' calls of os/ here first.
 */
#include <errno.h>

#include "os/mem.h"
#include "os/thread.h"
#include "unit.h"

struct weather weather = { -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0 };

void clear_weather(void)
{
	weather = (struct weather){ -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0 };
}

static bool fails(int *successes, int err)
{
	if (*successes < 0)
		return false;
	if (*successes == 0) {
		errno = err;
		return true;
	}
	--*successes;
	return false;
}

/* __real_x is the function x, which every other file calls as __wrap_x. */
#define WRAP(type, failure, err, name, params, args)                                     \
	type __real_##name params;                                                       \
	type __wrap_##name params;                                                       \
	type __wrap_##name params                                                        \
	{                                                                                \
		return fails(&weather.name, err) ? (type)(failure) : __real_##name args; \
	}

WRAP(void *, NULL, ENOMEM, os_map, (size_t size), (size))
WRAP(void *, NULL, ENOMEM, os_map_aligned, (size_t size, size_t align), (size, align))
WRAP(void *, NULL, ENOMEM, os_reserve_aligned, (size_t size, size_t align), (size, align))
WRAP(void *, NULL, ENOMEM, os_reserve_guarded, (size_t size, size_t align, size_t guard),
     (size, align, guard))
WRAP(bool, false, ENOMEM, os_commit, (void *addr, size_t size), (addr, size))
WRAP(bool, false, errno, os_protect, (void *addr, size_t size, bool yes), (addr, size, yes))
WRAP(void *, NULL, ENOMEM, os_remap, (void *addr, size_t old, size_t size), (addr, old, size))

/* Nobody is told why these fail: they keep errno. */
WRAP(bool, false, errno, os_unmap, (void *addr, size_t size), (addr, size))
WRAP(bool, false, errno, os_purge, (void *addr, size_t size), (addr, size))
void __real_os_purge_ranges(const struct os_range *range, u32 n, bool *kept);
void __wrap_os_purge_ranges(const struct os_range *range, u32 n, bool *kept);

void __wrap_os_purge_ranges(const struct os_range *range, u32 n, bool *kept)
{
	if (weather.os_purge < 0) {
		__real_os_purge_ranges(range, n, kept);
		return;
	}
	for (u32 i = 0; i < n; i++)
		kept[i] = !__wrap_os_purge(range[i].addr, range[i].size);
}

WRAP(bool, false, errno, os_hugepage, (void *addr, size_t size, bool yes), (addr, size, yes))

u64 __real_os_now_ms(void);
u64 __wrap_os_now_ms(void);

u64 __wrap_os_now_ms(void)
{
	return weather.now_ms ? weather.now_ms : __real_os_now_ms();
}

u64 __wrap_os_cpu_us(void);

/* A process that does nothing else. */
u64 __wrap_os_cpu_us(void)
{
	return __wrap_os_now_ms() * 1000;
}

u64 __real_os_touch(void *p);
u64 __wrap_os_touch(void *p);

u64 __wrap_os_touch(void *p)
{
	__real_os_touch(p);
	return weather.touch_ns;
}

u64 __wrap_os_small_touch(void);

u64 __wrap_os_small_touch(void)
{
	return weather.small_ns;
}
