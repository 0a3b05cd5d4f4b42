// SPDX-License-Identifier: MIT
/*
 * fill.c - how much can be had, until malloc says no?
 *
 * Blocks of one size are taken until there is none, or MOST bytes, and are freed; then the next size.
 * For each size a line: the size, MiB that were had, whether malloc said ENOMEM, MiB resident after all
 * were freed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST (256ul << 20)

struct block {
	struct block *next;
};

static unsigned long resident_mib(void)
{
	unsigned long size, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f) {
		if (fscanf(f, "%lu %lu", &size, &resident) != 2)
			resident = 0;
		fclose(f);
	}
	return resident * (unsigned long)sysconf(_SC_PAGESIZE) >> 20;
}

static void fill(size_t size)
{
	struct block *list = NULL, *b;
	unsigned long had = 0;
	int said_no = 0;

	while (had < MOST) {
		errno = 0;
		b = malloc(size);
		if (!b) {
			said_no = errno == ENOMEM;
			break;
		}
		memset(b, 1, size);
		b->next = list;
		list = b;
		had += size;
	}
	while ((b = list)) {
		list = b->next;
		free(b);
	}
	printf("%zu %lu %d %lu\n", size, had >> 20, said_no, resident_mib());
}

int main(void)
{
	static const size_t sizes[] = { 64, 1000, 40000, 1 << 20, 20 << 20, 64 };

	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		fill(sizes[i]);
	return 0;
}
