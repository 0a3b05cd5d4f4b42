// SPDX-License-Identifier: MIT
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/options.h"
#include "page/memblock.h"
#include "sheaf/barn.h"
#include "sheaf/heap.h"
#include "unit.h"

TEST(a_thread_gets_its_sheaves_once)
{
	struct kmem_percpu *c = this_cpu;

	assert_true(percpu_attached(c));
	assert_ptr_equal(sheaf_attach(), c);
	assert_int_equal(nr_threads, 1);
	assert_ptr_equal(hlist_first_entry(&threads, struct kmem_percpu, link), c);
	assert_true(all_bytes_are(c, offsetof(struct kmem_percpu, inside), 0));
	heap_verify(c);
}

TEST(after_its_end_a_thread_gets_none_and_is_served_all_the_same)
{
	u32 id = kmalloc_index(64);
	void *p;

	sheaf_detach();
	assert_ptr_equal(this_cpu, &percpu_none[NO_MORE]);
	assert_int_equal(nr_threads, 0);
	assert_null(sheaf_attach());
	sheaf_detach();
	assert_int_equal(nr_threads, 0);
	p = sheaf_alloc_one(id);
	assert_non_null(p);
	sheaf_free_one(id, p);
	assert_int_equal(heap_objects_out(id), 0);
}

TEST(without_memory_there_are_no_sheaves_and_later_there_are)
{
	sheaf_detach();
	this_cpu = &percpu_none[NOT_YET];
	heap_exhaust_memblock();
	assert_null(sheaf_attach());
	assert_ptr_equal(this_cpu, &percpu_none[NOT_YET]);
	assert_int_equal(nr_threads, 0);
	heap_restore_memblock();
	assert_non_null(sheaf_attach());
}

/* A thread that has n objects in its sheaves, which are freed ones of another. */
static struct kmem_percpu *thread_with(u32 id, u32 n)
{
	struct kmem_percpu *c = heap_second_thread();

	while (n--)
		heap_free(c, id, heap_untagged(sheaf_alloc_one(id)));
	return c;
}

static void end(struct kmem_percpu *c)
{
	struct kmem_percpu *own = this_cpu;

	this_cpu = c;
	sheaf_detach();
	this_cpu = own;
}

TEST(sheaves_at_least_half_full_go_to_the_barn_and_others_home)
{
	u32 half = kmalloc_index(64), less = kmalloc_index(80);
	struct kmem_percpu *c = thread_with(half, 15);
	void **base = c->slot[half].base;

	for (u32 i = 0; i < 14; i++)
		heap_free(c, less, heap_untagged(sheaf_alloc_one(less)));
	assert_int_equal(c->slot[half].limit - base, 30);
	end(c);
	assert_int_equal(barns[half].nr, 1);
	assert_ptr_equal(barns[half].full->objects, base);
	assert_int_equal(heap_objects_out(half), 15);
	assert_int_equal(barns[less].nr, 0);
	assert_int_equal(heap_objects_out(less), 0);
}

TEST(main_and_spare_and_page_sets_are_given_up)
{
	u32 id = kmalloc_index(64);
	struct kmem_percpu *c = thread_with(id, 70);
	unsigned long used;

	heap_free(c, 1, heap_alloc(c, 1));
	assert_non_null(c->slot[id].spare);
	used = memblock_used();
	end(c);
	assert_true(memblock_used() < used);
	barn_drain(id, percpu_pages(NULL));
	barn_drain(1, percpu_pages(NULL));
	slab_shrink(id, percpu_pages(NULL));
	slab_shrink(1, percpu_pages(NULL));
	assert_int_equal(zones[0].nr_free, zones[0].nr_present);
}

static struct kmem_percpu *ending;

static void end_it(void)
{
	end(ending);
}

TEST(a_bad_pointer_is_told_at_the_end_of_its_thread)
{
	u32 id = kmalloc_index(64);
	char expected[200];
	char *bad;

	ending = thread_with(id, 30);
	bad = ending->slot[id].base[7];
	ending->slot[id].base[7] = bad + 32;
	snprintf(expected, sizeof(expected),
		 "slabmalloc: free(%p): invalid pointer: 32 bytes inside an object of kmalloc-64\n",
		 (void *)(bad + 32));
	assert_child_aborts(end_it, expected);
	options.abort = false;
	assert_string_equal(stderr_of(end_it), expected);
	assert_int_equal(heap_objects_out(id), 1);
	sheaf_free_one(id, bad);
}

TEST(an_object_in_any_sheaf_is_found_and_one_in_use_is_not)
{
	u32 id = kmalloc_index(64);
	struct kmem_percpu *other = thread_with(id, 70);
	void *used = heap_untagged(sheaf_alloc_one(id)), *own = heap_untagged(sheaf_alloc_one(id));
	struct slab_sheaf *spare = other->slot[id].spare;

	heap_free(this_cpu, id, own);
	assert_true(sheaf_holds(id, own));
	assert_true(sheaf_holds(id, *other->slot[id].base));
	assert_true(sheaf_holds(id, other->slot[id].top[-1]));
	assert_true(sheaf_holds(id, spare->objects[0]));
	assert_true(sheaf_holds(id, spare->objects[spare->size - 1]));
	assert_false(sheaf_holds(id, used));
	assert_false(sheaf_holds(id, (char *)own + 16));
	assert_false(sheaf_holds(id + 1, own));
	assert_false(sheaf_holds(id, NULL));
	/* What was popped lies above top still, and is in use. */
	assert_ptr_equal(heap_alloc(this_cpu, id), own);
	assert_false(sheaf_holds(id, own));
	end(other);
	assert_true(barns[id].nr > 0);
	assert_true(sheaf_holds(id, barns[id].full->objects[3]));
	sheaf_free_one(id, used);
	sheaf_free_one(id, own);
}

TEST(objects_in_sheaves_are_counted)
{
	u32 id = kmalloc_index(64);
	struct kmem_percpu *other = thread_with(id, 70);
	struct slab_sheaf *full;

	assert_int_equal(sheaf_objects(id), 70);
	assert_int_equal(sheaf_objects(id + 1), 0);
	heap_free(this_cpu, id, heap_untagged(sheaf_alloc_one(id)));
	assert_int_equal(sheaf_objects(id), 71);
	full = sheaf_new(10);
	while (full->size < 10)
		full->objects[full->size++] = heap_untagged(sheaf_alloc_one(id));
	barn_put(id, 0, full);
	assert_int_equal(sheaf_objects(id), 81);
	end(other);
	assert_in_range(sheaf_objects(id), 11, 81);
	assert_int_equal(sheaf_objects(id), heap_objects_out(id));
}

/*
 * A child of fork: the other threads are gone, their objects are not.
 */
static void take_over(void)
{
	u32 id = kmalloc_index(64), broken = kmalloc_index(128);
	struct kmem_percpu *first = thread_with(id, 70), *second = thread_with(id, 10);

	heap_free(first, 1, heap_alloc(first, 1));
	for (u32 i = 0; i < 20; i++)
		heap_free(second, broken, heap_untagged(sheaf_alloc_one(broken)));
	second->busy = (u16)broken;
	heap_free(this_cpu, id, heap_untagged(sheaf_alloc_one(id)));
	sheaf_after_fork();
	check(nr_threads == 1);
	check(!hlist_empty(&orphans));
	sheaf_adopt();
	check(hlist_empty(&orphans));
	check(hlist_first_entry(&threads, struct kmem_percpu, link) == this_cpu);
	check(!this_cpu->link.next);
	check(this_cpu->slot[id].top - this_cpu->slot[id].base == 1);
	sheaf_flush_all(this_cpu);
	for (u32 i = 1; i < NR_KMALLOC; i++) {
		barn_drain(i, percpu_pages(NULL));
		check(heap_objects_out(i) == (i == broken ? 20 : 0));
	}
}

TEST(the_child_of_fork_takes_what_the_other_threads_held)
{
	assert_child_succeeds(take_over);
}

TEST(the_child_of_fork_frees_the_blocks_of_the_other_threads)
{
	struct kmem_percpu *other = heap_second_thread();
	size_t used = memblock_used();

	assert_ptr_not_equal(other, this_cpu);
	sheaf_after_fork();
	sheaf_adopt();
	assert_in_range(used - memblock_used(), sizeof(*other), 2 * sizeof(*other));
}

static void adopt_on_slow_path(void (*slow)(u32))
{
	u32 id = kmalloc_index(64);

	thread_with(id, 10);
	sheaf_after_fork();
	check(!hlist_empty(&orphans));
	check(heap_objects_out(id) == 10);
	slow(kmalloc_index(128));
	check(hlist_empty(&orphans));
	check(heap_objects_out(id) == 0);
}

static void alloc_slowly(u32 id)
{
	check(heap_alloc(this_cpu, id));
}

static void free_slowly(u32 id)
{
	heap_free(this_cpu, id, heap_untagged(sheaf_alloc_one(id)));
}

/* The handler that forked may have interrupted any critical section. */
static void interrupted_in_the_list_of_threads(void)
{
	struct kmem_percpu *other = heap_second_thread();

	lock(&threads_lock, RANK_THREADS);
	sheaf_after_fork();
	check(hlist_empty(&orphans));
	check(nr_threads == 2);
	unlock(&threads_lock, RANK_THREADS);
	check(percpu_attached(other));
}

static void adopt_on_malloc(void)
{
	adopt_on_slow_path(alloc_slowly);
}

static void adopt_on_free(void)
{
	adopt_on_slow_path(free_slowly);
}

TEST(the_child_of_fork_takes_over_on_its_next_slow_path_at_the_latest)
{
	assert_child_succeeds(adopt_on_malloc);
	assert_child_succeeds(adopt_on_free);
	assert_child_succeeds(interrupted_in_the_list_of_threads);
}

/* Threads that come and go and hand objects on to each other. */
enum { MAILBOXES = 64, THREADS = 4, LIVES = 6, CALLS = 6000 };

static const size_t mail_sizes[] = { 16, 64, 192, 1024, 2048, 16384 };
static u64 *mailbox[MAILBOXES];

static u64 *stamp(u64 *p, u32 id)
{
	if (p)
		p[0] = p[cache_of(id)->size / 8 - 1] = id ^ (u64)p;
	return p;
}

static void use_heap(u64 *rng)
{
	for (int i = 0; i < CALLS; i++) {
		u32 id = kmalloc_index(mail_sizes[random_below(rng, ARRAY_SIZE(mail_sizes))]);
		u64 *p = stamp(heap_untagged(heap_alloc(this_cpu, id)), id);

		check(p);
		p = __atomic_exchange_n(&mailbox[random_below(rng, MAILBOXES)], p,
					__ATOMIC_ACQ_REL);
		if (!p)
			continue;
		id = *class_of((uintptr_t)p) / CLASS_UNIT;
		check(p[0] == (id ^ (u64)p));
		check(p[cache_of(id)->size / 8 - 1] == (id ^ (u64)p));
		heap_free(this_cpu, id, p);
		if (i % 1000 == 999)
			sheaf_age(this_cpu, (u64)i);
	}
}

static void *live_a_life(void *seed)
{
	u64 rng = (u64)seed;

	check(sheaf_attach());
	use_heap(&rng);
	heap_verify(this_cpu);
	sheaf_detach();
	return NULL;
}

TEST(threads_that_come_and_go_and_pass_objects_on_lose_none)
{
	pthread_t thread[THREADS];

	for (u64 life = 1; life <= LIVES; life++) {
		for (u64 i = 0; i < THREADS; i++)
			assert_int_equal(pthread_create(&thread[i], NULL, live_a_life,
							(void *)(life * THREADS + i)),
					 0);
		for (u64 i = 0; i < THREADS; i++)
			pthread_join(thread[i], NULL);
		assert_int_equal(nr_threads, 1);
	}
	for (int i = 0; i < MAILBOXES; i++)
		if (mailbox[i])
			heap_free(this_cpu, *class_of((uintptr_t)mailbox[i]) / CLASS_UNIT,
				  mailbox[i]);
	memset(mailbox, 0, sizeof(mailbox));
}

int main(void)
{
#define THREAD_TEST(name) cmocka_unit_test_setup_teardown(name, heap_setup, heap_teardown)
	const struct CMUnitTest tests[] = {
		THREAD_TEST(a_thread_gets_its_sheaves_once),
		THREAD_TEST(after_its_end_a_thread_gets_none_and_is_served_all_the_same),
		THREAD_TEST(without_memory_there_are_no_sheaves_and_later_there_are),
		THREAD_TEST(sheaves_at_least_half_full_go_to_the_barn_and_others_home),
		THREAD_TEST(main_and_spare_and_page_sets_are_given_up),
		THREAD_TEST(a_bad_pointer_is_told_at_the_end_of_its_thread),
		THREAD_TEST(an_object_in_any_sheaf_is_found_and_one_in_use_is_not),
		THREAD_TEST(objects_in_sheaves_are_counted),
		THREAD_TEST(the_child_of_fork_takes_what_the_other_threads_held),
		THREAD_TEST(the_child_of_fork_frees_the_blocks_of_the_other_threads),
		THREAD_TEST(the_child_of_fork_takes_over_on_its_next_slow_path_at_the_latest),
		THREAD_TEST(threads_that_come_and_go_and_pass_objects_on_lose_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
