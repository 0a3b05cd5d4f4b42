// SPDX-License-Identifier: MIT
// The only C++ file of the project: Google Benchmark behind gbench.h.

#include "gbench.h"

#include <benchmark/benchmark.h>

#include <cstring>
#include <vector>

// A struct gbench is a benchmark::State under a name that C can say.
static benchmark::State *state(struct gbench *b)
{
	return reinterpret_cast<benchmark::State *>(b);
}

static const benchmark::State *state(const struct gbench *b)
{
	return reinterpret_cast<const benchmark::State *>(b);
}

bool gbench_batch(struct gbench *b, long n)
{
	return state(b)->KeepRunningBatch(n);
}

long gbench_arg(const struct gbench *b)
{
	return state(b)->range(0);
}

int gbench_thread(const struct gbench *b)
{
	return state(b)->thread_index();
}

void gbench_pause(struct gbench *b)
{
	state(b)->PauseTiming();
}

void gbench_resume(struct gbench *b)
{
	state(b)->ResumeTiming();
}

void gbench_fail(struct gbench *b, const char *why)
{
	state(b)->SkipWithError(why);
}

static void add(const struct gbench_case *c)
{
	auto *bench = benchmark::RegisterBenchmark(c->name, [c](benchmark::State &s) {
		c->run(reinterpret_cast<struct gbench *>(&s));
	});

	for (const long *a = c->args; a && *a; a++)
		bench->Arg(*a);
	for (const int *t = c->threads; t && *t; t++)
		bench->Threads(*t);
	// With threads the clock of the wall is what counts: the other threads work meanwhile.
	if (c->threads)
		bench->UseRealTime();
}

int gbench_main(const struct gbench_case *cases, size_t n, int argc, char **argv)
{
	static char instant[] = "--benchmark_min_time=0.0001";
	std::vector<char *> args(argv, argv + argc);

	for (char *&arg : args)
		if (!std::strcmp(arg, "--smoke"))
			arg = instant;
	args.push_back(nullptr);
	for (size_t i = 0; i < n; i++)
		add(&cases[i]);

	benchmark::Initialize(&argc, args.data());
	if (benchmark::ReportUnrecognizedArguments(argc, args.data()))
		return 2;
	benchmark::RunSpecifiedBenchmarks();
	benchmark::Shutdown();
	return 0;
}
