// SPDX-License-Identifier: MIT
#include "base/list.h"

#include <string.h>

#include "unit.h"

enum { ITEMS = 40 };

struct item {
	int payload[3];
	struct hlist_node link;
};

static struct item items[ITEMS];

/* The list holds items[order[0]], items[order[1]], ... and knows the way back. */
static void assert_list_is(struct hlist_head *head, const int *order, int n)
{
	struct hlist_node **from = &head->first;
	struct item *item;
	int i = 0;

	hlist_for_each_entry(item, head, link) {
		assert_true(i < n);
		assert_ptr_equal(item, &items[order[i]]);
		assert_ptr_equal(item->link.pprev, from);
		from = &item->link.next;
		i++;
	}
	assert_int_equal(i, n);
	assert_int_equal(hlist_empty(head), n == 0);
	assert_ptr_equal(hlist_first_entry(head, struct item, link), n ? &items[order[0]] : NULL);
}

TEST(zeroed_memory_is_an_empty_list_and_a_node_on_none)
{
	static struct hlist_head head;
	static struct item item;

	assert_true(hlist_empty(&head));
	assert_true(hlist_unhashed(&item.link));
	assert_list_is(&head, NULL, 0);
}

TEST(random_additions_and_removals_keep_the_order)
{
	struct hlist_head head = { NULL };
	int order[ITEMS], n = 0;
	u64 rng = 2;

	for (int round = 0; round < 5000; round++) {
		int i = (int)random_below(&rng, ITEMS), at = 0;

		while (at < n && order[at] != i)
			at++;
		assert_int_equal(hlist_unhashed(&items[i].link), at == n);
		if (at == n) {
			hlist_add_head(&items[i].link, &head);
			memmove(order + 1, order, (size_t)n * sizeof(*order));
			order[0] = i;
			n++;
		} else {
			hlist_del_init(&items[i].link);
			n--;
			memmove(order + at, order + at + 1, (size_t)(n - at) * sizeof(*order));
		}
		assert_list_is(&head, order, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zeroed_memory_is_an_empty_list_and_a_node_on_none),
		cmocka_unit_test(random_additions_and_removals_keep_the_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
