// SPDX-License-Identifier: MIT
#include "os/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/platform.h"

void platform_futex_wait(u32 *word, u32 value)
{
	int saved = errno;

	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
	errno = saved;
}

void platform_futex_wake(u32 *word)
{
	int saved = errno;

	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
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
		ssize_t n = write(fd, buf, len);

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

/* glibc 2.32 and later; elsewhere the weak symbol is absent and the answer is a safe "no". */
extern char __libc_single_threaded __attribute__((weak));

bool os_single_threaded(void)
{
	return &__libc_single_threaded && __libc_single_threaded;
}

int os_create(const char *path)
{
	return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
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
	close(fd);
}
