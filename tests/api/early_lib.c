/* SPDX-License-Identifier: MIT */
/*
 * A library of somebody else's, preloaded beside ours: its constructor may run before ours, and
 * its destructor after. Its first call ever is free(NULL).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int early_lib_is_well(void);

static void *kept[100];
static int well;

__attribute__((constructor)) static void start(void)
{
	char *p;

	free(NULL);
	p = malloc(100);
	memset(p, 1, 100);
	free(p);
	p = calloc(10, 10);
	p = realloc(p, 5000);
	well = p && p[0] == 0 && p[99] == 0;
	free(p);
	for (size_t i = 0; i < 100; i++)
		kept[i] = malloc(100 * i);
}

__attribute__((destructor)) static void end(void)
{
	static const char text[] = "early_lib ended\n";

	for (size_t i = 0; i < 100; i++)
		free(kept[i]);
	free(realloc(malloc(10), 10000));
	if (write(STDOUT_FILENO, text, sizeof(text) - 1) < 0)
		_exit(1);
}

int early_lib_is_well(void)
{
	return well;
}
