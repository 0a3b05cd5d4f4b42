// SPDX-License-Identifier: MIT
/*
 * What a machine says of its nodes, made up here: holes in the numbers, nodes without memory, cpusets, and files that are
 * missing or say nonsense. (Linked with --wrap.)
 */
#include "os/topology.h"

#include <stdio.h>
#include <string.h>

#include "os/cgroup.h"
#include "unit.h"

struct machine {
	const char *has_memory, *has_normal_memory, *online;
	const char *distance[16]; /* of node i */
	u32 allowed; /* how many nodes, and which */
	unsigned long mask;
};

static struct machine machine;
static struct numa found;

bool __wrap_os_read_text(const char *path, char *text);
u32 __wrap_os_mems_allowed(unsigned long *nodes);

bool __wrap_os_read_text(const char *path, char *text)
{
	const char *said = NULL;
	unsigned int node;

	if (!strcmp(path, "/sys/devices/system/node/has_memory"))
		said = machine.has_memory;
	else if (!strcmp(path, "/sys/devices/system/node/has_normal_memory"))
		said = machine.has_normal_memory;
	else if (!strcmp(path, "/sys/devices/system/node/online"))
		said = machine.online;
	else if (sscanf(path, "/sys/devices/system/node/node%u/distance", &node) == 1 && node < 16)
		said = machine.distance[node];
	if (said)
		strcpy(text, said);
	return said;
}

u32 __wrap_os_mems_allowed(unsigned long *nodes)
{
	memset(nodes, 0, MAX_NUMNODES / 8);
	nodes[0] = machine.mask;
	return machine.allowed;
}

static bool read_machine(struct machine m)
{
	machine = m;
	memset(&found, 0, sizeof(found));
	return os_topology_read(&found, 0);
}

static void assert_nodes(u32 nr, const u16 *nid)
{
	assert_int_equal(found.nr, nr);
	for (u32 i = 0; i < nr; i++) {
		assert_int_equal(found.nid[i], nid[i]);
		assert_int_equal(found.index[nid[i]], i);
	}
}

#define NODES(...) \
	assert_nodes(ARRAY_SIZE(((const u16[]){ __VA_ARGS__ })), (const u16[]){ __VA_ARGS__ })

/* The order in which others are asked for what `nid` has not. */
static void assert_walk(u32 nid, const u16 *wanted, u32 nr)
{
	u32 walk = 0, next;

	numa = found;
	numa.state = NUMA_MANY;
	for (u32 i = 0; i < nr; i++) {
		assert_true(numa_next(nid, &walk, &next));
		assert_int_equal(next, wanted[i]);
	}
	assert_false(numa_next(nid, &walk, &next));
	numa.state = NUMA_UNKNOWN;
}

#define WALK(nid, ...) \
	assert_walk(nid, (const u16[]){ __VA_ARGS__ }, ARRAY_SIZE(((const u16[]){ __VA_ARGS__ })))

TEST(two_nodes_are_read)
{
	assert_true(read_machine((struct machine){
		.has_memory = "0-1\n", .online = "0-1\n", .distance = { "10 21\n", "21 10\n" } }));
	NODES(0, 1);
	assert_int_equal(found.nr_ids, 2);
	assert_int_equal(found.near[1], 1);
	assert_int_equal(found.distance[1], 21);
	WALK(0, 1);
}

/* The file of distances tells of those that are online, one behind the other, whatever their numbers. */
TEST(numbers_may_have_holes)
{
	assert_true(read_machine((struct machine){ .has_memory = "0,3,8\n",
						   .online = "0,3,8,11\n",
						   .distance = { [0] = "10 40 20 30\n",
								 [3] = "40 10 30 15\n",
								 [8] = "20 30 10 20\n",
								 [11] = "30 15 20 10\n" } }));
	NODES(0, 3, 8);
	assert_int_equal(found.nr_ids, 12);
	/* Node 11 has processors alone, and what is no node has an answer, too. */
	assert_int_equal(found.near[11], 3);
	assert_int_equal(found.near[5], 0);
	assert_int_equal(found.near[1000], 0);
	WALK(0, 8, 3);
	WALK(3, 8, 0);
	WALK(8, 0, 3);
}

TEST(node_0_is_in_the_list_without_memory)
{
	assert_true(read_machine((struct machine){
		.has_memory = "2,4\n",
		.online = "0,2,4\n",
		.distance = { [0] = "10 30 20\n", [2] = "30 10 25\n", [4] = "20 25 10\n" } }));
	NODES(0, 2, 4);
	assert_int_equal(found.near[0], 4);
	WALK(0, 4, 2);
	WALK(2, 4);
}

TEST(a_cpuset_takes_nodes_away)
{
	struct machine m = { .has_memory = "0-3\n",
			     .online = "0-3\n",
			     .distance = { "10 20 30 40\n", "20 10 20 30\n", "30 20 10 20\n",
					   "40 30 20 10\n" },
			     .allowed = 2,
			     .mask = 1 << 1 | 1 << 3 };

	assert_true(read_machine(m));
	NODES(0, 1, 3);
	assert_int_equal(found.near[0], 1);
	assert_int_equal(found.near[2], 1);
	assert_int_equal(found.near[3], 3);
	m.allowed = 1;
	m.mask = 1 << 2;
	assert_false(read_machine(m));
	/* A node that may be used and has nothing is none. */
	m.allowed = 2;
	m.mask = 1 << 2 | 1 << 9;
	assert_false(read_machine(m));
}

TEST(one_node_is_no_several)
{
	assert_false(read_machine((struct machine){ .has_memory = "0\n", .online = "0\n" }));
	assert_false(read_machine((struct machine){ .has_memory = "5\n", .online = "0,5\n" }));
	assert_false(read_machine((struct machine){ 0 }));
	assert_false(read_machine((struct machine){ .has_memory = "0-1\n" }));
	assert_false(read_machine((struct machine){ .has_memory = "\n", .online = "0-1\n" }));
}

TEST(what_is_missing_or_nonsense_is_made_do_with)
{
	assert_true(
		read_machine((struct machine){ .has_normal_memory = "0-1\n", .online = "0-1\n" }));
	NODES(0, 1);
	assert_int_equal(found.distance[0], 10);
	assert_int_equal(found.distance[1], 20);
	WALK(0, 1);
	assert_true(read_machine((struct machine){ .has_memory = "0-2\n",
						   .online = "0-2\n",
						   .distance = { "10 0 999\n", "", "x\n" } }));
	assert_int_equal(found.distance[1], 20);
	assert_int_equal(found.distance[2], 20);
	WALK(0, 1, 2);
	/* Numbers beyond what can be are passed over; a range that goes backwards is none. */
	assert_true(read_machine(
		(struct machine){ .has_memory = "0-1,1023-9999999\n", .online = "0-1,1023\n" }));
	NODES(0, 1, 1023);
	assert_int_equal(found.nr_ids, MAX_NUMNODES);
	assert_false(read_machine((struct machine){ .has_memory = "0,3-1\n", .online = "0-3\n" }));
}

TEST(a_thousand_nodes_are_read)
{
	u32 walk = 0, next, n = 0;

	assert_true(
		read_machine((struct machine){ .has_memory = "0-1023\n", .online = "0-1023\n" }));
	assert_int_equal(found.nr, MAX_NUMNODES);
	assert_int_equal(found.near[700], 700);
	numa = found;
	numa.state = NUMA_MANY;
	while (numa_next(512, &walk, &next))
		n++;
	numa.state = NUMA_UNKNOWN;
	assert_int_equal(n, MAX_NUMNODES - 1);
}

TEST(made_up_nodes_ask_nobody)
{
	machine = (struct machine){ 0 };
	assert_true(os_topology_read(&found, 3));
	NODES(0, 1, 2);
	assert_int_equal(found.fake, 3);
	assert_false(os_topology_read(&found, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_nodes_are_read),
		cmocka_unit_test(numbers_may_have_holes),
		cmocka_unit_test(node_0_is_in_the_list_without_memory),
		cmocka_unit_test(a_cpuset_takes_nodes_away),
		cmocka_unit_test(one_node_is_no_several),
		cmocka_unit_test(what_is_missing_or_nonsense_is_made_do_with),
		cmocka_unit_test(a_thousand_nodes_are_read),
		cmocka_unit_test(made_up_nodes_ask_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
