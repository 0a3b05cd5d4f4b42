/* SPDX-License-Identifier: MIT */
/*
 * gbench.h - Google Benchmark for benchmarks written in C.
 *
 * A benchmark is a C function that loops while gbench_batch() says so:
 *
 *	static void pair(struct gbench *b)
 *	{
 *		while (gbench_batch(b, 1000))
 *			for (int i = 0; i < 1000; i++)
 *				...one operation...
 *	}
 *
 * The batch is there because asking costs a call, and an operation of 3 ns must not pay for it.
 */
#ifndef BENCH_GBENCH_H
#define BENCH_GBENCH_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One run of one benchmark in one thread; lives only while the function runs. */
struct gbench;

/* Each benchmark runs once for each argument with each number of threads; the lists end with 0. */
struct gbench_case {
	const char *name;
	void (*run)(struct gbench *b);
	const long *args; /* NULL: no argument */
	const int *threads; /* NULL: one thread */
};

/* True: run n more operations. Threads start together at their first call, and end together. */
bool gbench_batch(struct gbench *b, long n);
/* The case's argument of this run. */
long gbench_arg(const struct gbench *b);
/* 0 … threads - 1. */
int gbench_thread(const struct gbench *b);
/* What is done between these two is not timed. Heavy: only around long work. */
void gbench_pause(struct gbench *b);
void gbench_resume(struct gbench *b);
/* The run counts as failed and gbench_batch() returns false from now on. */
void gbench_fail(struct gbench *b, const char *why);

/* Runs the n cases; takes Google Benchmark's options, and --smoke: each for an instant only. */
int gbench_main(const struct gbench_case *cases, size_t n, int argc, char **argv);

#ifdef __cplusplus
}
#endif

#endif
