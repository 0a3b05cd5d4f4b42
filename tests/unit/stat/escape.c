// SPDX-License-Identifier: MIT
#include <string.h>

#include "stat/stat.h"
#include "unit.h"

static struct seq_file m;

/* What fn makes of a name, which still is in the buffer. */
static const char *made(void (*fn)(struct seq_file *, const char *), const char *name)
{
	seq_open(&m, -1);
	fn(&m, name);
	seq_putc(&m, 0);
	return m.buf;
}

TEST(a_name_in_json_is_one_string_whatever_it_holds)
{
	assert_string_equal(made(seq_json, "kmalloc-64"), "\"kmalloc-64\"");
	assert_string_equal(made(seq_json, ""), "\"\"");
	assert_string_equal(made(seq_json, "a\"b\\c"), "\"a\\\"b\\\\c\"");
	assert_string_equal(made(seq_json, "</script>"), "\"\\u003c/script>\"");
	assert_string_equal(made(seq_json, "a\nb\x7f\xff"), "\"a?b??\"");
}

TEST(a_label_of_prometheus_knows_backslash_and_quote_alone)
{
	assert_string_equal(made(seq_label, "a\"b\\c<d\n"), "\"a\\\"b\\\\c<d?\"");
}

static const char *seconds(u64 ns)
{
	seq_open(&m, -1);
	seq_seconds(&m, ns);
	seq_putc(&m, 0);
	return m.buf;
}

TEST(nanoseconds_are_seconds_to_the_last_digit)
{
	assert_string_equal(seconds(0), "0.000000000");
	assert_string_equal(seconds(1), "0.000000001");
	assert_string_equal(seconds(1024), "0.000001024");
	assert_string_equal(seconds(999999999), "0.999999999");
	assert_string_equal(seconds(1000000000), "1.000000000");
	assert_string_equal(seconds(~0ull), "18446744073.709551615");
}

TEST(every_field_has_a_name_that_json_prometheus_and_c_take)
{
	for (enum stat_table t = 0; t < NR_STAT_TABLES; t++) {
		u32 nr;
		const struct stat_field *f = stat_fields(t, &nr);

		assert_true(nr > 0);
		for (u32 i = 0; i < nr; i++) {
			assert_true(f[i].help[0]);
			assert_int_equal(f[i].name[sizeof(f[i].name) - 1], 0);
			assert_int_equal(f[i].help[sizeof(f[i].help) - 1], 0);
			assert_int_equal(strspn(f[i].name, "abcdefghijklmnopqrstuvwxyz_"),
					 strlen(f[i].name));
			assert_int_equal(strcspn(f[i].help, "\\\n"), strlen(f[i].help));
			for (u32 j = 0; j < i; j++)
				assert_string_not_equal(f[i].name, f[j].name);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_in_json_is_one_string_whatever_it_holds),
		cmocka_unit_test(a_label_of_prometheus_knows_backslash_and_quote_alone),
		cmocka_unit_test(nanoseconds_are_seconds_to_the_last_digit),
		cmocka_unit_test(every_field_has_a_name_that_json_prometheus_and_c_take),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
