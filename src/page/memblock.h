/* SPDX-License-Identifier: MIT */
/*
 * memblock.h - memory for the allocator's own structures (the kernel's early allocator gave the name).
 *
 * Chunks are mappings of their own, never beside user data. Blocks are powers of two from 64 bytes to
 * 64 KiB, carved once and kept on a list for each size; nothing is given back, so their sum is the
 * high-water mark of threads and sheaves. A block that nobody had before reads as zero but for its first word.
 */
#pragma once

#include "base/compiler.h"
#include "base/lock.h"

extern struct lock memblock_lock;

/* For who reads them from outside (stat/descriptor.h): what memblock_used() says; free blocks, by the power of two. */
extern size_t memblock_bytes;
extern struct free_block *memblock_free_blocks[];

/* At least size bytes, aligned to the block's size, or to a frame; NULL: no memory. */
void *memblock_alloc(size_t size);

/* The same, zeroed. */
void *memblock_zalloc(size_t size);

/* size as it was asked for. */
void memblock_free(void *p, size_t size);

/* Bytes handed out and not returned. */
size_t memblock_used(void);
