// SPDX-License-Identifier: MIT
/*
 * slabmalloc-top - slabtop for the heap of a process, read from outside.
 */
#include <ctype.h>
#include <getopt.h>
#include <locale.h>
#include <ncurses.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "view.h"

enum { EXIT_USAGE = 2, DELAY_MS = 1000 };

static const char usage[] =
	"usage: slabmalloc-top [--delay SECONDS] [--sort LETTER] [--once] PID\n"
	"\n"
	"Shows the caches of a process under libslabmalloc, as slabtop shows the kernel's. The process\n"
	"is not stopped and notices nothing.\n"
	"\n"
	"  -d, --delay SECONDS  between two looks (1)\n"
	"  -s, --sort LETTER    as the keys below (o)\n"
	"  -o, --once           once, as text\n"
	"\n"
	"Keys: o objects, a active, u use, s object size, c cache size, w waste, r rate, l slabs,\n"
	"v active slabs, b objects per slab, p pages per slab, n name; C caches, N nodes, T threads,\n"
	"Tab the next of these; arrows and pages scroll; space looks at once; q ends.\n";

struct top {
	struct screen screen;
	struct snapshot now, before;
	bool has_before;
	int delay_ms;
	bool once;
	size_t scroll;
	const char *what;
};

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	(void)signal;
	stopped = 1;
}

static int bad_usage(void)
{
	fputs(usage, stderr);
	return EXIT_USAGE;
}

static bool parse_delay(const char *text, int *ms)
{
	char *end;
	double s = strtod(text, &end);

	if (end == text || *end || !(s >= 0.05 && s <= 86400))
		return false;
	*ms = (int)(s * 1000);
	return true;
}

static const struct sort_key *parse_sort(const char *text)
{
	return strlen(text) == 1 ? sort_key_find(*text) : NULL;
}

/* 0, or the exit status of a wrong call; -1: help was asked for. */
static int parse(int argc, char **argv, struct top *t)
{
	static const struct option options[] = {
		{ "delay", required_argument, NULL, 'd' },
		{ "sort", required_argument, NULL, 's' },
		{ "once", no_argument, NULL, 'o' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "d:s:oh", options, NULL)) != -1) {
		if (c == 'h')
			return -1;
		if (c == 'o')
			t->once = true;
		else if (c == 's' && !(t->screen.sort = parse_sort(optarg)))
			return bad_usage();
		else if ((c == 'd' && !parse_delay(optarg, &t->delay_ms)) || c == '?')
			return bad_usage();
	}
	if (optind + 1 != argc)
		return bad_usage();
	t->what = argv[optind];
	return 0;
}

/* False: there is nothing to be seen any more; the last numbers stay. */
static bool look(struct top *t)
{
	struct snapshot s;

	if (!snapshot_take(t->screen.heap, &s))
		return false;
	if (t->has_before)
		snapshot_free(&t->before);
	t->before = t->now;
	t->has_before = t->screen.now != NULL;
	t->now = s;
	t->screen.now = &t->now;
	t->screen.before = t->has_before ? &t->before : NULL;
	return true;
}

static void draw(struct top *t)
{
	struct lines l;
	size_t body, room;

	if (!view_make(&t->screen, &l))
		return;
	room = (size_t)LINES > l.heading + 1 ? (size_t)LINES - l.heading - 1 : 0;
	body = l.nr - l.heading - 1;
	t->scroll = min(t->scroll, body > room ? body - room : 0);
	erase();
	for (size_t i = 0; i < l.nr && i < (size_t)LINES; i++) {
		size_t line = i > l.heading ? i + t->scroll : i;

		if (line >= l.nr)
			break;
		if (i == l.heading)
			attron(A_REVERSE);
		if (i == 0)
			attron(A_BOLD);
		mvaddnstr((int)i, 0, l.text[line], COLS);
		if (i == l.heading)
			for (int x = (int)strlen(l.text[line]); x < COLS; x++)
				addch(' ');
		attrset(A_NORMAL);
	}
	if (t->screen.ended && LINES > 8) {
		char text[VIEW_LINE];

		snprintf(text, sizeof(text), " %s has ended: these are its last numbers; q ends ",
			 t->screen.heap->r->name);
		attron(A_REVERSE | A_BOLD);
		mvaddnstr(8, 0, text, COLS);
		attrset(A_NORMAL);
	}
	refresh();
	free(l.text);
}

/* False: q. */
static bool key(struct top *t, int c)
{
	const struct sort_key *sort = sort_key_find(c);
	size_t page = (size_t)max(LINES - 12, 1);

	if (sort) {
		t->screen.sort = sort;
		t->screen.view = VIEW_CACHES;
		t->scroll = 0;
	}
	switch (c) {
	case 'q':
	case 'Q':
		return false;
	case 'C':
	case 'N':
	case 'T':
		t->screen.view = c == 'C' ? VIEW_CACHES : c == 'N' ? VIEW_NODES : VIEW_THREADS;
		break;
	case '\t':
		t->screen.view = (enum view)((t->screen.view + 1) % NR_VIEWS);
		break;
	case KEY_UP:
		t->scroll -= t->scroll ? 1 : 0;
		break;
	case KEY_DOWN:
		t->scroll++;
		break;
	case KEY_PPAGE:
		t->scroll -= min(t->scroll, page);
		break;
	case KEY_NPAGE:
		t->scroll += page;
		break;
	case KEY_HOME:
		t->scroll = 0;
		break;
	}
	return true;
}

/* A key is obeyed with the numbers at hand; only time, and the space bar, bring new ones. */
static void run(struct top *t)
{
	struct timespec from, now;
	bool again = true;

	while (!stopped) {
		long left;
		int c;

		if (again && !t->screen.ended) {
			t->screen.ended = !look(t);
			clock_gettime(CLOCK_MONOTONIC, &from);
		}
		draw(t);
		clock_gettime(CLOCK_MONOTONIC, &now);
		left = t->delay_ms - (now.tv_sec - from.tv_sec) * 1000 -
		       (now.tv_nsec - from.tv_nsec) / 1000000;
		timeout(t->screen.ended ? -1 : (int)max(left, 1l));
		c = getch();
		if (c != ERR && !key(t, c))
			break;
		again = c == ERR || c == ' ';
	}
}

static int interactive(struct top *t)
{
	setlocale(LC_ALL, "");
	if (!newterm(NULL, stdout, stdin)) {
		fprintf(stderr,
			"slabmalloc-top: no terminal that it knows (TERM); --once does without\n");
		return EXIT_FAILURE;
	}
	signal(SIGINT, stop);
	signal(SIGTERM, stop);
	signal(SIGHUP, stop);
	cbreak();
	noecho();
	curs_set(0);
	keypad(stdscr, TRUE);
	run(t);
	endwin();
	if (t->screen.ended)
		printf("slabmalloc-top: process %d (%s) has ended\n", t->screen.heap->r->pid,
		       t->screen.heap->r->name);
	return EXIT_SUCCESS;
}

static int once(struct top *t)
{
	struct lines l;

	if (!look(t) || !view_make(&t->screen, &l)) {
		fprintf(stderr, "slabmalloc-top: process %d (%s) has ended\n",
			t->screen.heap->r->pid, t->screen.heap->r->name);
		return EXIT_FAILURE;
	}
	for (size_t i = 0; i < l.nr; i++)
		puts(l.text[i]);
	free(l.text);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	struct top t = { .delay_ms = DELAY_MS, .screen.sort = sort_key_find('o') };
	int status = parse(argc, argv, &t);
	char *error = NULL;
	struct reader *r;
	struct heap h;

	if (status) {
		if (status < 0)
			fputs(usage, stdout);
		return max(status, 0);
	}
	r = reader_open(t.what, &error);
	if (r && heap_find(&h, r, &error)) {
		t.screen.heap = &h;
		status = t.once || r->core ? once(&t) : interactive(&t);
		if (t.screen.now)
			snapshot_free(&t.now);
		if (t.has_before)
			snapshot_free(&t.before);
	} else {
		fprintf(stderr, "slabmalloc-top: %s\n", error ? error : "no memory");
		status = EXIT_FAILURE;
	}
	free(error);
	if (r)
		reader_close(r);
	return status;
}
