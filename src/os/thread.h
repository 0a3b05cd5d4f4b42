/* SPDX-License-Identifier: MIT */
/*
 * thread.h - threads, processes and time as the system has them (and platform.h's services).
 */
#pragma once

#include "base/compiler.h"

/* Milliseconds of a clock that only goes forward; coarse, and no system call. */
u64 os_now_ms(void);

/* True where only one thread exists for certain. */
bool os_single_threaded(void);

/* Opens path for writing, replacing what was there; -1 and errno on failure. */
int os_create(const char *path);

/* A private copy of a descriptor, out of the program's way, or -1. */
int os_dup(int fd);

void os_close(int fd);
