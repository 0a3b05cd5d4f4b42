// SPDX-License-Identifier: MIT
#include "reader.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader *reader_fail(struct reader *r, char **error, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (vasprintf(error, fmt, args) < 0)
		*error = NULL;
	va_end(args);
	if (r)
		reader_close(r);
	return NULL;
}

struct mapping *reader_add_map(struct reader *r)
{
	/* Doubled at each power of two. */
	if (!(r->nr_maps & (r->nr_maps - 1))) {
		size_t room = r->nr_maps ? 2 * r->nr_maps : 1;
		struct mapping *map = realloc(r->map, room * sizeof(*map));

		if (!map)
			return NULL;
		r->map = map;
	}
	r->map[r->nr_maps] = (struct mapping){ 0 };
	return &r->map[r->nr_maps++];
}

struct reader *reader_open(const char *what, char **error)
{
	char *end;
	long pid = strtol(what, &end, 10);

	if (isdigit((unsigned char)*what) && !*end) {
		if (pid <= 0 || pid > INT32_MAX)
			return reader_fail(NULL, error, "%s: no process has that number", what);
		return reader_open_process((pid_t)pid, error);
	}
	return reader_open_core(what, error);
}

void reader_close(struct reader *r)
{
	if (r->core)
		reader_close_core(r);
	for (size_t i = 0; i < r->nr_maps; i++)
		free(r->map[i].path);
	free(r->map);
	free(r);
}

bool reader_get(const struct reader *r, uintptr_t addr, void *to, size_t n)
{
	return r->read(r, addr, to, n) == n;
}

void reader_path(const struct reader *r, const struct mapping *m, char *path, size_t size)
{
	/* A process may see other files than we do: a container's. */
	if (r->core)
		snprintf(path, size, "%s", m->path);
	else
		snprintf(path, size, "/proc/%d/root%s", r->pid, m->path);
}
