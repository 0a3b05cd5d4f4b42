// SPDX-License-Identifier: MIT
#include <pthread.h>
#include <regex.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/options.h"
#include "fence.h"
#include "os/mem.h"

/*
 * A report as a regular expression: "%a" any address, "%n" a number, "%f" a line of a stack, "%t" thread, processor, time and age, "%s" the
 * rest of a stack.
 */
static void assert_reports(void (*fn)(void), int end, const char *format)
{
	static const struct {
		char letter;
		const char *regex;
	} table[] = {
		{ 'a', "0x[0-9a-f]+" },
		{ 'n', "[0-9]+" },
		{ 's', "( [^\n]+\n)+" },
		{ 't', "by thread [0-9]+ on cpu [0-9]+ at [0-9]+\\.[0-9]{6}s \\([0-9]+\\.[0-9]{6}s "
		       "ago\\):\n" },
	};
	static const char rule[] = "={66}\n";
	char regex[4000];
	char *out = stpcpy(stpcpy(regex, "^"), rule);
	struct outcome o;
	regex_t re;

	for (const char *f = format; *f; f++) {
		size_t i = 0;

		if (*f != '%') {
			if (strchr("()[].+", *f))
				*out++ = '\\';
			*out++ = *f;
			continue;
		}
		f++;
		while (table[i].letter != *f)
			i++;
		out = stpcpy(out, table[i].regex);
	}
	out = stpcpy(out, "\nCPU: [0-9]+ PID: [0-9]+ Comm: unit-debug-kfence_report\n");
	stpcpy(stpcpy(out, rule), "$");
	o = run_in_child(fn);
	assert_int_equal(regcomp(&re, regex, REG_EXTENDED | REG_NOSUB), 0);
	if (regexec(&re, o.err, 0, NULL, 0))
		fail_msg("status %#x, and on stderr:\n%s", (unsigned int)o.status, o.err);
	regfree(&re);
	if (end ? !WIFSIGNALED(o.status) || WTERMSIG(o.status) != end : o.status)
		fail_msg("status %#x", (unsigned int)o.status);
}

#define BORN                                              \
	"\nkfence-#0: %a-%a, size=32, cache=kmalloc-32\n" \
	"\nallocated %t%s"
#define DEAD "\nfreed %t%s"

static SHOWN void read_byte(const char *p)
{
	(void)*(const volatile char *)p;
	AND_BACK;
}

static SHOWN void write_byte(char *p)
{
	*(volatile char *)p = 'x';
	AND_BACK;
}

static char *guarded(bool right)
{
	start("num_objects:1,handler:1,sample_interval:50");
	return sample_at(right, 32);
}

static void read_right(void)
{
	read_byte(guarded(true) + 32);
	AND_BACK;
}

static void write_right(void)
{
	write_byte(guarded(true) + 32 + 7);
	AND_BACK;
}

static void read_left(void)
{
	read_byte(guarded(false) - 1);
	AND_BACK;
}

TEST(a_read_or_write_out_of_bounds_is_reported_and_aborts)
{
	assert_reports(read_right, SIGABRT,
		       "BUG: KFENCE: out-of-bounds read in read_byte+%a/%a\n\n"
		       "Out-of-bounds read at %a (1B right of kfence-#0):\n%s" BORN);
	assert_reports(write_right, SIGABRT,
		       "BUG: KFENCE: out-of-bounds write in write_byte+%a/%a\n\n"
		       "Out-of-bounds write at %a (8B right of kfence-#0):\n%s" BORN);
	assert_reports(read_left, SIGABRT,
		       "BUG: KFENCE: out-of-bounds read in read_byte+%a/%a\n\n"
		       "Out-of-bounds read at %a (1B left of kfence-#0):\n%s" BORN);
}

static void goes_on(void)
{
	char *p;

	options.abort = false;
	p = guarded(true);
	write_byte(p + 32);
	write_byte(p + 33);
	check(p[32] == 'x');
	give(p);
}

TEST(with_abort_0_the_program_goes_on_where_it_failed)
{
	assert_reports(goes_on, 0,
		       "BUG: KFENCE: out-of-bounds write in write_byte+%a/%a\n\n"
		       "Out-of-bounds write at %a (1B right of kfence-#0):\n%s" BORN);
}

static void *allocates(void *arg)
{
	void *p = guarded(true);

	(void)arg;
	AND_BACK;
	return p;
}

static void freed_here_used_there(void)
{
	pthread_t t;
	void *p;

	pthread_create(&t, NULL, allocates, NULL);
	pthread_join(t, &p);
	give(p);
	read_byte((char *)p + 5);
	AND_BACK;
}

TEST(a_use_after_free_is_reported_with_both_stacks)
{
	assert_reports(freed_here_used_there, SIGABRT,
		       "BUG: KFENCE: use-after-free read in read_byte+%a/%a\n\n"
		       "Use-after-free read at %a (in kfence-#0):\n"
		       " read_byte+%a/%a [unit-debug-kfence_report]\n"
		       " freed_here_used_there+%a/%a [unit-debug-kfence_report]\n%s"
		       "\nkfence-#0: %a-%a, size=32, cache=kmalloc-32\n"
		       "\nallocated %t sample+%a/%a [unit-debug-kfence_report]\n%s"
		       "\nfreed %t freed_here_used_there+%a/%a [unit-debug-kfence_report]\n%s");
}

static void frees_twice(void)
{
	char *p = guarded(true);

	give(p);
	give(p);
	AND_BACK;
}

static void frees_inside(void)
{
	give(guarded(true) + 16);
	AND_BACK;
}

static void frees_guard(void)
{
	give((void *)ALIGN((uintptr_t)guarded(true), os_page_size()));
	AND_BACK;
}

TEST(an_invalid_free_is_reported)
{
	assert_reports(frees_twice, SIGABRT,
		       "BUG: KFENCE: invalid free in frees_twice+%a/%a\n\n"
		       "Invalid free of %a (in kfence-#0):\n%s" BORN DEAD);
	assert_reports(frees_inside, SIGABRT,
		       "BUG: KFENCE: invalid free in frees_inside+%a/%a\n\n"
		       "Invalid free of %a (in kfence-#0):\n%s" BORN);
	assert_reports(frees_guard, SIGABRT,
		       "BUG: KFENCE: invalid free in frees_guard+%a/%a\n\n"
		       "Invalid free of %a:\n%s");
}

static void corrupts(void)
{
	char *p;

	start("num_objects:1");
	p = sample_at(true, 29);
	p[29] = 'A';
	p[31] = 'B';
	give(p);
	AND_BACK;
}

static void corrupts_before(void)
{
	char *p;

	start("num_objects:1");
	p = sample_at(true, 32);
	p[-1] = 0;
	give(p);
	AND_BACK;
}

TEST(bytes_changed_around_an_object_are_reported_when_it_is_freed)
{
	assert_reports(corrupts, SIGABRT,
		       "BUG: KFENCE: memory corruption in corrupts+%a/%a\n\n"
		       "Corrupted memory at %a [ 0x41 . 0x42 ] (in kfence-#0):\n%s"
		       "\nkfence-#0: %a-%a, size=29, cache=kmalloc-32\n"
		       "\nallocated %t%s" DEAD);
	assert_reports(corrupts_before, SIGABRT,
		       "BUG: KFENCE: memory corruption in corrupts_before+%a/%a\n\n"
		       "Corrupted memory at %a [ 0x0 ] (in kfence-#0):\n%s" BORN DEAD);
}

static void corrupts_and_exits(void)
{
	char *p;

	start("num_objects:2");
	give(sample(40));
	p = sample_at(true, 29);
	kfence_exit();
	check(!kfence.bugs && kfence_ksize(p) == 29);
	p[30] = 'A';
	kfence_exit();
	AND_BACK;
}

TEST(or_at_exit_if_it_is_not)
{
	assert_reports(corrupts_and_exits, SIGABRT,
		       "BUG: KFENCE: memory corruption in corrupts_and_exits+%a/%a\n\n"
		       "Corrupted memory at %a [ 0x41 . ] (in kfence-#%n):\n%s"
		       "\nkfence-#%n: %a-%a, size=29, cache=kmalloc-32\n"
		       "\nallocated %t%s");
}

/* More than two pages, and their class is a little larger; and far behind them. */
#define LARGE_SIZE (os_page_size() * 5 / 2 - 240)
#define FAR (LARGE_SIZE + 90000)

static char *large_one(const char *settings, bool right)
{
	start(settings);
	return sample_at(right, LARGE_SIZE);
}

#define LARGE "num_objects:1,num_large:2,handler:1,sample_interval:50"

static void large_right(void)
{
	write_byte(large_one(LARGE, true) + LARGE_SIZE);
	AND_BACK;
}

static void large_far_right(void)
{
	write_byte(large_one(LARGE, false) + FAR);
	AND_BACK;
}

static void large_left(void)
{
	read_byte(large_one(LARGE, false) - 1);
	AND_BACK;
}

static void large_freed(void)
{
	char *p = large_one(LARGE, true);

	give(p);
	read_byte(p + 5000);
	AND_BACK;
}

static void large_corrupted(void)
{
	char *p = large_one(LARGE, false);

	p[LARGE_SIZE + 1] = 'A';
	give(p);
	AND_BACK;
}

#define LARGE_BORN                                         \
	"\nkfence-#%n: %a-%a, size=%n, cache=kmalloc-%n\n" \
	"\nallocated %t%s"

TEST(the_same_is_said_of_larger_objects)
{
	assert_reports(large_right, SIGABRT,
		       "BUG: KFENCE: out-of-bounds write in write_byte+%a/%a\n\n"
		       "Out-of-bounds write at %a (1B right of kfence-#%n):\n%s" LARGE_BORN);
	assert_reports(large_far_right, SIGABRT,
		       "BUG: KFENCE: out-of-bounds write in write_byte+%a/%a\n\n"
		       "Out-of-bounds write at %a (90001B right of kfence-#%n):\n%s" LARGE_BORN);
	assert_reports(large_left, SIGABRT,
		       "BUG: KFENCE: out-of-bounds read in read_byte+%a/%a\n\n"
		       "Out-of-bounds read at %a (1B left of kfence-#%n):\n%s" LARGE_BORN);
	assert_reports(large_freed, SIGABRT,
		       "BUG: KFENCE: use-after-free read in read_byte+%a/%a\n\n"
		       "Use-after-free read at %a (in kfence-#%n):\n%s" LARGE_BORN DEAD);
	assert_reports(
		large_corrupted, SIGABRT,
		"BUG: KFENCE: memory corruption in large_corrupted+%a/%a\n\n"
		"Corrupted memory at %a [ 0x41 . . . . . . . . . . . . . . . ] (in kfence-#%n):\n"
		"%s" LARGE_BORN DEAD);
}

static void large_opened_and_closed(void)
{
	char *p;

	options.abort = false;
	p = large_one("num_objects:1,num_large:1,handler:1,sample_interval:50", false);
	write_byte(p + FAR);
	give(p);
	p = sample(LARGE_SIZE);
	check(p);
	kfence.set.handler = 0;
	signal(SIGSEGV, SIG_DFL);
	read_byte((char *)ALIGN_DOWN((uintptr_t)p, os_page_size()) + FAR);
}

TEST(a_page_that_an_error_opened_behind_one_is_closed_again)
{
	assert_reports(large_opened_and_closed, SIGSEGV,
		       "BUG: KFENCE: out-of-bounds write in write_byte+%a/%a\n\n"
		       "Out-of-bounds write at %a (90001B right of kfence-#1):\n%s" LARGE_BORN);
}

static void frees_and_goes_on(void)
{
	char *p, *q;

	options.abort = false;
	p = guarded(true);
	give(p);
	read_byte(p);
	read_byte(p + 1);
	q = sample(32);
	check(q && (uintptr_t)q / os_page_size() == (uintptr_t)p / os_page_size());
	give(q);
	kfence.set.handler = 0;
	signal(SIGSEGV, SIG_DFL);
	read_byte(p);
}

TEST(a_page_that_an_error_opened_is_closed_again)
{
	assert_reports(frees_and_goes_on, SIGSEGV,
		       "BUG: KFENCE: use-after-free read in read_byte+%a/%a\n\n"
		       "Use-after-free read at %a (in kfence-#0):\n%s" BORN DEAD);
}

static volatile sig_atomic_t faults;
static sigjmp_buf back;
static void *fault_address;

static void programs_handler(int sig, siginfo_t *info, void *context)
{
	check(sig == SIGSEGV && context);
	fault_address = info->si_addr;
	faults++;
	siglongjmp(back, 1);
}

static void plain_handler(int sig)
{
	check(sig == SIGSEGV);
	faults++;
	siglongjmp(back, 1);
}

static void has_a_handler(bool siginfo)
{
	struct sigaction action = { .sa_flags = SA_NODEFER };
	char *none = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (siginfo) {
		action.sa_sigaction = programs_handler;
		action.sa_flags = SA_SIGINFO;
	} else {
		action.sa_handler = plain_handler;
	}
	sigaction(SIGSEGV, &action, NULL);
	options.abort = false;
	read_byte(guarded(true) + 32);
	check(faults == 0);
	for (int i = 1; i <= 2; i++) {
		if (!sigsetjmp(back, 1))
			read_byte(none + 8);
		check(faults == i);
		check(!siginfo || fault_address == none + 8);
	}
	if (!sigsetjmp(back, 1))
		raise(SIGSEGV);
	check(faults == 3);
}

static void has_a_siginfo_handler(void)
{
	has_a_handler(true);
}

static void has_a_plain_handler(void)
{
	has_a_handler(false);
}

TEST(faults_elsewhere_go_to_the_handler_that_was_there)
{
	const char *report = "BUG: KFENCE: out-of-bounds read in read_byte+%a/%a\n\n"
			     "Out-of-bounds read at %a (1B right of kfence-#0):\n%s" BORN;

	assert_reports(has_a_siginfo_handler, 0, report);
	assert_reports(has_a_plain_handler, 0, report);
}

static void default_fault(void)
{
	start("handler:1");
	read_byte((char *)8);
}

static void default_kill(void)
{
	start("handler:1");
	raise(SIGSEGV);
}

static void ignored_fault(void)
{
	signal(SIGSEGV, SIG_IGN);
	start("handler:1");
	raise(SIGSEGV);
	raise(SIGSEGV);
	check(write(STDERR_FILENO, "on\n", 3) == 3);
	read_byte((char *)8);
}

TEST(where_there_was_none_the_default_is_done)
{
	struct outcome o = run_in_child(default_fault);

	assert_int_equal(WTERMSIG(o.status), SIGSEGV);
	o = run_in_child(default_kill);
	assert_int_equal(WTERMSIG(o.status), SIGSEGV);
	o = run_in_child(ignored_fault);
	assert_int_equal(WTERMSIG(o.status), SIGSEGV);
	assert_string_equal(o.err, "on\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_read_or_write_out_of_bounds_is_reported_and_aborts),
		cmocka_unit_test(with_abort_0_the_program_goes_on_where_it_failed),
		cmocka_unit_test(a_use_after_free_is_reported_with_both_stacks),
		cmocka_unit_test(an_invalid_free_is_reported),
		cmocka_unit_test(bytes_changed_around_an_object_are_reported_when_it_is_freed),
		cmocka_unit_test(or_at_exit_if_it_is_not),
		cmocka_unit_test(the_same_is_said_of_larger_objects),
		cmocka_unit_test(a_page_that_an_error_opened_behind_one_is_closed_again),
		cmocka_unit_test(a_page_that_an_error_opened_is_closed_again),
		cmocka_unit_test(faults_elsewhere_go_to_the_handler_that_was_there),
		cmocka_unit_test(where_there_was_none_the_default_is_done),
	};

	/* Memcheck speaks of each crime itself, and gives the handlers another kind of frame. */
	if (under_valgrind())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
