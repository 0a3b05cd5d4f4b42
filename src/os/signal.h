/* SPDX-License-Identifier: MIT */
/*
 * signal.h - faults: accesses to memory that may not be touched; and a signal that asks for something.
 */
#pragma once

#include "base/compiler.h"

enum fault_kind { FAULT_READ, FAULT_WRITE, FAULT_UNKNOWN };

struct os_fault {
	uintptr_t address;
	const void *pc; /* the instruction that did it */
	enum fault_kind kind;
};

/*
 * From now on SIGSEGV asks fn first, in the handler: true: the access is tried again. What fn does not want goes
 * to the handler that was there before this call, as if it had been called by the system. A handler that the program
 * installs later replaces this one. False: it cannot be installed. One fn in a process.
 */
bool os_catch_faults(bool (*fn)(const struct os_fault *fault));

/*
 * From now on fn runs in the handler of this signal, in whatever thread it interrupts; errno is kept. System calls that can be
 * are restarted. room: are there OS_SIGNAL_STACK bytes of stack? The program's alternate one may be small. Takes the
 * place of what was there. False: there is no such signal. One fn in a process.
 */
enum { OS_SIGNAL_STACK = 8 << 10 };

bool os_catch_signal(unsigned int sig, void (*fn)(bool room));
