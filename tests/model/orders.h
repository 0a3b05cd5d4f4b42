/* SPDX-License-Identifier: MIT */
/*
 * orders.h - what the models of memory orders (*.cc) share; for Dmitry Vyukov's relacy.
 *
 * A model has the atomics of the source with the orders of the source, and plain data as rl::var: relacy runs its threads
 * in all interleavings, or many, lets loads read what is old where C11 allows that, and finds accesses of plain
 * data that nothing orders. Each order is a variable. main checks the model as it is, and then with one after the other
 * made weaker, or one condition left out:
 *
 *	WEAKEN_, WITHOUT_	must be found
 *	SPARE_			must not be: the source asks for more than the protocol needs, and the model says why
 *
 * What relacy does not have: dependent loads (memory_order_consume is acquire), which are acquire in the models; loads
 * that read what is only stored later; a compare-exchange that fails on what is old; and who may sleep for ever, which spin's
 * models ask.
 *
 * A lock is relacy's mutex here: that ours is one is what lock.cc shows.
 */
#pragma once

#include <cstdio>
#include <cstring>
#include <ostream>
#include <relacy/relacy.hpp>

enum {
	relaxed = rl::mo_relaxed,
	acquire = rl::mo_acquire,
	release = rl::mo_release,
	acq_rel = rl::mo_acq_rel,
	seq_cst = rl::mo_seq_cst
};

/* The last argument, or two, of every access. */
#define in(order) static_cast<rl::memory_order>(order), $

struct mutation {
	const char *name;
	int *what;
	int value;
};

static inline void fence(int order)
{
	if (order != relaxed)
		rl::atomic_thread_fence(in(order));
}

/* What relacy says of it; success: nothing was found. */
template <typename model, template <rl::thread_id_t> class scheduler>
static rl::test_result_e run(rl::scheduler_type_e type, unsigned long iterations)
{
	rl::test_params p;
	std::ostream nowhere(nullptr);

	p.search_type = type;
	p.iteration_count = iterations;
	p.context_bound = 2;
	p.output_stream = p.progress_stream = &nowhere;
	return rl::run_test<model, scheduler<model::params::thread_count>>(p, nowhere, false);
}

/* At random (the same in each run), then all interleavings with two switches that nobody asked for. */
template <typename model> static rl::test_result_e search(unsigned long iterations)
{
	rl::test_result_e r = run<model, rl::random_scheduler>(rl::sched_random, iterations);

	return r ? r : run<model, rl::context_bound_scheduler>(rl::sched_bound, ~0ul);
}

template <typename model, size_t n>
static int check(const char *name, const mutation (&mutations)[n], unsigned long iterations = 30000)
{
	rl::test_result_e r = search<model>(iterations);
	int status = r != rl::test_result_success;

	printf("%s: %s\n", name, status ? rl::test_result_str(r) : "holds");
	for (const mutation &m : mutations) {
		bool spare = !strncmp(m.name, "SPARE_", 6);
		int was = *m.what;

		*m.what = m.value;
		r = search<model>(iterations);
		*m.what = was;
		if ((r == rl::test_result_success) != spare)
			status = 1;
		printf("%s: %s: %s\n", name, m.name,
		       r != rl::test_result_success ? rl::test_result_str(r) : "goes unnoticed");
	}
	return status;
}
