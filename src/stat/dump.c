// SPDX-License-Identifier: MIT
#include "base/options.h"
#include "base/platform.h"
#include "os/thread.h"
#include "stat/stat.h"

enum { STDERR = 2 };

static int stderr_copy = -1;

bool stat_dump(int fd)
{
	struct seq_file m;

	seq_open(&m, fd);
	stat_slabinfo(&m);
	seq_putc(&m, '\n');
	stat_buddyinfo(&m);
	seq_putc(&m, '\n');
	stat_totals(&m);
	seq_flush(&m);
	return !m.failed;
}

/* "%p" in a path becomes the process id; too long a result is cut. */
static void expand_path(const char *path, char *out, size_t size)
{
	size_t n = 0;

	for (; *path && n + 1 < size; path++) {
		char digits[12];
		int d = 0, pid = platform_getpid();

		if (path[0] != '%' || path[1] != 'p') {
			out[n++] = *path;
			continue;
		}
		for (; pid; pid /= 10)
			digits[d++] = (char)('0' + pid % 10);
		while (d && n + 1 < size)
			out[n++] = digits[--d];
		path++;
	}
	out[n] = 0;
}

static bool is_stderr(const char *path)
{
	static const char name[] = "stderr";
	size_t i = 0;

	while (name[i] && path[i] == name[i])
		i++;
	return !name[i] && !path[i];
}

void stat_prepare(const char *path)
{
	if (stderr_copy < 0 && is_stderr(path))
		stderr_copy = os_dup(STDERR);
}

void stat_dump_to(const char *path)
{
	char name[OPTION_PATH_MAX + 16];
	int fd;

	if (is_stderr(path)) {
		stat_dump(stderr_copy < 0 ? STDERR : stderr_copy);
		return;
	}
	expand_path(path, name, sizeof(name));
	fd = os_create(name);
	if (fd < 0) {
		printk("cannot write statistics to %s", name);
		return;
	}
	stat_dump(fd);
	os_close(fd);
}
