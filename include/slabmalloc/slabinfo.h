/* SPDX-License-Identifier: MIT */
/*
 * slabinfo.h - what slab caches are and hold: /proc/slabinfo, and the files of /sys/kernel/slab/CACHE, by call.
 */
#pragma once

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * slabmalloc_slabinfo() - write slabinfo as it is now
 * @fd: an open file descriptor
 *
 * The kernel's format 2.1: the kmalloc caches that have slabs, every cache of kmem_cache_create, and mempools (as
 * mempool-NAME: elements out, and those with the reserve). The tunables are 0, as SLUB's. Allocates nothing.
 *
 * Return: 0; -1 and errno: EIO, not all could be written.
 */
int slabmalloc_slabinfo(int fd);

/**
 * slabmalloc_cache_attr() - an attribute of a cache, as its file in sysfs reads
 * @cache: its name, as slabinfo shows it (of aliases the first)
 * @attr: object_size, slab_size, objs_per_slab, order, align, objects, objects_partial, total_objects, slabs, partial,
 * min_partial, aliases, ctor, hwcache_align, cache_dma, cache_dma32, destroy_by_rcu, reclaim_account, sanity_checks, red_zone, poison,
 * store_user, trace, failslab, usersize, sheaf_capacity, sheaf_objects (at hand in threads' sheaves and in the barn),
 * limit, numa_hit, numa_miss, numa_foreign, interleave_hit, local_node, other_node, remote_free (objects since the start, by
 * node, where there are several), alloc_traces, free_traces
 * @buf: gets the text with its newline and a 0, cut to fit; up to 900 characters
 * @size: of @buf
 *
 * Return: the text's length; -1 and errno: ENOENT, no such cache or attribute; EACCES, one that can only be written;
 * EFBIG, longer text: slabmalloc_cache_attr_write().
 */
int slabmalloc_cache_attr(const char *cache, const char *attr, char *buf, size_t size);

/* The same to a file descriptor, of any length. 0, or -1 and errno. */
int slabmalloc_cache_attr_write(const char *cache, const char *attr, int fd);

/**
 * slabmalloc_cache_attr_set() - write an attribute
 * @cache: its name
 * @attr: min_partial (empty slabs that stay), limit (bytes; of a cache with SLAB_ACCOUNT), shrink, validate
 * @value: a number; for the last two "1"
 *
 * validate looks at every object of a cache with debugging, and repairs it; what is wrong is reported.
 *
 * Return: 0; -1 and errno: ENOENT, EACCES (one that can only be read), EINVAL (no such value).
 */
int slabmalloc_cache_attr_set(const char *cache, const char *attr, const char *value);

#ifdef __cplusplus
}
#endif
