// SPDX-License-Identifier: MIT
#include "base/bug.h"

#include <stdarg.h>

#include "base/options.h"
#include "base/platform.h"
#include "base/printk.h"

enum { STDERR = 2 };

void bug(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintk(fmt, ap);
	va_end(ap);
	platform_abort();
}

void report_bad(const struct call *call, const char *fmt, ...)
{
	struct seq_file m;
	va_list ap;

	seq_open(&m, STDERR);
	seq_printf(&m, "slabmalloc: %s(%p): ", call->function, call->ptr);
	va_start(ap, fmt);
	seq_vprintf(&m, fmt, ap);
	va_end(ap);
	seq_putc(&m, '\n');
	seq_flush(&m);
	if (options.abort)
		platform_abort();
}
