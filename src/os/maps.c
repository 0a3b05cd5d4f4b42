// SPDX-License-Identifier: MIT
#include "os/maps.h"
#include "os/call.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static uintptr_t hex(const char **s)
{
	uintptr_t v = 0;

	for (;; (*s)++) {
		if (**s >= '0' && **s <= '9')
			v = v * 16 + (uintptr_t)(**s - '0');
		else if (**s >= 'a' && **s <= 'f')
			v = v * 16 + (uintptr_t)(**s - 'a' + 10);
		else
			return v;
	}
}

static const char *skip_word(const char *s)
{
	s += strcspn(s, " ");
	return s + strspn(s, " ");
}

/* "start-end rwxp offset device inode      name" */
static struct os_mapping parse(const char *s)
{
	struct os_mapping m;

	m.start = hex(&s);
	s += *s == '-';
	m.end = hex(&s);
	s = skip_word(s);
	m.readable = s[0] == 'r';
	m.executable = strcspn(s, "x") < strcspn(s, " ");
	s = skip_word(s);
	m.offset = hex(&s);
	m.name = skip_word(skip_word(skip_word(s)));
	return m;
}

/* Lines longer than the buffer are cut: names of that length are of no use to readers of profiles. */
static void walk(int fd, bool (*fn)(const struct os_mapping *m, void *arg), void *arg)
{
	char buf[4096 + 256];
	size_t used = 0;
	ssize_t n;

	while ((n = sys_read(fd, buf + used, sizeof(buf) - 1 - used)) > 0) {
		char *line = buf, *end;

		used += (size_t)n;
		buf[used] = 0;
		while ((end = strchr(line, '\n'))) {
			struct os_mapping m;

			*end = 0;
			m = parse(line);
			if (!fn(&m, arg))
				return;
			line = end + 1;
		}
		used -= (size_t)(line - buf);
		memmove(buf, line, used);
		if (used == sizeof(buf) - 1)
			used = 0;
	}
}

void os_for_each_mapping(bool (*fn)(const struct os_mapping *m, void *arg), void *arg)
{
	int saved = errno, fd = sys_open("/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);

	if (fd >= 0) {
		walk(fd, fn, arg);
		sys_close(fd);
	}
	errno = saved;
}

bool os_remove(const char *path)
{
	int saved = errno;
	bool ok = unlink(path) == 0;

	errno = saved;
	return ok;
}
