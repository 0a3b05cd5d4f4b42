/* SPDX-License-Identifier: MIT */
/*
 * unwind.h - from a frame to its caller's, by the tables that compilers leave for exceptions (.eh_frame).
 *
 * libgcc's unwinder must be loaded, allocates, and may wait for the loader's lock. This one is called inside
 * malloc and inside signal handlers: it takes no lock, allocates nothing, and finds a program counter's object by
 * _dl_find_object, which glibc (2.35 and later) made for that. It trusts no value it computes: before a word is read from
 * a page that was not read before, the system is asked whether there is one. Code without a table (made at run time) is
 * passed by its frame pointer, or ends the walk.
 */
#pragma once

#include "base/compiler.h"

#if defined(__x86_64__)
enum { UNWIND_REGS = 17, UNWIND_FP = 6, UNWIND_SP = 7, UNWIND_PC = 16 };
#elif defined(__aarch64__)
enum { UNWIND_REGS = 33, UNWIND_FP = 29, UNWIND_SP = 31, UNWIND_RA = 30, UNWIND_PC = 32 };
#elif defined(__riscv) && __riscv_xlen == 64
enum { UNWIND_REGS = 33, UNWIND_FP = 8, UNWIND_SP = 2, UNWIND_RA = 1, UNWIND_PC = 32 };
#else
enum { UNWIND_REGS = 3, UNWIND_SP = 0, UNWIND_FP = 1, UNWIND_PC = 2 };
#endif

struct unwind {
	uintptr_t reg
		[UNWIND_REGS]; /* by their DWARF numbers, UNWIND_PC last; what a call clobbers is not known */
	bool exact; /* pc is an instruction that was interrupted, not one behind a call */
	uintptr_t page; /* the last one known to be there */
};

/* The registers as they are in the calling function. */
static __always_inline void unwind_start(struct unwind *u)
{
	*u = (struct unwind){ .exact = true };
#if defined(__x86_64__)
	__asm__ volatile("mov %%rbx, 3*8(%0)\n\t"
			 "mov %%rbp, 6*8(%0)\n\t"
			 "mov %%rsp, 7*8(%0)\n\t"
			 "mov %%r12, 12*8(%0)\n\t"
			 "mov %%r13, 13*8(%0)\n\t"
			 "mov %%r14, 14*8(%0)\n\t"
			 "mov %%r15, 15*8(%0)\n\t"
			 "lea 1f(%%rip), %%rcx\n"
			 "1:\tmov %%rcx, 16*8(%0)"
			 :
			 : "a"(u->reg)
			 : "rcx", "memory");
#elif defined(__aarch64__)
	__asm__ volatile("stp x19, x20, [%0, 19*8]\n\t"
			 "stp x21, x22, [%0, 21*8]\n\t"
			 "stp x23, x24, [%0, 23*8]\n\t"
			 "stp x25, x26, [%0, 25*8]\n\t"
			 "stp x27, x28, [%0, 27*8]\n\t"
			 "stp x29, x30, [%0, 29*8]\n\t"
			 "mov x1, sp\n\t"
			 "adr x2, 1f\n"
			 "1:\tstp x1, x2, [%0, 31*8]"
			 :
			 : "r"(u->reg)
			 : "x1", "x2", "memory");
#elif defined(__riscv) && __riscv_xlen == 64
	__asm__ volatile("sd ra, 1*8(%0)\n\t"
			 "sd sp, 2*8(%0)\n\t"
			 "sd s0, 8*8(%0)\n\t"
			 "sd s1, 9*8(%0)\n\t"
			 "sd s2, 18*8(%0)\n\t"
			 "sd s3, 19*8(%0)\n\t"
			 "sd s4, 20*8(%0)\n\t"
			 "sd s5, 21*8(%0)\n\t"
			 "sd s6, 22*8(%0)\n\t"
			 "sd s7, 23*8(%0)\n\t"
			 "sd s8, 24*8(%0)\n\t"
			 "sd s9, 25*8(%0)\n\t"
			 "sd s10, 26*8(%0)\n\t"
			 "sd s11, 27*8(%0)\n\t"
			 "lla t0, 1f\n"
			 "1:\tsd t0, 32*8(%0)"
			 :
			 : "r"(u->reg)
			 : "t0", "memory");
#endif
}

/* Where a frame's row is looked up: a call may be its function's last instruction. */
static inline uintptr_t unwind_pc(const struct unwind *u)
{
	return u->reg[UNWIND_PC] - !u->exact;
}

/* One frame outwards; false: there is none, or it cannot be found. */
bool unwind_step(struct unwind *u);

/* Where code or data lies that was loaded. */
struct loaded {
	const char *start, *end; /* in memory */
	const char *name; /* as the loader knows it; "": the program itself */
	uintptr_t base; /* what is added to the addresses in the file */
	const void *eh_frame_hdr; /* NULL: it has none */
};

/* The object that an address lies in; false: in none, or the C library cannot tell. */
bool loaded_at(uintptr_t address, struct loaded *o);
