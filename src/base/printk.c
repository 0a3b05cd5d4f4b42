// SPDX-License-Identifier: MIT
#include "base/printk.h"

#include "base/platform.h"

enum { STDERR = 2, DIGITS = 20 };

void seq_flush(struct seq_file *m)
{
	if (m->len && !platform_write(m->fd, m->buf, m->len))
		m->failed = true;
	m->len = 0;
}

void seq_putc(struct seq_file *m, char c)
{
	if (m->len == sizeof(m->buf))
		seq_flush(m);
	m->buf[m->len++] = c;
}

void seq_puts(struct seq_file *m, const char *s)
{
	while (*s)
		seq_putc(m, *s++);
}

/* How a conversion is to be laid out: "%-6lu" is left, width 6. */
struct layout {
	bool left, alt;
	int width;
};

static void put_padded(struct seq_file *m, const char *s, int len, const struct layout *l)
{
	if (!l->left)
		for (int i = len; i < l->width; i++)
			seq_putc(m, ' ');
	for (int i = 0; i < len; i++)
		seq_putc(m, s[i]);
	if (l->left)
		for (int i = len; i < l->width; i++)
			seq_putc(m, ' ');
}

static void put_number(struct seq_file *m, unsigned long v, unsigned int base, bool negative,
		       const struct layout *l)
{
	char digits[DIGITS + 3];
	int i = sizeof(digits);

	do {
		digits[--i] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	if (l->alt) {
		digits[--i] = 'x';
		digits[--i] = '0';
	}
	if (negative)
		digits[--i] = '-';
	put_padded(m, digits + i, (int)sizeof(digits) - i, l);
}

static const char *parse_layout(const char *f, struct layout *l)
{
	*l = (struct layout){ 0 };
	for (;; f++) {
		if (*f == '-')
			l->left = true;
		else if (*f == '#')
			l->alt = true;
		else
			break;
	}
	for (; *f >= '0' && *f <= '9'; f++)
		l->width = l->width * 10 + (*f - '0');
	return f;
}

static void put_conversion(struct seq_file *m, char c, bool is_long, struct layout *l, va_list *ap)
{
	const char *s;
	long d;
	int len = 0;
	char ch;

	switch (c) {
	case 's':
		s = va_arg(*ap, const char *);
		while (s[len])
			len++;
		put_padded(m, s, len, l);
		break;
	case 'c':
		ch = (char)va_arg(*ap, int);
		put_padded(m, &ch, 1, l);
		break;
	case 'd':
		d = is_long ? va_arg(*ap, long) : va_arg(*ap, int);
		put_number(m, d < 0 ? 0 - (unsigned long)d : (unsigned long)d, 10, d < 0, l);
		break;
	case 'u':
	case 'x':
		put_number(m, is_long ? va_arg(*ap, unsigned long) : va_arg(*ap, unsigned int),
			   c == 'u' ? 10 : 16, false, l);
		break;
	case 'p':
		l->alt = true;
		put_number(m, (unsigned long)va_arg(*ap, void *), 16, false, l);
		break;
	default:
		seq_putc(m, c);
	}
}

void seq_vprintf(struct seq_file *m, const char *f, va_list args)
{
	struct layout l;
	va_list ap;

	va_copy(ap, args);
	for (; *f; f++) {
		bool is_long = false;

		if (*f != '%') {
			seq_putc(m, *f);
			continue;
		}
		f = parse_layout(f + 1, &l);
		for (; *f == 'l' || *f == 'z'; f++)
			is_long = true;
		if (!*f)
			break;
		put_conversion(m, *f, is_long, &l, &ap);
	}
	va_end(ap);
}

void seq_printf(struct seq_file *m, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	seq_vprintf(m, fmt, ap);
	va_end(ap);
}

void vprintk(const char *fmt, va_list ap)
{
	struct seq_file m;

	seq_open(&m, STDERR);
	seq_puts(&m, "slabmalloc: ");
	seq_vprintf(&m, fmt, ap);
	seq_putc(&m, '\n');
	seq_flush(&m);
}

void printk(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintk(fmt, ap);
	va_end(ap);
}
