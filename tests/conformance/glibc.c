// SPDX-License-Identifier: MIT
/* What glibc has beside the standards, and what its other functions do with the heap. */
#define _GNU_SOURCE
#include "clause.h"

#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

CLAUSE(usable_size, "malloc_usable_size", "Linux manual",
       "it is 0 for NULL, and at least what was asked for")
{
	check(malloc_usable_size(NULL) == 0);
	for (size_t size = 0; size < 64 * MIB; size += 1 + size / 7) {
		void *p = malloc(size);

		check(malloc_usable_size(p) >= size);
		free(p);
	}
}

CLAUSE(usable_size_constant, "malloc_usable_size", "glibc manual",
       "all of it can be written, and it does not change")
{
	for (size_t size = 0; size < 600000; size += 1 + size / 7) {
		unsigned char *p = malloc(size), *q = malloc(size), *r = malloc(size);
		size_t usable = malloc_usable_size(q);

		memset(p, 0xee, malloc_usable_size(p));
		pattern_fill(q, usable, 3);
		memset(r, 0xee, malloc_usable_size(r));
		free(p);
		free(r);
		check(pattern_holds(q, usable, 3));
		check(malloc_usable_size(q) == usable);
		free(q);
	}
}

CLAUSE(trim, "malloc_trim", "Linux manual",
       "it is 1 where it gave memory back: nine tenths of 128 MiB that were freed")
{
	static void *p[128 * KIB];
	size_t full;

	for (size_t i = 0; i < ARRAY_SIZE(p); i++) {
		p[i] = malloc(1000);
		memset(p[i], 1, 1000);
	}
	full = rss_bytes();
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		if (i % 1000)
			free(p[i]);
	check(malloc_trim(0) == 1 || rss_bytes() < full / 5);
	check(rss_bytes() < full / 5);
}

#ifdef M_TRIM_THRESHOLD /* not in musl's malloc.h */
CLAUSE(mallopt_known, "mallopt", "Linux manual", "it is 1 for glibc's parameters")
{
	check(mallopt(M_TRIM_THRESHOLD, 256 << 10) == 1);
	check(mallopt(M_MMAP_THRESHOLD, 256 << 10) == 1);
	check(mallopt(M_ARENA_MAX, 1) == 1);
	check(mallopt(M_TOP_PAD, 64 << 10) == 1);
	check_heap_works();
}
#endif

CLAUSE(mallinfo2_counts, "mallinfo2", "glibc manual 3.2.3.10", "uordblks counts what is in use")
{
	static void *p[1000];
	size_t before = mallinfo2().uordblks, used;

	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		p[i] = malloc(10000);
	used = mallinfo2().uordblks - before;
	check(used > 9 * MIB && used < 20 * MIB);
	for (size_t i = 0; i < ARRAY_SIZE(p); i++)
		free(p[i]);
	check(mallinfo2().uordblks < before + 2 * MIB);
}

CLAUSE(info_xml, "malloc_info", "Linux manual",
       "options 0: an XML text; any other: EINVAL, and nothing written")
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	check(f);
	errno = 0;
	check(malloc_info(1, f) != 0);
	fflush(f);
	check(size == 0);
	check(malloc_info(0, f) == 0);
	fclose(f);
	check(strstr(text, "<malloc version=") && strstr(text, "</malloc>"));
	free(text);
}

CLAUSE(stats_stderr, "malloc_stats", "glibc manual", "it writes to stderr, and not to stdout")
{
	FILE *f = tmpfile();
	int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO);
	long to_out, to_err;

	fflush(NULL);
	dup2(fileno(f), STDOUT_FILENO);
	malloc_stats();
	fflush(NULL);
	to_out = ftell(f) + lseek(fileno(f), 0, SEEK_END);
	dup2(out, STDOUT_FILENO);
	dup2(fileno(f), STDERR_FILENO);
	malloc_stats();
	fflush(NULL);
	to_err = lseek(fileno(f), 0, SEEK_END);
	dup2(err, STDERR_FILENO);
	check(to_out == 0 && to_err > 0);
}

CLAUSE(libc_gives, "malloc", "POSIX 2024",
       "what strdup, getline, asprintf, realpath, getcwd, scandir, open_memstream give is for free")
{
	struct dirent **names;
	char *text = NULL, *line = NULL;
	size_t size = 0, room = 0;
	FILE *f;
	int n;

	for (int i = 0; i < 1000; i++) {
		free(strdup("what strdup gives"));
		free(strndup("what strndup gives", 4));
		check(asprintf(&text, "%*d", 1 + i * 7, i) > 0);
		free(text);
	}
	free(realpath("/proc/self/exe", NULL));
	free(getcwd(NULL, 0));
	n = scandir("/proc/self", &names, NULL, alphasort);
	check(n > 0);
	while (n--)
		free(names[n]);
	free(names);
	f = open_memstream(&text, &size);
	for (int i = 0; i < 100000; i++)
		check(putc(i % 1000 ? 'x' : '\n', f) >= 0);
	fclose(f);
	check(size == 100000);
	f = fmemopen(text, size, "r");
	while (getline(&line, &room, f) > 0)
		;
	fclose(f);
	free(line);
	free(text);
}

CLAUSE(libc_grows, "realloc", "POSIX 2024",
       "getline enlarges a block that the program has allocated")
{
	char *line = malloc(1), text[5000];
	size_t room = 1;
	FILE *f = fmemopen(text, sizeof(text), "r");

	memset(text, 'x', sizeof(text));
	check(getline(&line, &room, f) == sizeof(text) && room > sizeof(text));
	fclose(f);
	free(line);
}

CLAUSE(fork_child, "malloc", "POSIX 2024",
       "a child of fork has the parent's blocks, and may allocate and free")
{
	unsigned char *p = malloc(5000), *q = malloc(40 * MIB);
	int status;
	pid_t pid;

	pattern_fill(p, 5000, 1);
	pattern_fill(q, 40 * MIB, 2);
	pid = fork();
	if (!pid) {
		check(pattern_holds(p, 5000, 1) && pattern_holds(q, 40 * MIB, 2));
		p = realloc(p, 50000);
		check(pattern_prefix_holds(p, 5000, 5000, 1));
		free(p);
		free(q);
		check_heap_works();
		_exit(0);
	}
	check(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status));
	check(pattern_holds(p, 5000, 1) && pattern_holds(q, 40 * MIB, 2));
	free(p);
	free(q);
}
