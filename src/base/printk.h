/* SPDX-License-Identifier: MIT */
/*
 * printk.h - text without stdio: stdio may call malloc.
 *
 * A seq_file (the kernel's word for a file that is generated) collects text in a small buffer on the
 * caller's stack and hands it on with write(2). Conversions: %s %c %d %u %x %p %%, with -, #, a
 * width, and the length modifiers l and z.
 */
#pragma once

#include <stdarg.h>

#include "base/compiler.h"

struct seq_file {
	int fd;
	unsigned int len;
	bool failed; /* some of the text could not be written */
	char buf[1000];
};

static inline void seq_open(struct seq_file *m, int fd)
{
	m->fd = fd;
	m->len = 0;
	m->failed = false;
}

void seq_putc(struct seq_file *m, char c);
void seq_puts(struct seq_file *m, const char *s);
void seq_printf(struct seq_file *m, const char *fmt, ...) __printf(2, 3);
void seq_vprintf(struct seq_file *m, const char *fmt, va_list ap) __printf(2, 0);

/* Write out what is left. */
void seq_flush(struct seq_file *m);

/* One line to stderr, in one write: "slabmalloc: ...". */
void printk(const char *fmt, ...) __printf(1, 2);
void vprintk(const char *fmt, va_list ap) __printf(1, 0);
