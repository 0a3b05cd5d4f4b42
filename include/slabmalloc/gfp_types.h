/* SPDX-License-Identifier: MIT */
/*
 * gfp_types.h - what an allocation may do and where its memory may come from ("get free pages" flags).
 *
 * A request without __GFP_DIRECT_RECLAIM is atomic: it makes no system call and waits for no lock, so it
 * gets what is at hand, or NULL.
 */
#pragma once

typedef unsigned int gfp_t;
typedef unsigned int slab_flags_t;

/* Where: addresses below 16 MiB, below 4 GiB, frames that need not be mapped. */
#define __GFP_DMA 0x01u
#define __GFP_HIGHMEM 0x02u
#define __GFP_DMA32 0x04u

/* How hard to try. */
#define __GFP_DIRECT_RECLAIM \
	0x10u /* may make system calls, wait for locks, give free memory back first */
#define __GFP_KSWAPD_RECLAIM 0x20u /* has no meaning here: every slow path looks after the heap */
#define __GFP_HIGH 0x40u /* may use what is set aside for atomic requests */
#define __GFP_NOFAIL 0x400u /* tries until it succeeds */
#define __GFP_NORETRY 0x800u /* does not reclaim */
#define __GFP_RETRY_MAYFAIL 0x2000u /* reclaims and tries again, as every request does here */
#define __GFP_RECLAIM (__GFP_DIRECT_RECLAIM | __GFP_KSWAPD_RECLAIM)

/* What else. */
#define __GFP_COMP 0x08u
#define __GFP_ZERO 0x100u /* every byte 0 */
#define __GFP_NOWARN 0x200u /* no line on stderr when it fails */
#define __GFP_THISNODE 0x1000u /* from the given node or not at all */
#define __GFP_ACCOUNT 0x4000u /* accepted */

#define GFP_KERNEL __GFP_RECLAIM
#define GFP_KERNEL_ACCOUNT (GFP_KERNEL | __GFP_ACCOUNT)
#define GFP_USER GFP_KERNEL
#define GFP_NOIO __GFP_RECLAIM
#define GFP_NOFS __GFP_RECLAIM
#define GFP_ATOMIC (__GFP_HIGH | __GFP_KSWAPD_RECLAIM)
#define GFP_NOWAIT (__GFP_KSWAPD_RECLAIM | __GFP_NOWARN)
#define GFP_DMA __GFP_DMA
#define GFP_DMA32 __GFP_DMA32
#define GFP_HIGHUSER (GFP_USER | __GFP_HIGHMEM)

/* The kernel's zones, as limits on addresses. */
enum zone_type { ZONE_DMA, ZONE_DMA32, ZONE_NORMAL, ZONE_HIGHMEM, MAX_NR_ZONES };
