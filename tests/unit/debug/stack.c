// SPDX-License-Identifier: MIT
#include "debug/stack.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "debug/unwind.h"
#include "unit.h"

/* What is behind a call keeps it from becoming a jump. */
#define AND_BACK __asm__ volatile("")

static struct stack taken;

static noinline void innermost(const void *caller)
{
	stack_save(&taken, caller);
	AND_BACK;
}

static noinline void middle(void)
{
	innermost(NULL);
	AND_BACK;
}

static noinline void outermost(void)
{
	middle();
	AND_BACK;
}

static noinline void skipped(void)
{
	innermost(__builtin_return_address(0));
	AND_BACK;
}

static noinline void calls_skipped(void)
{
	skipped();
	AND_BACK;
}

static void print_taken(void)
{
	struct seq_file m;

	seq_open(&m, STDERR_FILENO);
	stack_print(&m, &taken);
	seq_flush(&m);
}

/* The printed stack begins with these functions' lines, in this order, separated by spaces. */
static void assert_begins(const char *names)
{
	char text[2000], *line, *save_line = NULL, *save_name = NULL;
	char wanted[200];

	strncpy(text, stderr_of(print_taken), sizeof(text) - 1);
	strcpy(wanted, names);
	line = strtok_r(text, "\n", &save_line);
	for (char *name = strtok_r(wanted, " ", &save_name); name;
	     name = strtok_r(NULL, " ", &save_name)) {
		size_t len = strlen(name);
		char *slash;

		assert_non_null(line);
		if (line[0] != ' ' || strncmp(line + 1, name, len) || line[1 + len] != '+')
			fail_msg("\"%s\" is not of %s", line, name);
		slash = strchr(line, '/');
		assert_non_null(slash);
		assert_string_equal(strchr(slash, ' '), " [unit-debug-stack]");
		assert_true(strtoul(line + 2 + len, NULL, 16) <= strtoul(slash + 1, NULL, 16));
		line = strtok_r(NULL, "\n", &save_line);
	}
}

TEST(a_stack_names_its_functions_from_the_inside_out)
{
	outermost();
	assert_begins("innermost middle outermost a_stack_names_its_functions_from_the_inside_out");
}

TEST(a_stack_begins_at_the_caller_that_is_named)
{
	calls_skipped();
	assert_begins("calls_skipped a_stack_begins_at_the_caller_that_is_named");
}

TEST(a_caller_that_is_not_on_the_stack_stands_alone)
{
	innermost((const void *)0x1234);
	assert_int_equal(taken.nr, 1);
	assert_ptr_equal(taken.pc[0], (void *)0x1234);
	assert_string_equal(stderr_of(print_taken), " 0x1234\n");
}

static void deep(unsigned int n)
{
	if (n)
		deep(n - 1);
	else
		innermost(NULL);
	AND_BACK;
}

TEST(a_deep_stack_is_cut_off)
{
	deep(100);
	assert_int_equal(taken.nr, STACK_DEPTH);
	assert_begins("innermost deep deep deep");
}

static int compare(const void *a, const void *b)
{
	(void)a;
	(void)b;
	if (!taken.nr)
		innermost(NULL);
	AND_BACK;
	return 0;
}

TEST(a_stack_leads_through_the_c_library)
{
	int numbers[3] = { 3, 1, 2 };
	const char *text;

	taken.nr = 0;
	qsort(numbers, ARRAY_SIZE(numbers), sizeof(numbers[0]), compare);
	assert_begins("innermost compare");
	text = stderr_of(print_taken);
	assert_non_null(strstr(text, " qsort"));
	assert_non_null(strstr(text, " a_stack_leads_through_the_c_library+"));
}

static void on_signal(int sig)
{
	(void)sig;
	innermost(NULL);
	AND_BACK;
}

static noinline void interrupted(void)
{
	raise(SIGUSR1);
	AND_BACK;
}

TEST(a_stack_leads_through_a_signal_handler_to_what_it_interrupted)
{
	const char *text;

	signal(SIGUSR1, on_signal);
	interrupted();
	assert_begins("innermost on_signal");
	text = stderr_of(print_taken);
	assert_non_null(strstr(text, "\n interrupted+"));
	assert_non_null(strstr(text, "\n a_stack_leads_through_a_signal_handler_to_"));
}

/* The handler stands on memory of its own, which may lie above or below the stack. */
TEST(a_stack_leads_from_a_signal_stack_to_the_stack)
{
	static char room[64 * 1024];
	stack_t alternate = { .ss_sp = room, .ss_size = sizeof(room) };
	stack_t none = { .ss_flags = SS_DISABLE };
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };

	sigaltstack(&alternate, NULL);
	sigaction(SIGUSR1, &action, NULL);
	interrupted();
	sigaltstack(&none, NULL);
	assert_non_null(strstr(stderr_of(print_taken), "\n interrupted+"));
}

/* A signal may come before a function has its frame, or to one that needs none. */
TEST(a_function_that_was_interrupted_without_a_frame_has_a_caller)
{
	static uintptr_t stack[2]; /* of x86-64, where a call pushes the address */
	const uintptr_t caller = (uintptr_t)outermost;
	struct unwind u = { .exact = true };

	u.reg[UNWIND_PC] = (uintptr_t)middle;
	u.reg[UNWIND_SP] = (uintptr_t)stack;
#if defined(__x86_64__)
	stack[0] = caller;
#else
	u.reg[UNWIND_RA] = caller;
#endif
	assert_true(unwind_step(&u));
	assert_int_equal(u.reg[UNWIND_PC], caller);
}

static void *in_thread(void *arg)
{
	outermost();
	return arg;
}

TEST(a_stack_of_a_thread_ends_with_it)
{
	pthread_t t;

	assert_int_equal(pthread_create(&t, NULL, in_thread, NULL), 0);
	pthread_join(t, NULL);
	assert_begins("innermost middle outermost in_thread");
	assert_true(taken.nr <= 7);
}

/* Frames of code that has no table and keeps no frame pointer: there is nothing sane to follow. */
TEST(a_frame_pointer_that_leads_nowhere_ends_the_walk)
{
#if defined(__x86_64__)
	static char page[4096] __aligned(4096);
	/* push %rbp; mov %rsi, %rbp; call *%rdi; pop %rbp; ret */
	static const u8 code[] = { 0x55, 0x48, 0x89, 0xf5, 0xff, 0xd7, 0x5d, 0xc3 };
	void (*run)(void (*fn)(void), uintptr_t rbp) = (void *)page;

	memcpy(page, code, sizeof(code));
	assert_int_equal(mprotect(page, sizeof(page), PROT_READ | PROT_WRITE | PROT_EXEC), 0);
	run(outermost, 0x1000);
	assert_begins("innermost middle outermost");
	assert_int_equal(taken.nr, 4);
	run(outermost, (uintptr_t)__builtin_frame_address(0));
	assert_begins("innermost middle outermost");
#endif
}

TEST(a_function_that_is_not_exported_has_a_name_too)
{
	taken = (struct stack){ 1, { (const char *)middle + 1 } };
	assert_begins("middle");
	assert_memory_equal(stderr_of(print_taken), " middle+0x1/", 12);
}

TEST(an_address_without_a_symbol_is_told_by_its_object)
{
	static const char data = 1;

	taken = (struct stack){ 1, { &data } };
	assert_memory_equal(stderr_of(print_taken), " unit-debug-stack+0x", 20);
}

TEST(equal_stacks_are_kept_once)
{
	struct stack a = { 3, { (void *)1, (void *)2, (void *)3 } }, b = a, got;
	u32 first = stack_depot_save(&a), second;

	assert_int_not_equal(first, 0);
	assert_int_equal(stack_depot_save(&b), first);
	b.pc[2] = (void *)4;
	second = stack_depot_save(&b);
	assert_int_not_equal(second, first);
	b.nr = 2;
	assert_int_not_equal(stack_depot_save(&b), second);
	stack_depot_fetch(first, &got);
	assert_int_equal(got.nr, 3);
	assert_memory_equal(got.pc, a.pc, 3 * sizeof(a.pc[0]));
	stack_depot_fetch(0, &got);
	assert_int_equal(got.nr, 0);
}

enum { THREADS = 4, STACKS = 20000 };

static void *save_many(void *arg)
{
	struct stack t = { .nr = 5 }, got;

	for (uintptr_t i = 0; i < STACKS; i++) {
		u32 handle;

		for (u32 k = 0; k < t.nr; k++)
			t.pc[k] = (void *)(i * 7919 + k);
		handle = stack_depot_save(&t);
		check(handle);
		stack_depot_fetch(handle, &got);
		check(got.nr == t.nr && !memcmp(got.pc, t.pc, t.nr * sizeof(t.pc[0])));
	}
	return arg;
}

TEST(threads_share_the_depot)
{
	pthread_t t[THREADS];

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, save_many, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
}

static void fill_up(void)
{
	struct stack t = { .nr = STACK_DEPTH }, got;
	u32 last = 0, handle = 0;

	for (uintptr_t i = 0; i < 200000; i++) {
		t.pc[0] = (void *)i;
		handle = stack_depot_save(&t);
		if (!handle)
			break;
		last = handle;
	}
	check(!handle && last);
	stack_depot_fetch(last, &got);
	check(got.nr == STACK_DEPTH);
	t.pc[0] = 0;
	check(stack_depot_save(&t));
}

TEST(a_full_depot_gives_no_number_and_keeps_what_it_has)
{
	assert_child_succeeds(fill_up);
}

static void without_memory(void)
{
	struct stack t = { .nr = 1 };

	weather.os_map = 0;
	check(!stack_depot_save(&t));
	clear_weather();
	check(stack_depot_save(&t));
}

TEST(without_memory_the_depot_gives_no_number)
{
	assert_child_succeeds(without_memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_memory_the_depot_gives_no_number),
		cmocka_unit_test(a_stack_names_its_functions_from_the_inside_out),
		cmocka_unit_test(a_stack_begins_at_the_caller_that_is_named),
		cmocka_unit_test(a_caller_that_is_not_on_the_stack_stands_alone),
		cmocka_unit_test(a_deep_stack_is_cut_off),
		cmocka_unit_test(a_stack_leads_through_the_c_library),
		cmocka_unit_test(a_stack_leads_through_a_signal_handler_to_what_it_interrupted),
		cmocka_unit_test(a_stack_leads_from_a_signal_stack_to_the_stack),
		cmocka_unit_test(a_function_that_was_interrupted_without_a_frame_has_a_caller),
		cmocka_unit_test(a_stack_of_a_thread_ends_with_it),
		cmocka_unit_test(a_frame_pointer_that_leads_nowhere_ends_the_walk),
		cmocka_unit_test(a_function_that_is_not_exported_has_a_name_too),
		cmocka_unit_test(an_address_without_a_symbol_is_told_by_its_object),
		cmocka_unit_test(equal_stacks_are_kept_once),
		cmocka_unit_test(threads_share_the_depot),
		cmocka_unit_test(a_full_depot_gives_no_number_and_keeps_what_it_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
