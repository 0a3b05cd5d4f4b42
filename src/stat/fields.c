// SPDX-License-Identifier: MIT
/*
 * fields.c - every number of a dump: its name and what it means, for all formats and the man page's checker.
 */
#include "debug/kfence.h"
#include "stat/stat.h"

#define GAUGE(type, name, help)                                 \
	{                                                       \
#name, help, offsetof(struct type, name), false \
	}
#define COUNT(type, name, help)                                \
	{                                                      \
#name, help, offsetof(struct type, name), true \
	}

/* clang-format off: tables */
#define G(name, help) GAUGE(heap_stats, name, help)
#define C(name, help) COUNT(heap_stats, name, help)
const struct stat_field heap_fields[] = {
	G(allocated, "bytes handed out to the program: live_bytes"),
	G(active, "bytes of frames and areas in use, free objects in slabs and sheaves among them"),
	G(metadata, "resident bytes of the allocator's own structures: metadata_bytes"),
	G(resident, "resident bytes of the allocator: of the heap, and metadata"),
	G(mapped, "bytes of address space that may be touched"),
	G(retained, "bytes of address space set aside that may not be touched yet, or any more"),
	G(live_bytes, "handed out to the program, as the sizes of objects and blocks"),
	G(committed_bytes, "frames and areas in use, and dirty memory"),
	G(resident_bytes, "of the whole process, as the kernel counts"),
	G(mapped_bytes, "address space"),
	G(metadata_bytes, "resident memory of the allocator's own structures"),
	G(dirty_bytes, "free and resident"),
	G(slab_given_bytes, "free in slabs and given back"),
	G(sheaf_bytes, "free objects in sheaves and barns"),
	G(vmalloc_bytes, "areas with a mapping of their own, in use"),
	G(huge_bytes, "asked for as huge pages"),
	G(huge_free_bytes, "free in huge pages that are partly in use"),
	G(internal_bytes, "rounding of the live objects up to their classes, as sampled"),
	G(external_bytes, "free in slabs and sheaves, and not given back"),
	G(threads, "threads that have sheaves"),
	G(areas, "areas with a mapping of their own, in use"),
	C(mmap_calls, "calls of mmap"),
	C(munmap_calls, "calls of munmap"),
	C(madvise_calls, "calls of madvise"),
	C(mprotect_calls, "calls of mprotect"),
	C(mremap_calls, "calls of mremap"),
	C(slabs_made, "slabs made"),
	C(refills, "batches of objects taken from slabs"),
	C(refilled_objs, "their objects"),
	C(flushes, "batches of objects given to slabs"),
	C(flushed_objs, "their objects"),
	C(sheaf_swaps, "times that a thread went on with its spare sheaf"),
	C(barn_gets, "sheaves taken out of barns"),
	C(barn_puts, "sheaves put into barns"),
	G(remote_bytes,
	  "freed by threads beyond what they took: other threads' memory, at the least"),
	C(large_allocs, "large blocks allocated"),
	C(large_frees, "large blocks freed"),
	C(large_asked_bytes, "bytes of the large blocks, as they were asked for"),
	C(large_rounded_bytes, "the same, rounded up to frames"),
	C(purged_bytes, "memory given back, its address space kept"),
	C(unmapped_bytes, "memory given back with its address space"),
	C(lock_waits, "times that a thread slept for a lock"),
	C(mbind_calls, "ranges that were to be bound to a node"),
	C(mbind_refused, "of them, those that the system would not bind"),
	G(pressure_sources, "ways in which the kernel tells of pressure, in use"),
	C(pressure_dropped, "of them, those whose descriptor the program closed"),
	C(kshrinkd_wakeups, "times that kshrinkd woke up"),
	G(peak_frames_bytes, "the most bytes of frames in use at once"),
	G(peak_vmalloc_bytes, "the most bytes of areas in use at once"),
	G(peak_mapped_bytes, "the most address space at once"),
	G(peak_resident_bytes, "the most of the process that was resident, as the kernel counts"),
	G(peak_threads, "the most threads with sheaves at once"),
	G(unread, "parts that changed all the time while they were read"),
};
const u32 nr_heap_fields = ARRAY_SIZE(heap_fields);
#undef G
#undef C

#define G(name, help) GAUGE(cache_detail, name, help)
#define C(name, help) COUNT(cache_detail, name, help)
const struct stat_field cache_fields[] = {
	G(active_objs, "objects that the program holds"),
	G(num_objs, "objects in all slabs"),
	G(objsize, "bytes of an object"),
	G(objperslab, "objects of a slab"),
	G(pagesperslab, "4 KiB frames of a slab"),
	G(active_slabs, "slabs with objects in use"),
	G(num_slabs, "slabs"),
	G(sheaf_objs, "free objects in sheaves and the barn"),
	G(slab_bytes, "bytes of the slabs"),
	G(given_bytes, "bytes in the slabs that were given back"),
	G(waste_bytes, "resident bytes of the slabs that no object of the program's takes"),
	G(internal_bytes, "bytes of the program's objects that it did not ask for, as sampled"),
	C(slabs_made, "slabs made"),
	C(refills, "batches of objects taken from slabs"),
	C(refilled_objs, "their objects"),
	C(flushes, "batches of objects given to slabs"),
	C(flushed_objs, "their objects"),
	C(barn_gets, "sheaves taken out of the barn"),
	C(barn_puts, "sheaves put into the barn"),
	G(changing, "1: it never stood still while it was read"),
};
const u32 nr_cache_fields = ARRAY_SIZE(cache_fields);
#undef G
#undef C

#define G(name, help) GAUGE(zone_detail, name, help)
#define C(name, help) COUNT(zone_detail, name, help)
const struct stat_field zone_fields[] = {
	G(present, "frames of all regions"),
	G(free, "free frames"),
	G(dirty, "free frames that are resident"),
	G(huge, "frames asked for as huge pages"),
	G(huge_free, "free frames in huge pages that are partly in use"),
	C(taken, "frames handed out"),
	G(peak_used, "the most frames in use at once"),
	G(regions, "regions of 64 MiB, or parts of such"),
};
const u32 nr_zone_fields = ARRAY_SIZE(zone_fields);
#undef G
#undef C

#define C(name, help) COUNT(node_detail, name, help)
static const struct stat_field node_fields[] = {
	C(numa_hit, "bytes that were wanted from here and came from here"),
	C(numa_miss, "bytes that came from here and were wanted from another node"),
	C(numa_foreign, "bytes that were wanted from here and came from another node"),
	C(interleave_hit, "bytes of numa_hit that the program's policy of taking turns wanted"),
	C(local_node, "bytes that came from here, for threads that ran here"),
	C(other_node, "bytes that came from here, for threads that ran on another node"),
	C(remote_free, "bytes from here that threads on other nodes freed"),
	C(fallback, "bytes of numa_foreign that the system took elsewhere: this node was full"),
};
#undef C

#define G(name, help) GAUGE(cache_node_detail, name, help)
#define C(name, help) COUNT(cache_node_detail, name, help)
static const struct stat_field cache_node_fields[] = {
	G(active_objs, "objects from here that the program holds"),
	G(num_objs, "objects in all slabs here"),
	G(num_slabs, "slabs here"),
	C(numa_hit, "objects that were wanted from here and came from here"),
	C(numa_miss, "objects that came from here and were wanted from another node"),
	C(numa_foreign, "objects that were wanted from here and came from another node"),
	C(interleave_hit, "objects of numa_hit that the program's policy of taking turns wanted"),
	C(local_node, "objects that came from here, for threads that ran here"),
	C(other_node, "objects that came from here, for threads that ran on another node"),
	C(remote_free, "objects from here that threads on other nodes freed"),
};
#undef G
#undef C

#define G(name, help) GAUGE(thread_detail, name, help)
#define C(name, help) COUNT(thread_detail, name, help)
const struct stat_field thread_fields[] = {
	G(sheaf_objs, "free objects in its sheaves"),
	G(sheaf_bytes, "their bytes"),
	G(pcp_pages, "free frames in its page sets"),
	C(swaps, "times that it went on with its spare sheaf"),
	C(barn_gets, "sheaves that it took out of barns"),
	C(barn_puts, "sheaves that it put into barns"),
	C(refills, "batches of objects that it took from slabs"),
	C(flushes, "batches of objects that it gave to slabs"),
	C(taken_bytes, "bytes of objects that it took from slabs and barns"),
	C(given_bytes, "bytes of objects that it gave to slabs and barns"),
	G(remote_bytes, "bytes that it freed beyond what it took: other threads', at the least"),
};
const u32 nr_thread_fields = ARRAY_SIZE(thread_fields);
#undef G
#undef C

#define G(name, help) GAUGE(kfence_counts, name, help)
#define C(name, help) COUNT(kfence_counts, name, help)
const struct stat_field kfence_fields[] = {
	G(allocated, "guarded objects in use"),
	C(allocations, "guarded objects handed out"),
	C(frees, "guarded objects freed"),
	C(bugs, "errors found"),
	C(skipped_unfit, "samples not taken: the request does not fit a page"),
	C(skipped_full, "samples not taken: all guarded pages are in use"),
	C(skipped_covered, "samples not taken: the call stack is in the pool already"),
};
const u32 nr_kfence_fields = ARRAY_SIZE(kfence_fields);
#undef G
#undef C

#define G(name, help) GAUGE(call_detail, name, help)
#define C(name, help) COUNT(call_detail, name, help)
static const struct stat_field call_fields[] = {
	C(made, "system calls of this kind"),
	C(ns, "time spent in them"),
	G(most_ns, "the longest"),
};
#undef G
#undef C

#define G(name, help) GAUGE(path_detail, name, help)
#define C(name, help) COUNT(path_detail, name, help)
static const struct stat_field path_fields[] = {
	G(every, "one call in so many is timed"),
	C(timed, "calls of the slow path that were timed"),
	C(ns, "time that those took"),
	G(most_ns, "the longest"),
};
#undef G
#undef C

#define G(name, help) GAUGE(pressure_detail, name, help)
#define C(name, help) COUNT(pressure_detail, name, help)
static const struct stat_field pressure_fields[] = {
	G(listening, "1: the kernel is asked to tell"),
	C(events, "times that it told of pressure"),
	C(answers, "times that memory was given back for it"),
	C(bytes, "bytes given back"),
	C(ns, "time from the events to the last bytes given back"),
	G(most_ns, "the longest"),
};
#undef G
#undef C

#define G(name, help) GAUGE(shrinker_detail, name, help)
#define C(name, help) COUNT(shrinker_detail, name, help)
static const struct stat_field shrinker_fields[] = {
	C(calls, "times that it was asked"),
	C(bytes, "bytes moved on to the next, or given back"),
	C(ns, "time spent in it"),
	G(most_ns, "the longest"),
};
#undef G
#undef C

#define G(name, help) GAUGE(pool_detail, name, help)
static const struct stat_field pool_fields[] = {
	G(element_size, "bytes of an element; 0: unknown"),
	G(min_nr, "elements that the reserve is to have"),
	G(curr_nr, "elements that it has"),
	G(out, "elements that the program holds"),
};
#undef G

static const struct stat_names names[NR_STAT_TABLES] = {
	[STAT_TOTALS] = { "totals", "", "", "", "", "" },
	[STAT_KFENCE] = { "kfence", "kfence_", "", "", "", "" },
	[STAT_CACHES] = { "caches", "cache_", "id", "name", "cache", "" },
	[STAT_ZONES] = { "zones", "zone_", "node", "zone", "zone", "" },
	[STAT_NODES] = { "nodes", "node_", "node", "", "", "" },
	[STAT_CACHE_NODES] = { "cache_nodes", "cache_node_", "id", "name", "cache", "node" },
	[STAT_THREADS] = { "threads", "thread_", "tid", "", "", "" },
	[STAT_CALLS] = { "calls", "system_call_", "", "name", "call", "" },
	[STAT_SLOW_PATHS] = { "slow_paths", "slow_path_", "", "name", "path", "" },
	[STAT_PRESSURES] = { "pressures", "pressure_", "", "name", "source", "" },
	[STAT_SHRINKERS] = { "shrinkers", "shrink_", "", "name", "shrinker", "" },
	[STAT_MEMPOOLS] = { "mempools", "mempool_", "id", "name", "pool", "" },
};
/* clang-format on */

/* The names lie in one array: pointers would be relocated at start. */
const char *stat_call_name(u32 i)
{
	static const char call_names[NR_CALLS][12] = { "mmap",    "munmap", "mprotect",
						       "madvise", "mremap", "futex" };

	return call_names[i];
}

const struct stat_names *stat_names(enum stat_table table)
{
	return &names[table];
}

const struct stat_field *stat_fields(enum stat_table table, u32 *nr)
{
#define FIELDS(array) (*nr = ARRAY_SIZE(array), (array))
	switch (table) {
	case STAT_TOTALS:
		return FIELDS(heap_fields);
	case STAT_KFENCE:
		return FIELDS(kfence_fields);
	case STAT_CACHES:
		return FIELDS(cache_fields);
	case STAT_ZONES:
		return FIELDS(zone_fields);
	case STAT_NODES:
		return FIELDS(node_fields);
	case STAT_CACHE_NODES:
		return FIELDS(cache_node_fields);
	case STAT_THREADS:
		return FIELDS(thread_fields);
	case STAT_CALLS:
		return FIELDS(call_fields);
	case STAT_SLOW_PATHS:
		return FIELDS(path_fields);
	case STAT_PRESSURES:
		return FIELDS(pressure_fields);
	case STAT_SHRINKERS:
		return FIELDS(shrinker_fields);
	default:
		return FIELDS(pool_fields);
	}
#undef FIELDS
}
