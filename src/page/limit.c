// SPDX-License-Identifier: MIT
#include "page/limit.h"

#include "os/limit.h"
#include "page/vmalloc.h"
#include "page/zone.h"

/* Room that malloc leaves to what the process maps otherwise. */
static const size_t MARGIN = 16 * MIB;

static bool fits(size_t room, size_t bytes)
{
	return room >= MARGIN && room - MARGIN >= bytes;
}

/* What was granted and not touched yet is no usage of the cgroup's, but will be. */
static bool exceeds_cgroup(size_t heap, size_t bytes)
{
	if (!fits(os_memory_room_lately(), bytes) && !fits(os_memory_room(), bytes))
		return true;
	if (os_memory_limit_last() - MARGIN < heap + bytes)
		return true;
	os_memory_room_spend(bytes);
	return false;
}

bool limit_exceeded_by(size_t bytes)
{
	size_t heap = (zones_used() << FRAME_SHIFT) + READ_ONCE(vm.used_bytes);

	if (options.limit == LIMIT_AUTO)
		return exceeds_cgroup(heap, bytes);
	return heap + bytes > options.limit;
}

size_t limit_leaves(size_t used)
{
	return options.limit > LIMIT_AUTO ? options.limit - min(used, options.limit) : SIZE_MAX;
}
