// SPDX-License-Identifier: MIT
#include "slab/slab.h"

/* Class 0 has no size: no request and no frame belongs to it. */
const struct kmem_cache kmalloc_caches[NR_KMALLOC] = {
	{ .name = "none" },
#define KMALLOC(sz, nframes, nobjects, inv, ncolours, unit, quart) \
	{                                                          \
		.name = "kmalloc-" #sz,                            \
		.size = sz,                                        \
		.inverse = inv,                                    \
		.quarter = quart,                                  \
		.objects = nobjects,                               \
		.frames = nframes,                                 \
		.colours = ncolours,                               \
		.colour_unit = unit,                               \
	},
#include "kmalloc-table.h"
#undef KMALLOC
};

/*
 * Slabs start on a frame and colours keep the largest power of two that divides the size, so objects are
 * aligned to that. A power of two >= max(n, align) always qualifies.
 */
u32 kmalloc_index_aligned(size_t n, size_t align)
{
	if (n > KMALLOC_MAX)
		return 0;
	for (u32 k = kmalloc_index(max(n, align)); k < NR_KMALLOC; k++)
		if (!(kmalloc_caches[k].size & (align - 1)))
			return k;
	return 0;
}
