/* SPDX-License-Identifier: MIT */
/* What the programs of tests/kernel share: cmocka, and crimes committed in a child. */
#pragma once

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "api.h"

#define TEST(name) static void name(void **state)

/* Everything that fn writes to stderr. Its process must end by the signal (0: end well). */
static inline const char *told_by(void (*fn)(void *), int signal_)
{
	static struct child c;

	child_run(&c, fn, NULL, 20);
	if (signal_ ? !WIFSIGNALED(c.status) || WTERMSIG(c.status) != signal_
		    : !child_succeeded(&c))
		fail_msg("status %#x, and on stderr:\n%s", c.status, c.err);
	return c.err;
}

/* The line, with "%p" where an address stands, is the first that fn tells; then it is aborted. */
static inline void assert_dies_saying(void (*fn)(void *), const char *format)
{
	const char *err = told_by(fn, SIGABRT), *e = err, *f = format;

	while (*f) {
		if (f[0] == '%' && f[1] == 'p') {
			e += strspn(e, "0123456789abcdefx");
			f += 2;
		} else if (*e++ != *f++) {
			break;
		}
	}
	if (*f || *e != '\n')
		fail_msg("expected: %s\nbut: %s", format, err);
}
