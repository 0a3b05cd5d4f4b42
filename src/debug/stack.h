/* SPDX-License-Identifier: MIT */
/*
 * stack.h - call stacks: taken, kept and printed inside malloc.
 *
 * Nothing here allocates, or takes a lock that a fork or a signal handler could find held. Nothing of it is loaded or
 * touched before the first stack is asked for.
 */
#pragma once

#include "base/printk.h"

enum { STACK_DEPTH = 16 };

struct stack {
	u32 nr;
	const void *pc[STACK_DEPTH];
};

/*
 * The stack from `caller` outwards, a return address on it or (in a signal handler) the instruction that was
 * interrupted; NULL: from the calling function. The library's own frames are left out where it is an object by itself.
 * Where caller cannot be found: it alone.
 */
void stack_save(struct stack *t, const void *caller);

/* The depot's memory, or NULL: for who reads it from outside (stat/descriptor.h). */
extern struct depot *stack_depot;

/* A number for the stack, the same for equal ones; 0: the depot has no room left (DEPOT_SIZE). */
u32 stack_depot_save(const struct stack *t);

/* The stack of a number; of 0: an empty one. */
void stack_depot_fetch(u32 handle, struct stack *t);

/* A line for each frame: " symbol+0x12/0x34 [object]", or " object+0x1234" (for addr2line) without a symbol. */
void stack_print(struct seq_file *m, const struct stack *t);

/* One address as "symbol+0x12/0x34", or as "object+0x1234". */
void stack_print_symbol(struct seq_file *m, const void *pc);
