// SPDX-License-Identifier: MIT
/*
 * kref.c - the only part of kref.h that is not inline: what is said when a count is wrong.
 */
#include "base/printk.h"
#include "debug/stack.h"
#include "preload/entry.h"
#include "slabmalloc/refcount.h"

enum { STDERR = 2 };

/* The kernel's words. */
static const char *const text[] = {
	[REFCOUNT_ADD_NOT_ZERO_OVF] = "saturated; leaking memory",
	[REFCOUNT_ADD_OVF] = "saturated; leaking memory",
	[REFCOUNT_ADD_UAF] = "addition on 0; use-after-free",
	[REFCOUNT_SUB_UAF] = "underflow; use-after-free",
	[REFCOUNT_DEC_LEAK] = "decrement hit 0; leaking memory",
};

/* Said once, so it says where: the function that the count was changed in, or that one's caller. */
static void warn(const refcount_t *r, const char *what, const void *caller)
{
	struct seq_file m;

	seq_open(&m, STDERR);
	seq_printf(&m, "slabmalloc: refcount_t at %p: %s. (", (const void *)r, what);
	stack_print_symbol(&m, caller);
	seq_puts(&m, ")\n");
	seq_flush(&m);
}

EXPORT void refcount_warn_saturate(refcount_t *r, enum refcount_saturation_type t)
{
	static u32 said;
	bool known = (unsigned int)t < ARRAY_SIZE(text);
	u32 bit = 1u << (known ? t : ARRAY_SIZE(text));

	refcount_set(r, REFCOUNT_SATURATED);
	if (!(__atomic_fetch_or(&said, bit, __ATOMIC_RELAXED) & bit))
		warn(r, known ? text[t] : "unknown error", CALLER);
}
