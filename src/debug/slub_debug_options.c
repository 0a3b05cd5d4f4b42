// SPDX-License-Identifier: MIT
/*
 * slub_debug_options.c - the kernel's slab_debug= in SLABMALLOC_DEBUG, and kmalloc's classes led to debug caches.
 *
 *	BLOCK[;BLOCK...]	BLOCK = [LETTERS][,NAME...]
 *
 * The first block whose list has the cache's name decides; else the last one without a list; else the
 * flags stay as they are. No letters mean FZPU. '-' ends all debugging, also what the cache was made with.
 * O, in any block, is for all caches. Names may have '*'.
 */
#include "base/memcheck.h"
#include "base/options.h"
#include "debug/failslab.h"
#include "debug/harden.h"
#include "debug/slub_debug_internal.h"

static const slab_flags_t DEFAULT_FLAGS =
	SLAB_CONSISTENCY_CHECKS | SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER;

static const struct {
	char letter;
	slab_flags_t flag;
} letters[] = {
	{ 'F', SLAB_CONSISTENCY_CHECKS }, { 'Z', SLAB_RED_ZONE }, { 'P', SLAB_POISON },
	{ 'U', SLAB_STORE_USER },         { 'T', SLAB_TRACE },    { 'A', SLAB_FAILSLAB },
};

struct block {
	slab_flags_t flags;
	bool off; /* '-' */
	bool low_order; /* 'O' */
	const char *list; /* of names, or NULL: all caches */
	const char *unknown; /* a letter that is none, or NULL */
};

/* Lower case is as good. */
static void parse_letter(const char *c, struct block *b)
{
	char upper = *c >= 'a' && *c <= 'z' ? (char)(*c - 32) : *c;

	for (u32 i = 0; i < ARRAY_SIZE(letters); i++) {
		if (upper == letters[i].letter) {
			b->flags |= letters[i].flag;
			return;
		}
	}
	if (upper == 'O') {
		b->low_order = true;
	} else if (upper == '-') {
		b->off = true;
		b->flags = 0;
	} else {
		b->unknown = c;
	}
}

/* Returns where the next block begins, or NULL: this is the last. */
static const char *parse_block(const char *s, struct block *b)
{
	const char *start = s;

	*b = (struct block){ 0 };
	for (; *s && *s != ',' && *s != ';'; s++)
		parse_letter(s, b);
	if (s == start)
		b->flags = DEFAULT_FLAGS;
	if (*s == ',')
		b->list = s + 1;
	while (*s && *s != ';')
		s++;
	return *s ? s + 1 : NULL;
}

/* A '*' takes as little as it can, and only the last one that was met need ever take more. */
static bool matches(const char *pattern, size_t len, const char *name)
{
	const char *end = pattern + len, *star = NULL, *taken = NULL;

	while (*name) {
		if (pattern < end && *pattern == '*') {
			star = ++pattern;
			taken = name;
		} else if (pattern < end && *pattern == *name) {
			pattern++;
			name++;
		} else if (star) {
			pattern = star;
			name = ++taken;
		} else {
			return false;
		}
	}
	while (pattern < end && *pattern == '*')
		pattern++;
	return pattern == end;
}

static bool in_list(const char *list, const char *name)
{
	while (*list && *list != ';') {
		size_t len = 0;

		while (list[len] && list[len] != ',' && list[len] != ';')
			len++;
		if (len && matches(list, len, name))
			return true;
		list += len + (list[len] == ',');
	}
	return false;
}

slab_flags_t debug_flags(const struct cache_shape *shape)
{
	const char *next = options.debug[0] ? options.debug : NULL;
	slab_flags_t flags = shape->flags;
	struct block b, wanted = { 0 };

	while (next) {
		next = parse_block(next, &b);
		if (b.list && !in_list(b.list, shape->name))
			continue;
		wanted = b;
		if (b.list)
			break;
	}
	if (wanted.off)
		flags &= ~SLAB_DEBUG_FLAGS;
	flags |= wanted.flags;
	/* Between objects there must be bytes that memcheck can forbid. */
	if (memcheck_on)
		flags |= SLAB_RED_ZONE;
	/* Readers under RCU cannot be shown poison. */
	if (flags & SLAB_TYPESAFE_BY_RCU)
		flags &= ~SLAB_POISON;
	return flags;
}

bool debug_low_order(void)
{
	const char *next = options.debug[0] ? options.debug : NULL;
	bool low = false;
	struct block b;

	while (next) {
		next = parse_block(next, &b);
		low |= b.low_order;
	}
	return low;
}

void debug_show_letters(struct seq_file *m, slab_flags_t flags)
{
	for (u32 i = 0; i < ARRAY_SIZE(letters); i++)
		if (flags & letters[i].flag)
			seq_putc(m, letters[i].letter);
}

static void warn_unknown(void)
{
	const char *next = options.debug[0] ? options.debug : NULL;
	struct block b;

	while (next) {
		next = parse_block(next, &b);
		if (b.unknown)
			printk("SLABMALLOC_DEBUG: unknown letter '%c' is ignored (known: F Z P U T A O -)",
			       *b.unknown);
	}
}

/* A cache of the same name in the place of a class of kmalloc's. */
static void divert(u32 id)
{
	const struct kmem_cache *k = cache_of(id);
	struct cache_shape shape = {
		.name = k->name,
		.size = k->size,
		.align = min((size_t)(k->size & -k->size), FRAME_SIZE),
		.flags = SLAB_DIVERTED,
	};
	struct kmem_cache *s;

	shape.flags = debug_flags(&shape);
	if (!(shape.flags & SLAB_DEBUG_FLAGS))
		return;
	s = kmem_cache_new(&shape, debug_layout);
	if (s && !(s->flags & SLAB_DEBUG_FLAGS)) {
		/* O took it all away. */
		kmem_cache_forget(s);
		s = NULL;
	}
	kmalloc_divert[id] = s;
}

void debug_boot(void)
{
	static bool done;

	if (__atomic_exchange_n(&done, true, __ATOMIC_RELAXED))
		return;
	warn_unknown();
	failslab_init();
	if (options.debug[0] || memcheck_on)
		for (u32 id = 1; id < NR_KMALLOC; id++)
			divert(id);
	harden_boot();
	for (u32 id = 1; id < NR_KMALLOC && !kmalloc_divert[0]; id++)
		kmalloc_divert[0] = kmalloc_divert[id];
}
