/* SPDX-License-Identifier: MIT */
/*
 * platform.h - what this room needs of the system. base/ makes no system call: os/ defines these
 * (tests may define them instead).
 */
#pragma once

#include "base/compiler.h"

/* Sleep while *word == value; may wake for no reason. */
void platform_futex_wait(u32 *word, u32 value);

/* Wake one sleeper on word. */
void platform_futex_wake(u32 *word);

/* Give up the processor. */
void platform_yield(void);

/* Write all of buf to fd; keeps errno. False: some of it could not be written. */
bool platform_write(int fd, const char *buf, size_t len);

/* The process's environment, or NULL: not there yet. Empty in setuid programs. */
char **platform_environ(void);

int platform_getpid(void);

/* A signal that a program may have for itself, by name ("USR2", "SIGUSR2") or number; 0: there is none. */
unsigned int platform_signal(const char *name, size_t len);

_Noreturn void platform_abort(void);
