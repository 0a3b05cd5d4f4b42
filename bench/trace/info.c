// SPDX-License-Identifier: MIT
/* info.c - slabmalloc-replay --info: what is in a trace, "name value" a line. */
#include <inttypes.h>
#include <stdio.h>

#include "trace.h"

enum { BUCKETS = 65 };

struct info {
	uint64_t kind[TRACE_KINDS];
	uint64_t size[BUCKETS]; /* requests of up to 1 << i bytes, and more than half of it */
	uint64_t requests, failed, bytes, deaths, remote, unknown;
	uint64_t peak_bytes, peak_blocks;
	struct calls end;
};

static void sized(struct info *i, const struct record *r)
{
	uint64_t size = r->size;

	if (r->kind == TRACE_CALLOC && __builtin_mul_overflow(size, r->count, &size))
		size = UINT64_MAX;
	i->requests++;
	i->size[size > 1 ? 64 - __builtin_clzll(size - 1) : 0]++;
	if (r->block)
		i->bytes += size;
	else if (size || r->kind != TRACE_REALLOC)
		i->failed++;
}

static void seen(void *arg, const struct calls *now, const struct call *call)
{
	struct info *i = arg;
	const struct record *r = call->record;

	i->kind[r->kind]++;
	if (r->kind <= TRACE_REALLOC)
		sized(i, r);
	i->deaths += call->died != BLOCK_NONE;
	i->remote += call->remote;
	i->unknown += call->unknown;
	if (now->live_bytes > i->peak_bytes)
		i->peak_bytes = now->live_bytes;
	if (now->live_blocks > i->peak_blocks)
		i->peak_blocks = now->live_blocks;
	i->end = *now;
}

static void line(const char *name, uint64_t value)
{
	printf("%-20s %" PRIu64 "\n", name, value);
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100 * (double)part / (double)whole : 0;
}

/* Also a picture: a bar of 40 characters is all requests. */
static void sizes(const struct info *info)
{
	int least = 0, most = BUCKETS - 1;

	while (most > 0 && !info->size[most])
		most--;
	while (least < most && !info->size[least])
		least++;
	printf("\nrequests by size, up to\n");
	for (int i = least; i <= most; i++) {
		static const char unit[] = "BKMGTPE",
				  bar[] = "########################################";
		uint64_t n = info->size[i];
		double part = percent(n, info->requests);

		if (i < 64)
			printf("%5d %c", 1 << i % 10, unit[i / 10]);
		else
			printf("more   ");
		printf("%13" PRIu64 " %5.1f %%  %.*s\n", n, part, (int)(part * 0.4 + 0.5), bar);
	}
}

void info_print(const char *path)
{
	static const char *const kind[TRACE_KINDS] = {
		[TRACE_MALLOC] = "malloc",     [TRACE_CALLOC] = "calloc",
		[TRACE_ALIGNED] = "aligned",   [TRACE_REALLOC] = "realloc",
		[TRACE_FREE] = "free",         [TRACE_FREE_NULL] = "free_null",
		[TRACE_END] = "threads_ended",
	};
	static struct info i;
	struct trace t;

	trace_open(&t, path);
	calls_each(&t, seen, &i);
	printf("%-20s %s\n", "program", t.file->program);
	line("pid", t.file->pid);
	printf("%-20s %.1f\n", "seconds", (double)t.last_us * 1e-6);
	line("threads", t.threads);
	for (int k = TRACE_END; k >= TRACE_MALLOC; k--)
		line(kind[k], i.kind[k]);
	line("failed", i.failed);
	line("bytes_requested", i.bytes);
	line("peak_live_bytes", i.peak_bytes);
	line("peak_live_blocks", i.peak_blocks);
	line("end_live_bytes", i.end.live_bytes);
	line("end_live_blocks", i.end.live_blocks);
	line("remote_frees", i.remote);
	printf("%-20s %.1f\n", "remote_percent", percent(i.remote, i.deaths));
	line("unknown_frees", i.unknown);
	sizes(&i);
}
