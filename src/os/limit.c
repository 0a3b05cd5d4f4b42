// SPDX-License-Identifier: MIT
#include "os/limit.h"

#include <errno.h>

#include "os/cgroup.h"
#include "os/thread.h"

enum { SLOWEST_MS = 1000 };

/* Free at this speed it lasts room / SPEED milliseconds: about what four processors can touch. */
#define SPEED (16 * MIB)

/* Page cache counts only where there is less than this: reading it costs more than all the rest. */
#define NEAR (256 * MIB)

/* The files of the two versions of the memory controller. */
static const struct controller {
	const char *usage, *max, *high;
	const char *cache[2]; /* in memory.stat */
} controllers[NR_CGROUP_VERSIONS] = {
	[CGROUP_V1] = { "memory.usage_in_bytes",
			"memory.limit_in_bytes",
			NULL,
			{ "total_inactive_file ", "total_active_file " } },
	[CGROUP_V2] = { "memory.current",
			"memory.max",
			"memory.high",
			{ "inactive_file ", "active_file " } },
};

struct rooms {
	size_t room, limit; /* the least below a max; the least max */
	struct os_room nearest; /* in proportion to its limit, high or max */
};

static struct rooms last = { SIZE_MAX, SIZE_MAX, { SIZE_MAX, SIZE_MAX } };
static u64 read_again_ms;

/* Version 1 writes no limit as PTRDIFF_MAX, rounded down to a page. */
static size_t limit_in(const char *file, struct cgroup_dir *dir)
{
	char text[OS_TEXT_MAX];
	size_t limit = file && os_read_in(dir, file, text) ? os_number(text) : SIZE_MAX;

	return limit > PTRDIFF_MAX - MIB ? SIZE_MAX : limit;
}

static size_t left_of(size_t room, size_t limit)
{
	return room / (limit / 1024 + 1);
}

static size_t below(size_t limit, size_t used, struct rooms *r)
{
	size_t room = limit - min(used, limit);

	if (limit == SIZE_MAX)
		return SIZE_MAX;
	if (left_of(room, limit) < left_of(r->nearest.bytes, r->nearest.limit))
		r->nearest = (struct os_room){ room, limit };
	return room;
}

static void look_in(const struct controller *c, struct cgroup_dir *dir, struct rooms *r)
{
	size_t most = limit_in(c->max, dir), high = limit_in(c->high, dir), used, cache = 0;
	size_t least = min(most, high);
	char text[OS_TEXT_MAX];

	if (least == SIZE_MAX || !os_read_in(dir, c->usage, text))
		return;
	used = os_number(text);
	if (least < used + NEAR && os_read_in(dir, "memory.stat", text))
		cache = os_field(text, c->cache[0]) + os_field(text, c->cache[1]);
	used -= min(cache, used);
	below(high, used, r);
	r->room = min(r->room, below(most, used, r));
	r->limit = min(r->limit, most);
}

/* From the process's own group up to the mount. */
static void look_up(enum cgroup_version version, struct rooms *r)
{
	struct cgroup_dir dir;

	if (!os_cgroup_dir(version, &dir))
		return;
	for (;; dir.len--) {
		if (dir.len > dir.mount_len && dir.path[dir.len] != '/' && dir.path[dir.len])
			continue;
		look_in(&controllers[version], &dir, r);
		if (dir.len <= dir.mount_len)
			return;
	}
}

size_t os_memory_room(void)
{
	struct rooms r = { SIZE_MAX, SIZE_MAX, { SIZE_MAX, SIZE_MAX } };
	size_t soon;
	int saved = errno;

	for (enum cgroup_version v = 0; v < NR_CGROUP_VERSIONS; v++)
		look_up(v, &r);
	errno = saved;
	WRITE_ONCE(last.room, r.room);
	WRITE_ONCE(last.limit, r.limit);
	WRITE_ONCE(last.nearest.bytes, r.nearest.bytes);
	WRITE_ONCE(last.nearest.limit, r.nearest.limit);
	soon = min(r.room, r.nearest.bytes) / SPEED;
	WRITE_ONCE(read_again_ms, os_now_ms() + min(soon, (size_t)SLOWEST_MS));
	return r.room;
}

size_t os_memory_room_lately(void)
{
	return os_now_ms() < READ_ONCE(read_again_ms) ? READ_ONCE(last.room) : os_memory_room();
}

struct os_room os_memory_room_nearest(void)
{
	os_memory_room();
	return (struct os_room){ READ_ONCE(last.nearest.bytes), READ_ONCE(last.nearest.limit) };
}

/* Two that spend at once may count as one, until it is read again. */
void os_memory_room_spend(size_t bytes)
{
	size_t room = READ_ONCE(last.room);

	if (room != SIZE_MAX)
		WRITE_ONCE(last.room, room - min(bytes, room));
}

size_t os_memory_room_last(void)
{
	return READ_ONCE(last.room);
}

size_t os_memory_limit_last(void)
{
	return READ_ONCE(last.limit);
}
