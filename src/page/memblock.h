/* SPDX-License-Identifier: MIT */
/*
 * memblock.h - memory for the allocator's own structures (the kernel's early allocator gave the name).
 *
 * Chunks are mappings of their own, never beside user data. Blocks are powers of two from 64 bytes to
 * 16 KiB, carved once and kept on a list for each size; nothing is given back, so their sum is the
 * high-water mark of threads and sheaves.
 */
#pragma once

#include "base/compiler.h"
#include "base/lock.h"

extern struct lock memblock_lock;

/* At least size bytes, aligned to the block's size; contents undefined; NULL: no memory. */
void *memblock_alloc(size_t size);

/* The same, zeroed. */
void *memblock_zalloc(size_t size);

/* size as it was asked for. */
void memblock_free(void *p, size_t size);

/* Bytes handed out and not returned. */
size_t memblock_used(void);
