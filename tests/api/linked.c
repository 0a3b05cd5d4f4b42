/* SPDX-License-Identifier: MIT */
/*
 * Whose malloc is it? Its sizes tell: 8,000 bytes come from kmalloc-8192, while glibc would
 * give 8,008. It must be ours for the program, and for what libc allocates itself.
 * Compiled as C and as C++.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

static void expect_ours(const char *what, void *p)
{
	size_t usable = p ? malloc_usable_size(p) : 0;

	if (usable != 8192) {
		printf("%s: usable size %zu, so not ours\n", what, usable);
		failures++;
	}
	free(p);
}

static char *line_of_libc(void)
{
	static char text[8000];
	char *line = NULL;
	size_t size = 8000;
	FILE *f;

	memset(text, 'x', sizeof(text) - 1);
	f = fmemopen(text, sizeof(text), "r");
	line = (char *)malloc(10);
	if (!f || getdelim(&line, &size, '\n', f) < 0)
		failures++;
	fclose(f);
	free(line);
	return strdup(text);
}

int main(void)
{
	void *p = NULL;

	expect_ours("malloc", malloc(8000));
	expect_ours("calloc", calloc(1, 8000));
	expect_ours("realloc", realloc(NULL, 8000));
	expect_ours("reallocarray", reallocarray(NULL, 8, 1000));
	expect_ours("aligned_alloc", aligned_alloc(16, 8000));
	expect_ours("memalign", memalign(16, 8000));
	if (posix_memalign(&p, 16, 8000))
		failures++;
	expect_ours("posix_memalign", p);
	expect_ours("strdup", line_of_libc());
#ifdef __cplusplus
	expect_ours("operator new", ::operator new(8000));
	expect_ours("operator new[]", ::operator new[](8000));
#endif
	malloc_trim(0);
	p = malloc(100000);
	if (mallinfo2().uordblks < 100000) {
		printf("mallinfo2 knows nothing of our objects\n");
		failures++;
	}
	free(p);
	printf(failures ? "not ours\n" : "all ours\n");
	return failures != 0;
}
