/* SPDX-License-Identifier: MIT */
/* The kmalloc family. */
#include "kernel.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "slabmalloc/slab.h"
#include "slabmalloc/slabmalloc.h"

static const size_t sizes[] = { 1,    15,   16,    17,     100,    1000,    1024,   1025,
				4096, 5000, 70000, 262144, 262145, 1 << 20, 5 << 20 };

TEST(every_size_is_served_kept_and_freed)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		char *p = kmalloc(sizes[i], GFP_KERNEL), *z = kzalloc(sizes[i], GFP_KERNEL);

		assert_true(p && z);
		assert_true(ksize(p) >= sizes[i]);
		assert_true(kmalloc_size_roundup(sizes[i]) >= sizes[i]);
		assert_true(sizes[i] > KMALLOC_MAX_SIZE ||
			    ksize(p) == kmalloc_size_roundup(sizes[i]));
		for (size_t k = 0; k < sizes[i]; k += 97)
			assert_int_equal(z[k], 0);
		pattern_fill(p, sizes[i], i);
		memset(z, 0xff, sizes[i]);
		assert_true(pattern_holds(p, sizes[i], i));
		kfree(p);
		kfree(z);
	}
	assert_int_equal(slabmalloc_check(), 0);
}

/* What the compiler knows is picked at compile time; it must be the same cache. */
TEST(constant_and_variable_sizes_are_of_one_kind)
{
	volatile size_t n = 200;
	void *a = kmalloc(200, GFP_KERNEL), *b = kmalloc(n, GFP_KERNEL);

	(void)state;
	assert_int_equal(ksize(a), ksize(b));
	kfree(a);
	assert_ptr_equal(kmalloc(n, GFP_KERNEL), a);
	kfree(a);
	assert_ptr_equal(kmalloc(200, GFP_KERNEL), a);
	kfree(a);
	free(b);
}

TEST(powers_of_two_are_aligned_to_themselves)
{
	(void)state;
	for (size_t n = 16; n <= 4096; n *= 2) {
		void *p[50];

		for (int i = 0; i < 50; i++)
			assert_int_equal((uintptr_t)(p[i] = kmalloc(n, GFP_KERNEL)) % n, 0);
		for (int i = 0; i < 50; i++)
			kfree(p[i]);
	}
}

TEST(no_bytes_are_a_pointer_that_may_be_freed)
{
	void *p;

	(void)state;
	assert_ptr_equal(kmalloc(0, GFP_KERNEL), ZERO_SIZE_PTR);
	assert_ptr_equal(kcalloc(0, 8, GFP_ATOMIC), ZERO_SIZE_PTR);
	assert_int_equal(ksize(ZERO_SIZE_PTR), 0);
	assert_int_equal(ksize(NULL), 0);
	kfree(ZERO_SIZE_PTR);
	kfree(NULL);
	kfree_sensitive(ZERO_SIZE_PTR);
	kvfree(NULL);
	p = krealloc(ZERO_SIZE_PTR, 10, GFP_KERNEL);
	assert_true(p && !ZERO_OR_NULL_PTR(p));
	assert_ptr_equal(krealloc(p, 0, GFP_KERNEL), ZERO_SIZE_PTR);
	assert_true(ZERO_OR_NULL_PTR(NULL) && ZERO_OR_NULL_PTR(ZERO_SIZE_PTR));
}

TEST(krealloc_keeps_what_was_there)
{
	char *p = kmalloc(1, GFP_KERNEL), *q;

	(void)state;
	*p = 1;
	for (size_t i = 1; i < ARRAY_SIZE(sizes); i++) {
		q = krealloc(p, sizes[i], GFP_KERNEL);
		assert_non_null(q);
		assert_true(i == 1 || pattern_prefix_holds(q, sizes[i - 1], sizes[i - 1], i - 1));
		pattern_fill(q, sizes[i], i);
		p = q;
	}
	assert_ptr_equal(krealloc(p, 1000, GFP_KERNEL), p);
	kfree(p);
	p = kmalloc(64, GFP_KERNEL);
	memset(p, 1, 64);
	p = krealloc(p, 4096, GFP_KERNEL | __GFP_ZERO);
	for (int i = 64; i < 4096; i++)
		assert_int_equal(p[i], 0);
	kfree(p);
}

TEST(products_that_overflow_give_nothing)
{
	volatile size_t many = SIZE_MAX / 2;

	(void)state;
	assert_null(kmalloc_array(many, 3, GFP_KERNEL));
	assert_null(kcalloc(3, many, GFP_KERNEL));
	assert_null(kvmalloc_array(many, many, GFP_KERNEL));
	assert_null(krealloc_array(NULL, many, 4, GFP_KERNEL));
	assert_null(kmalloc(many * 2, GFP_KERNEL | __GFP_NOWARN));
	assert_int_equal(errno, ENOMEM);
}

TEST(copies_are_whole_and_end)
{
	char *a = kstrdup("some text", GFP_KERNEL), *b = kstrndup("some text", 4, GFP_KERNEL);
	char *c = kmemdup("some text", 10, GFP_KERNEL),
	     *d = kmemdup_nul("some text", 4, GFP_KERNEL);

	(void)state;
	assert_string_equal(a, "some text");
	assert_string_equal(b, "some");
	assert_string_equal(c, "some text");
	assert_string_equal(d, "some");
	assert_null(kstrdup(NULL, GFP_KERNEL));
	kfree(a);
	kfree(b);
	kfree(c);
	kfree(d);
}

TEST(sensitive_memory_is_wiped)
{
	char *p = kmalloc(1000, GFP_KERNEL);

	(void)state;
	memset(p, 'x', 1000);
	kfree_sensitive(p);
	/* The free object is the heap's; nothing of the text is left but where the heap wrote. */
	for (int i = 16; i < 1000; i++)
		assert_int_equal(((volatile char *)p)[i], 0);
}

TEST(low_memory_is_low)
{
	static const struct {
		gfp_t gfp;
		unsigned int bits;
	} zones[] = { { GFP_KERNEL | GFP_DMA, 24 }, { GFP_KERNEL | GFP_DMA32, 32 } };

	(void)state;
	for (size_t z = 0; z < ARRAY_SIZE(zones); z++) {
		for (size_t i = 0; i < 14; i++) {
			char *p = kmalloc(sizes[i], zones[z].gfp | __GFP_ZERO);

			assert_non_null(p);
			assert_true((uintptr_t)(p + sizes[i] - 1) >> zones[z].bits == 0);
			assert_int_equal(p[sizes[i] - 1], 0);
			memset(p, 1, sizes[i]);
			kfree(p);
		}
	}
}

TEST(kvmalloc_has_no_upper_limit)
{
	(void)state;
	for (size_t n = 1; n <= 256 * MIB; n *= 16) {
		char *p = kvzalloc(n, GFP_KERNEL);

		assert_non_null(p);
		assert_int_equal(p[0] | p[n - 1], 0);
		p = kvrealloc(p, n + 100, GFP_KERNEL);
		p[n + 99] = 1;
		kvfree_sensitive(p, n + 100);
	}
}

/* Every system call but write and the end of the process is deadly. */
static void forbid_system_calls(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { ARRAY_SIZE(code), code };

	check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static void atomic_until_it_ends(void *arg)
{
	static void *kept[1 << 20];
	size_t n = 0, rounds = 0;

	(void)arg;
	kfree(kmalloc(100, GFP_KERNEL));
	free(malloc(3 << 20));
	forbid_system_calls();
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		for (; n < ARRAY_SIZE(kept) && (kept[n] = kmalloc(sizes[i], GFP_ATOMIC)); n++)
			*(char *)kept[n] = 1;
	rounds = n;
	syscall(SYS_exit_group, rounds > 1000 ? 0 : 1);
}

TEST(atomic_requests_take_what_is_at_hand_without_a_system_call)
{
	struct child c;

	(void)state;
	child_run(&c, atomic_until_it_ends, NULL, 20);
	assert_true(WIFEXITED(c.status) && WEXITSTATUS(c.status) == 0);
}

static void run_out(void *arg)
{
	struct rlimit limit = { 300 * MIB, 300 * MIB };
	static void *kept[1000];
	int n = 0;

	(void)arg;
	check(setrlimit(RLIMIT_AS, &limit) == 0);
	while (n < 1000 && (kept[n] = kmalloc(MIB, GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN)))
		n++;
	check(n > 50 && n < 300 && errno == ENOMEM);
	check(!kmalloc(10 * MIB, GFP_KERNEL));
	while (n--)
		kfree(kept[n]);
	check(kmalloc(10 * MIB, GFP_KERNEL | __GFP_NOFAIL));
}

TEST(without_memory_requests_fail_and_later_do_not)
{
	(void)state;
	assert_true(succeeds_in_child(run_out, NULL, 60));
}

static void twice(void *arg)
{
	void *p = kmalloc(64, GFP_KERNEL);

	(void)arg;
	kfree(p);
	kfree(p);
}

static void foreign(void *arg)
{
	static char here[64];

	(void)arg;
	kfree(here);
}

static void resize_foreign(void *arg)
{
	static char here[64];

	(void)arg;
	free(krealloc(here, 100, GFP_KERNEL));
}

TEST(bad_input_is_named)
{
	(void)state;
	assert_dies_saying(twice, "slabmalloc: kfree(%p): double free: object of kmalloc-64");
	assert_dies_saying(foreign, "slabmalloc: kfree(%p): invalid pointer: not of this heap");
	assert_dies_saying(resize_foreign,
			   "slabmalloc: krealloc(%p): invalid pointer: not of this heap");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_is_served_kept_and_freed),
		cmocka_unit_test(constant_and_variable_sizes_are_of_one_kind),
		cmocka_unit_test(powers_of_two_are_aligned_to_themselves),
		cmocka_unit_test(no_bytes_are_a_pointer_that_may_be_freed),
		cmocka_unit_test(krealloc_keeps_what_was_there),
		cmocka_unit_test(products_that_overflow_give_nothing),
		cmocka_unit_test(copies_are_whole_and_end),
		cmocka_unit_test(sensitive_memory_is_wiped),
		cmocka_unit_test(low_memory_is_low),
		cmocka_unit_test(kvmalloc_has_no_upper_limit),
		cmocka_unit_test(atomic_requests_take_what_is_at_hand_without_a_system_call),
		cmocka_unit_test(without_memory_requests_fail_and_later_do_not),
		cmocka_unit_test(bad_input_is_named),
	};

	require_library();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
