// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/options.h"
#include "sheaf/heap.h"
#include "stat/stat.h"
#include "unit.h"

static char text[400000], directory[] = "/tmp/slabmalloc-unit-XXXXXX";

static const char *read_file(const char *path)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = 0;
	close(fd);
	return text;
}

static void assert_is_dump(const char *dump)
{
	const char *line = dump;

	assert_memory_equal(line, "slabinfo - version: 2.1\n", 24);
	line = strstr(line, "\n\n");
	assert_non_null(line);
	assert_memory_equal(line, "\n\nNode 0, zone   Normal ", 24);
	line = strstr(line + 2, "\n\n");
	assert_non_null(line);
	if (zones[0].nr_present) {
		assert_memory_equal(line, "\n\nNode 0, zone   Normal\n  pages free ", 37);
		line = strstr(line + 2, "\n\n");
		assert_non_null(line);
	}
	line += strspn(line, "\n");
	for (size_t i = 0; i < nr_heap_fields; i++) {
		char name[100];
		unsigned long value;
		int length = 0;

		assert_int_equal(sscanf(line, "%99s %lu\n%n", name, &value, &length), 2);
		assert_string_equal(name, heap_fields[i].name);
		assert_int_equal(line[length - 1], '\n');
		line += length;
	}
	/* Shrinkers may have been asked by a test before. */
	assert_true(!*line || !strncmp(line, "shrink_", 7) || !strncmp(line, "pressure_", 9));
}

static bool dump(int fd)
{
	return stat_write(fd, STATS_SLABINFO);
}

TEST(a_dump_is_slabinfo_buddyinfo_zoneinfo_and_totals)
{
	int fd = memfd_create("dump", 0);
	ssize_t n;

	heap_free(this_cpu, 1, heap_alloc(this_cpu, 1));
	assert_true(dump(fd));
	n = pread(fd, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	text[n] = 0;
	close(fd);
	assert_is_dump(text);
	assert_non_null(strstr(text, "\nkmalloc-16 "));
}

TEST(what_cannot_be_written_is_told)
{
	int fd = open("/dev/full", O_WRONLY);

	assert_false(dump(-1));
	if (fd < 0)
		return;
	assert_false(dump(fd));
	close(fd);
}

TEST(a_path_names_the_file_and_percent_p_the_process)
{
	char path[200], expected[200];

	snprintf(path, sizeof(path), "%s/of-%%p-and-%%p%%q%%", directory);
	snprintf(expected, sizeof(expected), "%s/of-%d-and-%d%%q%%", directory, getpid(), getpid());
	stat_dump_to(path);
	assert_is_dump(read_file(expected));
	/* Written anew, not appended. */
	stat_dump_to(path);
	assert_is_dump(read_file(expected));
	assert_int_equal(unlink(expected), 0);
}

TEST(percent_n_is_the_number_of_the_dump)
{
	char path[200], expected[200];
	unsigned int first = 1;

	snprintf(path, sizeof(path), "%s/nr-%%n", directory);
	stat_dump_to(path);
	for (;; first++) {
		snprintf(expected, sizeof(expected), "%s/nr-%u", directory, first);
		if (unlink(expected) == 0)
			break;
		assert_true(first < 100);
	}
	stat_dump_to(path);
	snprintf(expected, sizeof(expected), "%s/nr-%u", directory, first + 1);
	assert_is_dump(read_file(expected));
	assert_int_equal(unlink(expected), 0);
}

/* Longer than seq_file's buffer is no reason to lose anything. */
TEST(each_format_begins_and_ends_as_it_should)
{
	static const struct {
		enum stats_format format;
		const char *begin, *end;
	} formats[] = {
		{ STATS_JSON, "{\"schema\":1,\"version\":\"", "]}\n" },
		{ STATS_PROMETHEUS, "# HELP slabmalloc_info ", "\n" },
		{ STATS_HTML, "<!DOCTYPE html>\n", "</script>\n" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		int fd = memfd_create("dump", 0);
		size_t n, end = strlen(formats[i].end);

		assert_true(stat_write(fd, formats[i].format));
		n = (size_t)pread(fd, text, sizeof(text) - 1, 0);
		close(fd);
		assert_true(n > 2000 && n < sizeof(text) - 1);
		assert_memory_equal(text, formats[i].begin, strlen(formats[i].begin));
		assert_memory_equal(text + n - end, formats[i].end, end);
	}
}

static char bad_path[200];

static void dump_to_bad_path(void)
{
	stat_dump_to(bad_path);
}

TEST(a_file_that_cannot_be_made_is_named)
{
	char expected[300];

	snprintf(bad_path, sizeof(bad_path), "%s/missing/file", directory);
	snprintf(expected, sizeof(expected), "slabmalloc: cannot write statistics to %s\n",
		 bad_path);
	assert_string_equal(run_in_child(dump_to_bad_path).err, expected);
}

static void dump_to_stderr(void)
{
	stat_dump_to("stderr");
}

static void dump_after_stderr_was_closed(void)
{
	strcpy(options.stats, "stderr");
	stat_prepare();
	close(STDERR_FILENO);
	stat_dump_to("stderr");
}

TEST(stderr_is_reached_even_if_the_program_closed_it)
{
	struct outcome o = run_in_child(dump_after_stderr_was_closed);

	assert_int_equal(o.status, 0);
	assert_is_dump(o.err);
	assert_is_dump(stderr_of(dump_to_stderr));
}

TEST(a_path_too_long_is_cut_and_stays_in_its_buffer)
{
	size_t n = strlen(directory);

	memcpy(bad_path, directory, n);
	memset(bad_path + n, 'x', sizeof(bad_path) - n - 1);
	for (size_t i = n + 1; i + 1 < sizeof(bad_path) - 1; i += 2)
		memcpy(bad_path + i, "%p", 2);
	/* Either file name is too long for a file system. */
	assert_non_null(strstr(run_in_child(dump_to_bad_path).err, "cannot write statistics to "));
}

int main(void)
{
#define DUMP_TEST(name) cmocka_unit_test_setup_teardown(name, heap_setup, heap_teardown)
	const struct CMUnitTest tests[] = {
		DUMP_TEST(a_dump_is_slabinfo_buddyinfo_zoneinfo_and_totals),
		DUMP_TEST(what_cannot_be_written_is_told),
		DUMP_TEST(a_path_names_the_file_and_percent_p_the_process),
		DUMP_TEST(percent_n_is_the_number_of_the_dump),
		DUMP_TEST(each_format_begins_and_ends_as_it_should),
		DUMP_TEST(a_file_that_cannot_be_made_is_named),
		DUMP_TEST(stderr_is_reached_even_if_the_program_closed_it),
		DUMP_TEST(a_path_too_long_is_cut_and_stays_in_its_buffer),
	};
	int failed;

	if (!mkdtemp(directory))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(directory);
	return failed;
}
