/* SPDX-License-Identifier: MIT */
/*
 * profile.h - heap profiles of the running program.
 *
 * They are taken while SLABMALLOC_PROFILE or SLABMALLOC_LEAKS is set in the environment: slabmalloc_debug(7).
 */
#ifndef SLABMALLOC_PROFILE_H
#define SLABMALLOC_PROFILE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * slabmalloc_profile_write - write the heap profile as it is now
 * @fd: an open file descriptor
 * @format: "pprof" (profile.proto, not compressed), "heap" (the text of gperftools), "collapsed" (a line for each
 *	call stack, bytes in use), or "collapsed-alloc" (the same, bytes ever allocated)
 *
 * Does not allocate, and does not stop other threads. It may be called at any time, by several threads too.
 *
 * Return: 0, or -1 with errno ENOSYS (profiling is off), EINVAL (no such format), or EIO (not all could be written).
 */
int slabmalloc_profile_write(int fd, const char *format);

/**
 * slabmalloc_profile_interval - the mean number of bytes allocated between two samples
 *
 * Return: bytes; 0: profiling is off; 1: every allocation is recorded.
 */
size_t slabmalloc_profile_interval(void);

#ifdef __cplusplus
}
#endif

#endif
