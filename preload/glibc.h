/* SPDX-License-Identifier: MIT */
/*
 * glibc.h - what glibc's <malloc.h> declares, where the C library is another one. The names are exported there too: a
 * program that was written for glibc finds them.
 */
#pragma once

#include <malloc.h>
#include <stdio.h>

#ifndef __GLIBC__
struct mallinfo {
	int arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
};

struct mallinfo2 {
	size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks,
		keepcost;
};

int malloc_trim(size_t pad);
int mallopt(int param, int value);
struct mallinfo mallinfo(void);
struct mallinfo2 mallinfo2(void);
void malloc_stats(void);
int malloc_info(int options, FILE *f);
void *pvalloc(size_t n);
#endif
