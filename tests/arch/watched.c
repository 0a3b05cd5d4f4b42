/* SPDX-License-Identifier: MIT */
/* watched [CRIME] - what a tool should see of a program that uses memory, rightly or not. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OFTEN = 100000 };

/* Not in main, whose frame outlives it: what is lost must be lost. */
static __attribute__((noinline)) void lose(size_t n)
{
	char *volatile p = malloc(n);

	p[0] = 1;
	p = NULL;
}

static void innocent(void)
{
	for (size_t n = 0; n < 3000000; n = n * 5 / 4 + 1) {
		char *p = calloc(1, n), *q;

		if (n)
			p[n - 1] = 1;
		q = realloc(p, 2 * n + 1);
		memset(q + n, 1, n + 1);
		for (size_t i = 0; i < n; i += 100)
			if (q[i] > 1)
				abort();
		free(q);
	}
}

int main(int argc, char **argv)
{
	const char *crime = argc > 1 ? argv[1] : "";
	char *volatile p;

	p = malloc(20);
	memset(p, 0, 20);
	innocent();
	if (strcmp(crime, "overflow") == 0)
		p[0] = p[20];
	else if (strcmp(crime, "underflow") == 0)
		p[0] = p[-1];
	else if (strcmp(crime, "uninitialised") == 0 && ((volatile char *)malloc(50))[30])
		puts("x");
	else if (strcmp(crime, "leak") == 0)
		lose(57);
	else if (strcmp(crime, "nothing, often") == 0)
		for (int i = 0; i < OFTEN; i++)
			free(malloc(20));
	free(p);
	if (strcmp(crime, "use after free") == 0)
		return p[3] == 77;
	return 0;
}
