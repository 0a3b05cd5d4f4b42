// SPDX-License-Identifier: MIT
/*
 * names.c - what reports call the sources of pressure and the shrinkers, for the library and for those who read another process.
 */
#include "reclaim/pressure.h"
#include "reclaim/vmscan.h"

const char *const pressure_names[NR_PRESSURE_SOURCES] = {
	[PSI_SYSTEM] = "psi",
	[PSI_CGROUP] = "psi_cgroup",
	[CGROUP_LEVEL] = "cgroup_level",
	[MEM_AVAILABLE] = "mem_available",
	[CGROUP_ROOM] = "cgroup_room",
	[SOFT_LIMIT] = "soft_limit",
	[FAILURE] = "failure",
	[BY_HAND] = "by_hand",
};

const char *const shrink_names[NR_OWN_SHRINKERS] = {
	[SHRINK_SHEAVES] = "sheaves", [SHRINK_BARNS] = "barns", [SHRINK_SLABS] = "slabs",
	[SHRINK_AREAS] = "areas",     [SHRINK_GAPS] = "gaps",   [SHRINK_FRAMES] = "frames",
};
