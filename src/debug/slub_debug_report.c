// SPDX-License-Identifier: MIT
/*
 * slub_debug_report.c - what an error looks like: as SLUB writes it, without the kernel's log in front of each line.
 *
 * Times are milliseconds (a kernel's jiffies at HZ=1000), pid is the thread's.
 */
#include <stdarg.h>

#include "base/options.h"
#include "base/platform.h"
#include "debug/slub_debug_internal.h"
#include "os/thread.h"

enum { STDERR = 2, ROW = 16, SECTION_MAX = 4096 };

static const char rule[] =
	"=============================================================================\n";
static const char thin_rule[] =
	"-----------------------------------------------------------------------------\n\n";

static void put_title(struct seq_file *m, const struct kmem_cache *s, const char *fmt, va_list ap)
{
	seq_puts(m, rule);
	seq_printf(m, "BUG %s: ", s->name);
	seq_vprintf(m, fmt, ap);
	seq_putc(m, '\n');
	seq_puts(m, thin_rule);
}

static void title(struct seq_file *m, const struct kmem_cache *s, const char *fmt, ...)
	__printf(3, 4);

static void title(struct seq_file *m, const struct kmem_cache *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put_title(m, s, fmt, ap);
	va_end(ap);
}

static void put_track(struct seq_file *m, const struct track *t, const char *what)
{
	struct stack stack;

	if (!t->addr)
		return;
	seq_printf(m, "%s in ", what);
	stack_print_symbol(m, t->addr);
	seq_printf(m, " age=%lu cpu=%u pid=%u\n", (unsigned long)(os_now_ms() - t->when_ms), t->cpu,
		   t->pid);
	stack_depot_fetch(t->handle, &stack);
	stack_print(m, &stack);
}

static void put_tracks(struct seq_file *m, const struct kmem_cache *s, u8 *p)
{
	if (!s->track)
		return;
	if (!debug_tail_valid(s, p)) {
		seq_puts(m, "Allocated in <overwritten>\n");
		return;
	}
	put_track(m, debug_track(s, p, TRACK_ALLOC), "Allocated");
	put_track(m, debug_track(s, p, TRACK_FREE), "Freed");
}

/* The object that the slab would hand out next; NULL: it is full. */
static void *first_free(const struct kmem_cache *s, struct page *slab)
{
	for (u32 i = 0; i < s->objects; i++)
		if (debug_is_free(slab, i))
			return debug_object(s, slab, i);
	return NULL;
}

static void put_slab(struct seq_file *m, const struct kmem_cache *s, struct page *slab)
{
	seq_printf(m, "Slab %p objects=%u used=%u fp=%p flags=", page_address(slab),
		   (u32)s->objects, (u32)slab->inuse, first_free(s, slab));
	debug_show_letters(m, s->flags);
	seq_putc(m, '\n');
}

static void put_row(struct seq_file *m, const char *name, const u8 *row, size_t n)
{
	seq_printf(m, "%s%p: ", name, (const void *)row);
	for (size_t i = 0; i < ROW; i++) {
		if (i < n)
			seq_printf(m, "%c%c ", "0123456789abcdef"[row[i] >> 4],
				   "0123456789abcdef"[row[i] & 15]);
		else
			seq_puts(m, "   ");
	}
	seq_putc(m, ' ');
	for (size_t i = 0; i < n; i++)
		seq_putc(m, row[i] >= ' ' && row[i] < 0x7f ? (char)row[i] : '.');
	seq_putc(m, '\n');
}

static void put_section(struct seq_file *m, const char *name, const u8 *from, size_t n)
{
	n = min(n, (size_t)SECTION_MAX);
	for (size_t i = 0; i < n; i += ROW)
		put_row(m, name, from + i, min(n - i, (size_t)ROW));
}

/* All that is known of an object, and its bytes with those around it. */
static void put_trailer(struct seq_file *m, const struct kmem_cache *s, u8 *p)
{
	struct page *slab = virt_to_slab((uintptr_t)p);
	u8 *end = p - s->red_left_pad + s->size, *padding = (u8 *)(debug_tail(s, p) + 1);

	put_tracks(m, s, p);
	if (!slab)
		return;
	put_slab(m, s, slab);
	seq_printf(m, "Object %p @offset=%zu", (void *)p, (size_t)(p - (u8 *)page_address(slab)));
	if (debug_tail_valid(s, p))
		seq_printf(m, " orig_size=%u", debug_tail(s, p)->orig_size);
	seq_puts(m, "\n\n");
	/* Of a long red zone in front, the end that the object touches. */
	if (s->red_left_pad)
		put_section(m, "Redzone  ", p - min(s->red_left_pad, (u32)4 * ROW),
			    min(s->red_left_pad, (u32)4 * ROW));
	else if (p >= (u8 *)page_address(slab) + ROW)
		put_section(m, "Bytes b4 ", p - ROW, ROW);
	put_section(m, "Object   ", p, s->object_size);
	if (s->flags & SLAB_RED_ZONE)
		put_section(m, "Redzone  ", p + s->object_size, s->inuse - s->object_size);
	put_section(m, "Padding  ", padding, (size_t)(end - padding));
}

static void put_caller(struct seq_file *m, const struct site *site)
{
	struct stack stack;

	if (site->call)
		seq_printf(m, "%s(%p)\n", site->call->function, site->call->ptr);
	seq_puts(m, "Call Trace:\n");
	debug_stack(&stack, site->caller);
	stack_print(m, &stack);
}

/* Validation, which somebody asked for, counts what it finds and goes on. */
static void finish(struct seq_file *m, const struct site *site)
{
	if (site)
		put_caller(m, site);
	seq_flush(m);
	if (options.abort && site)
		platform_abort();
}

void debug_object_err(struct kmem_cache *s, u8 *p, const char *what, const struct site *site)
{
	struct seq_file m;

	seq_open(&m, STDERR);
	title(&m, s, "%s", what);
	put_trailer(&m, s, p);
	finish(&m, site);
}

void debug_slab_err(struct kmem_cache *s, const struct place *at, const struct site *site,
		    const char *fmt, ...)
{
	struct seq_file m;
	va_list ap;

	seq_open(&m, STDERR);
	va_start(ap, fmt);
	put_title(&m, s, fmt, ap);
	va_end(ap);
	if (at->s && at->p)
		put_trailer(&m, at->s, at->p);
	else if (at->s)
		put_slab(&m, at->s, at->slab);
	finish(&m, site);
}

void debug_bytes_err(struct kmem_cache *s, u8 *p, const struct area *expected,
		     const struct area *fault, const struct site *site)
{
	const u8 *slab = page_address(virt_to_slab((uintptr_t)p));
	struct seq_file m;

	seq_open(&m, STDERR);
	title(&m, s, "%s overwritten", expected->what);
	seq_printf(&m, "%p-%p @offset=%zu. First byte %#x instead of %#x\n", (void *)fault->from,
		   (void *)(fault->from + fault->n - 1), (size_t)(fault->from - slab),
		   fault->from[0], expected->value);
	put_trailer(&m, s, p);
	finish(&m, site);
	debug_fix(s, "Restoring %s %p-%p=%#x", expected->what, (void *)fault->from,
		  (void *)(fault->from + fault->n - 1), expected->value);
}

void debug_fix(const struct kmem_cache *s, const char *fmt, ...)
{
	struct seq_file m;
	va_list ap;

	seq_open(&m, STDERR);
	seq_printf(&m, "FIX %s: ", s->name);
	va_start(ap, fmt);
	seq_vprintf(&m, fmt, ap);
	va_end(ap);
	seq_putc(&m, '\n');
	seq_flush(&m);
}

void debug_trace(const struct kmem_cache *s, u8 *p, bool alloc, const void *caller)
{
	struct page *slab = virt_to_slab((uintptr_t)p);
	struct stack stack;
	struct seq_file m;

	seq_open(&m, STDERR);
	seq_printf(&m, "TRACE %s %s %p inuse=%u fp=%p\n", s->name, alloc ? "alloc" : "free",
		   (void *)p, (u32)slab->inuse, first_free(s, slab));
	if (!alloc)
		put_section(&m, "Object   ", p, s->object_size);
	debug_stack(&stack, caller);
	stack_print(&m, &stack);
	seq_flush(&m);
}
