/* SPDX-License-Identifier: MIT */
/* Memory near the thread, where nodes are made up: CPU i belongs to node i modulo 4 (SLABMALLOC_NUMA=fake=4). */
#include "kernel.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "slabmalloc/gfp.h"
#include "slabmalloc/slab.h"
#include "slabmalloc/slabinfo.h"
#include "slabmalloc/slabmalloc.h"
#include "slabmalloc/vmalloc.h"

enum { NODES = 4, OBJECTS = 2000, AT_HAND = 1020 };

static const size_t sizes[] = { 1, 16, 100, 1000, 5000, 100000, 300000, 3 << 20 };

static int node_of(const void *p)
{
	return page_to_nid(virt_to_page(p));
}

/* A CPU that this process may run on, of an even number or an odd one; -1: there is none. */
static int cpu_of(int odd)
{
	static cpu_set_t all;

	if (!CPU_COUNT(&all))
		sched_getaffinity(0, sizeof(all), &all);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &all) && cpu % 2 == odd)
			return cpu;
	return -1;
}

/* Returns the node. */
static int run_on(int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	return cpu % NODES;
}

static int needs_two(void **state)
{
	(void)state;
	if (cpu_of(0) >= 0 && cpu_of(1) >= 0)
		return 0;
	print_message("one CPU: there is no other node to run on\n");
	skip();
	return 0;
}

TEST(memory_of_a_node_is_that_nodes)
{
	void *p[NODES];

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (int node = 0; node < NODES; node++) {
			p[node] = kzalloc_node(sizes[i], GFP_KERNEL | __GFP_THISNODE, node);
			assert_non_null(p[node]);
			assert_int_equal(((char *)p[node])[sizes[i] - 1], 0);
			assert_int_equal(node_of(p[node]), node);
			memset(p[node], 1, sizes[i]);
		}
		for (int node = 0; node < NODES; node++)
			kfree(p[node]);
	}
	assert_int_equal(slabmalloc_check(), 0);
}

TEST(objects_of_a_typed_cache_are_had_from_any_node)
{
	struct kmem_cache *s = kmem_cache_create("of-node", 72, 0, SLAB_NO_MERGE, NULL);
	void *p[NODES][100];

	(void)state;
	for (int i = 0; i < 100; i++)
		for (int node = 0; node < NODES; node++) {
			p[node][i] = kmem_cache_alloc_node(s, GFP_KERNEL, node);
			assert_int_equal(node_of(p[node][i]), node);
		}
	for (int i = 0; i < 100; i++)
		for (int node = 0; node < NODES; node++)
			kmem_cache_free(s, p[node][i]);
	assert_int_equal(slabmalloc_check(), 0);
	kmem_cache_destroy(s);
}

TEST(pages_and_areas_are_had_from_any_node)
{
	(void)state;
	for (int node = 0; node < NODES; node++) {
		struct page *page = alloc_pages_node(node, GFP_KERNEL | __GFP_THISNODE, 3);
		char *area = vmalloc_node(5 << 20, node);

		assert_int_equal(page_to_nid(page), node);
		__free_pages(page, 3);
		memset(area, 1, 5 << 20);
		vfree(area);
	}
}

TEST(a_node_that_is_none_is_no_error_but_with_thisnode)
{
	void *p;

	(void)state;
	for (int node = NODES; node < 3000; node += 700) {
		assert_null(kmalloc_node(100, GFP_KERNEL | __GFP_THISNODE, node));
		assert_null(alloc_pages_node(node, GFP_KERNEL | __GFP_THISNODE | __GFP_NOWARN, 0));
		p = kmalloc_node(100, GFP_KERNEL, node);
		assert_non_null(p);
		kfree(p);
	}
	p = kmalloc_node(100, GFP_KERNEL, NUMA_NO_NODE);
	assert_non_null(p);
	kfree(p);
}

TEST(low_addresses_are_node_0s)
{
	void *p = kmalloc_node(100, GFP_KERNEL | GFP_DMA32, 1);

	(void)state;
	assert_true((uintptr_t)p >> 32 == 0);
	assert_int_equal(node_of(p), 0);
	kfree(p);
	assert_null(kmalloc_node(100, GFP_KERNEL | GFP_DMA32 | __GFP_THISNODE, 1));
}

static void *objects[OBJECTS];

static void take(int node, size_t size, int settle)
{
	for (int i = 0; i < OBJECTS; i++) {
		objects[i] = malloc(size);
		if (i >= settle)
			assert_int_equal(node_of(objects[i]), node);
	}
}

static void give(void)
{
	for (int i = 0; i < OBJECTS; i++)
		free(objects[i]);
}

TEST(a_thread_that_moved_takes_from_its_new_node)
{
	(void)state;
	for (int round = 0; round < 6; round++) {
		int node = run_on(cpu_of(round % 2));

		/* At the latest when what it has at hand is used up: two sheaves of 510 objects at the most. */
		take(node, 200, round ? AT_HAND : 0);
		give();
	}
	assert_int_equal(slabmalloc_check(), 0);
}

static pthread_barrier_t turn;

/* Returns how many of its own objects lay elsewhere. */
static void *other_thread(void *arg)
{
	int node = run_on(cpu_of(1));
	uintptr_t elsewhere = 0;
	void *own[500];

	(void)arg;
	for (int round = 0; round < 20; round++) {
		pthread_barrier_wait(&turn);
		give();
		/* What it has just freed is not its node's. */
		for (int i = 0; i < 500; i++) {
			own[i] = malloc(320);
			elsewhere += node_of(own[i]) != node;
		}
		for (int i = 0; i < 500; i++)
			free(own[i]);
		pthread_barrier_wait(&turn);
	}
	return (void *)elsewhere;
}

static unsigned long of_node(const char *attribute, int node)
{
	char text[200], name[8];
	const char *found;

	assert_true(slabmalloc_cache_attr("kmalloc-320", attribute, text, sizeof(text)) > 0);
	snprintf(name, sizeof(name), "N%d=", node);
	found = strstr(text, name);
	return found ? strtoul(found + strlen(name), NULL, 10) : 0;
}

TEST(what_another_nodes_thread_frees_comes_back_to_its_node)
{
	int node = run_on(cpu_of(0)), other = cpu_of(1) % NODES;
	unsigned long remote = of_node("remote_free", node), hits = of_node("numa_hit", node);
	pthread_t thread;
	void *elsewhere;

	(void)state;
	pthread_barrier_init(&turn, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, other_thread, NULL), 0);
	for (int round = 0; round < 20; round++) {
		take(node, 320, 0);
		pthread_barrier_wait(&turn);
		pthread_barrier_wait(&turn);
	}
	pthread_join(thread, &elsewhere);
	assert_null(elsewhere);
	/* Each block was freed elsewhere; some are still at hand there when the thread ends. */
	assert_true(of_node("remote_free", node) - remote > 19 * OBJECTS / 2);
	assert_true(of_node("numa_hit", node) - hits > 19 * OBJECTS / 2);
	assert_true(of_node("local_node", other) > 0);
	assert_int_equal(of_node("other_node", node), 0);
	/* Reused, not piled up. */
	assert_true(of_node("total_objects", node) < 3 * OBJECTS);
	assert_int_equal(slabmalloc_check(), 0);
}

TEST(buddyinfo_and_zoneinfo_tell_of_each_node)
{
	static char text[20000];
	FILE *f = tmpfile();
	void *p = kmalloc_node(300000, GFP_KERNEL, 3);
	size_t n;

	(void)state;
	assert_int_equal(slabmalloc_buddyinfo(fileno(f)), 0);
	assert_int_equal(slabmalloc_zoneinfo(fileno(f)), 0);
	rewind(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = 0;
	fclose(f);
	assert_non_null(strstr(text, "Node 3, zone   Normal "));
	assert_non_null(strstr(text, "Node 3, zone   Normal\n"));
	kfree(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_of_a_node_is_that_nodes),
		cmocka_unit_test(objects_of_a_typed_cache_are_had_from_any_node),
		cmocka_unit_test(pages_and_areas_are_had_from_any_node),
		cmocka_unit_test(a_node_that_is_none_is_no_error_but_with_thisnode),
		cmocka_unit_test(low_addresses_are_node_0s),
		cmocka_unit_test_setup(a_thread_that_moved_takes_from_its_new_node, needs_two),
		cmocka_unit_test_setup(what_another_nodes_thread_frees_comes_back_to_its_node,
				       needs_two),
		cmocka_unit_test(buddyinfo_and_zoneinfo_tell_of_each_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
