// SPDX-License-Identifier: MIT
/*
 * asleep.cc - the memory orders between a thread and who takes its sheaves while it sleeps: point_to, percpu_get and
 * percpu_put, sheaf_malloc and sheaf_free (src/sheaf/sheaf.h, thread.c), visit (asleep.c), sheaf_detach.
 *
 * T uses its sheaves by this_thread.near (malloc), this_thread.cpu (free) or in slow paths, may sleep in these too, and
 * ends. R is the reclaimer. asleep.pml has the conditions W, O, I, F and S, in sequential consistency. Here F is left
 * out, O and S are one count of how often T fell asleep and woke, odd while it sleeps.
 *
 * What the kernel gives is modelled as it is: a thread leaves and enters a processor under its run queue's lock, and
 * /proc/.../syscall is answered under that lock (task_current_syscall, wait_task_inactive). So the count is changed and
 * read by read-modify-writes that are release and acquire. No other order lets R see what T did before it slept, nor T see
 * W when it wakes; ours is the way back: the sheaves as R left them, before this_thread says that they are T's again.
 *
 * On several nodes T's slow paths write this_thread.near too (numa_look), after a look at this_thread.cpu: one that began before
 * W may write it after W, and end. So R looks whether near is still as W left it (WITHOUT_NEAR_AGAIN).
 *
 * Fast paths load this_thread plainly and depend on it: acquire here.
 *
 * SPARE_INSIDE_...: what R sees of `inside` counts only while T sleeps, and then the kernel's order is there. They are for
 * ThreadSanitizer, which does not know it. SPARE_SEQ_CST_...: release does.
 */
#include "orders.h"

static int near_store = seq_cst, cpu_store = seq_cst, near_load = acquire, cpu_load = acquire;
static int get_load = acquire, get_inside = release, put_inside = release, look_inside = acquire;
static int kernel = acq_rel;
static int near_again = true;

static const mutation mutations[] = {
	{ "WEAKEN_POINT_TO_NEAR", &near_store, relaxed },
	{ "WEAKEN_POINT_TO_CPU", &cpu_store, relaxed },
	{ "WEAKEN_MALLOC", &near_load, relaxed },
	{ "WEAKEN_FREE", &cpu_load, relaxed },
	{ "WEAKEN_PERCPU_GET", &get_load, relaxed },
	{ "WEAKEN_KERNEL_SEES", &kernel, release },
	{ "WEAKEN_KERNEL_TELLS", &kernel, acquire },
	{ "WITHOUT_NEAR_AGAIN", &near_again, false },
	{ "SPARE_INSIDE_GET", &get_inside, relaxed },
	{ "SPARE_INSIDE_PUT", &put_inside, relaxed },
	{ "SPARE_INSIDE_LOOK", &look_inside, relaxed },
	{ "SPARE_SEQ_CST_NEAR", &near_store, release },
	{ "SPARE_SEQ_CST_CPU", &cpu_store, release },
};

enum { OWN, ELSEWHERE, NO_MORE };

struct asleep_model : rl::test_suite<asleep_model, 2> {
	rl::atomic<int> near, cpu, inside, naps;
	rl::var<int> sheaves, home;
	rl::mutex threads_lock;
	bool several_nodes;

	void before()
	{
		several_nodes = rl::rand(2);
		near.store(OWN, in(relaxed));
		cpu.store(OWN, in(relaxed));
		inside.store(0, in(relaxed));
		naps.store(0, in(relaxed));
		sheaves($) = 0;
		home($) = 1;
	}

	void point_to(int where)
	{
		near.store(where, in(near_store));
		cpu.store(where, in(cpu_store));
	}

	void sleep()
	{
		naps.fetch_add(1, in(kernel));
		naps.fetch_add(1, in(kernel));
	}

	void percpu_get()
	{
		while (cpu.load(in(get_load)) == ELSEWHERE) {
			threads_lock.lock($);
			threads_lock.unlock($);
		}
		inside.store(inside.load(in(relaxed)) + 1, in(get_inside));
	}

	void numa_look()
	{
		if (cpu.load(in(cpu_load)) == OWN && near.load(in(near_load)) != OWN)
			near.store(OWN, in(relaxed));
	}

	void slow_path()
	{
		percpu_get();
		if (several_nodes)
			numa_look();
		sheaves($)++;
		if (!several_nodes && rl::rand(2))
			sleep();
		sheaves($)++;
		inside.store(inside.load(in(relaxed)) - 1, in(put_inside));
	}

	void fast_path(const rl::atomic<int> &pointer, int order)
	{
		if (pointer.load(in(order)) == OWN)
			sheaves($)++;
		else
			slow_path();
	}

	void detach()
	{
		percpu_get();
		threads_lock.lock($);
		home($) = 0;
		point_to(NO_MORE);
		threads_lock.unlock($);
		sheaves($)++;
	}

	void visit()
	{
		threads_lock.lock($);
		if (home($) && !inside.load(in(relaxed)) && naps.fetch_add(0, in(kernel)) % 2) {
			point_to(ELSEWHERE);
			int n = naps.fetch_add(0, in(kernel));
			if (n % 2 && (!near_again || near.load(in(relaxed)) == ELSEWHERE) &&
			    !inside.load(in(look_inside)) && naps.fetch_add(0, in(kernel)) == n)
				sheaves($)++;
			point_to(OWN);
		}
		threads_lock.unlock($);
	}

	void thread(unsigned index)
	{
		if (index) {
			visit();
			if (!several_nodes)
				visit();
			return;
		}
		if (several_nodes) {
			sleep();
			slow_path();
			sleep();
			fast_path(near, near_load);
		}
		for (int i = 0; i < 3 && !several_nodes; i++) {
			switch (rl::rand(4)) {
			case 0:
				fast_path(near, near_load);
				break;
			case 1:
				fast_path(cpu, cpu_load);
				break;
			case 2:
				slow_path();
				break;
			default:
				sleep();
			}
		}
		detach();
	}
};

int main()
{
	return check<asleep_model>("asleep", mutations, 100000);
}
