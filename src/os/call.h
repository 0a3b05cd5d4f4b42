/* SPDX-License-Identifier: MIT */
/*
 * call.h - system calls at which no thread is cancelled.
 *
 * libc's open, read, write, close and poll are cancellation points, malloc is none: a thread that ends in one of them would
 * take the locks along that it holds here. By number they are just system calls.
 */
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static inline int sys_open(const char *path, int flags, unsigned int mode)
{
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static inline ssize_t sys_read(int fd, void *buf, size_t n)
{
	return syscall(SYS_read, fd, buf, n);
}

static inline ssize_t sys_write(int fd, const void *buf, size_t n)
{
	return syscall(SYS_write, fd, buf, n);
}

static inline void sys_close(int fd)
{
	syscall(SYS_close, fd);
}

/* ms: -1 is without end. */
static inline int sys_poll(struct pollfd *fds, unsigned int n, int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000l };

	return (int)syscall(SYS_ppoll, fds, (unsigned long)n, ms < 0 ? NULL : &t, NULL, 0ul);
}
