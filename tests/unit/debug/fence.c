// SPDX-License-Identifier: MIT
#include "fence.h"

#include <string.h>

#include "base/options.h"
#include "os/mem.h"

void start(const char *settings)
{
	strcpy(options.kfence, settings);
	weather.now_ms = 1000;
	kfence_init();
}

const struct kmem_cache *cache(size_t size)
{
	return cache_of(kmalloc_index(size));
}

SHOWN void *sample_zeroed(size_t size, gfp_t gfp)
{
	void *p;

	weather.now_ms += 100;
	check(kfence_wanted());
	p = kfence_alloc(cache(size), size, gfp, HERE);
	AND_BACK;
	return p;
}

SHOWN void *sample(size_t size)
{
	void *p = sample_zeroed(size, GFP_KERNEL);

	AND_BACK;
	return p;
}

SHOWN void give(void *p)
{
	kfence_free(p, &(struct call){ "free", p }, HERE);
	AND_BACK;
}

char *sample_at(bool right, size_t size)
{
	for (int i = 0; i < 1000; i++) {
		char *p = sample(size);

		check(p);
		if (right == ((uintptr_t)p % os_page_size() != 0))
			return p;
		give(p);
	}
	check(!"both sides are used");
	return NULL;
}
