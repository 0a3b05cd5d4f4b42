// SPDX-License-Identifier: MIT
/*
 * profile_exit.c - when a profile is written, and the leaks at exit.
 */
#include <string.h>

#include "base/platform.h"
#include "debug/profile_tables.h"
#include "debug/stack.h"
#include "os/file.h"
#include "os/maps.h"
#include "os/mem.h"
#include "os/thread.h"

enum { STDERR = 2, TRIGGER_MS = 1000, LEAKS_SHOWN = 100 };

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), k = strlen(end);

	return n >= k && !strcmp(s + n - k, end);
}

static enum profile_format format_of_path(const char *path)
{
	if (ends_with(path, ".heap"))
		return PROFILE_HEAP;
	if (ends_with(path, ".alloc.collapsed"))
		return PROFILE_COLLAPSED_ALLOC;
	if (ends_with(path, ".collapsed") || ends_with(path, ".folded"))
		return PROFILE_COLLAPSED;
	return PROFILE_PPROF;
}

/* The path as it is now, since a child of fork has another number than its parent; up to 600 characters. */
static const char *path_with(struct seq_file *m, const char *suffix)
{
	seq_open(m, -1);
	for (const char *p = profile_set.path; *p && m->len < 600; p++) {
		if (p[0] == '%' && p[1] == 'p') {
			seq_printf(m, "%d", platform_getpid());
			p++;
		} else {
			seq_putc(m, *p);
		}
	}
	seq_puts(m, suffix);
	seq_putc(m, 0);
	return m->buf;
}

static void write_to_path(void)
{
	struct os_output out;
	bool ok = os_output_open(&out, profile_set.path, 0) &&
		  profile_write(out.fd, format_of_path(out.path));

	if (!os_output_close(&out, ok))
		printk("profile: cannot write %s", out.path);
}

void profile_look_for_trigger(void)
{
	static u64 next_ms;
	u64 now = os_now_ms(), next = READ_ONCE(next_ms);
	struct seq_file name;

	if (!profile_set.path[0] || now < next ||
	    !__atomic_compare_exchange_n(&next_ms, &next, now + TRIGGER_MS, false, __ATOMIC_RELAXED,
					 __ATOMIC_RELAXED))
		return;
	if (os_remove(path_with(&name, ".now")))
		write_to_path();
}

/* The sites with anything in use, those with most bytes first. */
static u32 rank(const struct profile_site **sites, u32 most)
{
	const struct profile_site *s;
	u32 nr = 0;

	for_each_profile_site(s) {
		u64 bytes = profile_live_bytes(s);
		u32 at = nr;

		if (!bytes && !profile_live(s))
			continue;
		if (nr == most && bytes <= profile_live_bytes(sites[nr - 1]))
			continue;
		nr += nr < most;
		for (at = nr - 1; at && profile_live_bytes(sites[at - 1]) < bytes; at--)
			sites[at] = sites[at - 1];
		sites[at] = s;
	}
	return nr;
}

static void put_site(struct seq_file *m, const struct profile_site *s)
{
	struct stack t = { 0 };

	seq_printf(m, "%s%lu bytes in %lu blocks", profile_interval > 1 ? "about " : "",
		   profile_live_bytes(s), profile_live(s));
	if (profile_interval > 1)
		seq_printf(m, " (%lu samples)", READ_ONCE(s->samples) - READ_ONCE(s->freed));
	seq_puts(m, ", from\n");
	for (u32 i = 0; i < s->nr; i += STACK_DEPTH) {
		t.nr = min(s->nr - i, (u32)STACK_DEPTH);
		memcpy(t.pc, s->pc + i, t.nr * sizeof(t.pc[0]));
		stack_print(m, &t);
	}
	seq_putc(m, '\n');
}

static void report_leaks(void)
{
	const struct profile_site *shown[LEAKS_SHOWN], *s;
	u64 n = 0, bytes = 0;
	u32 sites = 0, nr;
	struct seq_file m;

	for_each_profile_site(s) {
		n += profile_live(s);
		bytes += profile_live_bytes(s);
		sites += profile_live(s) != 0;
	}
	seq_open(&m, STDERR);
	seq_printf(&m, "slabmalloc: in use at exit: %s%lu bytes in %lu blocks; call stacks: %u",
		   profile_interval > 1 ? "about " : "", bytes, n, sites);
	if (profile_interval > 1)
		seq_printf(&m, " (a sample every %zu bytes)", profile_interval);
	seq_putc(&m, '\n');
	nr = rank(shown, LEAKS_SHOWN);
	for (u32 i = 0; i < nr; i++)
		put_site(&m, shown[i]);
	if (sites > nr)
		seq_printf(&m, "and %u call stacks more\n", sites - nr);
	seq_flush(&m);
}

void profile_exit(void)
{
	if (profile_set.leaks)
		report_leaks();
	if (profile_set.path[0])
		write_to_path();
}
