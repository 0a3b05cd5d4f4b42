// SPDX-License-Identifier: MIT
/* The program: every clause, in the order of the files. */
#define _GNU_SOURCE
#include "clause.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { SECONDS = 120 };

size_t coarseness = 1;

static struct clause *first, **last = &first;

void clause_add(struct clause *c)
{
	*last = c;
	last = &c->next;
}

size_t impossible(size_t i)
{
	if (i < BORDER)
		return SIZE_MAX - i;
	if (i < 3 * (size_t)BORDER)
		return (size_t)PTRDIFF_MAX - 2 * BORDER + i;
	return (i - 3 * BORDER + 1) << (sizeof(size_t) == 8 ? 50 : 0);
}

void check_heap_works(void)
{
	unsigned char *p = malloc(100);

	check(p);
	pattern_fill(p, 100, 1);
	check(pattern_holds(p, 100, 1));
	free(p);
}

/* An operator is always there; another name may be missing in a C library or under a peer. */
static bool is_there(const struct clause *c)
{
	return strchr(c->function, ' ') || dlsym(RTLD_DEFAULT, c->function);
}

static void run(void *arg)
{
	const struct clause *c = arg;

	c->holds();
	check(heap_inconsistencies() == 0);
}

static const char *outcome(const struct child *child)
{
	static char line[100];

	if (child->timed_out)
		return " # hangs";
	if (!WIFSIGNALED(child->status))
		return "";
	snprintf(line, sizeof(line), " # signal %d", WTERMSIG(child->status));
	return line;
}

/* False: it does not hold. */
static bool judge(struct clause *c, unsigned int nr)
{
	struct child child;
	bool good = true;
	const char *more;

	if (is_there(c)) {
		child_run(&child, run, c, SECONDS);
		good = child_succeeded(&child);
		more = outcome(&child);
	} else {
		more = " # SKIP there is none";
	}
	printf("%sok %u - %s: %s (%s)%s\n", good ? "" : "not ", nr, c->function, c->text, c->source,
	       more);
	return good;
}

/* api-conformance [--coarse] [PART]: all clauses, or those of functions that PART is part of. */
int main(int argc, char **argv)
{
	unsigned int nr = 0, failed = 0;

	if (argc > 1 && !strcmp(argv[1], "--coarse")) {
		coarseness = 37;
		argc--;
		argv++;
	}
	require_library();
	for (struct clause *c = first; c; c = c->next)
		if (argc == 1 || strstr(c->function, argv[1]))
			failed += !judge(c, ++nr);
	printf("1..%u\n", nr);
	return failed != 0;
}
