/* SPDX-License-Identifier: MIT */
/*
 * pressure.h - how the kernel says that memory is short.
 *
 * Two ways. Descriptors that become ready, for a thread that waits (kshrinkd); and the stall time in the files of
 * pressure stall information, for threads that come by and where a descriptor cannot be had (a read-only /proc): a
 * process without kshrinkd opens no descriptor that lasts.
 *
 *	PSI_SYSTEM	/proc/pressure/memory
 *	PSI_CGROUP	memory.pressure of the process's cgroup (v2)
 *	CGROUP_LEVEL	memory.pressure_level of its cgroup (v1), through an eventfd
 *	MEM_AVAILABLE	MemAvailable in /proc/meminfo below a share of the memory, where there is no PSI
 *
 * The program may close a descriptor that it did not open, and open another of its number. So a descriptor is known by what fstat
 * says (an eventfd by its id in fdinfo) and looked at again before it is believed; one that is not ours any more is dropped, and not
 * closed. One thread at a time calls these, but for os_pressure_poke and os_pressure_look, which any thread may call.
 */
#pragma once

#include "base/compiler.h"

enum os_pressure { PSI_SYSTEM, PSI_CGROUP, CGROUP_LEVEL, MEM_AVAILABLE, NR_OS_PRESSURES };

/* Opens what there is to wait on. Returns a set of 1 << enum os_pressure, those in use. */
u32 os_pressure_open(void);

/* Closes it again: in the child of fork, too. */
void os_pressure_close(void);

/* Waits for at most ms (-1: without end), or until poked; returns the set of sources that spoke. */
u32 os_pressure_wait(int ms);

/* Wakes who waits; any thread. And whether that can be done. */
void os_pressure_poke(void);
bool os_pressure_pokable(void);

/* The sources that spoke since the last call, of those that have no descriptor: none was wanted, it cannot be had, or was dropped. */
u32 os_pressure_look(void);

struct os_pressure_state {
	u32 sources, dropped;
};

extern struct os_pressure_state os_pressure_state;

/* The set of sources in use, by either way, and how many were dropped since the start. */
u32 os_pressure_sources(void);
u32 os_pressure_dropped(void);
