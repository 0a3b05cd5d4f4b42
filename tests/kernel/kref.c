/* SPDX-License-Identifier: MIT */
/*
 * refcount_t and kref: what they count, what they say when a count is wrong, and that the last put
 * comes after everything that the others did.
 */
#include "slabmalloc/kref.h"

#include "api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TEST(name) static void name(__attribute__((unused)) void **state)

TEST(counts_go_up_and_down)
{
	refcount_t r = REFCOUNT_INIT(1);

	refcount_inc(&r);
	refcount_add(3, &r);
	assert_int_equal(refcount_read(&r), 5);
	assert_true(refcount_inc_not_zero(&r));
	assert_true(refcount_inc_not_zero_acquire(&r));
	assert_true(refcount_add_not_zero(3, &r));
	assert_int_equal(refcount_read(&r), 10);
	refcount_dec(&r);
	assert_false(refcount_dec_and_test(&r));
	assert_false(refcount_sub_and_test(6, &r));
	assert_false(refcount_dec_if_one(&r));
	assert_true(refcount_dec_not_one(&r));
	assert_false(refcount_dec_not_one(&r));
	assert_int_equal(refcount_read(&r), 1);
	assert_true(refcount_dec_if_one(&r));
	assert_int_equal(refcount_read(&r), 0);
	refcount_set_release(&r, 2);
	assert_true(refcount_sub_and_test(2, &r));
}

TEST(nobody_comes_back_from_zero)
{
	refcount_t r = REFCOUNT_INIT(1);

	assert_true(refcount_dec_and_test(&r));
	assert_false(refcount_inc_not_zero(&r));
	assert_false(refcount_inc_not_zero_acquire(&r));
	assert_false(refcount_add_not_zero(5, &r));
	assert_false(refcount_dec_if_one(&r));
	assert_int_equal(refcount_read(&r), 0);
}

TEST(the_largest_count_is_no_error)
{
	refcount_t r = REFCOUNT_INIT(REFCOUNT_MAX - 1);

	refcount_inc(&r);
	assert_int_equal(refcount_read(&r), REFCOUNT_MAX);
	assert_false(refcount_dec_and_test(&r));
}

/* What each misuse says. The address is the same in a child as here. */
static refcount_t victim;

static void add_on_zero(void)
{
	refcount_set(&victim, 0);
	refcount_inc(&victim);
}

static void underflow(void)
{
	refcount_set(&victim, 0);
	check(!refcount_dec_and_test(&victim));
}

static void subtract_too_much(void)
{
	refcount_set(&victim, 2);
	check(!refcount_sub_and_test(3, &victim));
}

static void underflow_not_one(void)
{
	refcount_set(&victim, 0);
	check(refcount_dec_not_one(&victim));
}

static void overflow(void)
{
	refcount_set(&victim, REFCOUNT_MAX);
	refcount_inc(&victim);
}

static void overflow_not_zero(void)
{
	refcount_set(&victim, REFCOUNT_MAX - 5);
	check(refcount_add_not_zero(6, &victim));
}

static void leak(void)
{
	refcount_set(&victim, 1);
	refcount_dec(&victim);
}

static void run_misuse(void *arg)
{
	void (*misuse)(void) = *(void (**)(void))arg;

	misuse();
	check(refcount_read(&victim) == (unsigned int)REFCOUNT_SATURATED);
}

static void assert_says(void (*misuse)(void), const char *what)
{
	struct child c;
	char line[200], *where;

	child_run(&c, run_misuse, &misuse, 10);
	assert_true(child_succeeded(&c));
	snprintf(line, sizeof(line), "slabmalloc: refcount_t at %p: %s. (", (void *)&victim, what);
	where = strstr(c.err, " (");
	assert_non_null(where);
	assert_memory_equal(c.err, line, strlen(line));
	/* Where: a function and its offset, or (stripped) the program's. */
	assert_non_null(strstr(where, "+0x"));
	assert_string_equal(strchr(where, ')'), ")\n");
}

TEST(each_error_says_what_the_kernel_says_and_saturates)
{
	assert_says(add_on_zero, "addition on 0; use-after-free");
	assert_says(underflow, "underflow; use-after-free");
	assert_says(subtract_too_much, "underflow; use-after-free");
	assert_says(underflow_not_one, "underflow; use-after-free");
	assert_says(overflow, "saturated; leaking memory");
	assert_says(overflow_not_zero, "saturated; leaking memory");
	assert_says(leak, "decrement hit 0; leaking memory");
}

static void every_misuse_twice(void *arg)
{
	(void)arg;
	for (int i = 0; i < 2; i++) {
		add_on_zero();
		underflow();
		leak();
	}
}

TEST(each_kind_of_warning_comes_once)
{
	struct child c;
	int lines = 0;

	child_run(&c, every_misuse_twice, NULL, 10);
	assert_true(child_succeeded(&c));
	for (const char *p = c.err; (p = strchr(p, '\n')); p++)
		lines++;
	assert_int_equal(lines, 3);
}

static void stay_saturated(void *arg)
{
	refcount_t r = REFCOUNT_INIT(REFCOUNT_SATURATED);

	(void)arg;
	for (int i = 0; i < 1000; i++) {
		refcount_inc(&r);
		refcount_add(1000000, &r);
		check(refcount_inc_not_zero(&r));
		check(!refcount_dec_and_test(&r));
		check(!refcount_sub_and_test(1000000, &r));
		check(!refcount_dec_if_one(&r));
		check(refcount_dec_not_one(&r));
		refcount_dec(&r);
	}
	check(refcount_read(&r) == (unsigned int)REFCOUNT_SATURATED);
}

TEST(a_saturated_count_never_reaches_zero)
{
	assert_true(succeeds_in_child(stay_saturated, NULL, 10));
}

TEST(the_last_reference_is_dropped_under_the_lock)
{
	refcount_t r = REFCOUNT_INIT(2);
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_spinlock_t spin;

	pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE);
	assert_false(refcount_dec_and_mutex_lock(&r, &mutex));
	assert_int_equal(pthread_mutex_trylock(&mutex), 0);
	pthread_mutex_unlock(&mutex);
	assert_true(refcount_dec_and_mutex_lock(&r, &mutex));
	assert_int_not_equal(pthread_mutex_trylock(&mutex), 0);
	pthread_mutex_unlock(&mutex);

	refcount_set(&r, 2);
	assert_false(refcount_dec_and_lock(&r, &spin));
	assert_true(refcount_dec_and_lock(&r, &spin));
	assert_int_not_equal(pthread_spin_trylock(&spin), 0);
	pthread_spin_unlock(&spin);
	pthread_spin_destroy(&spin);
}

/* The object of a lecture: its kref is not its first member. */
struct session {
	char name[24];
	struct kref ref;
	int *released;
};

static void session_release(struct kref *ref)
{
	struct session *s = container_of(ref, struct session, ref);

	++*s->released;
	free(s);
}

static struct session *session_new(int *released)
{
	struct session *s = malloc(sizeof(*s));

	check(s);
	kref_init(&s->ref);
	s->released = released;
	return s;
}

TEST(the_last_put_releases)
{
	int released = 0;
	struct session *s = session_new(&released);

	assert_int_equal(kref_read(&s->ref), 1);
	kref_get(&s->ref);
	assert_int_not_equal(kref_get_unless_zero(&s->ref), 0);
	assert_int_equal(kref_put(&s->ref, session_release), 0);
	assert_int_equal(kref_put(&s->ref, session_release), 0);
	assert_int_equal(released, 0);
	assert_int_equal(kref_put(&s->ref, session_release), 1);
	assert_int_equal(released, 1);
}

TEST(a_kref_at_zero_gives_no_reference)
{
	struct kref ref = KREF_INIT(0);

	assert_int_equal(kref_get_unless_zero(&ref), 0);
}

/* A table of one entry under a lock: readers find it there without a reference of their own. */
static struct {
	pthread_mutex_t mutex;
	pthread_spinlock_t spin;
	struct session *entry;
	int released;
} table = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static void leave_table_mutex(struct kref *ref)
{
	table.entry = NULL;
	session_release(ref);
	pthread_mutex_unlock(&table.mutex);
}

static void leave_table_spin(struct kref *ref)
{
	table.entry = NULL;
	session_release(ref);
	pthread_spin_unlock(&table.spin);
}

enum { THREADS = 4, ROUNDS = 20000 };

static void *use_table_mutex(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct session *s;

		pthread_mutex_lock(&table.mutex);
		if (!table.entry)
			table.entry = session_new(&table.released);
		else
			kref_get(&table.entry->ref);
		s = table.entry;
		pthread_mutex_unlock(&table.mutex);
		check(s->released == &table.released);
		kref_put_mutex(&s->ref, leave_table_mutex, &table.mutex);
	}
	return arg;
}

static void *use_table_spin(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct session *s;

		pthread_spin_lock(&table.spin);
		if (!table.entry)
			table.entry = session_new(&table.released);
		else
			kref_get(&table.entry->ref);
		s = table.entry;
		pthread_spin_unlock(&table.spin);
		check(s->released == &table.released);
		kref_put_lock(&s->ref, leave_table_spin, &table.spin);
	}
	return arg;
}

static void run_threads(void *(*fn)(void *))
{
	pthread_t threads[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		check(!pthread_create(&threads[i], NULL, fn, (void *)i));
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

TEST(threads_find_only_objects_that_live)
{
	run_threads(use_table_mutex);
	assert_null(table.entry);
	pthread_spin_init(&table.spin, PTHREAD_PROCESS_PRIVATE);
	run_threads(use_table_spin);
	assert_null(table.entry);
	pthread_spin_destroy(&table.spin);
	assert_true(table.released > 0);
}

/*
 * The order that kref promises: each thread writes a plain field and drops its reference; whoever
 * drops the last one must see all the writes. A thread sanitizer sees the same without luck.
 */
struct shared_object {
	struct kref ref;
	int written[THREADS];
	int *sum;
};

static struct shared_object *current_object;
static pthread_barrier_t ready, done;

static void shared_release(struct kref *ref)
{
	struct shared_object *o = container_of(ref, struct shared_object, ref);
	int sum = 0;

	for (int i = 0; i < THREADS; i++)
		sum += o->written[i];
	*o->sum = sum;
	memset(o, 0xff, sizeof(*o));
	free(o);
}

static void *write_and_put(void *arg)
{
	size_t me = (size_t)arg;

	for (int i = 0; i < ROUNDS / 10; i++) {
		struct shared_object *o;
		static int sum;

		if (me == 0) {
			o = calloc(1, sizeof(*o));
			check(o);
			refcount_set(&o->ref.refcount, THREADS);
			o->sum = &sum;
			sum = -1;
			current_object = o;
		}
		pthread_barrier_wait(&ready);
		o = current_object;
		o->written[me] = i;
		kref_put(&o->ref, shared_release);
		pthread_barrier_wait(&done);
		check(sum == THREADS * i);
		pthread_barrier_wait(&done);
	}
	return NULL;
}

TEST(the_last_one_sees_what_all_others_wrote)
{
	pthread_barrier_init(&ready, NULL, THREADS);
	pthread_barrier_init(&done, NULL, THREADS);
	run_threads(write_and_put);
}

static refcount_t hammered;
static int zeroes;

static void *hammer(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		if (!refcount_inc_not_zero(&hammered))
			break;
		if (refcount_dec_and_test(&hammered))
			__atomic_fetch_add(&zeroes, 1, __ATOMIC_RELAXED);
	}
	if (refcount_dec_and_test(&hammered))
		__atomic_fetch_add(&zeroes, 1, __ATOMIC_RELAXED);
	return arg;
}

TEST(exactly_one_thread_reaches_zero)
{
	for (int i = 0; i < 20; i++) {
		refcount_set(&hammered, THREADS);
		zeroes = 0;
		run_threads(hammer);
		assert_int_equal(refcount_read(&hammered), 0);
		assert_int_equal(zeroes, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_go_up_and_down),
		cmocka_unit_test(nobody_comes_back_from_zero),
		cmocka_unit_test(the_largest_count_is_no_error),
		cmocka_unit_test(each_error_says_what_the_kernel_says_and_saturates),
		cmocka_unit_test(each_kind_of_warning_comes_once),
		cmocka_unit_test(a_saturated_count_never_reaches_zero),
		cmocka_unit_test(the_last_reference_is_dropped_under_the_lock),
		cmocka_unit_test(the_last_put_releases),
		cmocka_unit_test(a_kref_at_zero_gives_no_reference),
		cmocka_unit_test(threads_find_only_objects_that_live),
		cmocka_unit_test(the_last_one_sees_what_all_others_wrote),
		cmocka_unit_test(exactly_one_thread_reaches_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
