/* SPDX-License-Identifier: MIT */
/* Who is debugged how, and the layout of what is. */
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "debug/slub_debug_internal.h"
#include "unit.h"

enum {
	F = SLAB_CONSISTENCY_CHECKS,
	Z = SLAB_RED_ZONE,
	P = SLAB_POISON,
	U = SLAB_STORE_USER,
	T = SLAB_TRACE,
	A = SLAB_FAILSLAB,
};

TEST(blocks_say_which_caches_are_debugged_and_how)
{
	static const struct {
		const char *debug, *name;
		slab_flags_t made_with, flags;
	} cases[] = {
		{ "", "ants", 0, 0 },
		{ "", "ants", Z, Z },
		{ "FZPUTA", "ants", 0, F | Z | P | U | T | A },
		{ "fz", "ants", P, F | Z | P },
		{ ",ants", "ants", 0, F | Z | P | U },
		{ ",ants", "bees", 0, 0 },
		{ "F,a*", "ants", 0, F },
		{ "F,*ts,bees", "ants", 0, F },
		{ "F,a*s", "ant", 0, 0 },
		{ "F,ant", "ants", 0, 0 },
		{ "F;Z,ants", "ants", 0, Z },
		{ "F;Z,ants", "bees", 0, F },
		{ "Z,ants;P,a*;U", "ants", 0, Z },
		{ "Z,ants;P,a*;U", "apes", 0, P },
		{ "Z,ants;P,a*;U", "bees", 0, U },
		{ "-", "ants", Z | U, 0 },
		{ "-,ants;F", "ants", Z, 0 },
		{ "-,ants;F", "bees", Z, F | Z },
		{ "FO", "ants", 0, F },
		{ "FX", "ants", 0, F },
		{ "P", "ants", SLAB_TYPESAFE_BY_RCU, SLAB_TYPESAFE_BY_RCU },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cache_shape shape = { .name = cases[i].name, .flags = cases[i].made_with };

		strcpy(options.debug, cases[i].debug);
		if (debug_flags(&shape) != cases[i].flags)
			fail_msg("'%s': %s: %#x, not %#x", cases[i].debug, shape.name,
				 debug_flags(&shape), cases[i].flags);
	}
	options.debug[0] = 0;
}

static struct kmem_cache laid_out(u32 size, u32 align, slab_flags_t flags)
{
	struct kmem_cache s = { .object_size = size, .align = align, .flags = flags };

	s.size = ALIGN(max(size, 16u), align);
	s.inuse = s.size;
	debug_layout(&s);
	return s;
}

/* Areas lie apart from each other and from the object, and stay within what the cache gives to one. */
static void check_areas(const struct kmem_cache *s, bool used)
{
	static u8 room[3 * 4096 + 300] __aligned(4096);
	struct area areas[AREAS_MAX];
	u8 *p = room + s->red_left_pad;
	u32 nr;

	memset(room, 0, sizeof(room));
	debug_tail(s, p)->orig_size = s->object_size;
	nr = debug_areas(s, p, used, areas);
	assert_true(nr <= AREAS_MAX);
	for (u32 i = 0; i < nr; i++) {
		assert_true(areas[i].from >= room);
		assert_true(areas[i].from + areas[i].n <= room + s->size);
		if (used)
			assert_true(areas[i].from + areas[i].n <= p ||
				    areas[i].from >= p + s->object_size);
		for (u32 k = 0; k < i; k++)
			assert_true(areas[i].from + areas[i].n <= areas[k].from ||
				    areas[k].from + areas[k].n <= areas[i].from);
	}
}

TEST(what_surrounds_an_object_keeps_its_alignment)
{
	static const slab_flags_t flags[] = { F, Z, P, U, Z | P, F | Z | P | U, T | A };

	for (size_t k = 0; k < ARRAY_SIZE(flags); k++) {
		for (u32 size = 1; size <= 4096; size += 1 + size / 9) {
			for (u32 align = 8; align <= 4096; align *= 4) {
				struct kmem_cache s = laid_out(size, align, flags[k]);

				assert_int_equal(s.size % align, 0);
				assert_int_equal(s.red_left_pad % align, 0);
				assert_int_equal(s.red_left_pad != 0, (flags[k] & Z) != 0);
				assert_true(s.inuse >= size);
				if (flags[k] & Z)
					assert_true(s.inuse > size);
				assert_non_null(s.setup);
				if (s.size <= 3 * 4096) {
					check_areas(&s, true);
					check_areas(&s, false);
				}
			}
		}
	}
}

TEST(no_slab_becomes_larger_under_O)
{
	struct kmem_cache s;

	strcpy(options.debug, "FZPUO");
	s = laid_out(64, 64, F | Z | P | U);
	assert_int_equal(s.flags, F | Z | P | U);
	s = laid_out(4096, 4096, F | Z | P | U);
	assert_int_equal(s.flags, 0);
	assert_int_equal(s.size, 4096);
	assert_null(s.setup);
	options.debug[0] = 0;
}

TEST(each_byte_around_an_object_is_watched)
{
	static u8 room[400] __aligned(64);
	struct kmem_cache s = laid_out(48, 16, F | Z | P | U);
	u8 *p = room + s.red_left_pad;
	struct area fault;

	for (int used = 0; used < 2; used++) {
		s.setup(&s, room);
		debug_tail(&s, p)->orig_size = used ? 20 : 48;
		debug_init_object(&s, p, used);
		assert_false(debug_find_fault(&s, p, used, &fault));
		for (u32 i = 0; i < s.size; i++) {
			u32 at = i - s.red_left_pad;
			bool own = used && at < 20;
			bool tracks = at >= s.inuse && at < s.inuse + 64;

			/* The size that was asked for, and the number in the state, may have any value. */
			if (own || tracks || (at >= s.inuse + 64 && at < s.inuse + 64 + 8))
				continue;
			room[i] ^= 0x10;
			assert_true(debug_find_fault(&s, p, used, &fault));
			assert_ptr_equal(fault.from, room + i);
			assert_int_equal(fault.n, 1);
			room[i] ^= 0x10;
		}
		assert_false(debug_find_fault(&s, p, used, &fault));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_say_which_caches_are_debugged_and_how),
		cmocka_unit_test(what_surrounds_an_object_keeps_its_alignment),
		cmocka_unit_test(no_slab_becomes_larger_under_O),
		cmocka_unit_test(each_byte_around_an_object_is_watched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
