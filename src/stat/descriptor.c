// SPDX-License-Identifier: MIT
#include "stat/descriptor.h"

#include "base/options.h"
#include "debug/kfence_pool.h"
#include "debug/slub_debug_internal.h"
#include "os/latency.h"
#include "os/mem.h"
#include "os/pressure.h"
#include "page/highmem.h"
#include "page/large.h"
#include "page/memblock.h"
#include "page/vmalloc.h"
#include "pool/mempool.h"
#include "reclaim/kshrinkd.h"
#include "reclaim/pressure.h"
#include "reclaim/vmscan.h"
#include "sheaf/barn.h"

extern const struct descriptor_field descriptor_layout[];
const struct descriptor_field descriptor_layout[] = DESCRIPTOR_LAYOUT_INIT;

/*
 * Written for the assembler: a difference of two symbols is no constant of C, and the pointers that would be are
 * relocated when a process starts.
 */
#define STRING(x) #x
#define NUMBER(x) STRING(x)
#define COUNT(name) +1
#define ADDRESS(name) ".quad " #name " - " DESCRIPTOR_SYMBOL "\n.asciz \"" #name "\"\n.balign 32\n"

/* clang-format off: a line of assembler each */
__asm__(".pushsection .rodata." DESCRIPTOR_SYMBOL ", \"a\"\n"
	".balign 32\n"
	".globl " DESCRIPTOR_SYMBOL "\n"
	".type " DESCRIPTOR_SYMBOL ", %object\n" DESCRIPTOR_SYMBOL ":\n"
	".asciz \"" DESCRIPTOR_MAGIC "\"\n"
	".long " NUMBER(
		DESCRIPTOR_VERSION) "\n"
				    ".long 0" NUMBER(DESCRIPTOR_ADDRESSES(
					    COUNT)) "\n"
						    ".quad descriptor_layout - " DESCRIPTOR_SYMBOL
						    "\n"
						    ".asciz \"" SLABMALLOC_VERSION "\"\n"
						    ".balign 32\n" DESCRIPTOR_ADDRESSES(
							    ADDRESS) ".size " DESCRIPTOR_SYMBOL
								     ", . - " DESCRIPTOR_SYMBOL "\n"
								     ".popsection");
/* clang-format on */
