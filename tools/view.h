/* SPDX-License-Identifier: MIT */
/*
 * view.h - what slabmalloc-top shows, as lines of text.
 */
#pragma once

#include "heap.h"

enum { VIEW_LINE = 256 };

enum view { VIEW_CACHES, VIEW_NODES, VIEW_THREADS, NR_VIEWS };

/* slabtop's letters, and two of ours. */
struct sort_key {
	char letter;
	const char *name;
	/* What is larger comes first. */
	double (*value)(const struct cache_row *row);
};

/* By its letter; NULL: it is none. 'n', by name, has no value. */
const struct sort_key *sort_key_find(int letter);

struct screen {
	enum view view;
	const struct sort_key *sort;
	const struct heap *heap;
	struct snapshot *now;
	const struct snapshot *before; /* NULL, the first time */
	bool ended;
};

struct lines {
	char (*text)[VIEW_LINE];
	size_t nr,
		heading; /* heading: the number of the table's first line; what is above it stays */
};

/* False: no memory. */
bool view_make(const struct screen *s, struct lines *lines);
