// SPDX-License-Identifier: MIT
#include "slabmalloc/profile.h"

#include <errno.h>

#include "debug/profile.h"
#include "preload/entry.h"

static int fail(int error)
{
	errno = error;
	return -1;
}

EXPORT int slabmalloc_profile_write(int fd, const char *format)
{
	enum profile_format f = profile_format_of(format);

	if (!profile_on())
		return fail(ENOSYS);
	if (f == NR_PROFILE_FORMATS)
		return fail(EINVAL);
	return profile_write(fd, f) ? 0 : fail(EIO);
}

EXPORT size_t slabmalloc_profile_interval(void)
{
	return READ_ONCE(profile_interval);
}
