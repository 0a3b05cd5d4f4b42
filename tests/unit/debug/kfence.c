// SPDX-License-Identifier: MIT
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/options.h"
#include "fence.h"
#include "os/mem.h"

static void nothing_when_off(void)
{
	unsigned long maps = os_stats.mmap;

	kfence_init();
	check(!kfence_wanted());
	check(!is_kfence_address(NULL) && !is_kfence_address(&maps));
	start("0");
	start("sample_interval:0");
	check(!kfence_wanted());
	check(os_stats.mmap == maps);
}

TEST(off_it_maps_nothing_and_wants_nothing)
{
	assert_child_succeeds(nothing_when_off);
}

static void once_an_interval(void)
{
	start("1");
	check(!kfence_wanted());
	check(!kfence_alloc(cache(64), 64, GFP_KERNEL, NULL));
	weather.now_ms += 99;
	check(!kfence_wanted());
	weather.now_ms += 1;
	check(kfence_wanted());
	check(kfence_alloc(cache(64), 64, GFP_KERNEL, NULL));
	check(!kfence_wanted());
	check(!kfence_alloc(cache(64), 64, GFP_KERNEL, NULL));
}

TEST(one_allocation_in_an_interval_is_sampled)
{
	assert_child_succeeds(once_an_interval);
}

static void with_burst(void)
{
	start("sample_interval:1000,burst:2");
	for (int i = 0; i < 2; i++)
		check(kfence_alloc(cache(64), 64, GFP_KERNEL, NULL));
	check(!kfence_wanted());
	weather.now_ms += 1000;
	for (int i = 0; i < 3; i++)
		check(kfence_alloc(cache(64), 64, GFP_KERNEL, NULL));
	check(!kfence_wanted());
}

TEST(a_burst_comes_first_and_follows_at_once)
{
	assert_child_succeeds(with_burst);
}

static void objects(void)
{
	bool left = false, right = false;

	start("num_objects:4");
	for (size_t size = 0; size <= os_page_size(); size += 37) {
		char *p = sample(size);
		size_t n = size ? size : 1, page = os_page_size();

		check(p && is_kfence_address(p) && (uintptr_t)p % 16 == 0);
		check(kfence_ksize(p) == n && !kfence_ksize(p + 16));
		check((uintptr_t)p / page == ((uintptr_t)p + n - 1) / page);
		if (n < page / 2 && (uintptr_t)p % page == 0)
			left = true;
		else if (n < page / 2) {
			right = true;
			check(ALIGN((uintptr_t)p + n, 16) % page == 0);
		}
		memset(p, 0x5a, n);
		give(p);
		check(!kfence_ksize(p));
	}
	check(left && right);
	for (int i = 0; i < 10; i++) {
		char *p = sample_zeroed(100, GFP_KERNEL | __GFP_ZERO);

		check(all_bytes_are(p, 100, 0));
		memset(p, 1, 100);
		give(p);
	}
}

TEST(objects_lie_on_either_side_of_their_page_aligned_and_zeroed_if_asked)
{
	assert_child_succeeds(objects);
}

static void unfit(void)
{
	start("sample_interval:1");
	weather.now_ms += 100;
	check(!kfence_alloc(cache(64), 64, GFP_ATOMIC, NULL));
	check(!kfence_alloc(cache(64), 64, GFP_KERNEL | GFP_DMA32, NULL));
	check(!kfence_alloc(cache(os_page_size() + 1), os_page_size() + 1, GFP_KERNEL, NULL));
	check(kfence_wanted());
	check(kfence_alloc(cache(64), 64, GFP_KERNEL, NULL));
}

TEST(what_does_not_fit_is_left_to_the_slabs_and_takes_no_sample)
{
	assert_child_succeeds(unfit);
}

static void large(void)
{
	size_t page = os_page_size();
	bool left = false, right = false;

	start("num_objects:1,num_large:3,burst:1000000,skip_covered_thresh:100");
	weather.now_ms += 100;
	for (size_t size = page + 1; size <= KFENCE_LARGE_MAX; size += size / 9) {
		char *p = kfence_alloc(cache_of(0), size, GFP_KERNEL, HERE);

		check(p && is_kfence_address(p) && (uintptr_t)p % 16 == 0);
		check(kfence_ksize(p) == size);
		if ((uintptr_t)p % page == 0)
			left = true;
		else
			right = true;
		check((uintptr_t)p % page == 0 || ALIGN((uintptr_t)p + size, 16) % page == 0);
		check(all_bytes_are(p, size, 0));
		memset(p, 0x5a, size);
		give(p);
		check(!kfence_ksize(p));
	}
	check(left && right && kfence.queued == 4 && !kfence.bugs);
	check(!kfence_alloc(cache_of(0), KFENCE_LARGE_MAX + 1, GFP_KERNEL, NULL));
}

static void large_alone(void)
{
	size_t page = os_page_size();
	void *p[2], *q;

	start("num_objects:1,num_large:2,skip_covered_thresh:100");
	p[0] = sample(64);
	check(p[0] && !sample(64));
	check((p[0] = sample(2 * page)) && (p[1] = sample(page + 1)));
	check(!sample(2 * page));
	check(p[1] > p[0] && !is_kfence_address((char *)p[1] + KFENCE_LARGE_MAX + page));
	give(p[1]);
	give(p[0]);
	q = sample(3 * page);
	check((uintptr_t)q - ALIGN_DOWN((uintptr_t)p[1], page) < 3 * page);
}

TEST(larger_ones_have_rooms_of_their_own)
{
	assert_child_succeeds(large);
	assert_child_succeeds(large_alone);
}

static void full_and_reused(void)
{
	void *p[4], *q;

	start("num_objects:4,skip_covered_thresh:100");
	for (int i = 0; i < 4; i++)
		check((p[i] = sample(64)));
	check(!sample(64));
	check(kfence_objects(cache(64)) == 4);
	give(p[2]);
	give(p[0]);
	check(kfence_objects(cache(64)) == 2);
	q = sample(32);
	check((uintptr_t)q / os_page_size() == (uintptr_t)p[2] / os_page_size());
	q = sample(32);
	check((uintptr_t)q / os_page_size() == (uintptr_t)p[0] / os_page_size());
}

TEST(the_object_that_was_freed_first_is_used_first)
{
	assert_child_succeeds(full_and_reused);
}

static void covered(void)
{
	/* No such address is on the stack, so each is a stack of its own. */
	const void *often = (void *)0x1234, *seldom = (void *)0x5678;

	start("num_objects:4,burst:100,skip_covered_thresh:50");
	weather.now_ms += 100;
	for (int i = 0; i < 3; i++)
		check(kfence_alloc(cache(64), 64, GFP_KERNEL, often));
	check(!kfence_alloc(cache(64), 64, GFP_KERNEL, often));
	check(kfence.skipped_covered == 1);
	check(kfence_alloc(cache(64), 64, GFP_KERNEL, seldom));
}

TEST(a_fence_that_fills_up_is_kept_for_new_stacks)
{
	assert_child_succeeds(covered);
}

static void use_after_free(void)
{
	char *p;

	start("num_objects:4");
	p = sample(64);
	give(p);
	*(volatile char *)p = 1;
}

TEST(without_the_handler_the_program_dies_of_the_fault)
{
	struct outcome o = run_in_child(use_after_free);

	assert_true(WIFSIGNALED(o.status));
	assert_int_equal(WTERMSIG(o.status), SIGSEGV);
	assert_string_equal(o.err, "");
}

static void forks(void)
{
	void *p, *q;
	int status;
	pid_t pid;

	start("num_objects:4");
	p = sample(100);
	pid = fork();
	if (!pid) {
		give(p);
		q = sample(100);
		check(q && kfence_ksize(q) == 100);
		_exit(0);
	}
	check(waitpid(pid, &status, 0) == pid && status == 0);
	check(kfence_ksize(p) == 100);
	give(p);
}

TEST(a_child_has_the_fence_of_its_parent_for_itself)
{
	assert_child_succeeds(forks);
}

enum { THREADS = 4, ROUNDS = 3000 };

static void *works(void *arg)
{
	u64 rng = (uintptr_t)arg;

	for (int done = 0; done < ROUNDS;) {
		size_t size = random_below(&rng, 2000) + 1;
		u8 *p = kfence_alloc(cache(size), size, GFP_KERNEL, HERE);

		/* The others have all three. */
		if (!p) {
			sched_yield();
			continue;
		}
		done++;
		memset(p, (int)size, size);
		check(kfence_ksize(p) == size && all_bytes_are(p, size, (u8)size));
		give(p);
	}
	return NULL;
}

static void threads_work(void)
{
	pthread_t t[THREADS];

	start("num_objects:3,burst:1000000");
	weather.now_ms += 1000;
	for (uintptr_t i = 0; i < THREADS; i++)
		check(!pthread_create(&t[i], NULL, works, (void *)(i + 1)));
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	check(kfence.queued == 3 && kfence.allocations == kfence.frees);
	check(kfence.allocations == THREADS * ROUNDS && !kfence.bugs);
}

TEST(threads_share_the_fence)
{
	assert_child_succeeds(threads_work);
}

static void no_pool(void)
{
	weather.os_reserve_aligned = 0;
	start("num_objects:7");
	check(!kfence_wanted());
}

static void no_mappings(void)
{
	start("num_objects:7");
	weather.now_ms += 100;
	weather.os_protect = 0;
	check(!kfence_alloc(cache(64), 64, GFP_KERNEL, NULL));
	clear_weather();
	weather.now_ms = 5000;
	check(kfence_alloc(cache(64), 64, GFP_KERNEL, NULL));
}

TEST(where_the_system_gives_nothing_there_are_no_samples)
{
	struct outcome o = run_in_child(no_pool);

	assert_int_equal(o.status, 0);
	assert_string_equal(o.err, "slabmalloc: kfence: no memory for a pool of 7 objects: off\n");
	assert_child_succeeds(no_mappings);
}

#define KEYS                                                                                                               \
	" (keys: sample_interval:0-3600000 num_objects:1-16384 num_large:0-8192 burst:0-1000000 skip_covered_thresh:0-100" \
	" handler:0-1)\n"

static void all_of_it(void)
{
	const size_t two_pages = 2 * os_page_size();

	start("all,num_large:7");
	check(kfence.set.num_objects == 8192 && kfence.set.num_large == 7);
	check(kfence.set.burst == 1000000 && kfence.set.handler == 1);
	for (int i = 0; i < 7; i++)
		check(kfence_alloc(cache(two_pages), two_pages, GFP_KERNEL, NULL));
	check(!kfence_alloc(cache(two_pages), two_pages, GFP_KERNEL, NULL));
	check(kfence_alloc(cache(8), 8, GFP_KERNEL, NULL));
}

TEST(all_is_every_allocation_that_finds_room)
{
	assert_child_succeeds(all_of_it);
}

static void bad_settings(void)
{
	start("sample:3,num_objects:0,,burst:x,handler,sample_interval:20");
	check(kfence.set.sample_interval == 20 && kfence.set.num_objects == 255);
	weather.now_ms += 20;
	check(kfence_wanted());
}

TEST(bad_settings_are_named_and_the_rest_holds)
{
	struct outcome o = run_in_child(bad_settings);

	assert_int_equal(o.status, 0);
	assert_string_equal(o.err, "slabmalloc: kfence: unknown key: sample" KEYS
				   "slabmalloc: kfence: bad value: num_objects:0" KEYS
				   "slabmalloc: kfence: bad value: burst:x" KEYS
				   "slabmalloc: kfence: bad value: handler" KEYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(off_it_maps_nothing_and_wants_nothing),
		cmocka_unit_test(one_allocation_in_an_interval_is_sampled),
		cmocka_unit_test(a_burst_comes_first_and_follows_at_once),
		cmocka_unit_test(
			objects_lie_on_either_side_of_their_page_aligned_and_zeroed_if_asked),
		cmocka_unit_test(what_does_not_fit_is_left_to_the_slabs_and_takes_no_sample),
		cmocka_unit_test(larger_ones_have_rooms_of_their_own),
		cmocka_unit_test(the_object_that_was_freed_first_is_used_first),
		cmocka_unit_test(a_fence_that_fills_up_is_kept_for_new_stacks),
		cmocka_unit_test(without_the_handler_the_program_dies_of_the_fault),
		cmocka_unit_test(a_child_has_the_fence_of_its_parent_for_itself),
		cmocka_unit_test(threads_share_the_fence),
		cmocka_unit_test(where_the_system_gives_nothing_there_are_no_samples),
		cmocka_unit_test(all_is_every_allocation_that_finds_room),
		cmocka_unit_test(bad_settings_are_named_and_the_rest_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
