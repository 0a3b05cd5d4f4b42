// SPDX-License-Identifier: MIT
#include "os/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/platform.h"
#include "os/call.h"
#include "os/mem.h"

void platform_futex_wait(u32 *word, u32 value)
{
	int saved = errno;
	u64 began = os_now_ns();

	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
	counter_add(os_stats.futex, 1);
	os_timed(&os_stats.futex_time, began);
	errno = saved;
}

void os_futex_wait_ms(u32 *word, u32 value, u32 ms)
{
	struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };
	int saved = errno;

	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, &t, NULL, 0);
	errno = saved;
}

void platform_futex_wake(u32 *word)
{
	int saved = errno;

	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	errno = saved;
}

void os_futex_wake_all(u32 *word)
{
	int saved = errno;

	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
	errno = saved;
}

void platform_yield(void)
{
	sched_yield();
}

bool platform_write(int fd, const char *buf, size_t len)
{
	int saved = errno;

	while (len) {
		ssize_t n = sys_write(fd, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		buf += n;
		len -= (size_t)n;
	}
	errno = saved;
	return !len;
}

char **platform_environ(void)
{
	static char *nothing[] = { NULL };

	return getauxval(AT_SECURE) ? nothing : environ;
}

int platform_getpid(void)
{
	return getpid();
}

void platform_abort(void)
{
	abort();
}

u64 os_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (u64)ts.tv_sec * 1000 + (u64)ts.tv_nsec / 1000000;
}

u64 os_cpu_us(void)
{
	struct timespec ts = { 0, 0 };

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (u64)ts.tv_sec * 1000000 + (u64)ts.tv_nsec / 1000;
}

u32 os_thread_id(void)
{
	return (u32)gettid();
}

void os_getcpu(unsigned int *cpu, unsigned int *node)
{
	*cpu = *node = 0;
#ifdef __GLIBC__
	getcpu(cpu, node);
#else
	syscall(SYS_getcpu, cpu, node, NULL);
#endif
}

u32 os_cpu(void)
{
	unsigned int cpu = 0, node;

	os_getcpu(&cpu, &node);
	return cpu;
}

bool os_thread_create(int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *),
		      void *(*fn)(void *), size_t stack)
{
	sigset_t most, old;
	pthread_attr_t attr;
	pthread_t thread;
	int saved = errno, error;

	/* Where a sandbox answers calls by a signal, a thread that is deaf to it would end the program. */
	sigfillset(&most);
	sigdelset(&most, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &most, &old);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, stack);
	error = create(&thread, &attr, fn, NULL);
	/* Thread-local variables of the program's count against the stack's size. */
	if (error == EINVAL) {
		pthread_attr_destroy(&attr);
		pthread_attr_init(&attr);
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		error = create(&thread, &attr, fn, NULL);
	}
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = saved;
	return !error;
}

void os_thread_name(const char *name)
{
	prctl(PR_SET_NAME, name);
}

u32 os_thread_count(void)
{
	struct stat st;
	int saved = errno, failed = stat("/proc/self/task", &st);

	errno = saved;
	return failed || st.st_nlink < 2 ? 0 : (u32)st.st_nlink - 2;
}

bool os_thread_exists(u32 tid)
{
	int saved = errno;
	bool exists = syscall(SYS_tgkill, getpid(), tid, 0) == 0;

	errno = saved;
	return exists;
}

u64 os_random(void)
{
	int saved = errno;
	struct timespec ts;
	u64 x;

	if (syscall(SYS_getrandom, &x, sizeof(x), GRND_NONBLOCK) != sizeof(x)) {
		clock_gettime(CLOCK_MONOTONIC, &ts);
		x = (u64)ts.tv_nsec * 0x9e3779b97f4a7c15ull ^ (u64)getpid() << 32 ^ (uintptr_t)&x;
	}
	errno = saved;
	return x;
}

u64 os_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000 + (u64)ts.tv_nsec;
}

u64 os_wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (u64)ts.tv_sec * 1000 + (u64)ts.tv_nsec / 1000000;
}

/* glibc 2.32 and later; elsewhere the weak symbol is absent and the answer is a safe "no". */
extern char __libc_single_threaded __attribute__((weak));

bool os_single_threaded(void)
{
	return &__libc_single_threaded && __libc_single_threaded;
}

int os_unshare(int flags)
{
	return (int)syscall(SYS_unshare, flags);
}

int os_setns(int fd, int type)
{
	return (int)syscall(SYS_setns, fd, type);
}

int os_dup(int fd)
{
	int saved = errno, copy = fcntl(fd, F_DUPFD_CLOEXEC, 512);

	if (copy < 0)
		copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	errno = saved;
	return copy;
}

void os_close(int fd)
{
	sys_close(fd);
}
