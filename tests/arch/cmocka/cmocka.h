/* SPDX-License-Identifier: MIT */
/*
 * cmocka.h - for machines that Debian has no cmocka for: the part of its interface that these tests use, by its names.
 * Where there is the real one, nobody includes this.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef void (*CMUnitTestFunction)(void **state);
typedef int (*CMFixtureFunction)(void **state);

struct CMUnitTest {
	const char *name;
	CMUnitTestFunction test_func;
	CMFixtureFunction setup_func, teardown_func;
	void *initial_state;
};

#define cmocka_unit_test(f)             \
	{                               \
#f, f, NULL, NULL, NULL \
	}
#define cmocka_unit_test_setup(f, setup) \
	{                                \
#f, f, setup, NULL, NULL \
	}
#define cmocka_unit_test_teardown(f, teardown) \
	{                                      \
#f, f, NULL, teardown, NULL    \
	}
#define cmocka_unit_test_setup_teardown(f, setup, teardown) \
	{                                                   \
#f, f, setup, teardown, NULL                \
	}

#define cmocka_run_group_tests(tests, setup, teardown) \
	cmocka_shim_run(#tests, tests, sizeof(tests) / sizeof((tests)[0]), setup, teardown)
#define cmocka_run_group_tests_name(name, tests, setup, teardown) \
	cmocka_shim_run(name, tests, sizeof(tests) / sizeof((tests)[0]), setup, teardown)

int cmocka_shim_run(const char *group, const struct CMUnitTest *tests, size_t n,
		    CMFixtureFunction setup, CMFixtureFunction teardown);

/* Ends the running test: with a message, a failure; with NULL, skipped. */
_Noreturn void cmocka_shim_end(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define cmocka_shim_assert(cond, ...)                                     \
	do {                                                              \
		if (!(cond))                                              \
			cmocka_shim_end(__FILE__, __LINE__, __VA_ARGS__); \
	} while (0)

/* By value of any integer or pointer type, evaluated once. */
#define cmocka_shim_compare(a, op, b)                                                             \
	do {                                                                                      \
		uintmax_t shim_a = (uintmax_t)(a), shim_b = (uintmax_t)(b);                       \
		cmocka_shim_assert(shim_a op shim_b, "%s " #op " %s: %#jx, %#jx", #a, #b, shim_a, \
				   shim_b);                                                       \
	} while (0)

#define print_message(...) fprintf(stderr, __VA_ARGS__)
#define skip() cmocka_shim_end(NULL, 0, "skipped")
#define fail() cmocka_shim_end(__FILE__, __LINE__, "failed")
#define fail_msg(...) cmocka_shim_end(__FILE__, __LINE__, __VA_ARGS__)
#define assert_true(c) cmocka_shim_assert(c, "%s", #c)
#define assert_false(c) cmocka_shim_assert(!(c), "not %s", #c)
#define assert_null(p) cmocka_shim_compare((uintptr_t)(p), ==, 0)
#define assert_non_null(p) cmocka_shim_compare((uintptr_t)(p), !=, 0)
#define assert_ptr_equal(a, b) cmocka_shim_compare((uintptr_t)(a), ==, (uintptr_t)(b))
#define assert_ptr_not_equal(a, b) cmocka_shim_compare((uintptr_t)(a), !=, (uintptr_t)(b))
#define assert_int_equal(a, b) cmocka_shim_compare(a, ==, b)
#define assert_int_not_equal(a, b) cmocka_shim_compare(a, !=, b)
#define assert_in_range(v, low, high)                                                         \
	do {                                                                                  \
		uintmax_t shim_v = (uintmax_t)(v);                                            \
		cmocka_shim_assert(shim_v >= (uintmax_t)(low) && shim_v <= (uintmax_t)(high), \
				   "%s is %#jx, not from %s to %s", #v, shim_v, #low, #high); \
	} while (0)
#define assert_memory_equal(a, b, n) \
	cmocka_shim_assert(!__builtin_memcmp(a, b, n), "%s and %s differ", #a, #b)
#define assert_string_equal(a, b)                                                             \
	do {                                                                                  \
		const char *shim_s = (a), *shim_t = (b);                                      \
		cmocka_shim_assert(!__builtin_strcmp(shim_s, shim_t), "\"%s\" is not \"%s\"", \
				   shim_s, shim_t);                                           \
	} while (0)
#define assert_string_not_equal(a, b) \
	cmocka_shim_assert(__builtin_strcmp(a, b), "%s and %s are the same", #a, #b)
