/* SPDX-License-Identifier: MIT */
/*
 * cfi.h - call frame information: one row of the table that an .eh_frame entry describes.
 */
#pragma once

#include "debug/unwind.h"

enum rule_kind {
	RULE_SAME, /* the register was not changed */
	RULE_UNDEFINED, /* it cannot be restored; of the return address: there is no caller */
	RULE_OFFSET, /* saved at CFA + offset */
	RULE_VAL_OFFSET, /* it was CFA + offset */
	RULE_REGISTER, /* saved in another register */
	RULE_EXPRESSION, /* saved where the expression says */
	RULE_VAL_EXPRESSION, /* it was what the expression says */
};

struct cfi_rule {
	enum rule_kind kind;
	union {
		long offset;
		const u8 *expression; /* a block: its length in LEB128, then operations */
	};
};

struct cfi_row {
	struct cfi_rule rule[UNWIND_REGS];
	struct cfi_rule cfa; /* RULE_OFFSET from cfa_reg, or RULE_VAL_EXPRESSION */
	u32 cfa_reg;
	u32 ra; /* the register that holds the return address */
	bool signal; /* a frame that the kernel made to call a signal handler */
};

/* The row for pc by the description at fde; false: it does not cover pc, or cannot be read. */
bool cfi_row_at(const u8 *fde, uintptr_t pc, struct cfi_row *row);

/* The row for pc in an object's table; false, and found says whether the object has a description of it. */
bool unwind_row(const struct loaded *o, uintptr_t pc, struct cfi_row *row, bool *found);

/* The value of an expression; first: what its stack begins with, or NULL. False: it cannot be computed. */
bool cfi_evaluate(struct unwind *u, const u8 *expression, const uintptr_t *first, uintptr_t *value);

/* The word at address; false: there is no such memory. */
bool unwind_peek(struct unwind *u, uintptr_t address, uintptr_t *value);
