// SPDX-License-Identifier: MIT
#include "debug/harden.h"

#include <string.h>

#include "base/options.h"
#include "base/printk.h"
#include "debug/random.h"
#include "debug/slub_debug.h"
#include "debug/zero_size.h"

enum { COPIES_MAX = 16, COPIES_DEFAULT = 4 };

struct harden harden;

/* Made when a call site first needs one; copy 0 is kmalloc_divert[id] itself. */
static struct kmem_cache *copies[NR_KMALLOC][COPIES_MAX];

static const struct {
	const char *name;
	bool *value;
} names[] = {
	{ "init_on_alloc", &harden.init_on_alloc },
	{ "init_on_free", &harden.init_on_free },
	{ "slab_freelist_random", &harden.freelist_random },
	{ "slab_freelist_hardened", &harden.freelist_hardened },
	{ "zero_size_ptr", &harden.zero_size_ptr },
};

static bool is(const char *word, size_t len, const char *name)
{
	return len == strlen(name) && !memcmp(word, name, len);
}

static bool parse_copies(const char *word, size_t len)
{
	static const char name[] = "random_kmalloc_caches";
	size_t n = sizeof(name) - 1;
	u32 v = 0;

	if (len < n || memcmp(word, name, n))
		return false;
	if (len == n) {
		harden.copies = COPIES_DEFAULT;
		return true;
	}
	if (word[n++] != ':')
		return false;
	for (; n < len && word[n] >= '0' && word[n] <= '9' && v <= COPIES_MAX; n++)
		v = v * 10 + (u32)(word[n] - '0');
	if (n < len || v < 2 || v > COPIES_MAX)
		return false;
	harden.copies = v;
	return true;
}

static bool parse_word(const char *word, size_t len)
{
	bool all = is(word, len, "all") || is(word, len, "1"), known = all;

	for (u32 i = 0; i < ARRAY_SIZE(names); i++) {
		if (all || is(word, len, names[i].name)) {
			*names[i].value = true;
			known = true;
		}
	}
	if (all)
		harden.copies = COPIES_DEFAULT;
	return known || parse_copies(word, len);
}

static void warn(const char *word, size_t len)
{
	struct seq_file m;

	seq_open(&m, 2);
	seq_puts(&m, "slabmalloc: SLABMALLOC_HARDEN: not understood: ");
	for (size_t i = 0; i < len; i++)
		seq_putc(&m, word[i]);
	seq_putc(&m, '\n');
	seq_flush(&m);
}

static void parse(const char *s)
{
	if (!strcmp(s, "0"))
		return;
	while (*s) {
		size_t len = strcspn(s, ",");

		if (len && !parse_word(s, len))
			warn(s, len);
		s += len + (s[len] == ',');
	}
}

/* Fisher and Yates. */
static void shuffle(void **objects, u32 n)
{
	for (u32 i = n; i > 1; i--) {
		u32 j = get_random_u32_below(i);
		void *object = objects[i - 1];

		objects[i - 1] = objects[j];
		objects[j] = object;
	}
}

slab_flags_t harden_flags(const struct cache_shape *shape)
{
	slab_flags_t flags = shape->flags;

	if (flags & SLAB_DEBUG_FLAGS)
		return flags;
	/* What is constructed, or may be read after its end, is not to be overwritten. */
	if (!shape->ctor && !(flags & SLAB_TYPESAFE_BY_RCU)) {
		flags |= harden.init_on_alloc ? SLAB_INIT_ON_ALLOC : 0;
		flags |= harden.init_on_free ? SLAB_INIT_ON_FREE : 0;
	}
	return flags | (harden.freelist_hardened ? SLAB_CHECK_FREE : 0);
}

void harden_layout(struct kmem_cache *s)
{
	if (harden.freelist_random)
		s->shuffle = shuffle;
}

static struct kmem_cache *make(u32 id, const char *name)
{
	const struct kmem_cache *k = cache_of(id);
	struct cache_shape shape = {
		.name = name,
		.size = k->size,
		.align = min((size_t)(k->size & -k->size), FRAME_SIZE),
		.flags = SLAB_DIVERTED,
	};

	shape.flags = harden_flags(&shape);
	return kmem_cache_new(&shape, debug_layout);
}

static struct kmem_cache *make_copy(u32 id, u32 copy)
{
	char name[CACHE_NAME_MAX] = "kmalloc-rnd-00-";

	name[12] = (char)('0' + copy / 10);
	name[13] = (char)('0' + copy % 10);
	strcat(name, cache_of(id)->name + sizeof("kmalloc-") - 1);
	return make(id, name);
}

struct kmem_cache *harden_pick(u32 id, struct kmem_cache *first, const void *caller)
{
	u32 copy = (u32)(random_mix((uintptr_t)caller ^ random_seed()) % harden.copies);
	struct kmem_cache **slot = &copies[id][copy], *s, *none = NULL;

	if (!copy || first->flags & SLAB_DEBUG_FLAGS)
		return first;
	s = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
	if (s || !(s = make_copy(id, copy)))
		return s ? s : first;
	/* Two threads may both make one: the second takes its own back. */
	if (!__atomic_compare_exchange_n(slot, &none, s, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE)) {
		kmem_cache_forget(s);
		s = none;
	}
	return s;
}

void harden_boot(void)
{
	parse(options.harden);
	if (harden.zero_size_ptr)
		zero_size_boot();
	if (!harden.init_on_alloc && !harden.init_on_free && !harden.freelist_random &&
	    !harden.freelist_hardened && !harden.copies)
		return;
	for (u32 id = 1; id < NR_KMALLOC; id++)
		if (!kmalloc_divert[id])
			kmalloc_divert[id] = make(id, cache_of(id)->name);
}
