// SPDX-License-Identifier: MIT
#include "base/printk.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit.h"

static char ours[4000], libcs[4000];

/* The same text as snprintf's. */
#define assert_formats(...)                                  \
	do {                                                 \
		struct seq_file seq;                         \
                                                             \
		seq_open(&seq, -1);                          \
		seq_printf(&seq, __VA_ARGS__);               \
		assert_true(seq.len < sizeof(seq.buf));      \
		memcpy(ours, seq.buf, seq.len);              \
		ours[seq.len] = 0;                           \
		snprintf(libcs, sizeof(libcs), __VA_ARGS__); \
		assert_string_equal(ours, libcs);            \
	} while (0)

TEST(numbers_are_those_of_snprintf)
{
	static const long values[] = {
		0,   1,    -1,      9,       10,       -10,      99,       255,
		256, 4096, INT_MAX, INT_MIN, UINT_MAX, LONG_MAX, LONG_MIN,
	};
	struct seq_file m;

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		assert_formats("%d", (int)values[i]);
		assert_formats("%u", (unsigned int)values[i]);
		assert_formats("%x", (unsigned int)values[i]);
		assert_formats("%ld", values[i]);
		assert_formats("%lu", (unsigned long)values[i]);
		assert_formats("%lx", (unsigned long)values[i]);
		assert_formats("%zu", (size_t)values[i]);
		if (values[i])
			assert_formats("%#lx", (unsigned long)values[i]);
	}
	assert_formats("%p", (void *)0x7f1234567890);
	assert_formats("%p", (void *)ours);
	seq_open(&m, -1);
	seq_printf(&m, "%p", NULL);
	assert_int_equal(m.len, 3);
	assert_memory_equal(m.buf, "0x0", 3);
}

TEST(width_and_flags_lay_out_as_snprintf_does)
{
	static const long values[] = { 7, -7, 123456, -123456, LONG_MIN };

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		assert_formats("[%6ld]", values[i]);
		assert_formats("[%-6ld]", values[i]);
		assert_formats("[%22lu]", (unsigned long)values[i]);
		assert_formats("[%-22lu]", (unsigned long)values[i]);
		assert_formats("[%#20lx]", (unsigned long)values[i]);
	}
	assert_formats("[%3s][%7s][%9s]", "kmalloc", "kmalloc", "kmalloc");
	assert_formats("[%-3s][%-7s][%-9s]", "kmalloc", "kmalloc", "kmalloc");
	assert_formats("[%3c][%-3c][%c]", 'a', 'b', 'c');
	assert_formats("[%20p][%-20p]", (void *)ours, (void *)ours);
}

TEST(text_around_conversions_stays_as_it_is)
{
	assert_formats("%s", "");
	assert_formats("no conversion");
	assert_formats("100%%, %s%s%c%d%%", "a", "", 'b', 3);
	assert_formats("%-17s %6lu %6lu %6u %4u %4d", "kmalloc-64", 1ul, 22ul, 333u, 4444u, 55555);
}

static void seq_read(int fd, char *text, size_t size)
{
	ssize_t n = pread(fd, text, size - 1, 0);

	assert_true(n >= 0);
	text[n] = 0;
}

TEST(text_longer_than_the_buffer_arrives_whole)
{
	for (size_t extra = 0; extra <= 2 * sizeof((struct seq_file *)0)->buf + 1;
	     extra += 1 + extra % 997) {
		int fd = memfd_create("text", 0);
		size_t n = sizeof((struct seq_file *)0)->buf - 3 + extra;
		struct seq_file m;

		seq_open(&m, fd);
		for (size_t i = 0; i < n; i++) {
			seq_putc(&m, (char)('a' + i % 23));
			libcs[i] = (char)('a' + i % 23);
		}
		seq_puts(&m, "<end>");
		strcpy(libcs + n, "<end>");
		seq_flush(&m);
		seq_read(fd, ours, sizeof(ours));
		assert_string_equal(ours, libcs);
		close(fd);
	}
}

TEST(flush_writes_once_and_empties_the_buffer)
{
	int fd = memfd_create("text", 0);
	struct seq_file m;

	seq_open(&m, fd);
	seq_puts(&m, "once");
	seq_read(fd, ours, sizeof(ours));
	assert_string_equal(ours, "");
	seq_flush(&m);
	seq_flush(&m);
	seq_read(fd, ours, sizeof(ours));
	assert_string_equal(ours, "once");
	assert_false(m.failed);
	close(fd);
}

TEST(text_that_could_not_be_written_is_remembered)
{
	struct seq_file m;

	seq_open(&m, -1);
	seq_flush(&m);
	assert_false(m.failed);
	for (size_t i = 0; i <= sizeof(m.buf); i++)
		seq_putc(&m, 'x');
	assert_true(m.failed);
	seq_open(&m, 1);
	assert_false(m.failed);
}

static int sockets[2];

static void print_a_line(void)
{
	dup2(sockets[1], STDERR_FILENO);
	printk("%s of %d", "a line", 1);
}

TEST(printk_writes_one_prefixed_line_in_one_piece)
{
	/* SOCK_SEQPACKET keeps each write apart. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets), 0);
	assert_child_succeeds(print_a_line);
	memset(ours, 0, sizeof(ours));
	assert_true(recv(sockets[0], ours, sizeof(ours) - 1, MSG_DONTWAIT) > 0);
	assert_string_equal(ours, "slabmalloc: a line of 1\n");
	assert_int_equal(recv(sockets[0], ours, sizeof(ours), MSG_DONTWAIT), -1);
	close(sockets[0]);
	close(sockets[1]);
}

static void print_into_nothing(void)
{
	close(STDERR_FILENO);
	errno = 1234;
	printk("unread");
	check(errno == 1234);
}

TEST(a_closed_stderr_and_errno_are_left_alone)
{
	assert_child_succeeds(print_into_nothing);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_those_of_snprintf),
		cmocka_unit_test(width_and_flags_lay_out_as_snprintf_does),
		cmocka_unit_test(text_around_conversions_stays_as_it_is),
		cmocka_unit_test(text_longer_than_the_buffer_arrives_whole),
		cmocka_unit_test(flush_writes_once_and_empties_the_buffer),
		cmocka_unit_test(text_that_could_not_be_written_is_remembered),
		cmocka_unit_test(printk_writes_one_prefixed_line_in_one_piece),
		cmocka_unit_test(a_closed_stderr_and_errno_are_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
