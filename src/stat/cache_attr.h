/* SPDX-License-Identifier: MIT */
/*
 * cache_attr.h - a cache's attributes by name, in a table: what sysfs has in /sys/kernel/slab/CACHE.
 */
#pragma once

#include "base/printk.h"
#include "slab/slab.h"

struct cache_attr {
	const char *name;
	void (*show)(struct seq_file *m, u32 id); /* NULL: it can only be written */
	int (*store)(u32 id, unsigned long value); /* 0 or an errno; NULL: it can only be read */
};

/* NULL: there is none. */
const struct cache_attr *cache_attr_find(const char *name);

/* The number of a cache by its name, one that stands in for a kmalloc cache before that; 0: there is none. */
u32 cache_find(const char *name);
