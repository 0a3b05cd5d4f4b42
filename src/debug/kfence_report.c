// SPDX-License-Identifier: MIT
/*
 * kfence_report.c - errors told as the kernel tells them (Documentation/dev-tools/kfence.rst), with threads for tasks.
 */
#include <errno.h>
#include <string.h>

#include "base/options.h"
#include "base/platform.h"
#include "debug/kfence_pool.h"
#include "os/mem.h"
#include "os/thread.h"

enum { STDERR = 2, CORRUPTED_MAX = 16 };

static void put_rule(struct seq_file *m)
{
	for (int i = 0; i < 66; i++)
		seq_putc(m, '=');
	seq_putc(m, '\n');
}

/* "12.003456s" */
static void put_seconds(struct seq_file *m, u64 ns)
{
	u64 us = ns / 1000;

	seq_printf(m, "%lu.", (unsigned long)(us / 1000000));
	for (u64 digit = 100000; digit; digit /= 10)
		seq_putc(m, (char)('0' + us / digit % 10));
	seq_putc(m, 's');
}

static void put_track(struct seq_file *m, const char *what, const struct kfence_track *t)
{
	seq_printf(m, "\n%s by thread %u on cpu %u at ", what, t->thread, t->cpu);
	put_seconds(m, t->ns);
	seq_puts(m, " (");
	put_seconds(m, os_now_ns() - t->ns);
	seq_puts(m, " ago):\n");
	stack_print(m, &t->stack);
}

static void put_object(struct seq_file *m, const struct kfence_metadata *o)
{
	u32 state = READ_ONCE(o->state);

	seq_printf(m, "\nkfence-#%u: %p-%p, size=%zu, cache=%s\n", kfence_number(o),
		   (void *)o->address, (void *)(o->address + o->size - 1), (size_t)o->size,
		   o->name);
	put_track(m, "allocated", &o->alloc);
	if (state == KFENCE_FREED || state == KFENCE_FREEING)
		put_track(m, "freed", &o->free);
}

/* From the first changed byte on; "." as it was. */
static void put_corrupted(struct seq_file *m, uintptr_t from, const struct kfence_metadata *o)
{
	uintptr_t end = from < o->address ? o->address : ALIGN(from + 1, os_page_size());

	seq_puts(m, "[");
	for (uintptr_t p = from; p < min(end, from + CORRUPTED_MAX); p++) {
		u8 byte = *(const u8 *)p;

		if (byte == kfence_canary(p))
			seq_puts(m, " .");
		else
			seq_printf(m, " %#x", byte);
	}
	seq_puts(m, " ]");
}

/* "BUG: KFENCE: <this> in f+0x12/0x34" */
static void put_kind(struct seq_file *m, const struct kfence_report *r)
{
	switch (r->error) {
	case KFENCE_OUT_OF_BOUNDS:
		seq_printf(m, "out-of-bounds %s", r->access);
		break;
	case KFENCE_USE_AFTER_FREE:
		seq_printf(m, "use-after-free %s", r->access);
		break;
	case KFENCE_CORRUPTION:
		seq_puts(m, "memory corruption");
		break;
	case KFENCE_MISMATCH:
		seq_puts(m, "mismatched free");
		break;
	default:
		seq_printf(m, "invalid %s", r->access);
	}
}

static void put_distance(struct seq_file *m, uintptr_t address, const struct kfence_metadata *o)
{
	bool left = address < o->address;

	seq_printf(m, " (%zuB %s of kfence-#%u):\n",
		   (size_t)(left ? o->address - address : address - o->address - o->size + 1),
		   left ? "left" : "right", kfence_number(o));
}

static void put_what(struct seq_file *m, const struct kfence_report *r)
{
	void *p = (void *)r->address;
	u32 number = r->object ? kfence_number(r->object) : 0;

	switch (r->error) {
	case KFENCE_OUT_OF_BOUNDS:
		seq_printf(m, "Out-of-bounds %s at %p", r->access, p);
		put_distance(m, r->address, r->object);
		break;
	case KFENCE_USE_AFTER_FREE:
		seq_printf(m, "Use-after-free %s at %p (in kfence-#%u):\n", r->access, p, number);
		break;
	case KFENCE_CORRUPTION:
		seq_printf(m, "Corrupted memory at %p ", p);
		put_corrupted(m, r->address, r->object);
		seq_printf(m, " (in kfence-#%u):\n", number);
		break;
	case KFENCE_INVALID_FREE:
		seq_printf(m, "Invalid %s of %p", r->access, p);
		if (r->object)
			seq_printf(m, " (in kfence-#%u)", number);
		seq_puts(m, ":\n");
		break;
	case KFENCE_MISMATCH:
		seq_printf(m, "%s, %p (in kfence-#%u):\n", r->access, p, number);
		break;
	case KFENCE_INVALID:
		seq_printf(m, "Invalid %s at %p:\n", r->access, p);
	}
}

void kfence_report(const struct kfence_report *r)
{
	struct seq_file m;
	struct stack stack;

	counter_add(kfence.bugs, 1);
	stack_save(&stack, r->pc);
	seq_open(&m, STDERR);
	put_rule(&m);
	seq_puts(&m, "BUG: KFENCE: ");
	put_kind(&m, r);
	if (stack.nr) {
		seq_puts(&m, " in ");
		stack_print_symbol(&m, stack.pc[0]);
	}
	seq_puts(&m, "\n\n");
	put_what(&m, r);
	stack_print(&m, &stack);
	if (r->object && r->object->size)
		put_object(&m, r->object);
	seq_printf(&m, "\nCPU: %u PID: %d Comm: %s\n", os_cpu(), platform_getpid(),
		   program_invocation_short_name);
	put_rule(&m);
	seq_flush(&m);
	if (options.abort)
		platform_abort();
}
