// SPDX-License-Identifier: MIT
#include "stat/stat.h"

/* Names are the program's: anything may be in them. */
static char plain(char c)
{
	return c >= ' ' && c < 0x7f ? c : '?';
}

/* "<" as a number: then the text may stand in a page of HTML, which a "</script>" would end. */
void seq_json(struct seq_file *m, const char *text)
{
	seq_putc(m, '"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			seq_putc(m, '\\');
		if (*text == '<')
			seq_puts(m, "\\u003c");
		else
			seq_putc(m, plain(*text));
	}
	seq_putc(m, '"');
}

void seq_label(struct seq_file *m, const char *text)
{
	seq_putc(m, '"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			seq_putc(m, '\\');
		seq_putc(m, plain(*text));
	}
	seq_putc(m, '"');
}

void seq_seconds(struct seq_file *m, u64 ns)
{
	u64 unit = 100000000;

	seq_printf(m, "%lu.", (unsigned long)(ns / 1000000000));
	for (ns %= 1000000000; unit; unit /= 10)
		seq_putc(m, (char)('0' + ns / unit % 10));
}
