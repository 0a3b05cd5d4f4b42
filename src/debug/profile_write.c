// SPDX-License-Identifier: MIT
/*
 * profile_write.c - profiles as text: gperftools' heap format, and collapsed stacks.
 */
#include <string.h>

#include "debug/profile_pprof.h"
#include "debug/profile_tables.h"
#include "debug/stack.h"
#include "os/maps.h"

static const char *const format_names[NR_PROFILE_FORMATS] = {
	[PROFILE_PPROF] = "pprof",
	[PROFILE_HEAP] = "heap",
	[PROFILE_COLLAPSED] = "collapsed",
	[PROFILE_COLLAPSED_ALLOC] = "collapsed-alloc",
};

enum profile_format profile_format_of(const char *name)
{
	u32 f = 0;

	while (f < NR_PROFILE_FORMATS && strcmp(name, format_names[f]) != 0)
		f++;
	return (enum profile_format)f;
}

static void put_heap_line(struct seq_file *m, u64 n, u64 bytes, u64 all, u64 all_bytes)
{
	seq_printf(m, "%lu: %lu [%lu: %lu] @", n, bytes, all, all_bytes);
}

static bool put_mapping(const struct os_mapping *map, void *arg)
{
	struct seq_file *m = arg;

	if (map->name[0])
		seq_printf(m, "%lx-%lx r-%cp %lx 00:00 0 %s\n", map->start, map->end,
			   map->executable ? 'x' : '-', map->offset, map->name);
	return true;
}

/* The sums are estimates already: "heapprofile" says that the reader is not to scale them. */
static void write_heap(struct seq_file *m)
{
	struct profile_sums sum = { 0 };
	const struct profile_site *s;

	for_each_profile_site(s) {
		sum.frees += READ_ONCE(s->sums.frees);
		sum.freed_bytes += __atomic_load_n(&s->sums.freed_bytes, __ATOMIC_ACQUIRE);
		sum.allocs += READ_ONCE(s->sums.allocs);
		sum.alloc_bytes += READ_ONCE(s->sums.alloc_bytes);
	}
	seq_puts(m, "heap profile: ");
	put_heap_line(m, profile_whole(sum.allocs - sum.frees),
		      profile_whole(sum.alloc_bytes - sum.freed_bytes), profile_whole(sum.allocs),
		      profile_whole(sum.alloc_bytes));
	seq_puts(m, " heapprofile\n");
	for_each_profile_site(s) {
		put_heap_line(m, profile_live(s), profile_live_bytes(s),
			      profile_whole(READ_ONCE(s->sums.allocs)),
			      profile_whole(READ_ONCE(s->sums.alloc_bytes)));
		for (u32 i = 0; i < s->nr; i++)
			seq_printf(m, " %p", (void *)s->pc[i]);
		seq_putc(m, '\n');
	}
	seq_puts(m, "\nMAPPED_LIBRARIES:\n");
	os_for_each_mapping(put_mapping, m);
}

/* A frame's name without offset: "main", "libfoo.so+0x123". A semicolon would end it. */
static void put_name(struct seq_file *m, const void *pc)
{
	struct seq_file name;
	u32 len;

	seq_open(&name, -1);
	stack_print_symbol(&name, pc);
	len = name.len;
	/* "symbol+0x12/0x34" where there is a symbol. */
	for (u32 i = 0; i < name.len; i++)
		if (name.buf[i] == '/')
			for (len = i; len && name.buf[len] != '+';)
				len--;
	for (u32 i = 0; i < len; i++)
		seq_putc(m, name.buf[i] == ';' || name.buf[i] == ' ' ? '_' : name.buf[i]);
}

/* A line for each site: the outermost frame first, then bytes. */
static void put_collapsed(struct seq_file *m, bool all)
{
	const struct profile_site *s;

	for_each_profile_site(s) {
		u64 bytes =
			all ? profile_whole(READ_ONCE(s->sums.alloc_bytes)) : profile_live_bytes(s);

		if (!bytes)
			continue;
		for (u32 i = s->nr; i-- > 0;) {
			put_name(m, s->pc[i]);
			seq_putc(m, i ? ';' : ' ');
		}
		seq_printf(m, "%lu\n", bytes);
	}
}

static void write_collapsed(struct seq_file *m)
{
	put_collapsed(m, false);
}

static void write_collapsed_alloc(struct seq_file *m)
{
	put_collapsed(m, true);
}

bool profile_write(int fd, enum profile_format format)
{
	static void (*const writers[NR_PROFILE_FORMATS])(struct seq_file * m) = {
		[PROFILE_PPROF] = profile_write_pprof,
		[PROFILE_HEAP] = write_heap,
		[PROFILE_COLLAPSED] = write_collapsed,
		[PROFILE_COLLAPSED_ALLOC] = write_collapsed_alloc,
	};
	struct seq_file m;

	seq_open(&m, fd);
	writers[format](&m);
	seq_flush(&m);
	return !m.failed;
}
