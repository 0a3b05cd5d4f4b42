/* SPDX-License-Identifier: MIT */
/*
 * maps.h - what the process has mapped, and files by name.
 */
#pragma once

#include "base/compiler.h"

struct os_mapping {
	uintptr_t start, end, offset;
	bool readable, executable;
	const char *name; /* "" without; until the next one */
};

/* Calls fn for each line of /proc/self/maps, until it says false. Keeps errno. */
void os_for_each_mapping(bool (*fn)(const struct os_mapping *m, void *arg), void *arg);

/* Removes a file; false: there was none, or it cannot be removed. Keeps errno. */
bool os_remove(const char *path);
