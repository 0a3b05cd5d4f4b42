// SPDX-License-Identifier: MIT
#include "os/limit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

TEST(a_recent_answer_is_good_enough)
{
	size_t room;

	assert_true(os_memory_room_last() == SIZE_MAX);
	errno = 7;
	room = os_memory_room();
	assert_true(os_memory_room_last() == room);
	if (room > GIB)
		assert_true(os_memory_room_lately() == room);
	assert_int_equal(errno, 7);
}

static char group[100];

static bool write_to(const char *file, const char *text)
{
	char path[200];
	int fd;
	bool ok;

	snprintf(path, sizeof(path), "%s/%s", group, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ok = fd >= 0 && write(fd, text, strlen(text)) > 0;
	close(fd);
	return ok;
}

static bool make_group(void)
{
	snprintf(group, sizeof(group), "/sys/fs/cgroup/memory/slabmalloc-limit-%d", (int)getpid());
	if (mkdir(group, 0755) == 0 && write_to("memory.limit_in_bytes", "67108864"))
		return true;
	rmdir(group);
	snprintf(group, sizeof(group), "/sys/fs/cgroup/slabmalloc-limit-%d", (int)getpid());
	if (mkdir(group, 0755) == 0 && write_to("memory.max", "67108864"))
		return true;
	rmdir(group);
	return false;
}

/* What is touched is no room any more; that the kernel counts in batches makes the number vague. */
static void look_in_group(void)
{
	size_t before, after;
	char *p;

	check(write_to("cgroup.procs", "0"));
	before = os_memory_room();
	check(before <= 64 * MIB && before > 50 * MIB);
	p = mmap(NULL, 32 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(p, 1, 32 * MIB);
	after = os_memory_room();
	check(before - after > 30 * MIB && before - after < 34 * MIB);
}

TEST(the_room_in_a_cgroup_falls_as_it_fills)
{
	if (!make_group()) {
		print_message("no memory cgroup can be made here: %s\n", strerror(errno));
		skip();
	}
	assert_child_succeeds(look_in_group);
	rmdir(group);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_recent_answer_is_good_enough),
		cmocka_unit_test(the_room_in_a_cgroup_falls_as_it_fills),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
