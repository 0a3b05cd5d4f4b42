// SPDX-License-Identifier: MIT
/*
 * slabmalloc-stat - what the heap of a process holds, read from outside.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "print.h"
#include "regions.h"

enum { EXIT_USAGE = 2 };

typedef void print_fn(FILE *f, const struct heap *h, const struct snapshot *s);

struct arguments {
	print_fn *print;
	double watch; /* seconds; 0: once */
	bool regions;
	const char *what;
};

static const char usage[] =
	"usage: slabmalloc-stat [--json [--regions] | --prometheus] [--watch SECONDS] PID\n"
	"       slabmalloc-stat [--json [--regions] | --prometheus] CORE\n"
	"\n"
	"Shows what the heap of a process under libslabmalloc holds, or held when it left a core\n"
	"file. The process is not stopped and notices nothing.\n"
	"\n"
	"  -j, --json           one object on a line\n"
	"  -r, --regions        in JSON: what each 64 KiB hold, for slabmalloc-report\n"
	"  -p, --prometheus     Prometheus' text format\n"
	"  -w, --watch SECONDS  again and again, until the process ends\n";

static int bad_usage(void)
{
	fputs(usage, stderr);
	return EXIT_USAGE;
}

static bool parse_seconds(const char *text, double *seconds)
{
	char *end;

	*seconds = strtod(text, &end);
	return end != text && !*end && *seconds >= 0.01 && *seconds <= 1e6;
}

/* 0, or the exit status of a wrong call; -1: help was asked for. */
static int parse(int argc, char **argv, struct arguments *a)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },    { "prometheus", no_argument, NULL, 'p' },
		{ "regions", no_argument, NULL, 'r' }, { "watch", required_argument, NULL, 'w' },
		{ "help", no_argument, NULL, 'h' },    { 0 },
	};
	int c;

	*a = (struct arguments){ .print = print_text };
	while ((c = getopt_long(argc, argv, "jprw:h", options, NULL)) != -1) {
		if (c == 'h')
			return -1;
		if (c == 'j')
			a->print = print_json;
		else if (c == 'p')
			a->print = print_prometheus;
		else if (c == 'r')
			a->regions = true;
		else if (c != 'w' || !parse_seconds(optarg, &a->watch))
			return bad_usage();
	}
	if (optind + 1 != argc || (a->regions && a->print != print_json))
		return bad_usage();
	a->what = argv[optind];
	return 0;
}

static void pause_for(double seconds)
{
	struct timespec t = { .tv_sec = (time_t)seconds };

	t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

static int ended(const struct heap *h, bool shown)
{
	if (reader_state(h->r) == PROCESS_GONE)
		fprintf(stderr, "slabmalloc-stat: process %d (%s) has ended\n", h->r->pid,
			h->r->name);
	else
		fprintf(stderr, "slabmalloc-stat: %s: the library's variables cannot be read%s\n",
			h->r->name, h->r->core ? ": the core file is cut off" : "");
	return shown ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int show(const struct heap *h, const struct arguments *a)
{
	for (bool shown = false;; shown = true) {
		struct region_map regions;
		struct snapshot s;

		if (!snapshot_take(h, &s))
			return ended(h, shown);
		if (a->regions && region_map_take(h, &regions))
			s.regions = &regions;
		if (shown && a->print == print_text)
			fputc('\n', stdout);
		a->print(stdout, h, &s);
		if (s.regions)
			region_map_free(&regions);
		snapshot_free(&s);
		if (fflush(stdout) == EOF) {
			fprintf(stderr, "slabmalloc-stat: cannot write: %s\n", strerror(errno));
			return EXIT_FAILURE;
		}
		if (a->watch <= 0 || h->r->core)
			return EXIT_SUCCESS;
		pause_for(a->watch);
	}
}

int main(int argc, char **argv)
{
	struct arguments a;
	struct reader *r;
	char *error = NULL;
	struct heap h;
	int status = parse(argc, argv, &a);

	if (status) {
		if (status < 0)
			fputs(usage, stdout);
		return max(status, 0);
	}
	r = reader_open(a.what, &error);
	if (r && heap_find(&h, r, &error)) {
		status = show(&h, &a);
	} else {
		fprintf(stderr, "slabmalloc-stat: %s\n", error ? error : "no memory");
		status = EXIT_FAILURE;
	}
	free(error);
	if (r)
		reader_close(r);
	return status;
}
