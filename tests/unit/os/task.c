// SPDX-License-Identifier: MIT
#include "os/task.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/thread.h"
#include "unit.h"

static u32 tid;
static int wake[2];
static bool spin;
static __thread char own;
static const void *top;

/* What others may do between an instruction of ours and the next. */
static void wait_here(void)
{
	char c;

	while (read(wake[0], &c, 1) < 0)
		;
}

/* Two functions, each alone in a page-aligned stretch of text, so that it is known which was interrupted. */
static noinline __attribute__((section("only_a"))) void spin_a(void)
{
	while (READ_ONCE(spin))
		;
}

static noinline __attribute__((section("only_b"))) void spin_b(void)
{
	while (READ_ONCE(spin))
		;
}

extern const char __start_only_a[], __stop_only_a[], __start_only_b[], __stop_only_b[];

static void handler(int sig)
{
	(void)sig;
	wait_here();
	WRITE_ONCE(spin, false);
}

static void *sleeper(void *arg)
{
	top = &own;
	WRITE_ONCE(tid, os_thread_id());
	if (arg)
		((void (*)(void))arg)();
	else
		wait_here();
	return NULL;
}

static pthread_t start(void (*fn)(void))
{
	pthread_t thread;

	WRITE_ONCE(tid, 0);
	assert_int_equal(pthread_create(&thread, NULL, sleeper, (void *)fn), 0);
	while (!READ_ONCE(tid))
		usleep(100);
	usleep(20000);
	return thread;
}

static void let_go(pthread_t thread)
{
	assert_int_equal(write(wake[1], "x", 1), 1);
	pthread_join(thread, NULL);
}

TEST(a_thread_in_a_system_call_is_asleep)
{
	uintptr_t sp = 0;
	pthread_t thread = start(NULL);

	assert_true(os_task_asleep(tid, &sp));
	assert_int_not_equal(sp, 0);
	assert_false(os_task_interrupted_in(sp, top, __start_only_a, __stop_only_a));
	let_go(thread);
	assert_false(os_task_asleep(tid, &sp));
}

TEST(a_running_thread_is_not)
{
	uintptr_t sp;
	pthread_t thread;

	spin = true;
	thread = start(spin_a);
	for (int i = 0; i < 100; i++)
		assert_false(os_task_asleep(tid, &sp));
	WRITE_ONCE(spin, false);
	pthread_join(thread, NULL);
}

TEST(a_handler_that_sleeps_tells_what_it_interrupted)
{
	struct sigaction sa = { .sa_handler = handler };
	uintptr_t sp;
	pthread_t thread;

	sigaction(SIGUSR1, &sa, NULL);
	spin = true;
	thread = start(spin_b);
	pthread_kill(thread, SIGUSR1);
	usleep(20000);
	assert_true(os_task_asleep(tid, &sp));
	assert_true(os_task_interrupted_in(sp, top, __start_only_b, __stop_only_b));
	assert_false(os_task_interrupted_in(sp, top, __start_only_a, __stop_only_a));
	let_go(thread);
}

static void lend(void)
{
	pid_t child = vfork();

	if (child == 0) {
		wait_here();
		_exit(0);
	}
	waitpid(child, NULL, 0);
}

TEST(the_parent_of_vfork_is_not_asleep_its_child_has_its_memory)
{
	uintptr_t sp;
	pthread_t thread = start(lend);

	assert_false(os_task_asleep(tid, &sp));
	let_go(thread);
}

TEST(who_cannot_be_read_may_have_been_interrupted)
{
	assert_true(os_task_interrupted_in(8, NULL, __start_only_a, __stop_only_a));
	assert_false(os_task_asleep(0x7fffffff, &(uintptr_t){ 0 }));
}

static int open_pipe(void **state)
{
	(void)state;
	return pipe(wake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_in_a_system_call_is_asleep),
		cmocka_unit_test(a_running_thread_is_not),
		cmocka_unit_test(a_handler_that_sleeps_tells_what_it_interrupted),
		cmocka_unit_test(the_parent_of_vfork_is_not_asleep_its_child_has_its_memory),
		cmocka_unit_test(who_cannot_be_read_may_have_been_interrupted),
	};

	/* There threads take turns, and their registers are not the kernel's. */
	if (under_valgrind())
		return 77;
	return cmocka_run_group_tests(tests, open_pipe, NULL);
}
