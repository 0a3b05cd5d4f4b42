// SPDX-License-Identifier: MIT
#include "os/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/platform.h"
#include "unit.h"

TEST(the_clock_goes_forward_in_milliseconds)
{
	const struct timespec nap = { .tv_nsec = 60 * 1000 * 1000 };
	u64 start = os_now_ms();

	nanosleep(&nap, NULL);
	assert_in_range(os_now_ms() - start, 40, 20000);
}

static void *do_nothing(__attribute__((unused)) void *arg)
{
	return NULL;
}

static void become_threaded(void)
{
	pthread_t thread;

	check(pthread_create(&thread, NULL, do_nothing, NULL) == 0);
	check(!os_single_threaded());
	pthread_join(thread, NULL);
}

TEST(single_threaded_is_true_only_before_the_first_thread)
{
	assert_true(os_single_threaded());
	assert_child_succeeds(become_threaded);
}

static timer_t timer;

/* Ten times are enough; under valgrind a handler takes longer than the timer, and would never end. */
static void interrupted(int sig)
{
	static const struct itimerspec never;
	static int times;

	(void)sig;
	if (++times == 10)
		timer_settime(timer, 0, &never, NULL);
}

static void *drain_slowly(void *arg)
{
	char buf[4096];
	size_t sum = 0;
	ssize_t n;

	while ((n = read(*(int *)arg, buf, sizeof(buf))) > 0) {
		check(all_bytes_are(buf, (size_t)n, 'x'));
		sum += (size_t)n;
		usleep(100);
	}
	return (void *)sum;
}

/* A pipe takes part of a long text, and signals break into the wait for the rest. */
static void write_a_long_text(void)
{
	static char text[300000];
	struct sigaction sa = { .sa_handler = interrupted };
	const struct itimerspec soon = { { 0, 1000000 }, { 0, 1000000 } };
	pthread_t thread;
	sigset_t alarm;
	void *sum;
	int fds[2];

	memset(text, 'x', sizeof(text));
	check(pipe(fds) == 0);
	sigaction(SIGALRM, &sa, NULL);
	/* The writer is to be interrupted, not the reader. */
	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm, NULL);
	check(pthread_create(&thread, NULL, drain_slowly, &fds[0]) == 0);
	pthread_sigmask(SIG_UNBLOCK, &alarm, NULL);
	check(timer_create(CLOCK_MONOTONIC, NULL, &timer) == 0);
	timer_settime(timer, 0, &soon, NULL);
	errno = 1234;
	check(platform_write(fds[1], text, sizeof(text)));
	check(errno == 1234);
	timer_delete(timer);
	close(fds[1]);
	pthread_join(thread, &sum);
	check((size_t)sum == sizeof(text));
}

TEST(write_goes_on_after_signals_and_short_writes)
{
	assert_child_succeeds(write_a_long_text);
}

TEST(what_cannot_be_written_is_told_and_errno_kept)
{
	errno = 1234;
	assert_false(platform_write(-1, "text", 4));
	assert_int_equal(errno, 1234);
}

TEST(a_copied_descriptor_is_out_of_the_way)
{
	int copy = os_dup(1);

	assert_true(copy > 2);
	assert_true(fcntl(copy, F_GETFD) & FD_CLOEXEC);
	os_close(copy);
	errno = 1234;
	assert_int_equal(os_dup(-1), -1);
	assert_int_equal(errno, 1234);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_clock_goes_forward_in_milliseconds),
		cmocka_unit_test(single_threaded_is_true_only_before_the_first_thread),
		cmocka_unit_test(write_goes_on_after_signals_and_short_writes),
		cmocka_unit_test(what_cannot_be_written_is_told_and_errno_kept),
		cmocka_unit_test(a_copied_descriptor_is_out_of_the_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
