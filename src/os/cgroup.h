/* SPDX-License-Identifier: MIT */
/*
 * cgroup.h - where this process's memory cgroup is to be found, and small text files of the kernel's.
 *
 * The mounts are read from /proc/self/mountinfo once, the group from /proc/self/cgroup each time: a process
 * can be moved. In a container the upper part of the group's path lies outside of what is mounted, or the lower part is
 * not there; then the mount itself is the group.
 */
#pragma once

#include "base/compiler.h"

enum { CGROUP_PATH_MAX = 512, OS_TEXT_MAX = 4096 };

enum cgroup_version { CGROUP_V1, CGROUP_V2, NR_CGROUP_VERSIONS };

struct cgroup_dir {
	char path[CGROUP_PATH_MAX];
	size_t len;
	size_t mount_len; /* of the mount's part of path */
};

/* The directory of the process's group under the memory controller (V1) or in the unified hierarchy (V2). */
bool os_cgroup_dir(enum cgroup_version version, struct cgroup_dir *dir);

/* A file's text, of at most OS_TEXT_MAX - 1 bytes; false: it cannot be read, text is "". */
bool os_read_text(const char *path, char *text);

/* The same of a file in a directory. dir->path changes behind len. */
bool os_read_in(struct cgroup_dir *dir, const char *name, char *text);

/* "dir/name" in dir->path; NULL: too long. */
const char *os_path_in(struct cgroup_dir *dir, const char *name);

/* The number at s; SIZE_MAX: there is none ("max"). */
size_t os_number(const char *s);

/* The number behind the first line that starts so, or 0. */
size_t os_field(const char *text, const char *start);
