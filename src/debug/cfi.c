// SPDX-License-Identifier: MIT
#include "debug/cfi.h"

#include <string.h>

enum { REMEMBERED = 4, EXPRESSION_STACK = 16, EXPRESSION_STEPS = 200 };

/* The reader of a block of bytes: beyond its end it gives zeros. */
struct reader {
	const u8 *p, *end;
};

static u64 fixed(struct reader *r, size_t size)
{
	u64 v = 0;

	if ((size_t)(r->end - r->p) < size) {
		r->p = r->end;
		return 0;
	}
	memcpy(&v, r->p, size);
	r->p += size;
	return v;
}

static long fixed_signed(struct reader *r, size_t size)
{
	unsigned int unused = 64 - 8 * (unsigned int)size;

	return (long)(fixed(r, size) << unused) >> unused;
}

static u64 uleb(struct reader *r)
{
	u64 v = 0;

	for (unsigned int shift = 0; r->p < r->end; shift += 7) {
		u8 byte = *r->p++;

		if (shift < 64)
			v |= (u64)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			break;
	}
	return v;
}

static long sleb(struct reader *r)
{
	u64 v = 0;
	unsigned int shift = 0;
	u8 byte = 0;

	while (r->p < r->end) {
		byte = *r->p++;
		if (shift < 64)
			v |= (u64)(byte & 0x7f) << shift;
		shift += 7;
		if (!(byte & 0x80))
			break;
	}
	if (shift < 64 && byte & 0x40)
		v |= ~(u64)0 << shift;
	return (long)v;
}

static struct reader block(struct reader *r)
{
	u64 len = uleb(r);
	struct reader b = { r->p, r->p + min(len, (u64)(r->end - r->p)) };

	r->p = b.end;
	return b;
}

enum { ENC_FORMAT = 0x0f, ENC_PCREL = 0x10, ENC_RELATION = 0x70, ENC_OMIT = 0xff };

static uintptr_t encoded(struct reader *r, u8 enc)
{
	uintptr_t at = (uintptr_t)r->p, v;

	switch (enc & ENC_FORMAT) {
	case 0x01:
		v = uleb(r);
		break;
	case 0x02:
		v = fixed(r, 2);
		break;
	case 0x03:
		v = fixed(r, 4);
		break;
	case 0x09:
		v = (uintptr_t)sleb(r);
		break;
	case 0x0a:
		v = (uintptr_t)fixed_signed(r, 2);
		break;
	case 0x0b:
		v = (uintptr_t)fixed_signed(r, 4);
		break;
	default: /* absolute, 8 bytes signed or not */
		v = fixed(r, 8);
	}
	return (enc & ENC_RELATION) == ENC_PCREL ? v + at : v;
}

struct cie {
	struct reader program;
	u64 code_align;
	long data_align;
	u32 ra;
	u8 pointer_enc;
	bool has_lengths; /* of augmentation data ('z') */
	bool signal;
};

/* A length of 4 bytes in front; false: an end mark, or the 64-bit form, which nobody writes. */
static bool open_entry(const u8 *entry, struct reader *r)
{
	u32 len;

	memcpy(&len, entry, sizeof(len));
	*r = (struct reader){ entry + sizeof(len), entry + sizeof(len) + len };
	return len && len != UINT32_MAX;
}

static bool read_cie(const u8 *entry, struct cie *c)
{
	struct reader r, data;
	const char *letters;
	u8 version;

	*c = (struct cie){ 0 };
	if (!open_entry(entry, &r) || fixed(&r, 4) != 0)
		return false;
	version = (u8)fixed(&r, 1);
	letters = (const char *)r.p;
	r.p += strlen(letters) + 1;
	c->code_align = uleb(&r);
	c->data_align = sleb(&r);
	c->ra = version == 1 ? (u32)fixed(&r, 1) : (u32)uleb(&r);
	c->has_lengths = *letters == 'z';
	if (*letters && !c->has_lengths)
		return false;
	data = c->has_lengths ? block(&r) : (struct reader){ NULL, NULL };
	for (; *letters; letters++) {
		if (*letters == 'R')
			c->pointer_enc = (u8)fixed(&data, 1);
		else if (*letters == 'P')
			encoded(&data, (u8)fixed(&data, 1));
		else if (*letters == 'L')
			fixed(&data, 1);
		else if (*letters == 'S')
			c->signal = true;
	}
	c->program = r;
	return c->ra < UNWIND_REGS;
}

/* Where a program stands: the row that it builds, and those it put aside. */
struct machine {
	const struct cie *cie;
	const struct cfi_row *initial; /* after the CIE's program */
	struct cfi_row row;
	struct cfi_row remembered[REMEMBERED];
	u32 depth;
	uintptr_t loc;
};

static void set_rule(struct machine *m, u64 reg, enum rule_kind kind, long offset)
{
	if (reg < UNWIND_REGS)
		m->row.rule[reg] = (struct cfi_rule){ .kind = kind, .offset = offset };
}

static void set_expression(struct machine *m, u64 reg, enum rule_kind kind, struct reader *r)
{
	const u8 *expression = r->p;

	block(r);
	if (reg < UNWIND_REGS)
		m->row.rule[reg] = (struct cfi_rule){ .kind = kind, .expression = expression };
}

static void set_cfa(struct machine *m, u64 reg, long offset)
{
	m->row.cfa_reg = (u32)reg;
	m->row.cfa = (struct cfi_rule){ .kind = RULE_OFFSET, .offset = offset };
}

static void restore(struct machine *m, u64 reg)
{
	if (reg < UNWIND_REGS)
		m->row.rule[reg] = m->initial ? m->initial->rule[reg] : (struct cfi_rule){ 0 };
}

static bool remember(struct machine *m)
{
	if (m->depth == REMEMBERED)
		return false;
	m->remembered[m->depth++] = m->row;
	return true;
}

static bool recall(struct machine *m)
{
	if (!m->depth)
		return false;
	m->row = m->remembered[--m->depth];
	return true;
}

/* One of the instructions that are not in the upper two bits. False: unknown. */
static bool extended(struct machine *m, u8 op, struct reader *r)
{
	const long factor = m->cie->data_align;
	u64 reg = 0;

	if ((op >= 0x05 && op <= 0x09) || (op >= 0x0c && op <= 0x0d) ||
	    (op >= 0x10 && op <= 0x16 && op != 0x13) || op == 0x2f)
		reg = uleb(r);
	switch (op) {
	case 0x00: /* nop */
	case 0x2d: /* negate_ra_state (arm64): signatures are taken off anyway */
		return true;
	case 0x01: /* set_loc */
		m->loc = encoded(r, m->cie->pointer_enc);
		return true;
	case 0x02: /* advance_loc1 */
		m->loc += fixed(r, 1) * m->cie->code_align;
		return true;
	case 0x03: /* advance_loc2 */
		m->loc += fixed(r, 2) * m->cie->code_align;
		return true;
	case 0x04: /* advance_loc4 */
		m->loc += fixed(r, 4) * m->cie->code_align;
		return true;
	case 0x05: /* offset_extended */
		set_rule(m, reg, RULE_OFFSET, (long)uleb(r) * factor);
		return true;
	case 0x06: /* restore_extended */
		restore(m, reg);
		return true;
	case 0x07: /* undefined */
		set_rule(m, reg, RULE_UNDEFINED, 0);
		return true;
	case 0x08: /* same_value */
		set_rule(m, reg, RULE_SAME, 0);
		return true;
	case 0x09: /* register */
		set_rule(m, reg, RULE_REGISTER, (long)uleb(r));
		return true;
	case 0x0a: /* remember_state */
		return remember(m);
	case 0x0b: /* restore_state */
		return recall(m);
	case 0x0c: /* def_cfa */
		set_cfa(m, reg, (long)uleb(r));
		return true;
	case 0x0d: /* def_cfa_register */
		m->row.cfa_reg = (u32)reg;
		return true;
	case 0x0e: /* def_cfa_offset */
		m->row.cfa.offset = (long)uleb(r);
		return true;
	case 0x0f: /* def_cfa_expression */
		m->row.cfa = (struct cfi_rule){ .kind = RULE_VAL_EXPRESSION, .expression = r->p };
		block(r);
		return true;
	case 0x10: /* expression */
		set_expression(m, reg, RULE_EXPRESSION, r);
		return true;
	case 0x11: /* offset_extended_sf */
		set_rule(m, reg, RULE_OFFSET, sleb(r) * factor);
		return true;
	case 0x12: /* def_cfa_sf */
		set_cfa(m, reg, sleb(r) * factor);
		return true;
	case 0x13: /* def_cfa_offset_sf */
		m->row.cfa.offset = sleb(r) * factor;
		return true;
	case 0x14: /* val_offset */
		set_rule(m, reg, RULE_VAL_OFFSET, (long)uleb(r) * factor);
		return true;
	case 0x15: /* val_offset_sf */
		set_rule(m, reg, RULE_VAL_OFFSET, sleb(r) * factor);
		return true;
	case 0x16: /* val_expression */
		set_expression(m, reg, RULE_VAL_EXPRESSION, r);
		return true;
	case 0x2e: /* GNU_args_size */
		uleb(r);
		return true;
	case 0x2f: /* GNU_negative_offset_extended */
		set_rule(m, reg, RULE_OFFSET, -(long)uleb(r) * factor);
		return true;
	default:
		return false;
	}
}

static bool run(struct machine *m, struct reader r, uintptr_t pc)
{
	while (r.p < r.end && m->loc <= pc) {
		u8 op = *r.p++, low = op & 0x3f;

		switch (op >> 6) {
		case 1: /* advance_loc */
			m->loc += low * m->cie->code_align;
			break;
		case 2: /* offset */
			set_rule(m, low, RULE_OFFSET, (long)uleb(&r) * m->cie->data_align);
			break;
		case 3: /* restore */
			restore(m, low);
			break;
		default:
			if (!extended(m, low, &r))
				return false;
		}
	}
	return true;
}

bool cfi_row_at(const u8 *fde, uintptr_t pc, struct cfi_row *row)
{
	struct machine m;
	struct cfi_row initial;
	struct reader r;
	struct cie cie;
	uintptr_t start, length;
	u32 back;

	if (!open_entry(fde, &r))
		return false;
	memcpy(&back, r.p, sizeof(back));
	if (!back || !read_cie(r.p - back, &cie))
		return false;
	r.p += sizeof(back);
	start = encoded(&r, cie.pointer_enc);
	length = encoded(&r, cie.pointer_enc & ENC_FORMAT);
	if (pc - start >= length)
		return false;
	if (cie.has_lengths)
		block(&r);
	m.row = (struct cfi_row){ .cfa = { .kind = RULE_OFFSET } };
	m.cie = &cie;
	m.initial = NULL;
	m.depth = 0;
	m.loc = start;
	if (!run(&m, cie.program, pc))
		return false;
	initial = m.row;
	m.initial = &initial;
	m.loc = start;
	if (!run(&m, r, pc))
		return false;
	*row = m.row;
	row->ra = cie.ra;
	row->signal = cie.signal;
	return true;
}

/* What two values give; false: no such operation. */
static bool binary(u8 op, uintptr_t a, uintptr_t b, uintptr_t *v)
{
	switch (op) {
	case 0x1a:
		*v = a & b;
		return true;
	case 0x1c:
		*v = a - b;
		return true;
	case 0x1e:
		*v = a * b;
		return true;
	case 0x21:
		*v = a | b;
		return true;
	case 0x22:
		*v = a + b;
		return true;
	case 0x24:
		*v = b < 64 ? a << b : 0;
		return true;
	case 0x25:
		*v = b < 64 ? a >> b : 0;
		return true;
	case 0x29:
		*v = a == b;
		return true;
	case 0x2a:
		*v = (long)a >= (long)b;
		return true;
	case 0x2b:
		*v = (long)a > (long)b;
		return true;
	case 0x2c:
		*v = (long)a <= (long)b;
		return true;
	case 0x2d:
		*v = (long)a < (long)b;
		return true;
	case 0x2e:
		*v = a != b;
		return true;
	default:
		return false;
	}
}

/* An operand that the operation carries or names; false: op is none of these. */
static bool operand(const struct unwind *u, u8 op, struct reader *r, uintptr_t *v)
{
	if (op >= 0x30 && op <= 0x4f) { /* lit */
		*v = op - 0x30u;
	} else if (op >= 0x70 && op <= 0x8f && op - 0x70 < UNWIND_REGS) { /* breg */
		*v = u->reg[op - 0x70] + (uintptr_t)sleb(r);
	} else if (op == 0x03) { /* addr */
		*v = fixed(r, 8);
	} else if (op >= 0x08 && op <= 0x0f) { /* const1u, const1s, const2u ... */
		size_t size = 1ul << (op - 0x08) / 2;

		*v = op & 1 ? (uintptr_t)fixed_signed(r, size) : fixed(r, size);
	} else if (op == 0x10) { /* constu */
		*v = uleb(r);
	} else if (op == 0x11) { /* consts */
		*v = (uintptr_t)sleb(r);
	} else {
		return false;
	}
	return true;
}

bool cfi_evaluate(struct unwind *u, const u8 *expression, const uintptr_t *first, uintptr_t *value)
{
	struct reader whole = { expression, expression + EXPRESSION_STEPS }, r = block(&whole);
	uintptr_t stack[EXPRESSION_STACK], v;
	u32 n = 0;

	if (first)
		stack[n++] = *first;
	while (r.p < r.end) {
		u8 op = *r.p++;

		if (operand(u, op, &r, &v)) {
			if (n == EXPRESSION_STACK)
				return false;
			stack[n++] = v;
		} else if (op == 0x06 && n) { /* deref */
			if (!unwind_peek(u, stack[n - 1], &stack[n - 1]))
				return false;
		} else if (op == 0x23 && n) { /* plus_uconst */
			stack[n - 1] += uleb(&r);
		} else if (n >= 2 && binary(op, stack[n - 2], stack[n - 1], &v)) {
			stack[--n - 1] = v;
		} else {
			return false;
		}
	}
	if (!n)
		return false;
	*value = stack[n - 1];
	return true;
}
