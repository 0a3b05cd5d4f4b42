// SPDX-License-Identifier: MIT
#include "slabmalloc/slabinfo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "init/boot.h"
#include "preload/entry.h"
#include "stat/cache_attr.h"
#include "stat/stat.h"

static int fail(int error)
{
	errno = error;
	return -1;
}

EXPORT int slabmalloc_slabinfo(int fd)
{
	struct seq_file m;

	seq_open(&m, fd);
	stat_slabinfo(&m);
	seq_flush(&m);
	return m.failed ? fail(EIO) : 0;
}

/* Text that is still in the buffer, or went to fd. 0, or an errno. */
static int show(const char *cache, const char *attr, struct seq_file *m)
{
	const struct cache_attr *a = cache_attr_find(attr);
	u32 id = cache_find(cache);

	if (!id || !a)
		return ENOENT;
	if (!a->show)
		return EACCES;
	a->show(m, id);
	return 0;
}

EXPORT int slabmalloc_cache_attr(const char *cache, const char *attr, char *buf, size_t size)
{
	struct seq_file m;
	size_t n;
	int error;

	seq_open(&m, -1);
	error = show(cache, attr, &m);
	if (error)
		return fail(error);
	/* What did not fit in the buffer went nowhere. */
	if (m.failed)
		return fail(EFBIG);
	n = size ? min((size_t)m.len, size - 1) : 0;
	memcpy(buf, m.buf, n);
	if (size)
		buf[n] = 0;
	return (int)m.len;
}

EXPORT int slabmalloc_cache_attr_write(const char *cache, const char *attr, int fd)
{
	struct seq_file m;
	int error;

	seq_open(&m, fd);
	error = show(cache, attr, &m);
	if (error)
		return fail(error);
	seq_flush(&m);
	return m.failed ? fail(EIO) : 0;
}

EXPORT int slabmalloc_cache_attr_set(const char *cache, const char *attr, const char *value)
{
	const struct cache_attr *a = cache_attr_find(attr);
	u32 id = cache_find(cache);
	unsigned long v;
	char *end;
	int error;

	if (!id || !a)
		return fail(ENOENT);
	if (!a->store)
		return fail(EACCES);
	if (*value < '0' || *value > '9')
		return fail(EINVAL);
	v = strtoul(value, &end, 10);
	if (*end && strcmp(end, "\n") != 0)
		return fail(EINVAL);
	error = a->store(id, v);
	return error ? fail(error) : 0;
}
