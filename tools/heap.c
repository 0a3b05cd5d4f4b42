// SPDX-License-Identifier: MIT
/*
 * heap.c - finding the library in a process.
 *
 * The descriptor is a symbol of the library, or of a program that the library is linked into. Where there are no symbols (a
 * stripped static program, a library that was replaced on disk) its magic is looked for in what is mapped of files.
 */
#include "heap.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/options.h"
#include "debug/kfence_pool.h"
#include "debug/slub_debug_internal.h"
#include "os/latency.h"
#include "os/mem.h"
#include "os/pressure.h"
#include "page/large.h"
#include "page/vmalloc.h"
#include "pool/mempool.h"
#include "reclaim/kshrinkd.h"
#include "reclaim/pressure.h"
#include "reclaim/vmscan.h"

enum { DESCRIPTOR_ALIGN = 32, CHUNK = 1 << 20, FILES_MAX = 64 << 20 };

static const struct descriptor_field layout[] = DESCRIPTOR_LAYOUT_INIT;

static const char *const address_names[] = {
#define ADDRESS_NAME(name) #name,
	DESCRIPTOR_ADDRESSES(ADDRESS_NAME)
#undef ADDRESS_NAME
};

__attribute__((format(printf, 2, 3))) static bool fail(char **error, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (vasprintf(error, fmt, args) < 0)
		*error = NULL;
	va_end(args);
	return false;
}

static bool is_descriptor(const struct reader *r, uintptr_t at)
{
	struct descriptor d;

	return at && reader_get(r, at, &d, sizeof(d)) &&
	       !memcmp(d.magic, DESCRIPTOR_MAGIC, sizeof(d.magic)) && d.nr_addresses < 1000;
}

static uintptr_t scan(const struct reader *r, uintptr_t from, uintptr_t end)
{
	static char chunk[CHUNK];

	for (uintptr_t at = from; at < end; at += CHUNK) {
		size_t n = r->read(r, at, chunk, min((size_t)CHUNK, end - at));

		for (size_t i = 0; i + sizeof(DESCRIPTOR_MAGIC) <= n; i += DESCRIPTOR_ALIGN)
			if (!memcmp(chunk + i, DESCRIPTOR_MAGIC, sizeof(DESCRIPTOR_MAGIC)) &&
			    is_descriptor(r, at + i))
				return at + i;
	}
	return 0;
}

/* By its symbol, in a file whose first page is mapped here. */
static uintptr_t by_symbol(const struct reader *r, const struct mapping *m)
{
	char path[4096 + 64];
	uintptr_t value;

	reader_path(r, m, path, sizeof(path));
	value = symbol_find(path, DESCRIPTOR_SYMBOL);
	return value && is_descriptor(r, m->start + value) ? m->start + value : 0;
}

/* A file of its own, of whatever name; else it is a part of the program. */
static bool is_library(const struct mapping *m)
{
	const char *slash = strrchr(m->path, '/');

	return slash && strstr(slash, ".so");
}

/* Does the library there have memory? Of two in one process, one serves malloc. */
static bool in_use(const struct reader *r, uintptr_t descriptor)
{
	struct descriptor_address a;
	struct zone z;

	return reader_get(r, descriptor + sizeof(struct descriptor) + AT_zones * sizeof(a), &a,
			  sizeof(a)) &&
	       !strcmp(a.name, "zones") &&
	       reader_get(r, descriptor + (uintptr_t)a.distance, &z, sizeof(z)) && z.nr_present;
}

static bool wanted(const struct mapping *m, bool symbols)
{
	return m->path && m->readable && (symbols ? !m->offset : !m->writable) &&
	       m->end - m->start <= FILES_MAX;
}

/* Of those that are there, one that is in use, else any. */
static const struct mapping *find(const struct reader *r, bool symbols, uintptr_t *descriptor)
{
	const struct mapping *found = NULL;

	for (size_t i = 0; i < r->nr_maps; i++) {
		const struct mapping *m = &r->map[i];
		uintptr_t at;

		if (!wanted(m, symbols))
			continue;
		at = symbols ? by_symbol(r, m) : scan(r, m->start, m->end);
		if (!at || (found && !in_use(r, at)))
			continue;
		found = m;
		*descriptor = at;
		if (in_use(r, at))
			break;
	}
	return found;
}

static bool same_layout(const struct reader *r, uintptr_t at, const char *library, char **error)
{
	for (u32 i = 0; i < ARRAY_SIZE(layout); i++) {
		const struct descriptor_field *want = &layout[i];
		struct descriptor_field f;

		if (!reader_get(r, at + i * sizeof(f), &f, sizeof(f)))
			return fail(error, "the descriptor of the library cannot be read");
		if (memcmp(f.name, want->name, sizeof(f.name)) || f.value != want->value ||
		    f.size != want->size)
			return fail(
				error,
				"its library (%s) has another layout, from %.40s on: it takes the "
				"tools of its own build",
				library, *want->name ? want->name : f.name);
	}
	return true;
}

static bool read_addresses(struct heap *h, uintptr_t at, char **error)
{
	for (u32 i = 0; i < NR_ADDRESSES; i++) {
		struct descriptor_address a;
		uintptr_t from = at + sizeof(struct descriptor) + i * sizeof(a);

		if (!reader_get(h->r, from, &a, sizeof(a)) ||
		    strncmp(a.name, address_names[i], sizeof(a.name)) != 0)
			return fail(error, "the descriptor of the library is damaged");
		h->at[i] = at + (uintptr_t)a.distance;
	}
	return true;
}

bool heap_find(struct heap *h, const struct reader *r, char **error)
{
	uintptr_t at = 0;
	struct descriptor d;
	const struct mapping *m = find(r, true, &at);

	*h = (struct heap){ .r = r };
	if (!m)
		m = find(r, false, &at);
	if (!m || !reader_get(r, at, &d, sizeof(d)))
		return fail(error, "%s%s does not have libslabmalloc, or one without a descriptor",
			    r->name, r->core ? ", as the core has it (with its files)," : "");
	d.library[sizeof(d.library) - 1] = 0;
	memcpy(h->library, d.library, sizeof(h->library));
	h->linked = !is_library(m);
	if (d.version != DESCRIPTOR_VERSION || d.nr_addresses != NR_ADDRESSES)
		return fail(error,
			    "its library (%s) has descriptor version %u, and this program knows "
			    "version %u: it takes the tools of its own build",
			    h->library, d.version, DESCRIPTOR_VERSION);
	return same_layout(r, at + (uintptr_t)d.layout, h->library, error) &&
	       read_addresses(h, at, error);
}
