// SPDX-License-Identifier: MIT
#include "os/signal.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/mem.h"
#include "unit.h"

static char *page;
static struct os_fault seen;
static int count;

static bool opens(const struct os_fault *f)
{
	seen = *f;
	count++;
	return f->address - (uintptr_t)page < os_page_size() &&
	       os_protect(page, os_page_size(), true);
}

static void closed_page(void)
{
	page = os_map(os_page_size());
	check(page && os_protect(page, os_page_size(), false));
	check(os_catch_faults(opens));
}

static void faults_and_goes_on(void)
{
	closed_page();
	*(volatile char *)(page + 5) = 1;
	barrier(); /* the handler changed count and seen */
	check(count == 1 && page[5] == 1);
	check(seen.address == (uintptr_t)page + 5 && seen.kind != FAULT_READ);
	check(os_protect(page, os_page_size(), false));
	check(*(volatile char *)(page + 6) == 0);
	barrier();
	check(count == 2);
	check(seen.address == (uintptr_t)page + 6 && seen.kind != FAULT_WRITE);
}

TEST(an_access_that_was_made_possible_is_tried_again)
{
	if (under_valgrind())
		skip();
	assert_child_succeeds(faults_and_goes_on);
}

static void elsewhere(void)
{
	volatile char *volatile nowhere = (volatile char *)8;

	closed_page();
	*nowhere = 1;
}

TEST(a_fault_that_nobody_wants_kills_where_it_happened)
{
	struct outcome o = run_in_child(elsewhere);

	assert_true(WIFSIGNALED(o.status));
	assert_int_equal(WTERMSIG(o.status), SIGSEGV);
}

static void sent(void)
{
	closed_page();
	kill(getpid(), SIGSEGV);
	check(!"dead");
}

TEST(a_signal_that_was_sent_is_no_access)
{
	struct outcome o = run_in_child(sent);

	assert_true(WIFSIGNALED(o.status));
	assert_int_equal(WTERMSIG(o.status), SIGSEGV);
}

static int called;

static void resets(int sig)
{
	(void)sig;
	called++;
	check(write(STDERR_FILENO, "called\n", 7) == 7);
}

static void once_only(void)
{
	struct sigaction action = { .sa_handler = resets, .sa_flags = (int)SA_RESETHAND };

	sigaction(SIGSEGV, &action, NULL);
	closed_page();
	kill(getpid(), SIGSEGV);
	barrier();
	check(called == 1);
	kill(getpid(), SIGSEGV);
}

TEST(a_handler_for_one_signal_is_called_once)
{
	if (under_valgrind())
		skip();
	struct outcome o = run_in_child(once_only);

	assert_true(WIFSIGNALED(o.status));
	assert_int_equal(WTERMSIG(o.status), SIGSEGV);
	assert_string_equal(o.err, "called\n");
}

static void masks(int sig)
{
	sigset_t now;

	pthread_sigmask(SIG_BLOCK, NULL, &now);
	check(sig == SIGSEGV && sigismember(&now, SIGSEGV) && sigismember(&now, SIGUSR1));
	called++;
}

static void with_a_mask(void)
{
	struct sigaction action = { .sa_handler = masks };
	sigset_t now;

	sigaddset(&action.sa_mask, SIGUSR1);
	sigaction(SIGSEGV, &action, NULL);
	closed_page();
	kill(getpid(), SIGSEGV);
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	check(called == 1 && !sigismember(&now, SIGUSR1) && !sigismember(&now, SIGSEGV));
}

TEST(a_handler_has_its_mask_while_it_runs)
{
	if (under_valgrind())
		skip();
	assert_child_succeeds(with_a_mask);
}

static bool had_room;

static void asked(bool room)
{
	called++;
	had_room = room;
	errno = 1;
}

static void asks_three_times(void)
{
	check(os_catch_signal(SIGUSR2, asked));
	errno = 1234;
	for (int i = 1; i <= 3; i++) {
		raise(SIGUSR2);
		barrier();
		check(called == i && had_room && errno == 1234);
	}
	check(!os_catch_signal(SIGKILL, asked));
}

TEST(a_signal_calls_its_function_each_time_and_errno_stays)
{
	if (under_valgrind())
		skip();
	assert_child_succeeds(asks_three_times);
}

static void on_a_stack_of(size_t size, bool room)
{
	stack_t st = { .ss_sp = os_map(64 * KIB), .ss_size = size };

	check(sigaltstack(&st, NULL) == 0);
	raise(SIGUSR2);
	barrier();
	check(had_room == room);
}

static void on_alternate_stacks(void)
{
	check(os_catch_signal(SIGUSR2, asked));
	on_a_stack_of(64 * KIB, true);
	on_a_stack_of(8 * KIB, false);
}

TEST(a_small_alternate_stack_is_seen)
{
	if (under_valgrind())
		skip();
	assert_child_succeeds(on_alternate_stacks);
}

TEST(a_file_is_mapped_with_its_size)
{
	size_t size;
	const char *text = os_map_file("/proc/self/exe", &size);

	assert_non_null(text);
	assert_true(size > 1000);
	assert_memory_equal(text, "\177ELF", 4);
	assert_true(os_unmap((void *)text, size));
	assert_null(os_map_file("/no/such/file", &size));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_access_that_was_made_possible_is_tried_again),
		cmocka_unit_test(a_fault_that_nobody_wants_kills_where_it_happened),
		cmocka_unit_test(a_signal_that_was_sent_is_no_access),
		cmocka_unit_test(a_handler_for_one_signal_is_called_once),
		cmocka_unit_test(a_handler_has_its_mask_while_it_runs),
		cmocka_unit_test(a_signal_calls_its_function_each_time_and_errno_stays),
		cmocka_unit_test(a_small_alternate_stack_is_seen),
		cmocka_unit_test(a_file_is_mapped_with_its_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
