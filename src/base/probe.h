/* SPDX-License-Identifier: MIT */
/*
 * probe.h - USDT probes: places where bpftrace, perf, SystemTap and gdb can look in, a nop until they do.
 *
 * Compiled in where systemtap's sys/sdt.h is there. Arguments are values that the code has at hand anyway.
 */
#pragma once

#if __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
#define PROBE1(provider, name, a) DTRACE_PROBE1(provider, name, a)
#define PROBE2(provider, name, a, b) DTRACE_PROBE2(provider, name, a, b)
#define PROBE3(provider, name, a, b, c) DTRACE_PROBE3(provider, name, a, b, c)
#else
#define PROBE1(provider, name, a) ((void)(a))
#define PROBE2(provider, name, a, b) ((void)(a), (void)(b))
#define PROBE3(provider, name, a, b, c) ((void)(a), (void)(b), (void)(c))
#endif
