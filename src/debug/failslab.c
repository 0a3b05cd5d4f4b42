// SPDX-License-Identifier: MIT
/*
 * failslab.c - the counters are the process's, moved by atomic steps: with threads, which of them meets a
 * failure is chance, how many failures there are is not.
 */
#include "debug/failslab.h"

#include <string.h>

#include "base/options.h"
#include "base/printk.h"
#include "debug/random.h"
#include "debug/stack.h"

enum { NAME_MAX_ = 64 };

static struct {
	long probability, interval, times, space, verbose;
	char caller[NAME_MAX_];
} attr = { .interval = 1, .times = -1 };

static long count;

static const struct {
	const char *key;
	long *value;
} keys[] = {
	{ "probability", &attr.probability },
	{ "interval", &attr.interval },
	{ "times", &attr.times },
	{ "space", &attr.space },
	{ "verbose", &attr.verbose },
};

static bool parse_number(const char *s, size_t len, long *out)
{
	bool negative = len && *s == '-';
	long v = 0;

	if (len == negative || len > 12)
		return false;
	for (size_t i = negative; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		v = v * 10 + (s[i] - '0');
	}
	*out = negative ? -v : v;
	return true;
}

static bool parse_pair(const char *pair, size_t len)
{
	const char *colon = memchr(pair, ':', len);
	size_t key = colon ? (size_t)(colon - pair) : len, n = colon ? len - key - 1 : 0;

	if (!colon)
		return false;
	if (key == 6 && !memcmp(pair, "caller", 6) && n && n < NAME_MAX_) {
		memcpy(attr.caller, colon + 1, n);
		attr.caller[n] = 0;
		return true;
	}
	for (u32 i = 0; i < ARRAY_SIZE(keys); i++)
		if (key == strlen(keys[i].key) && !memcmp(pair, keys[i].key, key))
			return parse_number(colon + 1, n, keys[i].value);
	return false;
}

void failslab_init(void)
{
	const char *s = options.failslab;

	while (*s) {
		size_t len = strcspn(s, ",");

		if (len && !parse_pair(s, len))
			printk("SLABMALLOC_FAILSLAB: not understood: %s", s);
		s += len + (s[len] == ',');
	}
	attr.interval = max(attr.interval, 1l);
}

/* What stands in front of the "+0x12/0x34". */
static bool is_in(const void *pc, const char *name)
{
	size_t len = strlen(name);
	struct seq_file m;

	seq_open(&m, -1);
	stack_print_symbol(&m, pc);
	return m.len > len && !memcmp(m.buf, name, len) && m.buf[len] == '+';
}

/* A name is looked up in a file; each answer is kept, the lowest bit of an address for it. */
static bool is_in_fast(const void *pc, const char *name)
{
	static uintptr_t known[1024];
	uintptr_t address = (uintptr_t)pc << 1;
	uintptr_t *entry = &known[random_mix(address) % ARRAY_SIZE(known)];
	uintptr_t was = READ_ONCE(*entry);

	if ((was & ~(uintptr_t)1) != address) {
		was = address | is_in(pc, name);
		WRITE_ONCE(*entry, was);
	}
	return was & 1;
}

static bool called_by(const char *name, const void *caller)
{
	struct stack stack;

	stack_save(&stack, caller);
	for (u32 i = 0; i < stack.nr; i++)
		if (is_in_fast(stack.pc[i], name))
			return true;
	return false;
}

/* Takes one of the failures that are left. */
static bool take_time(void)
{
	long left = READ_ONCE(attr.times);

	while (left > 0)
		if (__atomic_compare_exchange_n(&attr.times, &left, left - 1, false,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return true;
	return left < 0;
}

/* In the kernel's order: budget, interval, probability, stack. */
static bool should_fail(size_t n, const void *caller)
{
	if (!attr.probability || !READ_ONCE(attr.times))
		return false;
	if (READ_ONCE(attr.space) > 0) {
		counter_sub(attr.space, (long)n);
		return false;
	}
	if ((__atomic_add_fetch(&count, 1, __ATOMIC_RELAXED)) % attr.interval)
		return false;
	if ((long)get_random_u32_below(100) >= attr.probability)
		return false;
	return (!attr.caller[0] || called_by(attr.caller, caller)) && take_time();
}

bool failslab(const struct kmem_cache *s, size_t n, gfp_t gfp, const void *caller)
{
	struct stack stack;
	struct seq_file m;

	if (!(s->flags & SLAB_FAILSLAB) || gfp & __GFP_NOFAIL || !should_fail(n, caller))
		return false;
	if (!attr.verbose)
		return true;
	seq_open(&m, 2);
	seq_printf(&m, "FAULT_INJECTION: forcing a failure of %s, %zu bytes\n", s->name, n);
	if (attr.verbose > 1) {
		stack_save(&stack, caller);
		stack_print(&m, &stack);
	}
	seq_flush(&m);
	return true;
}
