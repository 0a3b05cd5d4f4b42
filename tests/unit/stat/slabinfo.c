// SPDX-License-Identifier: MIT
#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "page/large.h"
#include "sheaf/heap.h"
#include "stat/stat.h"
#include "unit.h"

/* What fn writes. */
static const char *text_of(void (*fn)(struct seq_file *))
{
	static char text[20000];
	int fd = memfd_create("text", 0);
	struct seq_file m;
	ssize_t n;

	seq_open(&m, fd);
	fn(&m);
	seq_flush(&m);
	n = pread(fd, text, sizeof(text) - 1, 0);
	assert_true(n >= 0);
	text[n] = 0;
	close(fd);
	return text;
}

static bool matches(const char *text, const char *pattern)
{
	regex_t re;
	int ret;

	assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
	ret = regexec(&re, text, 0, NULL, 0);
	regfree(&re);
	return ret == 0;
}

static const char header[] =
	"slabinfo - version: 2.1\n"
	"# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>"
	" : tunables <limit> <batchcount> <sharedfactor>"
	" : slabdata <active_slabs> <num_slabs> <sharedavail>\n";

TEST(an_unused_heap_is_the_header_alone)
{
	assert_string_equal(text_of(stat_slabinfo), header);
}

TEST(a_line_is_the_kernels_to_the_blank)
{
	u32 small = kmalloc_index(64), large = kmalloc_index(256 << 10);
	void *p[100], *q;
	char expected[1000];

	for (int i = 0; i < 100; i++)
		p[i] = sheaf_alloc_one(small);
	q = heap_untagged(sheaf_alloc_one(large));
	snprintf(expected, sizeof(expected),
		 "%s"
		 "kmalloc-64           100    128     64   64    1 : tunables    0    0    0"
		 " : slabdata      2      2      0\n"
		 "kmalloc-262144         1      1 262144    1   64 : tunables    0    0    0"
		 " : slabdata      1      1      0\n",
		 header);
	assert_string_equal(text_of(stat_slabinfo), expected);
	for (int i = 64; i < 100; i++)
		sheaf_free_one(small, p[i]);
	sheaf_free_one(large, q);
	snprintf(expected, sizeof(expected),
		 "%s"
		 "kmalloc-64            64    128     64   64    1 : tunables    0    0    0"
		 " : slabdata      1      2      0\n"
		 "kmalloc-262144         0      1 262144    1   64 : tunables    0    0    0"
		 " : slabdata      0      1      0\n",
		 header);
	assert_string_equal(text_of(stat_slabinfo), expected);
	for (int i = 0; i < 64; i++)
		sheaf_free_one(small, p[i]);
}

TEST(active_objects_are_the_programs_and_not_those_in_sheaves)
{
	u32 id = kmalloc_index(64);
	struct cache_stats cs;
	void *p[300];

	assert_false(stat_cache(id, &cs));
	for (int i = 0; i < 300; i++)
		p[i] = heap_alloc(this_cpu, id);
	assert_true(stat_cache(id, &cs));
	assert_int_equal(cs.active, 300);
	for (int i = 0; i < 200; i++)
		heap_free(this_cpu, id, p[i]);
	assert_true(sheaf_objects(id) > 0);
	assert_true(stat_cache(id, &cs));
	assert_int_equal(cs.active, 100);
	assert_string_equal(cs.name, "kmalloc-64");
	assert_int_equal(cs.size, 64);
	assert_int_equal(cs.per_slab, 64);
	assert_int_equal(cs.frames, 1);
	assert_int_equal(cs.objects, cs.slabs * 64);
	assert_int_equal(cs.slabs, cache_nodes[id].nr_slabs);
	assert_int_equal(cs.empty_slabs, cache_nodes[id].nr_empty);
	for (int i = 200; i < 300; i++)
		heap_free(this_cpu, id, p[i]);
}

TEST(every_class_has_a_line_that_parses)
{
	static void *p[NR_KMALLOC];
	const char *line;
	u32 lines = 0;

	for (u32 id = 1; id < NR_KMALLOC; id++)
		p[id] = heap_untagged(heap_alloc(this_cpu, id));
	for (line = text_of(stat_slabinfo) + strlen(header); *line; line = strchr(line, '\n') + 1) {
		lines++;
		assert_true(matches(line, "^kmalloc-[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+"
					  " : tunables    0    0    0"
					  " : slabdata +[0-9]+ +[0-9]+      0\n"));
	}
	assert_int_equal(lines, NR_KMALLOC - 1);
	for (u32 id = 1; id < NR_KMALLOC; id++)
		heap_free(this_cpu, id, p[id]);
}

TEST(buddyinfo_counts_the_free_blocks_of_each_order)
{
	bool clean;
	struct page *page;
	const char *text;

	assert_true(matches(text_of(stat_buddyinfo), "^Node 0, zone   Normal ( +0 ){15}\n$"));
	page = zone_alloc(&zones[0], 1, 0, &clean);
	/* What is left of a region from which one frame was taken. */
	assert_string_equal(
		text_of(stat_buddyinfo),
		"Node 0, zone   Normal      1      1      1      1      1      1      1 "
		"     1      1      1      1      1      1      1      0 \n");
	zone_free(&zones[0], page, 1, true);
	text = text_of(stat_buddyinfo);
	assert_true(matches(text, "^Node 0, zone   Normal ( +0 ){14}     1 \n$"));
}

int main(void)
{
#define INFO_TEST(name) cmocka_unit_test_setup_teardown(name, heap_setup, heap_teardown)
	const struct CMUnitTest tests[] = {
		INFO_TEST(an_unused_heap_is_the_header_alone),
		INFO_TEST(a_line_is_the_kernels_to_the_blank),
		INFO_TEST(active_objects_are_the_programs_and_not_those_in_sheaves),
		INFO_TEST(every_class_has_a_line_that_parses),
		INFO_TEST(buddyinfo_counts_the_free_blocks_of_each_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
