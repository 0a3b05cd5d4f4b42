// SPDX-License-Identifier: MIT
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "reader.h"

static FILE *open_proc(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return fopen(path, "re");
}

/* What ends at memory that is not there is cut short, at that page. */
static size_t read_process(const struct reader *r, uintptr_t addr, void *to, size_t n)
{
	struct iovec local = { to, n }, remote = { (void *)addr, n };
	ssize_t got = process_vm_readv(r->pid, &local, 1, &remote, 1, 0);

	return got < 0 ? 0 : (size_t)got;
}

static bool read_maps(struct reader *r)
{
	FILE *f = open_proc(r->pid, "maps");
	char *line = NULL;
	size_t room = 0;

	if (!f)
		return false;
	while (getline(&line, &room, f) > 0) {
		struct mapping *m;
		uintptr_t start, end;
		uint64_t offset;
		char mode[5];
		int path = 0;

		if (sscanf(line, "%lx-%lx %4s %lx %*s %*s %n", &start, &end, mode, &offset, &path) <
			    4 ||
		    !(m = reader_add_map(r)))
			continue;
		line[strcspn(line, "\n")] = 0;
		m->start = start;
		m->end = end;
		m->offset = offset;
		m->readable = mode[0] == 'r';
		m->writable = mode[1] == 'w';
		m->path = path && line[path] == '/' ? strdup(line + path) : NULL;
	}
	free(line);
	fclose(f);
	return true;
}

static void read_name(struct reader *r)
{
	FILE *f = open_proc(r->pid, "comm");

	if (f && fgets(r->name, sizeof(r->name), f))
		r->name[strcspn(r->name, "\n")] = 0;
	if (f)
		fclose(f);
}

enum process_state reader_state(const struct reader *r)
{
	FILE *f;
	char line[512], *paren, state = 0;

	if (r->core)
		return PROCESS_STOPPED;
	f = open_proc(r->pid, "stat");
	if (!f)
		return PROCESS_GONE;
	/* The name in parentheses may hold anything, parentheses too. */
	if (fgets(line, sizeof(line), f) && (paren = strrchr(line, ')')) && paren[1] == ' ')
		state = paren[2];
	fclose(f);
	if (!state || strchr("ZXx", state))
		return PROCESS_GONE;
	return strchr("Tt", state) ? PROCESS_STOPPED : PROCESS_RUNNING;
}

static struct reader *forbidden(struct reader *r, char **error)
{
	return reader_fail(
		r, error,
		"may not look into process %d (%s): that takes the same user or CAP_SYS_PTRACE, "
		"and /proc/sys/kernel/yama/ptrace_scope may ask for more",
		r->pid, r->name);
}

struct reader *reader_open_process(pid_t pid, char **error)
{
	struct reader *r = calloc(1, sizeof(*r));
	char byte;

	if (!r)
		return reader_fail(r, error, "no memory");
	r->pid = pid;
	r->read = read_process;
	if (reader_state(r) == PROCESS_GONE)
		return reader_fail(r, error, "there is no process %d", pid);
	read_name(r);
	if (!read_maps(r))
		return errno == EACCES
			       ? forbidden(r, error)
			       : reader_fail(r, error, "process %d: cannot read its map: %s", pid,
					     strerror(errno));
	if (!r->nr_maps)
		return reader_fail(r, error, "process %d (%s) has no memory of its own", pid,
				   r->name);
	for (size_t i = 0; i < r->nr_maps; i++) {
		errno = 0;
		if (!r->map[i].readable || reader_get(r, r->map[i].start, &byte, 1))
			return r;
		if (errno == EPERM)
			return forbidden(r, error);
	}
	return r;
}
