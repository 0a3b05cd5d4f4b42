// SPDX-License-Identifier: MIT
/*
 * trees.c - a forest of complete binary trees: one tree falls, another grows in its place.
 *
 * Each step of depth is half as frequent as the one before, so that as many nodes are in high trees
 * as in low ones. A tree is counted before it falls. Nodes are 32 bytes, and few of them are freed
 * in the order of their birth or in the opposite one.
 */
#include "workload.h"

enum { SLOTS = 64 };

static struct knob knobs[] = {
	{ "nodes", 25000000, 20000 }, /* that are made in all */
	{ "low", 4, 2 }, /* depth of the lowest trees */
	{ "high", 18, 8 }, /* … and of the highest */
	{ NULL, 0, 0 },
};

struct node {
	struct node *left, *right;
	unsigned long depth, number;
};

static struct node *tree_grow(unsigned long depth, unsigned long number)
{
	struct node *n = must_malloc(sizeof(*n));

	*n = (struct node){ .depth = depth, .number = number };
	if (depth > 0) {
		n->left = tree_grow(depth - 1, 2 * number);
		n->right = tree_grow(depth - 1, 2 * number + 1);
	}
	return n;
}

/* Nodes of the tree, each of which must be the one that was planted there. */
static unsigned long tree_count(const struct node *n, unsigned long depth, unsigned long number)
{
	if (n->depth != depth || n->number != number)
		die("a node was overwritten");
	if (depth == 0)
		return 1;
	return 1 + tree_count(n->left, depth - 1, 2 * number) +
	       tree_count(n->right, depth - 1, 2 * number + 1);
}

static void tree_fell(struct node *n)
{
	if (!n)
		return;
	tree_fell(n->left);
	tree_fell(n->right);
	free(n);
}

static void replace(struct node **slot, unsigned long depth)
{
	struct node *old = *slot;

	if (old && tree_count(old, old->depth, 1) != (2ul << old->depth) - 1)
		die("a tree lost nodes");
	tree_fell(old);
	*slot = tree_grow(depth, 1);
}

int main(int argc, char **argv)
{
	static struct node *forest[SLOTS];
	struct rng rng = rng_seed(0);
	unsigned long nodes, low, high, made = 0;
	struct measure m;
	double seconds;

	knobs_read(knobs, argc, argv);
	nodes = knob(knobs, "nodes");
	low = knob(knobs, "low");
	high = knob(knobs, "high");

	m = measure_begin();
	while (made < nodes) {
		unsigned long depth = low;

		while (depth < high && rng_below(&rng, 2))
			depth++;
		replace(&forest[rng_below(&rng, SLOTS)], depth);
		made += (2ul << depth) - 1;
	}
	for (int i = 0; i < SLOTS; i++)
		tree_fell(forest[i]);
	seconds = measure_end(&m);
	result("objects_per_second", (double)made / seconds);
	return 0;
}
