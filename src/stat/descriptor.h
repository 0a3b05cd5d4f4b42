/* SPDX-License-Identifier: MIT */
/*
 * descriptor.h - what a program that looks at the heap from outside must know: where things are, and how
 * they are laid out.
 *
 * The library exports one symbol for it, slabmalloc_descriptor: constant bytes, which nothing in the process reads.
 * What it points to is given as a distance from the symbol itself, so the loader has nothing to relocate. Its
 * parts, all little things of fixed size so that a script can read them, too:
 *
 *	magic[16]	DESCRIPTOR_MAGIC; also found by looking for it, in a program without symbols
 *	u32 version	DESCRIPTOR_VERSION: changes with what the layout list cannot tell
 *	u32 nr_addresses
 *	s64 layout	distance of the layout list
 *	char library[32]	the library's version
 *	addresses[]	s64 distance, char name[24]
 *
 * The layout list has an entry for each number that a reader needs: the size of a struct, offset and size of a field,
 * the value of a constant. It ends with an empty name. A reader in C compares the list with its own, which the
 * same headers make; a script looks names up.
 *
 * Not in the list, so a change raises DESCRIPTOR_VERSION: the bit fields of struct page, how the words of a slab's
 * bitmap are found, a slab's object numbers, what stands behind an object with debugging (tail, state), the
 * depot's records.
 */
#pragma once

#include "base/compiler.h"

#define DESCRIPTOR_MAGIC "slabmalloc heap"
#define DESCRIPTOR_SYMBOL "slabmalloc_descriptor"

#define DESCRIPTOR_VERSION 1

struct descriptor_field {
	char name[40];
	u32 value; /* bytes of a struct, a field's offset, a constant */
	u32 size; /* of a field; 0: it is none */
};

struct descriptor {
	char magic[16];
	u32 version;
	u32 nr_addresses;
	int64_t layout;
	char library[32];
};

struct descriptor_address {
	int64_t distance;
	char name[24];
};

/* Variables of the library, by name. */
#define DESCRIPTOR_ADDRESSES(A) \
	A(mem)                  \
	A(zones)                \
	A(low_zones)            \
	A(numa)                 \
	A(node_zones)           \
	A(node_caches)          \
	A(node_barns)           \
	A(highmem_zone)         \
	A(kmalloc_caches)       \
	A(kmalloc_shift)        \
	A(typed_caches)         \
	A(cache_nodes)          \
	A(cache_end)            \
	A(barns)                \
	A(threads)              \
	A(nr_threads)           \
	A(nr_threads_most)      \
	A(ended_events)         \
	A(large_stats)          \
	A(vm)                   \
	A(os_stats)             \
	A(options)              \
	A(memblock_bytes)       \
	A(memblock_free_blocks) \
	A(stack_depot)          \
	A(debug_bytes_asked)    \
	A(kfence_gate)          \
	A(kfence)               \
	A(node_events)          \
	A(numa_calls)           \
	A(slow_paths)           \
	A(os_pressure_state)    \
	A(pressure_stats)       \
	A(shrink_stats)         \
	A(kshrinkd_wakeups)     \
	A(mempools)

/* S: a struct; F: one of its fields; C: a constant. */
#define DESCRIPTOR_LAYOUT(S, F, C)      \
	C(FRAME_SHIFT)                  \
	C(REGION_SHIFT)                 \
	C(SECTION_SHIFT)                \
	C(ADDRESS_BITS)                 \
	C(MAX_ORDER)                    \
	C(MAP_WORDS)                    \
	C(MAX_NUMNODES)                 \
	C(NR_ZONES)                     \
	C(NR_KMALLOC)                   \
	C(GATE)                         \
	C(TYPED_FIRST)                  \
	C(NR_CACHES)                    \
	C(CLASS_UNIT)                   \
	C(NUMA_MANY)                    \
	C(PANEL)                        \
	C(NR_PANELS)                    \
	S(numa)                         \
	F(numa, state)                  \
	F(numa, nr)                     \
	F(numa, nid)                    \
	C(NR_FULLNESS)                  \
	C(PCP_ORDERS)                   \
	C(VM_HASH_SIZE)                 \
	C(NR_KINDS)                     \
	C(PAGE_BUDDY)                   \
	C(PAGE_PCP)                     \
	C(PAGE_SLAB)                    \
	C(PAGE_TAIL)                    \
	C(PAGE_LARGE)                   \
	C(PAGE_KEPT)                    \
	C(PAGE_ALLOC)                   \
	C(SLAB_STORE_USER)              \
	C(SLAB_DEBUG_FLAGS)             \
	C(STATE_MAGIC)                  \
	C(PHASE_MASK)                   \
	C(PHASE_FREE)                   \
	C(PHASE_MOVING)                 \
	C(PHASE_USED)                   \
	C(STACK_DEPTH)                  \
	S(page)                         \
	F(page, type)                   \
	F(page, order)                  \
	F(page, cache)                  \
	F(page, given)                  \
	F(page, frames)                 \
	F(page, head)                   \
	F(page, kind)                   \
	F(page, inuse)                  \
	F(page, colour)                 \
	F(page, map)                    \
	F(page, link)                   \
	F(page, more_map)               \
	S(region)                       \
	F(region, base)                 \
	F(region, frames)               \
	F(region, committed)            \
	F(region, huge)                 \
	F(region, link)                 \
	F(region, page)                 \
	F(region, map_ext)              \
	S(mem_section)                  \
	F(mem_section, region)          \
	F(mem_section, class_map)       \
	F(mem, root)                    \
	F(mem, none)                    \
	S(free_area)                    \
	F(free_area, nr)                \
	S(zone)                         \
	F(zone, lock)                   \
	F(zone, nid)                    \
	F(zone, limit)                  \
	F(zone, nr_regions)             \
	F(zone, free_area)              \
	F(zone, regions)                \
	F(zone, nr_present)             \
	F(zone, nr_free)                \
	F(zone, nr_dirty)               \
	F(zone, nr_huge_free)           \
	F(zone, nr_taken)               \
	F(zone, nr_huge)                \
	F(zone, numa)                   \
	F(zone, nr_fallback)            \
	S(kmem_cache)                   \
	F(kmem_cache, name)             \
	F(kmem_cache, size)             \
	F(kmem_cache, inverse)          \
	F(kmem_cache, objects)          \
	F(kmem_cache, frames)           \
	F(kmem_cache, colour_unit)      \
	F(kmem_cache, class)            \
	F(kmem_cache, object_size)      \
	F(kmem_cache, flags)            \
	F(kmem_cache, refcount)         \
	F(kmem_cache, red_left_pad)     \
	F(kmem_cache, inuse)            \
	F(kmem_cache, track)            \
	S(kmem_cache_node)              \
	F(kmem_cache_node, lock)        \
	F(kmem_cache_node, nr_slabs)    \
	F(kmem_cache_node, nr_empty)    \
	F(kmem_cache_node, nr_free)     \
	F(kmem_cache_node, nr_given)    \
	S(slab_sheaf)                   \
	F(slab_sheaf, next)             \
	F(slab_sheaf, size)             \
	F(slab_sheaf, capacity)         \
	S(sheaf_slot)                   \
	F(sheaf_slot, top)              \
	F(sheaf_slot, base)             \
	F(sheaf_slot, limit)            \
	F(sheaf_slot, spare)            \
	S(kmem_percpu)                  \
	F(kmem_percpu, slot)            \
	F(kmem_percpu, tid)             \
	F(kmem_percpu, bytes)           \
	F(kmem_percpu, pcp)             \
	F(kmem_percpu, link)            \
	F(kmem_percpu, typed_slot)      \
	F(kmem_percpu, panels)          \
	F(per_cpu_pages, list)          \
	F(per_cpu_pages, count)         \
	F(kmem_percpu, events)          \
	S(sheaf_events)                 \
	S(large_stats)                  \
	F(kmem_cache_node, asked)       \
	F(kmem_cache_node, nr_refills)  \
	F(barn, gets)                   \
	S(barn)                         \
	F(barn, nr)                     \
	F(barn, full)                   \
	S(vm)                           \
	F(vm, nr_used)                  \
	F(vm, nr_cached)                \
	F(vm, used_bytes)               \
	F(vm, cached_bytes)             \
	F(vm, cache)                    \
	F(vm, table)                    \
	S(vm_struct)                    \
	F(vm_struct, link)              \
	F(vm_struct, addr)              \
	F(vm_struct, size)              \
	S(cache_events)                 \
	F(cache_events, numa)           \
	F(cache_events, remote)         \
	S(numa_calls)                   \
	C(NR_SLOW_PATHS)                \
	S(latency)                      \
	F(latency, most_ns)             \
	F(latency, bucket)              \
	C(NR_PRESSURE_SOURCES)          \
	S(pressure_stat)                \
	F(pressure_stat, bytes)         \
	F(pressure_stat, longest_ns)    \
	C(NR_OWN_SHRINKERS)             \
	S(shrink_stat)                  \
	F(shrink_stat, longest_ns)      \
	S(mempool)                      \
	F(mempool, curr_nr)             \
	F(mempool, element_size)        \
	F(mempool, id)                  \
	F(mempool, next)                \
	F(mempool, name)                \
	F(mempool, out)                 \
	S(os_stats)                     \
	F(os_stats, mmap)               \
	F(os_stats, munmap)             \
	F(os_stats, mprotect)           \
	F(os_stats, madvise)            \
	F(os_stats, mremap)             \
	F(os_stats, mapped)             \
	S(options)                      \
	F(options, dirty_min)           \
	F(options, dirty_max)           \
	S(track)                        \
	F(track, addr)                  \
	F(track, when_ms)               \
	F(track, handle)                \
	F(track, pid)                   \
	S(tail)                         \
	F(tail, orig_size)              \
	F(tail, state)                  \
	S(kfence_gate)                  \
	F(kfence_gate, pool)            \
	F(kfence_gate, size)            \
	S(kfence_pool)                  \
	F(kfence_pool, set)             \
	F(kfence_pool, object)          \
	F(kfence_pool, queued)          \
	F(kfence_pool, allocations)     \
	F(kfence_pool, frees)           \
	F(kfence_pool, bugs)            \
	F(kfence_pool, skipped_other)   \
	F(kfence_pool, skipped_full)    \
	F(kfence_pool, skipped_covered) \
	F(kfence_settings, num_objects) \
	F(kfence_settings, num_large)   \
	S(kfence_metadata)              \
	F(kfence_metadata, state)       \
	F(kfence_metadata, address)     \
	F(kfence_metadata, size)        \
	F(kfence_metadata, name)        \
	F(kfence_metadata, alloc)       \
	F(kfence_metadata, free)        \
	F(kfence_track, thread)         \
	F(kfence_track, stack)          \
	F(stack, nr)                    \
	F(stack, pc)

/* The list as an initializer of struct descriptor_field[]. */
#define DESCRIPTOR_STRUCT(s) { .name = #s, .value = (u32)sizeof(struct s) },
#define DESCRIPTOR_FIELD(s, f)                 \
	{ .name = #s "." #f,                   \
	  .value = (u32)offsetof(struct s, f), \
	  .size = (u32)sizeof(((struct s *)0)->f) },
#define DESCRIPTOR_CONSTANT(c) { .name = #c, .value = (u32)(c) },
#define DESCRIPTOR_LAYOUT_INIT                                                              \
	{                                                                                   \
		DESCRIPTOR_LAYOUT(DESCRIPTOR_STRUCT, DESCRIPTOR_FIELD, DESCRIPTOR_CONSTANT) \
		{                                                                           \
			.name = ""                                                          \
		}                                                                           \
	}
