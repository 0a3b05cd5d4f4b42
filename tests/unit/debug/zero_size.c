// SPDX-License-Identifier: MIT
#include "debug/zero_size.h"

#include <string.h>

#include "unit.h"

enum { STEP = 16 };

static bool give(const void *p)
{
	return zero_size_free(&(struct call){ "free", p });
}

TEST(off_there_are_none)
{
	assert_null(zero_size_alloc());
	assert_false(is_zero_size(NULL));
	assert_false(is_zero_size(&zero_size_gate));
}

static void without_memory(void)
{
	weather.os_map = 0;
	zero_size_boot();
	check(!zero_size_alloc());
	weather.os_map = -1;
	weather.os_reserve_aligned = 0;
	zero_size_boot();
	check(!zero_size_alloc());
}

TEST(without_memory_it_stays_off)
{
	assert_child_succeeds(without_memory);
}

static void all_of_them(void)
{
	size_t n = 0, size;
	char *p, *last = NULL;

	zero_size_boot();
	size = zero_size_gate.size;
	while ((p = zero_size_alloc())) {
		check(is_zero_size(p) && (uintptr_t)p % STEP == 0 && p != last);
		last = p;
		n++;
	}
	check(n == size / STEP);
	check(give(last) && zero_size_alloc() == last && !zero_size_alloc());
	for (size_t i = 0; i < size; i += STEP)
		check(give((char *)zero_size_gate.start + i));
}

TEST(each_address_is_given_once_until_none_is_left)
{
	assert_child_succeeds(all_of_them);
}

static void rests(void)
{
	char *p;

	zero_size_boot();
	p = zero_size_alloc();
	check(give(p));
	for (int i = 0; i < 10000; i++)
		check(zero_size_alloc() != p);
}

TEST(what_was_freed_is_not_soon_given_again)
{
	assert_child_succeeds(rests);
}

static void touch(void)
{
	zero_size_boot();
	*(volatile char *)zero_size_alloc() = 1;
}

TEST(nobody_can_touch_one)
{
	struct outcome o = run_in_child(touch);

	assert_int_not_equal(o.status, 0);
}

static void free_twice(void)
{
	void *p;

	zero_size_boot();
	p = zero_size_alloc();
	check(give(p));
	give(p);
}

static void free_inside(void)
{
	zero_size_boot();
	give((char *)zero_size_alloc() + 1);
}

TEST(what_is_no_start_of_one_is_reported)
{
	assert_non_null(strstr(run_in_child(free_twice).err, "double free: a block of no bytes"));
	assert_non_null(strstr(run_in_child(free_inside).err, "invalid pointer: misaligned"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(off_there_are_none),
		cmocka_unit_test(without_memory_it_stays_off),
		cmocka_unit_test(each_address_is_given_once_until_none_is_left),
		cmocka_unit_test(what_was_freed_is_not_soon_given_again),
		cmocka_unit_test(nobody_can_touch_one),
		cmocka_unit_test(what_is_no_start_of_one_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
