// SPDX-License-Identifier: MIT
#include "base/bug.h"

#include "base/options.h"
#include "unit.h"

static int reset(__attribute__((unused)) void **state)
{
	options.abort = true;
	return 0;
}

static void report(void)
{
	report_bad(&(struct call){ "free", (void *)0x7f12 }, "double free: object of %s",
		   "kmalloc-64");
}

static void break_something(void)
{
	BUG_ON(1 + 1 == 2, "%s after %d", "broken", 3);
}

static void hold_on(void)
{
	BUG_ON(1 + 1 == 3, "not broken");
}

static void break_an_internal_invariant(void)
{
	VM_BUG_ON(1 + 1 == 2);
}

TEST(a_report_is_one_line_and_then_abort)
{
	assert_child_aborts(report,
			    "slabmalloc: free(0x7f12): double free: object of kmalloc-64\n");
}

TEST(with_abort_0_a_report_is_the_line_alone)
{
	options.abort = false;
	assert_string_equal(stderr_of(report),
			    "slabmalloc: free(0x7f12): double free: object of kmalloc-64\n");
}

TEST(bug_on_aborts_whatever_the_option_says)
{
	options.abort = false;
	assert_child_aborts(break_something, "slabmalloc: broken after 3\n");
	assert_child_succeeds(hold_on);
}

TEST(internal_invariants_abort_in_debug_builds_and_cost_nothing_in_others)
{
	struct outcome o = run_in_child(break_an_internal_invariant);

	if (!config_debug) {
		assert_int_equal(o.status, 0);
		return;
	}
	assert_int_not_equal(o.status, 0);
	assert_memory_equal(o.err, "slabmalloc: BUG at ", 19);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_report_is_one_line_and_then_abort, reset),
		cmocka_unit_test_setup(with_abort_0_a_report_is_the_line_alone, reset),
		cmocka_unit_test_setup(bug_on_aborts_whatever_the_option_says, reset),
		cmocka_unit_test_setup(
			internal_invariants_abort_in_debug_builds_and_cost_nothing_in_others,
			reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
