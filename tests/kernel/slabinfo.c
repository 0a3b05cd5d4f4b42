/* SPDX-License-Identifier: MIT */
/* What is told of caches. */
#include "kernel.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "slabmalloc/mempool.h"
#include "slabmalloc/slab.h"
#include "slabmalloc/slabinfo.h"

static char text[200000];

static const char *slabinfo(void)
{
	FILE *f = tmpfile();
	size_t n;

	assert_int_equal(slabmalloc_slabinfo(fileno(f)), 0);
	rewind(f);
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = 0;
	fclose(f);
	return text;
}

/* The number that an attribute begins with. */
static unsigned long attr(const char *cache, const char *name)
{
	char buf[100];

	assert_true(slabmalloc_cache_attr(cache, name, buf, sizeof(buf)) > 0);
	return strtoul(buf, NULL, 10);
}

TEST(slabinfo_has_a_line_for_every_cache_and_pool)
{
	struct kmem_cache *s = kmem_cache_create("shown", 200, 0, SLAB_NO_MERGE, NULL);
	mempool_t *pool = mempool_create_slab_pool(16, s);
	unsigned long active, total, size, per_slab, pages;
	void *p[50];
	const char *line;

	(void)state;
	for (int i = 0; i < 50; i++)
		p[i] = kmem_cache_alloc(s, GFP_KERNEL);
	line = strstr(slabinfo(), "\nshown ");
	assert_non_null(line);
	assert_int_equal(sscanf(line, "\nshown %lu %lu %lu %lu %lu", &active, &total, &size,
				&per_slab, &pages),
			 5);
	assert_int_equal(active, 66);
	assert_int_equal(size, 200);
	assert_int_equal(total % per_slab, 0);
	assert_non_null(strstr(text, "\nmempool-"));
	for (int i = 0; i < 50; i++)
		kmem_cache_free(s, p[i]);
	mempool_destroy(pool);
	kmem_cache_destroy(s);
	assert_null(strstr(slabinfo(), "\nshown "));
}

TEST(attributes_say_what_the_cache_is_and_holds)
{
	struct kmem_cache *s =
		kmem_cache_create("attributed", 100, 0, SLAB_HWCACHE_ALIGN | SLAB_NO_MERGE, NULL);
	char buf[200];
	void *p[300];
	int length, sum = 0;

	(void)state;
	for (int i = 0; i < 300; i++)
		p[i] = kmem_cache_alloc(s, GFP_KERNEL);
	assert_int_equal(attr("attributed", "object_size"), 100);
	assert_int_equal(attr("attributed", "slab_size"), 128);
	assert_int_equal(attr("attributed", "align"), 64);
	assert_int_equal(attr("attributed", "hwcache_align"), 1);
	assert_int_equal(attr("attributed", "objects"), 300);
	assert_int_equal(attr("attributed", "total_objects"),
			 attr("attributed", "slabs") * attr("attributed", "objs_per_slab"));
	assert_int_equal(attr("attributed", "poison"), 0);
	length = slabmalloc_cache_attr("attributed", "objects", buf, sizeof(buf));
	assert_int_equal(length, strlen(buf));
	/* "300 N0=300\n"; nodes that are made up each have a part. */
	assert_true(length >= 11 && strncmp(buf, "300 N0=", 7) == 0 && buf[length - 1] == '\n');
	for (char *n = strchr(buf, 'N'); n; n = strchr(n + 1, 'N'))
		sum += atoi(strchr(n, '=') + 1);
	assert_int_equal(sum, 300);
	assert_int_equal(slabmalloc_cache_attr("attributed", "objects", buf, 4), length);
	assert_string_equal(buf, "300");
	for (int i = 0; i < 300; i++)
		kmem_cache_free(s, p[i]);
	assert_int_equal(attr("attributed", "objects"), 0);
	assert_int_equal(slabmalloc_cache_attr_set("attributed", "shrink", "1"), 0);
	assert_int_equal(attr("attributed", "slabs"), 0);
	kmem_cache_destroy(s);
}

TEST(kmalloc_caches_have_attributes_too)
{
	void *p = kmalloc(64, GFP_KERNEL);

	(void)state;
	assert_int_equal(attr("kmalloc-64", "object_size"), 64);
	assert_true(attr("kmalloc-64", "objects") >= 1);
	assert_true(attr("kmalloc-64", "objects_partial") <= attr("kmalloc-64", "total_objects"));
	kfree(p);
}

TEST(min_partial_is_how_many_empty_slabs_stay)
{
	struct kmem_cache *s = kmem_cache_create("kept", 1024, 0, SLAB_NO_MERGE, NULL);
	static void *p[3000];
	char buf[200];
	unsigned long nodes = 0;

	(void)state;
	assert_int_equal(slabmalloc_cache_attr_set("kept", "min_partial", "100"), 0);
	assert_int_equal(attr("kept", "min_partial"), 100);
	for (int i = 0; i < 3000; i++)
		p[i] = kmem_cache_alloc(s, GFP_KERNEL);
	for (int i = 0; i < 3000; i++)
		kmem_cache_free(s, p[i]);
	/* More than that go, on each node, and fewer may stay where the heap shrinks. */
	slabmalloc_cache_attr("kept", "slabs", buf, sizeof(buf));
	for (char *n = strchr(buf, 'N'); n; n = strchr(n + 1, 'N'))
		nodes++;
	assert_true(attr("kept", "slabs") <= 110 * nodes);
	assert_int_equal(slabmalloc_cache_attr_set("kept", "shrink", "1\n"), 0);
	assert_int_equal(attr("kept", "slabs"), 0);
	kmem_cache_destroy(s);
}

TEST(what_is_not_there_is_an_error)
{
	char buf[10];

	(void)state;
	assert_int_equal(slabmalloc_cache_attr("nobody", "objects", buf, sizeof(buf)), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(slabmalloc_cache_attr("kmalloc-64", "colour", buf, sizeof(buf)), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(slabmalloc_cache_attr("kmalloc-64", "shrink", buf, sizeof(buf)), -1);
	assert_int_equal(errno, EACCES);
	assert_int_equal(slabmalloc_cache_attr_set("kmalloc-64", "objects", "1"), -1);
	assert_int_equal(errno, EACCES);
	assert_int_equal(slabmalloc_cache_attr_set("kmalloc-64", "min_partial", "many"), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(slabmalloc_cache_attr_set("kmalloc-64", "limit", "1"), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(slabmalloc_slabinfo(-1), -1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(slabinfo_has_a_line_for_every_cache_and_pool),
		cmocka_unit_test(attributes_say_what_the_cache_is_and_holds),
		cmocka_unit_test(kmalloc_caches_have_attributes_too),
		cmocka_unit_test(min_partial_is_how_many_empty_slabs_stay),
		cmocka_unit_test(what_is_not_there_is_an_error),
	};

	require_library();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
