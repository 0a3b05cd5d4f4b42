// SPDX-License-Identifier: MIT
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

static char directory[] = "/tmp/slabmalloc-unit-XXXXXX", path[100];

static const char *text_of(const char *file)
{
	static char text[100];
	int fd = open(file, O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = 0;
	close(fd);
	return text;
}

static void write_to(const char *file, const char *text, bool good)
{
	struct os_output out;

	errno = 1234;
	assert_true(os_output_open(&out, file, 0));
	assert_true(fcntl(out.fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(out.fd, text, strlen(text)), strlen(text));
	assert_int_equal(os_output_close(&out, good), good);
	assert_int_equal(errno, 1234);
}

/* Nothing is left beside the file. */
static void assert_alone(void)
{
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(directory), 0);
	assert_int_equal(mkdir(directory, 0700), 0);
}

TEST(a_file_is_replaced_as_a_whole_when_it_is_complete)
{
	struct os_output out;

	write_to(path, "first\n", true);
	assert_string_equal(text_of(path), "first\n");
	assert_true(os_output_open(&out, path, 0));
	assert_int_equal(write(out.fd, "sec", 3), 3);
	assert_string_equal(text_of(path), "first\n");
	assert_int_equal(write(out.fd, "ond\n", 4), 4);
	assert_true(os_output_close(&out, true));
	assert_string_equal(text_of(path), "second\n");
	assert_alone();
}

TEST(what_could_not_be_written_leaves_the_old_file)
{
	write_to(path, "first\n", true);
	write_to(path, "half", false);
	assert_string_equal(text_of(path), "first\n");
	assert_alone();
}

TEST(what_a_killed_writer_left_is_no_obstacle)
{
	struct os_output out;

	assert_true(os_output_open(&out, path, 0));
	close(out.fd);
	write_to(path, "next\n", true);
	assert_string_equal(text_of(path), "next\n");
	assert_alone();
}

TEST(the_process_and_a_number_stand_in_a_path)
{
	struct os_output out;
	char expected[200];

	assert_false(os_output_open(&out, "/nonexistent/%p-%n-%q%", 12));
	snprintf(expected, sizeof(expected), "/nonexistent/%d-12-%%q%%", getpid());
	assert_string_equal(out.path, expected);
	assert_false(os_output_open(&out, "/nonexistent/%n", 0));
	assert_string_equal(out.path, "/nonexistent/%n");
}

TEST(a_link_stays_one_and_a_device_is_written_as_it_is)
{
	char target[120];
	struct stat st;

	snprintf(target, sizeof(target), "%s/target", directory);
	assert_int_equal(symlink("target", path), 0);
	write_to(path, "through\n", true);
	assert_string_equal(text_of(target), "through\n");
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	unlink(target);
	assert_alone();
	write_to("/dev/null", "nothing", true);
	assert_int_equal(stat("/dev/null", &st), 0);
	assert_true(S_ISCHR(st.st_mode));
}

TEST(where_nothing_can_be_made_it_is_told)
{
	char long_path[400];
	struct os_output out;

	assert_false(os_output_open(&out, "/nonexistent/file", 0));
	assert_false(os_output_close(&out, true));
	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = 0;
	assert_false(os_output_open(&out, long_path, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_is_replaced_as_a_whole_when_it_is_complete),
		cmocka_unit_test(what_could_not_be_written_leaves_the_old_file),
		cmocka_unit_test(what_a_killed_writer_left_is_no_obstacle),
		cmocka_unit_test(the_process_and_a_number_stand_in_a_path),
		cmocka_unit_test(a_link_stays_one_and_a_device_is_written_as_it_is),
		cmocka_unit_test(where_nothing_can_be_made_it_is_told),
	};
	int failed;

	if (!mkdtemp(directory))
		return 1;
	snprintf(path, sizeof(path), "%s/file", directory);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(directory);
	return failed;
}
