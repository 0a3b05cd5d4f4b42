// SPDX-License-Identifier: MIT
/*
 * profile_stack.c - call stacks for samples: the walk of unwind.c, with a cache in front of it.
 *
 * Reading a frame's row out of the tables takes thousands of instructions, applying it thirty. Nearly all rows are of one
 * kind: the CFA is a register and an offset, the return address is just below it, and registers are saved at offsets from it. Those
 * are kept in a few bytes, by program counter and object (another may be loaded at the address). A reader who meets a
 * writer sees that key change, and looks into the tables.
 */
#include "debug/cfi.h"
#include "debug/profile_tables.h"
#include "os/mem.h"

enum {
	SKIP_MAX = 24, /* frames of the library between the walk's start and the caller */
	ROWS = 1 << 13,
	WORD = sizeof(uintptr_t),
};

/* What a row says of a register, as its offset from the CFA in words; 0: it is as it was. */
struct short_row {
	uintptr_t pc; /* 0: none */
	const void *table; /* of its object */
	int32_t cfa_offset;
	u8 cfa_reg;
	signed char saved[UNWIND_REGS];
};

static struct short_row *rows; /* NULL: none yet */

static struct short_row *rows_get(void)
{
	struct short_row *all = __atomic_load_n(&rows, __ATOMIC_ACQUIRE), *none = NULL;
	size_t size = ALIGN(ROWS * sizeof(*all), os_page_size());

	if (likely(all))
		return all;
	all = os_map(size);
	if (!all || __atomic_compare_exchange_n(&rows, &none, all, false, __ATOMIC_ACQ_REL,
						__ATOMIC_ACQUIRE))
		return all;
	os_unmap(all, size);
	return none;
}

static struct short_row *row_for(uintptr_t pc)
{
	struct short_row *all = rows_get();

	return all ? &all[(pc * 0x9e3779b97f4a7c15ull) >> 51] : NULL;
}

_Static_assert(ROWS == 1 << 13, "row_for's shift");

/* False: the row is of another kind. */
static bool shorten(const struct cfi_row *row, struct short_row *s)
{
	if (row->signal || row->cfa.kind != RULE_OFFSET || row->cfa_reg >= UNWIND_REGS ||
	    row->cfa.offset != (int32_t)row->cfa.offset || row->ra != UNWIND_PC ||
	    row->rule[UNWIND_PC].kind != RULE_OFFSET)
		return false;
	s->cfa_offset = (int32_t)row->cfa.offset;
	s->cfa_reg = (u8)row->cfa_reg;
	for (u32 i = 0; i < UNWIND_REGS; i++) {
		const struct cfi_rule *r = &row->rule[i];
		long words = r->kind == RULE_OFFSET ? r->offset / WORD : 0;

		if ((r->kind != RULE_SAME && r->kind != RULE_OFFSET && r->kind != RULE_UNDEFINED) ||
		    words != (signed char)words ||
		    (r->kind == RULE_OFFSET && r->offset != words * WORD))
			return false;
		s->saved[i] = (signed char)words;
	}
	return true;
}

/* One writer at a time; whoever comes meanwhile keeps nothing. */
static void keep(uintptr_t pc, const void *table, const struct cfi_row *row)
{
	struct short_row *s = row_for(pc), filled = { .table = table };

	if (!s || !shorten(row, &filled) || !lock_try(&profile_lock, RANK_PROFILE))
		return;
	__atomic_store_n(&s->pc, 0, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	*s = filled;
	__atomic_store_n(&s->pc, pc, __ATOMIC_RELEASE);
	unlock(&profile_lock, RANK_PROFILE);
}

static bool find(uintptr_t pc, const void *table, struct short_row *found)
{
	const struct short_row *s = row_for(pc);

	if (!s || __atomic_load_n(&s->pc, __ATOMIC_ACQUIRE) != pc)
		return false;
	*found = *s;
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return READ_ONCE(s->pc) == pc && found->table == table;
}

static bool apply(struct unwind *u, const struct short_row *s)
{
	uintptr_t cfa = u->reg[s->cfa_reg] + (uintptr_t)(long)s->cfa_offset;

	if (cfa <= u->reg[UNWIND_SP])
		return false;
	for (u32 i = 0; i < UNWIND_REGS; i++)
		if (s->saved[i] &&
		    !unwind_peek(u, cfa + (uintptr_t)(s->saved[i] * (long)WORD), &u->reg[i]))
			return false;
	u->reg[UNWIND_SP] = cfa;
	u->exact = false;
	return u->reg[UNWIND_PC] != 0;
}

static bool step(struct unwind *u)
{
	uintptr_t pc = unwind_pc(u);
	struct short_row s;
	struct cfi_row row;
	struct loaded o;
	bool found;

	if (!loaded_at(pc, &o))
		return unwind_step(u);
	if (find(pc, o.eh_frame_hdr, &s))
		return apply(u, &s);
	if (unwind_row(&o, pc, &row, &found))
		keep(pc, o.eh_frame_hdr, &row);
	return unwind_step(u);
}

/* The library's own code; end NULL: the program is linked with it, nothing tells them apart. */
static const struct loaded *own_object(void)
{
	static struct loaded own;
	static bool known;
	struct loaded o;

	if (!__atomic_load_n(&known, __ATOMIC_ACQUIRE)) {
		if (loaded_at((uintptr_t)&profile_interval, &o) && *o.name)
			own = o;
		__atomic_store_n(&known, true, __ATOMIC_RELEASE);
	}
	return &own;
}

/* Does the program's part of the stack begin here? */
static bool is_program(const char *pc, const void *caller)
{
	const struct loaded *own = own_object();

	return own->end ? pc < own->start || pc >= own->end : !caller || pc == caller;
}

void profile_trace(struct profile_trace *t, const void *caller)
{
	struct unwind u;
	u32 skipped = 0;

	t->nr = 0;
	unwind_start(&u);
	while (t->nr < PROFILE_DEPTH && step(&u)) {
		const void *pc = (const void *)u.reg[UNWIND_PC];

		if (t->nr || is_program(pc, caller))
			t->pc[t->nr++] = pc;
		else if (++skipped > SKIP_MAX)
			break;
	}
	if (!t->nr && caller)
		t->pc[t->nr++] = caller;
}
