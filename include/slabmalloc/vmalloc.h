/* SPDX-License-Identifier: MIT */
/*
 * vmalloc.h - large memory with a mapping of its own, and contiguous views of scattered frames.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "slabmalloc/gfp.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * vmalloc() - allocate whole pages with a mapping of their own
 * @size: bytes; 0 gives NULL
 *
 * Return: the memory, for vfree(); NULL and errno ENOMEM: no memory.
 */
void *vmalloc(unsigned long size) __asm__("slabmalloc_vmalloc");

/* The same, zeroed; and on a node, whoever touches it first. */
void *vzalloc(unsigned long size) __asm__("slabmalloc_vzalloc");
void *vmalloc_node(unsigned long size, int node) __asm__("slabmalloc_vmalloc_node");

/* What vmalloc gave, or NULL. (Blocks of malloc above 32 MiB are the same, and free() takes either.) Anything else is reported. */
void vfree(const void *addr) __asm__("slabmalloc_vfree");

/* Flags and protections of vmap have one value each: a mapping that can be read and written. */
#define VM_MAP 0x04ul
typedef struct {
	unsigned long pgprot;
} pgprot_t;
#ifdef __cplusplus
#define PAGE_KERNEL (pgprot_t{ 0 })
#else
#define PAGE_KERNEL ((pgprot_t){ 0 })
#endif

/**
 * vmap() - frames side by side
 * @pages: frames of ZONE_HIGHMEM (alloc_page(GFP_HIGHUSER)), in the order in which they shall lie
 * @count: how many
 * @flags: VM_MAP
 * @prot: PAGE_KERNEL
 *
 * Frames of the other zones are private memory of the process, which cannot be mapped twice: for those it
 * is an error that a line tells of (in the kernel any page will do). Nor can it be done where the system's pages are larger
 * than PAGE_SIZE. The frames belong to the caller still, who frees them after vunmap().
 *
 * Return: the address; NULL and errno EINVAL or ENOMEM.
 */
void *vmap(struct page **pages, unsigned int count, unsigned long flags,
	   pgprot_t prot) __asm__("slabmalloc_vmap");

/* Ends a view; NULL is ignored. */
void vunmap(const void *addr) __asm__("slabmalloc_vunmap");

/* Does it lie in an area of vmalloc (one of malloc's, too) or in a view of vmap? */
bool is_vmalloc_addr(const void *addr) __asm__("slabmalloc_is_vmalloc_addr");

#ifdef __cplusplus
}
#endif
