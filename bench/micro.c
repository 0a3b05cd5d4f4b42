// SPDX-License-Identifier: MIT
/* micro.c - the price of single operations, under whichever malloc is preloaded: what is run. */
#include "micro.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define K (1l << 10)
#define M (1l << 20)

static const long sizes[] = { 16, 64, 256, K, 4 * K, 16 * K, 64 * K, 256 * K, M, 4 * M, 0 };
static const long page_sizes[] = { 4 * K, 16 * K, 64 * K, 256 * K, M, 4 * M, 0 };
static const long calloc_sizes[] = { 16, 64, 256, K, 4 * K, 64 * K, M, 4 * M, 0 };
static const long alignments[] = { 32, 64, 256, 4 * K, 64 * K, 2 * M, 0 };
static const long live_sizes[] = { 16, 64, 256, 0 };
static const long ends[] = { K, 4 * K, 64 * K, M, 64 * M, 0 };
static const long append_ends[] = { K, 4 * K, 64 * K, 0 };
static const long threads_sizes[] = { 64, K, 64 * K, 0 };
static const long remote_sizes[] = { 16, 64, K, 0 };
static const int threads[] = { 1, 2, 8, 0 };
static const int couples[] = { 2, 8, 0 };

static const struct gbench_case cases[] = {
	{ "pair", pair, sizes, NULL },
	{ "pair_touched", pair_touched, page_sizes, NULL },
	{ "pair_calloc", pair_calloc, calloc_sizes, NULL },
	{ "pair_aligned", pair_aligned, alignments, NULL },
	{ "pair_threads", pair, threads_sizes, threads },
	{ "batch_fifo", batch_fifo, sizes, NULL },
	{ "batch_lifo", batch_lifo, sizes, NULL },
	{ "batch_random", batch_random, sizes, NULL },
	{ "batch_threads", batch_random, threads_sizes, threads },
	{ "live_million", live_million, live_sizes, NULL },
	{ "realloc_append", realloc_append, append_ends, NULL },
	{ "realloc_grow", realloc_grow, ends, NULL },
	{ "realloc_shrink", realloc_shrink, ends, NULL },
	{ "remote", remote, remote_sizes, couples },
	{ "remote_swap", remote_swap, remote_sizes, couples },
	{ "thread_life", thread_life, NULL, threads },
};

int main(int argc, char **argv)
{
	return gbench_main(cases, ARRAY_SIZE(cases), argc, argv);
}
