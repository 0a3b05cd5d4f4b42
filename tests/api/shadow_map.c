/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "shadow_map.h"
#include "api.h"

#include <stdatomic.h>
#include <sys/mman.h>

/* A section of the map shadows 1 GiB in 8 MiB of bits, mapped lazily: it costs what is touched. */
#define SECTION_SHIFT 30
#define SECTIONS ((size_t)1 << (48 - SECTION_SHIFT))
#define GRANULE_SHIFT 4
#define WORD_GRANULES 64
#define SECTION_WORDS ((size_t)1 << (SECTION_SHIFT - GRANULE_SHIFT - 6))

typedef _Atomic uint64_t shadow_word;

static _Atomic(shadow_word *) sections[SECTIONS];
static atomic_long claimed;

static shadow_word *section_words(size_t index)
{
	size_t bytes = SECTION_WORDS * sizeof(shadow_word);
	shadow_word *fresh, *present;

	check(index < SECTIONS);
	present = atomic_load(&sections[index]);
	if (present)
		return present;
	fresh = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	check(fresh != MAP_FAILED);
	if (atomic_compare_exchange_strong(&sections[index], &present, fresh))
		return fresh;
	munmap(fresh, bytes);
	return present;
}

static shadow_word *word_of(size_t granule)
{
	size_t word = granule / WORD_GRANULES;

	return section_words(word / SECTION_WORDS) + word % SECTION_WORDS;
}

/* The bits of [first, last] that lie in the word of first. */
static uint64_t word_mask(size_t first, size_t last)
{
	size_t lo = first % WORD_GRANULES;
	size_t hi = last / WORD_GRANULES > first / WORD_GRANULES ? 63 : last % WORD_GRANULES;

	return (~(uint64_t)0 >> (63 - (hi - lo))) << lo;
}

static size_t next_word(size_t granule)
{
	return (granule / WORD_GRANULES + 1) * WORD_GRANULES;
}

static void clear_granules(size_t first, size_t end)
{
	for (size_t g = first; g < end; g = next_word(g))
		atomic_fetch_and(word_of(g), ~word_mask(g, end - 1));
}

bool shadow_claim(const void *p, size_t size)
{
	size_t first = (uintptr_t)p >> GRANULE_SHIFT;
	size_t last = size ? ((uintptr_t)p + size - 1) >> GRANULE_SHIFT : first;

	for (size_t g = first; g <= last; g = next_word(g)) {
		uint64_t mask = word_mask(g, last);
		uint64_t before = atomic_fetch_or(word_of(g), mask);

		if (before & mask) {
			atomic_fetch_and(word_of(g), ~(mask & ~before));
			clear_granules(first, g);
			return false;
		}
	}
	atomic_fetch_add(&claimed, (long)(last - first + 1));
	return true;
}

bool shadow_release(const void *p, size_t size)
{
	size_t first = (uintptr_t)p >> GRANULE_SHIFT;
	size_t last = size ? ((uintptr_t)p + size - 1) >> GRANULE_SHIFT : first;
	bool whole = true;

	for (size_t g = first; g <= last; g = next_word(g)) {
		uint64_t mask = word_mask(g, last);

		if ((atomic_fetch_and(word_of(g), ~mask) & mask) != mask)
			whole = false;
	}
	atomic_fetch_sub(&claimed, (long)(last - first + 1));
	return whole;
}

long shadow_claimed(void)
{
	return atomic_load(&claimed);
}
