/* SPDX-License-Identifier: MIT */
/*
 * The guarantee of a memory pool where it is needed: with no address space left (RLIMIT_AS), so that mmap fails, and in
 * a memory cgroup that is full, where nothing fails and the kernel kills instead. Each scenario is a process of its own.
 */
#include "slabmalloc/mempool.h"

#include "api.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define TEST(name) static void name(__attribute__((unused)) void **state)

enum { MIN_NR = 16, SIZE = 64 * 1024 };

static void *plain_alloc(gfp_t gfp, void *data)
{
	(void)gfp;
	(void)data;
	return malloc(SIZE);
}

static void plain_free(void *element, void *data)
{
	(void)data;
	free(element);
}

/* The ways to make a pool whose elements have SIZE bytes. */
static mempool_t *kmalloc_pool(void)
{
	return mempool_create_kmalloc_pool(MIN_NR, SIZE);
}

static mempool_t *page_pool(void)
{
	return mempool_create_page_pool(MIN_NR, 4);
}

static mempool_t *malloc_pool(void)
{
	return mempool_create(MIN_NR, plain_alloc, plain_free, NULL);
}

/* MIN_NR elements at once, again and again; they are written to where they are memory and not struct page. */
static void use_reserve(mempool_t *pool, bool memory, gfp_t gfp)
{
	void *e[MIN_NR];

	for (int round = 0; round < 200; round++) {
		for (int i = 0; i < MIN_NR; i++) {
			e[i] = mempool_alloc(pool, gfp);
			check(e[i]);
			if (memory)
				memset(e[i], round, SIZE);
		}
		for (int i = 0; i < MIN_NR; i++)
			mempool_free(e[i], pool);
	}
}

struct hoard {
	struct hoard *next;
};

/* Everything that malloc still has, large blocks first. */
static void exhaust_malloc(void)
{
	struct hoard *all = NULL, *h;

	for (size_t size = 16 * MIB; size >= 16; size /= 2) {
		while ((h = opaque(malloc(size)))) {
			h->next = all;
			all = h;
		}
	}
	check(errno == ENOMEM);
}

static void without_address_space(mempool_t *(*make)(void), bool memory)
{
	mempool_t *pool = make();
	struct rlimit limit = { mapped_bytes() + MIB, mapped_bytes() + MIB };

	check(pool);
	check(setrlimit(RLIMIT_AS, &limit) == 0);
	exhaust_malloc();
	check(!opaque(malloc(SIZE)));
	use_reserve(pool, memory, GFP_KERNEL);
	use_reserve(pool, memory, GFP_ATOMIC);
	check(mempool_is_saturated(pool));
}

static void kmalloc_without_address_space(void *arg)
{
	(void)arg;
	without_address_space(kmalloc_pool, true);
}

static void pages_without_address_space(void *arg)
{
	(void)arg;
	without_address_space(page_pool, false);
}

static void malloc_without_address_space(void *arg)
{
	(void)arg;
	without_address_space(malloc_pool, true);
}

TEST(the_reserve_serves_when_mmap_fails)
{
	assert_true(succeeds_in_child(kmalloc_without_address_space, NULL, 60));
	assert_true(succeeds_in_child(pages_without_address_space, NULL, 60));
	assert_true(succeeds_in_child(malloc_without_address_space, NULL, 60));
}

/* A memory cgroup of the test's own, in either version of the controller; "" where it cannot be made. */
static char group[200];

static bool write_to(const char *file, const char *text)
{
	char path[300];
	int fd;
	bool ok;

	snprintf(path, sizeof(path), "%s/%s", group, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return ok;
}

#define GROUP_LIMIT "67108864"

static bool make_group(void)
{
	snprintf(group, sizeof(group), "/sys/fs/cgroup/memory/slabmalloc-test-%d", (int)getpid());
	if (mkdir(group, 0755) == 0) {
		if (write_to("memory.limit_in_bytes", GROUP_LIMIT))
			return true;
		rmdir(group);
	}
	snprintf(group, sizeof(group), "/sys/fs/cgroup/slabmalloc-test-%d", (int)getpid());
	if (mkdir(group, 0755) == 0) {
		if (write_to("memory.max", GROUP_LIMIT) && write_to("memory.swap.max", "0"))
			return true;
		rmdir(group);
	}
	return false;
}

static size_t group_number(const char *file)
{
	char path[300], text[40] = "";
	int fd;

	snprintf(path, sizeof(path), "%s/%s", group, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		check(read(fd, text, sizeof(text) - 1) > 0);
		close(fd);
	}
	return strtoul(text, NULL, 10);
}

static size_t group_usage(void)
{
	size_t v1 = group_number("memory.usage_in_bytes");

	return v1 ? v1 : group_number("memory.current");
}

/* Touches memory of its own until there is hardly any left, page by page in the end. */
static void fill_group(void)
{
	const size_t limit = strtoul(GROUP_LIMIT, NULL, 10), left = 700 * KIB;
	char *p = mmap(NULL, limit, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(p != MAP_FAILED);
	for (size_t used; (used = group_usage()) < limit - left;) {
		size_t n = limit - left - used;

		n = n / 2 < 4096 ? 4096 : n / 2;
		memset(p, 1, n);
		p += n;
	}
}

static void in_full_group(mempool_t *(*make)(void), bool memory)
{
	mempool_t *pool;

	check(write_to("cgroup.procs", "0"));
	pool = make();
	check(pool);
	fill_group();
	use_reserve(pool, memory, GFP_KERNEL);
	use_reserve(pool, memory, GFP_ATOMIC);
	check(mempool_is_saturated(pool));
}

static void kmalloc_in_full_group(void *arg)
{
	(void)arg;
	in_full_group(kmalloc_pool, true);
}

static void malloc_in_full_group(void *arg)
{
	(void)arg;
	in_full_group(malloc_pool, true);
}

/* That the group does kill: the same without a pool. */
static void kill_in_full_group(void *arg)
{
	(void)arg;
	check(write_to("cgroup.procs", "0"));
	fill_group();
	for (int i = 0; i < MIN_NR; i++)
		memset(opaque(malloc(SIZE)), 1, SIZE);
}

TEST(the_reserve_serves_in_a_full_cgroup)
{
	struct child c;
	bool kmalloc_ok, malloc_ok;

	if (!make_group()) {
		print_message("no memory cgroup can be made here: %s\n", strerror(errno));
		skip();
	}
	child_run(&c, kill_in_full_group, NULL, 60);
	kmalloc_ok = succeeds_in_child(kmalloc_in_full_group, NULL, 60);
	malloc_ok = succeeds_in_child(malloc_in_full_group, NULL, 60);
	rmdir(group);
	assert_true(WIFSIGNALED(c.status) && WTERMSIG(c.status) == SIGKILL);
	assert_true(kmalloc_ok);
	assert_true(malloc_ok);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_reserve_serves_when_mmap_fails),
		cmocka_unit_test(the_reserve_serves_in_a_full_cgroup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
