/* SPDX-License-Identifier: MIT */
/*
 * compiler.h - the words of the kernel's C that everything else is written in.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#define noinline __attribute__((noinline))
#define __cold __attribute__((cold))
#define __aligned(n) __attribute__((aligned(n)))
#define __printf(a, b) __attribute__((format(printf, a, b)))

/* clang-format off: it takes (a) - 1 for a cast */
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#define ALIGN(x, a) (((x) + (a)-1) & ~((__typeof__(x))(a)-1))
#define ALIGN_DOWN(x, a) ((x) & ~((__typeof__(x))(a)-1))
#define DIV_ROUND_UP(n, d) (((n) + (d)-1) / (d))
/* clang-format on */

#define min(a, b)                              \
	({                                     \
		__typeof__(a) min_a = (a);     \
		__typeof__(b) min_b = (b);     \
		min_a < min_b ? min_a : min_b; \
	})
#define max(a, b)                              \
	({                                     \
		__typeof__(a) max_a = (a);     \
		__typeof__(b) max_b = (b);     \
		max_a > max_b ? max_a : max_b; \
	})

/* Counters that many threads bump and a dump reads: no order is implied. */
#define counter_add(c, n) ((void)__atomic_fetch_add(&(c), (n), __ATOMIC_RELAXED))
#define counter_sub(c, n) ((void)__atomic_fetch_sub(&(c), (n), __ATOMIC_RELAXED))
#define counter_read(c) __atomic_load_n(&(c), __ATOMIC_RELAXED)

/* A plain access that the compiler neither tears nor repeats; orders nothing. */
#define READ_ONCE(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELAXED)

/* One thread at a time writes it, under a lock; others may read it meanwhile. */
#define ADD_ONCE(x, n) WRITE_ONCE(x, (x) + (n))
#define SUB_ONCE(x, n) WRITE_ONCE(x, (x) - (n))

/*
 * On a fast path, in memory that is its thread's own or is published with what lies behind it: plain accesses, in an
 * order that the machine keeps or the kernel does (sheaf/asleep.c). ThreadSanitizer sees neither: it is told, by
 * AFTER_FAST that what was read before it was read before the memory is another's.
 */
#ifdef __SANITIZE_THREAD__
#define __reads_anything __attribute__((no_sanitize_thread))
#define READ_FAST(x) __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define WRITE_FAST(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELEASE)
#define AFTER_FAST(x) WRITE_FAST(x, x)
#else
#define __reads_anything
#define READ_FAST(x) (x)
#define WRITE_FAST(x, v) ((x) = (v))
#define AFTER_FAST(x) ((void)0)
#endif

/* The compiler moves no access to memory across this. */
#define barrier() __asm__ volatile("" : : : "memory")

#define KIB (1ul << 10)
#define MIB (1ul << 20)
#define GIB (1ul << 30)

/* True in buildtype=debug: both branches always compile, only one is kept. */
#ifdef SLABMALLOC_DEBUG
enum { config_debug = 1 };
#else
enum { config_debug = 0 };
#endif
