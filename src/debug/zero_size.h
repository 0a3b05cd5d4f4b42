/* SPDX-License-Identifier: MIT */
/*
 * zero_size.h - hardening's blocks of no bytes: malloc(0) returns an address that nobody can touch, as the kernel's
 * ZERO_SIZE_PTR, but each time another one, until it is freed.
 *
 * They lie side by side in space that is reserved and never backed; a bitmap tells which are in use. No locks: of two
 * who want the same bit one gets it. Where all are in use, malloc(0) gives an object of its smallest class.
 */
#pragma once

#include "base/bug.h"

struct zero_size_gate {
	uintptr_t start; /* of the space ... */
	size_t size; /* ... and its bytes; 0: off */
};

extern struct zero_size_gate zero_size_gate;

/* Any pointer. */
static inline bool is_zero_size(const void *p)
{
	return unlikely((uintptr_t)p - zero_size_gate.start < READ_ONCE(zero_size_gate.size));
}

/* Reserves the space, once; without memory it stays off. */
void zero_size_boot(void);

/* NULL: off, or all are in use. */
void *zero_size_alloc(void);

/* The pointer is_zero_size. False: no block in use starts there; it was reported. */
bool zero_size_free(const struct call *call);
bool zero_size_in_use(const struct call *call);
