// SPDX-License-Identifier: MIT
/*
 * unwind.c - rules of one frame, found and applied.
 *
 * .eh_frame_hdr: a sorted table from program counters to descriptions (FDE), each with what it shares with others
 * (CIE). Both hold a small program that builds, up to the wanted address, one row of a table: how to compute the CFA (the
 * stack pointer before the call) and where each register was saved. (DWARF 5, section 6.4; Linux Standard Base,
 * "Exception Frames".)
 */
#include "debug/unwind.h"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

#include "debug/cfi.h"
#include "os/mem.h"

enum { FRAME_MAX = 1 << 20 }; /* bytes between a stack and a frame pointer that is believed */

#ifdef DLFO_STRUCT_HAS_EH_DBASE
extern __typeof__(_dl_find_object) _dl_find_object __attribute__((weak));

bool loaded_at(uintptr_t address, struct loaded *o)
{
	struct dl_find_object found;

	/* Through asm: whether a weak function is there, the header's attributes hide. */
	__typeof__(_dl_find_object) *find = _dl_find_object;

	__asm__("" : "+r"(find));
	if (!find || find((void *)address, &found))
		return false;
	*o = (struct loaded){
		.start = found.dlfo_map_start,
		.end = found.dlfo_map_end,
		.name = found.dlfo_link_map->l_name,
		.base = found.dlfo_link_map->l_addr,
		.eh_frame_hdr = found.dlfo_eh_frame,
	};
	return true;
}
#else
bool loaded_at(uintptr_t address, struct loaded *o)
{
	(void)address;
	(void)o;
	return false;
}
#endif

bool unwind_peek(struct unwind *u, uintptr_t address, uintptr_t *value)
{
	size_t page_size = os_page_size();
	uintptr_t page = ALIGN_DOWN(address, page_size);

	if (address % sizeof(*value) || address < page_size)
		return false;
	if (page != u->page && page != ALIGN_DOWN((uintptr_t)u, page_size) &&
	    !os_resident_in((void *)page, page_size))
		return false;
	u->page = page;
	*value = *(const uintptr_t *)address;
	return true;
}

struct hdr {
	u8 version, ptr_enc, count_enc, table_enc;
	int32_t eh_frame;
	u32 count;
	struct {
		int32_t pc, fde; /* from the header's start */
	} table[];
};

enum { PCREL_SDATA4 = 0x1b, UDATA4 = 0x03, DATAREL_SDATA4 = 0x3b };

/* The last description that begins at or below pc. */
static const u8 *find_fde(const struct loaded *o, uintptr_t pc)
{
	const struct hdr *h = o->eh_frame_hdr;
	long at = (long)(pc - (uintptr_t)h);
	u32 lo = 0, hi;

	if (!h || h->version != 1 || h->ptr_enc != PCREL_SDATA4 || h->count_enc != UDATA4 ||
	    h->table_enc != DATAREL_SDATA4 || !h->count || at < h->table[0].pc)
		return NULL;
	for (hi = h->count; hi - lo > 1;) {
		u32 mid = lo + (hi - lo) / 2;

		if (h->table[mid].pc <= at)
			lo = mid;
		else
			hi = mid;
	}
	return (const u8 *)h + h->table[lo].fde;
}

static bool cfa_of(struct unwind *u, const struct cfi_row *row, uintptr_t *cfa)
{
	if (row->cfa.kind == RULE_VAL_EXPRESSION)
		return cfi_evaluate(u, row->cfa.expression, NULL, cfa);
	if (row->cfa_reg >= UNWIND_REGS)
		return false;
	*cfa = u->reg[row->cfa_reg] + (uintptr_t)row->cfa.offset;
	return true;
}

static bool saved_register(struct unwind *u, const struct cfi_rule *rule, uintptr_t cfa,
			   uintptr_t *value)
{
	uintptr_t address;

	switch (rule->kind) {
	case RULE_SAME:
		return true;
	case RULE_OFFSET:
		return unwind_peek(u, cfa + (uintptr_t)rule->offset, value);
	case RULE_VAL_OFFSET:
		*value = cfa + (uintptr_t)rule->offset;
		return true;
	case RULE_REGISTER:
		if (rule->offset < 0 || rule->offset >= UNWIND_REGS)
			return false;
		*value = u->reg[rule->offset];
		return true;
	case RULE_EXPRESSION:
		return cfi_evaluate(u, rule->expression, &cfa, &address) &&
		       unwind_peek(u, address, value);
	case RULE_VAL_EXPRESSION:
		return cfi_evaluate(u, rule->expression, &cfa, value);
	default:
		*value = 0;
		return true;
	}
}

/* The instruction that called: addresses that arm64 signed lose their signature. */
static uintptr_t plain_address(uintptr_t pc)
{
#if defined(__aarch64__)
	register uintptr_t x30 __asm__("x30") = pc;

	__asm__("hint #7" : "+r"(x30)); /* xpaclri */
	return x30;
#else
	return pc;
#endif
}

static bool apply(struct unwind *u, const struct cfi_row *row)
{
	struct unwind out = *u;
	uintptr_t cfa;

	if (row->rule[row->ra].kind == RULE_UNDEFINED || !cfa_of(u, row, &cfa))
		return false;
	/*
	 * Stacks grow downwards, but a signal may have come on another one. Where a call pushes nothing (not on x86-64), a
	 * function that was interrupted may have no frame.
	 */
	if (cfa < u->reg[UNWIND_SP] + !u->exact && !row->signal)
		return false;
	for (u32 i = 0; i < UNWIND_REGS; i++)
		if (!saved_register(u, &row->rule[i], cfa, &out.reg[i]))
			return false;
	if (row->rule[UNWIND_SP].kind == RULE_SAME)
		out.reg[UNWIND_SP] = cfa;
	out.reg[UNWIND_PC] = plain_address(out.reg[row->ra]);
	out.exact = row->signal;
	out.page = u->page;
	*u = out;
	return u->reg[UNWIND_PC] != 0;
}

/* Where a frame pointer's two words lie, the caller's and the return address: at it, or, on RISC-V, below it. */
#if defined(__riscv)
enum { FRAME_BELOW = 2 * sizeof(uintptr_t) };
#else
enum { FRAME_BELOW = 0 };
#endif

/* Code without a table: the frame pointer's chain, where it looks like one. */
static bool step_by_frame_pointer(struct unwind *u)
{
	uintptr_t fp = u->reg[UNWIND_FP] - FRAME_BELOW, next, pc;

	if (fp < u->reg[UNWIND_SP] || fp - u->reg[UNWIND_SP] > FRAME_MAX ||
	    !unwind_peek(u, fp, &next) || !unwind_peek(u, fp + sizeof(fp), &pc))
		return false;
	u->reg[UNWIND_FP] = next;
	u->reg[UNWIND_SP] = fp + 2 * sizeof(fp);
	u->reg[UNWIND_PC] = plain_address(pc);
	u->exact = false;
	return pc != 0;
}

bool unwind_row(const struct loaded *o, uintptr_t pc, struct cfi_row *row, bool *found)
{
	const u8 *fde = find_fde(o, pc);

	*found = fde;
	return fde && cfi_row_at(fde, pc, row);
}

/*
 * Out of a signal handler, by the registers that the kernel saved above its frame. The handler returns to two
 * instructions that call rt_sigreturn. The kernel's table of them names all registers on x86-64; on arm64 only those
 * of the next frame record, which lacks the interrupted function; and an emulator's have no table.
 */
#if defined(__aarch64__) || defined(__riscv)
/* siginfo_t, and ucontext_t as far as its registers. */
enum { SIGNAL_FRAME = 128 + 176 };
#if defined(__aarch64__)
enum { SIGRETURN = 0xd2801168, SYSTEM_CALL = 0xd4000001 }; /* mov x8, #139; svc #0 */
enum { SAVED_REGS = SIGNAL_FRAME + 8, SAVED_PC = SAVED_REGS + 8 * UNWIND_PC }; /* first the fault */
#else
enum { SIGRETURN = 0x08b00893, SYSTEM_CALL = 0x00000073 }; /* li a7, 139; ecall */
enum { SAVED_REGS = SIGNAL_FRAME, SAVED_PC = SAVED_REGS }; /* pc has the place of x0 */
#endif

static bool calls_sigreturn(struct unwind *u, uintptr_t pc)
{
	uintptr_t low, high;

	if (pc % sizeof(u32) || !unwind_peek(u, ALIGN_DOWN(pc, sizeof(low)), &low))
		return false;
	if (pc % sizeof(low) == 0)
		return low == ((u64)SYSTEM_CALL << 32 | SIGRETURN);
	return low >> 32 == SIGRETURN && unwind_peek(u, pc + sizeof(u32), &high) &&
	       (u32)high == SYSTEM_CALL;
}

static bool step_out_of_handler(struct unwind *u)
{
	uintptr_t frame = u->reg[UNWIND_SP];
	struct unwind out = { .exact = true };

	if (u->exact || !calls_sigreturn(u, u->reg[UNWIND_PC]))
		return false;
	for (u32 i = 0; i < UNWIND_PC; i++)
		if (!unwind_peek(u, frame + SAVED_REGS + i * sizeof(frame), &out.reg[i]))
			return false;
	if (!unwind_peek(u, frame + SAVED_PC, &out.reg[UNWIND_PC]))
		return false;
	out.page = u->page;
	*u = out;
	return true;
}
#else
static bool step_out_of_handler(struct unwind *u)
{
	(void)u;
	return false;
}
#endif

/*
 * The kernel's own object, which no file has. Its table need not say that a frame is a signal's, and some kernels' have
 * no table.
 */
static bool is_vdso(const struct loaded *o)
{
	return !strncmp(o->name, "linux-vdso", 10);
}

bool unwind_step(struct unwind *u)
{
	uintptr_t pc = unwind_pc(u);
	struct cfi_row row;
	struct loaded o;
	bool found;

	if (!loaded_at(pc, &o))
		return step_out_of_handler(u) || step_by_frame_pointer(u);
	if (is_vdso(&o) && step_out_of_handler(u))
		return true;
	if (unwind_row(&o, pc, &row, &found))
		return (row.signal && step_out_of_handler(u)) || apply(u, &row);
	return !found && step_by_frame_pointer(u);
}
