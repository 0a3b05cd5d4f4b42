// SPDX-License-Identifier: MIT
#include "os/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/lock.h"
#include "os/call.h"

struct mount {
	char point[CGROUP_PATH_MAX / 2]; /* "": there is none */
	char root[CGROUP_PATH_MAX / 2]; /* what of the hierarchy is mounted there */
};

struct mounts {
	struct mount of[NR_CGROUP_VERSIONS];
};

bool os_read_text(const char *path, char *text)
{
	int saved = errno, fd = sys_open(path, O_RDONLY | O_CLOEXEC, 0);
	ssize_t n = fd < 0 ? -1 : sys_read(fd, text, OS_TEXT_MAX - 1);

	if (fd >= 0)
		sys_close(fd);
	text[max(n, (ssize_t)0)] = 0;
	errno = saved;
	return n > 0;
}

const char *os_path_in(struct cgroup_dir *dir, const char *name)
{
	size_t n = strlen(name);

	if (dir->len + 1 + n >= CGROUP_PATH_MAX)
		return NULL;
	dir->path[dir->len] = '/';
	memcpy(dir->path + dir->len + 1, name, n + 1);
	return dir->path;
}

bool os_read_in(struct cgroup_dir *dir, const char *name, char *text)
{
	const char *path = os_path_in(dir, name);

	return path && os_read_text(path, text);
}

size_t os_number(const char *s)
{
	size_t v = 0;

	if (*s < '0' || *s > '9')
		return SIZE_MAX;
	for (; *s >= '0' && *s <= '9'; s++)
		v = v * 10 + (size_t)(*s - '0');
	return v;
}

size_t os_field(const char *text, const char *start)
{
	const size_t len = strlen(start);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, start, len) == 0) {
			for (line += len; *line == ' ' || *line == '\t'; line++)
				;
			return os_number(line);
		}
	}
	return 0;
}

/* The n-th field of a line, counted from 0; its end is a blank or the line's. */
static const char *nth(const char *s, int n)
{
	while (n-- && s)
		if ((s = strchr(s, ' ')))
			s++;
	return s;
}

static bool copy_field(char *to, size_t room, const char *s)
{
	size_t n = s ? strcspn(s, " \n") : room;

	if (n >= room)
		return false;
	memcpy(to, s, n);
	to[n] = 0;
	return true;
}

/* Is the controller among "rw,memory,..."? */
static bool has_memory(const char *options)
{
	for (size_t n; *options; options += n + (options[n] == ',')) {
		n = strcspn(options, ",");
		if (n == 6 && strncmp(options, "memory", 6) == 0)
			return true;
	}
	return false;
}

/* "id parent dev root point options [tags] - type source options": the first mount of its kind counts. */
static void look_at_mount(struct mounts *mounts, const char *line)
{
	const char *type = strstr(line, " - ");
	struct mount *m = NULL;

	if (!type)
		return;
	type += 3;
	if (strncmp(type, "cgroup2 ", 8) == 0)
		m = &mounts->of[CGROUP_V2];
	else if (strncmp(type, "cgroup ", 7) == 0 && nth(type, 2) && has_memory(nth(type, 2)))
		m = &mounts->of[CGROUP_V1];
	if (!m || m->point[0])
		return;
	if (!copy_field(m->root, sizeof(m->root), nth(line, 3)) ||
	    !copy_field(m->point, sizeof(m->point), nth(line, 4)))
		m->point[0] = 0;
}

/* Line by line: the file may be long, and so may be a line of no interest. */
static void read_mounts(struct mounts *mounts)
{
	int fd = sys_open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC, 0);
	char text[OS_TEXT_MAX];
	size_t have = 0;
	ssize_t n;

	if (fd < 0)
		return;
	while ((n = sys_read(fd, text + have, sizeof(text) - 1 - have)) > 0) {
		char *line = text, *end;

		have += (size_t)n;
		text[have] = 0;
		while ((end = strchr(line, '\n'))) {
			*end = 0;
			look_at_mount(mounts, line);
			line = end + 1;
		}
		have = strlen(line);
		if (have == sizeof(text) - 1)
			have = 0;
		memmove(text, line, have);
	}
	sys_close(fd);
}

/* The path in the line of /proc/self/cgroup for this version: "4:memory:/a/b" or "0::/a/b". */
static const char *group_path(enum cgroup_version version, const char *groups)
{
	for (const char *line = groups; line; line = strchr(line, '\n')) {
		const char *names;

		line += *line == '\n';
		names = strchr(line, ':');
		if (!names)
			continue;
		names++;
		if (version == CGROUP_V2 ? *names == ':' && strncmp(line, "0:", 2) == 0
					 : strncmp(names, "memory:", 7) == 0)
			return strchr(names, ':') + 1;
	}
	return NULL;
}

/* Read once, as a rule: who comes while another keeps what it has read goes on with its own. */
static const struct mounts *known_mounts(struct mounts *own)
{
	enum { UNKNOWN, BEING_KEPT, KEPT };
	static struct mounts kept;
	static u32 state;
	u32 unknown = UNKNOWN;

	if (__atomic_load_n(&state, __ATOMIC_ACQUIRE) == KEPT)
		return &kept;
	*own = (struct mounts){ 0 };
	read_mounts(own);
	if (__atomic_compare_exchange_n(&state, &unknown, BEING_KEPT, false, __ATOMIC_RELAXED,
					__ATOMIC_RELAXED)) {
		kept = *own;
		__atomic_store_n(&state, KEPT, __ATOMIC_RELEASE);
	}
	return own;
}

bool os_cgroup_dir(enum cgroup_version version, struct cgroup_dir *dir)
{
	struct mounts own;
	const struct mount *m;
	char groups[OS_TEXT_MAX];
	const char *path;
	size_t n, root;
	int saved = errno;

	m = &known_mounts(&own)->of[version];
	errno = saved;
	if (!m->point[0] || !os_read_text("/proc/self/cgroup", groups))
		return false;
	path = group_path(version, groups);
	if (!path)
		return false;
	dir->mount_len = dir->len = strlen(m->point);
	memcpy(dir->path, m->point, dir->len + 1);
	/* What is mounted is the part of the hierarchy below root. */
	root = strcmp(m->root, "/") == 0 ? 0 : strlen(m->root);
	n = strcspn(path, "\n");
	if (n < root || strncmp(path, m->root, root) != 0)
		return true;
	path += root;
	n -= root;
	if (n <= 1 || dir->len + n >= CGROUP_PATH_MAX)
		return true;
	memcpy(dir->path + dir->len, path, n);
	dir->path[dir->len + n] = 0;
	if (access(dir->path, F_OK) == 0)
		dir->len += n;
	else
		dir->path[dir->len] = 0;
	errno = saved;
	return true;
}
