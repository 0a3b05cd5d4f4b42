// SPDX-License-Identifier: MIT
#include "base/memcheck.h"

#include "base/printk.h"

#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#endif

bool memcheck_on;

/* Every program with AddressSanitizer has it, in itself or in its runtime. */
extern void __asan_init(void) __attribute__((weak));

static bool has_asan(void)
{
	void (*init)(void) = __asan_init;

	/* Through asm: whether a weak function is there, hidden visibility would hide. */
	__asm__("" : "+r"(init));
	return init;
}

/* The header sets NVALGRIND for machines that valgrind does not run on. */
#if defined(RUNNING_ON_VALGRIND) && !defined(NVALGRIND)
/* Memcheck says that it has done it; valgrind's other tools, which must see malloc as it is, do not know the request. */
static bool runs_on_memcheck(void)
{
	char byte = 0;

	return VALGRIND_MAKE_MEM_DEFINED(&byte, 1);
}

void memcheck_allocated_slow(void *p, size_t n, size_t zone, bool zero)
{
	if (p)
		VALGRIND_MALLOCLIKE_BLOCK(p, n, zone, zero);
}

void memcheck_freed_slow(void *p, size_t n, size_t zone)
{
	VALGRIND_FREELIKE_BLOCK(p, zone);
	if (!zone)
		memcheck_reused_slow(p, n);
}

void memcheck_reused_slow(void *p, size_t n)
{
	(void)VALGRIND_MAKE_MEM_DEFINED(p, n);
}

void memcheck_hush_slow(bool begin)
{
	if (begin)
		VALGRIND_DISABLE_ERROR_REPORTING;
	else
		VALGRIND_ENABLE_ERROR_REPORTING;
}
#else
static bool runs_on_memcheck(void)
{
	return false;
}

void memcheck_allocated_slow(void *p, size_t n, size_t zone, bool zero)
{
	(void)p;
	(void)n;
	(void)zone;
	(void)zero;
}

void memcheck_freed_slow(void *p, size_t n, size_t zone)
{
	(void)p;
	(void)n;
	(void)zone;
}

void memcheck_reused_slow(void *p, size_t n)
{
	(void)p;
	(void)n;
}

void memcheck_hush_slow(bool begin)
{
	(void)begin;
}
#endif

bool memcheck_running(void)
{
	if (unlikely(runs_on_memcheck()))
		memcheck_on = true;
	return memcheck_on;
}

void asan_warn(void)
{
	if (unlikely(has_asan()))
		printk("this program has AddressSanitizer, which needs its own malloc: run it without this library");
}
