// SPDX-License-Identifier: MIT
#include "init/boot.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/options.h"
#include "page/memblock.h"
#include "reclaim/reclaim.h"
#include "sheaf/barn.h"
#include "sheaf/heap.h"
#include "unit.h"

/* What a process's first malloc does, in a child that copied a thread with sheaves. */
static void boot_again(void)
{
	sheaf_detach();
	this_cpu = &percpu_none[0];
	check(boot_thread() == this_cpu && percpu_attached(this_cpu));
	check(nr_threads == 1);
}

static void *boot_and_use(void *arg)
{
	struct kmem_percpu *c = boot_thread();
	u32 id = kmalloc_index(64);

	check(c && c == this_cpu && percpu_attached(c));
	check(boot_thread() == c);
	heap_free(c, id, heap_alloc(c, id));
	*(struct kmem_percpu **)arg = c;
	return NULL;
}

static void run_thread(void *(*fn)(void *), void *arg)
{
	pthread_t thread;

	check(pthread_create(&thread, NULL, fn, arg) == 0);
	pthread_join(thread, NULL);
}

/* In children: what boot arms stays armed. */
static void end_threads(void)
{
	struct kmem_percpu *c;
	size_t used;

	boot_again();
	used = memblock_used();
	for (int i = 0; i < 20; i++) {
		run_thread(boot_and_use, &c);
		check(c != this_cpu);
		check(nr_threads == 1);
	}
	reclaim_all(this_cpu, true);
	check(memblock_used() <= used + sizeof(*c));
	check(heap_objects_out(kmalloc_index(64)) == 0);
}

TEST(a_thread_gets_sheaves_at_its_first_call_and_gives_them_back_at_its_end)
{
	assert_child_succeeds(end_threads);
}

static pthread_key_t late_key;
static u32 late_calls;

/* A destructor that keeps coming back, allocating each time, longer than ours. */
static void late(void *arg)
{
	u32 id = kmalloc_index(100);
	struct kmem_percpu *c = boot_thread();
	void *p = c ? heap_alloc(c, id) : sheaf_alloc_one(id);

	check(p);
	if (c)
		heap_free(c, id, p);
	else
		sheaf_free_one(id, p);
	late_calls++;
	pthread_setspecific(late_key, arg);
}

static void *end_late(void *arg)
{
	pthread_setspecific(late_key, arg);
	return boot_and_use(arg);
}

static void end_with_destructors(void)
{
	struct kmem_percpu *c;

	check(pthread_key_create(&late_key, late) == 0);
	boot_again();
	run_thread(end_late, &c);
	check(late_calls >= 4);
	check(nr_threads == 1);
	reclaim_all(this_cpu, true);
	check(heap_objects_out(kmalloc_index(100)) == 0);
}

TEST(calls_from_later_destructors_still_work)
{
	assert_child_succeeds(end_with_destructors);
}

static pthread_barrier_t barrier;

static void *hold_objects(__attribute__((unused)) void *arg)
{
	struct kmem_percpu *c = boot_thread();
	u32 id = kmalloc_index(64);
	void *p[100];

	for (int i = 0; i < 100; i++)
		p[i] = heap_alloc(c, id);
	for (int i = 0; i < 50; i++)
		heap_free(c, id, p[i]);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	for (int i = 50; i < 100; i++)
		heap_free(c, id, p[i]);
	return NULL;
}

static void fork_beside_a_thread(void)
{
	u32 id = kmalloc_index(64);
	pthread_t thread;
	int status;
	pid_t pid;

	boot_again();
	pthread_barrier_init(&barrier, NULL, 2);
	check(pthread_create(&thread, NULL, hold_objects, NULL) == 0);
	pthread_barrier_wait(&barrier);
	check(nr_threads == 2);
	pid = fork();
	if (pid == 0) {
		/* The thread is not here; what it held free is, what it used is lost with it. */
		check(nr_threads == 1);
		heap_free(this_cpu, id, heap_alloc(this_cpu, id));
		reclaim_all(this_cpu, true);
		check(heap_objects_out(id) == 50);
		_exit(0);
	}
	check(waitpid(pid, &status, 0) == pid && status == 0);
	check(nr_threads == 2);
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	reclaim_all(this_cpu, true);
	check(heap_objects_out(id) == 0);
}

TEST(a_child_of_fork_has_what_the_threads_had_free_and_the_parent_goes_on)
{
	assert_child_succeeds(fork_beside_a_thread);
}

static bool stop;

static void *churn(__attribute__((unused)) void *arg)
{
	struct kmem_percpu *c = boot_thread();
	u64 rng = 15 + (u64)(uintptr_t)&c;
	void *p[200] = { NULL };
	u32 ids[200];

	while (!READ_ONCE(stop)) {
		u32 i = random_below(&rng, 200);

		if (p[i]) {
			heap_free(c, ids[i], p[i]);
			p[i] = NULL;
		} else {
			ids[i] = 1 + random_below(&rng, 80);
			p[i] = heap_untagged(heap_alloc(c, ids[i]));
			check(p[i]);
		}
		reclaim_tick(c);
	}
	for (u32 i = 0; i < 200; i++)
		if (p[i])
			heap_free(c, ids[i], p[i]);
	return NULL;
}

static void fork_often_beside_busy_threads(void)
{
	pthread_t thread[2];
	int status;

	options.decay_ms = 1;
	boot_again();
	for (int i = 0; i < 2; i++)
		check(pthread_create(&thread[i], NULL, churn, NULL) == 0);
	for (int i = 0; i < (under_valgrind() ? 2 : 60); i++) {
		pid_t pid = fork();

		if (pid == 0) {
			/* Every lock is free, and the heap works in all its parts. */
			for (u32 id = 1; id < NR_KMALLOC; id++)
				heap_free(this_cpu, id, heap_untagged(heap_alloc(this_cpu, id)));
			reclaim_all(this_cpu, true);
			_exit(0);
		}
		check(waitpid(pid, &status, 0) == pid && status == 0);
	}
	WRITE_ONCE(stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	reclaim_all(this_cpu, true);
	for (u32 id = 1; id < NR_KMALLOC; id++)
		check(heap_objects_out(id) == 0);
}

TEST(fork_beside_busy_threads_leaves_a_heap_that_works)
{
	assert_child_succeeds(fork_often_beside_busy_threads);
}

static void run_out(void)
{
	sheaf_detach();
	this_cpu = &percpu_none[0];
	heap_exhaust_memblock();
	check(!boot_thread());
	check(!percpu_attached(this_cpu));
	heap_restore_memblock();
	check(boot_thread());
}

TEST(without_memory_a_thread_gets_its_sheaves_at_a_later_call)
{
	assert_child_succeeds(run_out);
}

int main(void)
{
#define BOOT_TEST(name) cmocka_unit_test_setup_teardown(name, heap_setup, heap_teardown)
	const struct CMUnitTest tests[] = {
		BOOT_TEST(a_thread_gets_sheaves_at_its_first_call_and_gives_them_back_at_its_end),
		BOOT_TEST(calls_from_later_destructors_still_work),
		BOOT_TEST(a_child_of_fork_has_what_the_threads_had_free_and_the_parent_goes_on),
		BOOT_TEST(fork_beside_busy_threads_leaves_a_heap_that_works),
		BOOT_TEST(without_memory_a_thread_gets_its_sheaves_at_a_later_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
