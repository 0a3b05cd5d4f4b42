// SPDX-License-Identifier: MIT
#include "debug/zero_size.h"

#include "base/bitops.h"
#include "os/mem.h"

enum { STEP = 16, BLOCKS = 1 << 20 };

struct zero_size_gate zero_size_gate;

static struct {
	unsigned long *used; /* a bit for each block */
	u32 next; /* the word to look at first: what was freed is not soon used again */
} zero_size;

void zero_size_boot(void)
{
	size_t size = (size_t)BLOCKS * STEP;
	void *space;

	zero_size.used = os_map(BLOCKS / 8);
	space = zero_size.used ? os_reserve_aligned(size, size) : NULL;
	if (!space)
		return;
	zero_size_gate.start = (uintptr_t)space;
	WRITE_ONCE(zero_size_gate.size, size);
}

/* Takes a bit of the word; false: there is none. */
static bool take(unsigned long *word, u32 *bit)
{
	unsigned long seen = READ_ONCE(*word);

	do {
		if (!~seen)
			return false;
		*bit = __ffs(~seen);
	} while (!__atomic_compare_exchange_n(word, &seen, seen | 1ul << *bit, false,
					      __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
	return true;
}

void *zero_size_alloc(void)
{
	u32 words = BLOCKS / BITS_PER_LONG, bit;

	if (!READ_ONCE(zero_size_gate.size))
		return NULL;
	for (u32 i = 0; i < words; i++) {
		u32 w = __atomic_fetch_add(&zero_size.next, 1, __ATOMIC_RELAXED) % words;

		if (take(&zero_size.used[w], &bit))
			return (void *)(zero_size_gate.start +
					((size_t)w * BITS_PER_LONG + bit) * STEP);
	}
	return NULL;
}

static bool bad(const struct call *call)
{
	if ((uintptr_t)call->ptr % STEP)
		report_bad(call, "invalid pointer: misaligned, a block of no bytes");
	else
		report_bad(call, "double free: a block of no bytes");
	return false;
}

bool zero_size_in_use(const struct call *call)
{
	size_t at = (uintptr_t)call->ptr - zero_size_gate.start, block = at / STEP;
	unsigned long word = READ_ONCE(zero_size.used[block / BITS_PER_LONG]);

	return (at % STEP == 0 && word >> block % BITS_PER_LONG & 1) || bad(call);
}

bool zero_size_free(const struct call *call)
{
	size_t at = (uintptr_t)call->ptr - zero_size_gate.start, block = at / STEP;
	unsigned long bit = 1ul << block % BITS_PER_LONG;

	if (at % STEP)
		return bad(call);
	return __atomic_fetch_and(&zero_size.used[block / BITS_PER_LONG], ~bit, __ATOMIC_RELEASE) &
		       bit ||
	       bad(call);
}
