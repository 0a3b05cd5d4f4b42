// SPDX-License-Identifier: MIT
/*
 * profile.c - samples: when one is due, and what is kept of it.
 */
#include "debug/profile.h"

#include <string.h>

#include "base/options.h"
#include "base/probe.h"
#include "debug/profile_math.h"
#include "debug/profile_tables.h"
#include "debug/random.h"
#include "os/mem.h"
#include "slab/kmem_cache.h"

size_t profile_interval;
struct lock profile_lock;
struct profile_site *profile_sites;
struct profile_frame *profile_frames;

enum { BUCKETS = 1 << 16, RUN_BYTES = 8192 };

#define ARENA_SIZE (256 * KIB)

struct sample {
	struct sample *next;
	uintptr_t hidden; /* where it is, inverted: who looks for leaks must find no pointer here */
	size_t n;
	u64 weight;
	struct profile_site *site;
};

/* A mapping, touched where it is used. */
struct tables {
	struct sample *sample[BUCKETS];
	struct profile_site *site[BUCKETS];
	struct profile_frame *frame[BUCKETS];
};

static struct tables *tables;
static struct sample *free_samples;
static char *arena;
static size_t arena_left;

/* What kmalloc_divert[] says of a class whose allocations are counted. */
static struct kmem_cache counted_class = { .name = "counted", .flags = SLAB_SAMPLED };
static struct kmem_cache *caches[NR_KMALLOC];
static u8 runs[NR_KMALLOC]; /* objects of one */

/* Bytes up to the next sample point. Forward from any byte they are distributed alike: the process has no memory. */
static size_t draw(void)
{
	double uniform = (double)((get_random_u64() >> 11) + 1) * 0x1p-53;

	return profile_interval > 1 ? (size_t)(-profile_ln(uniform) * (double)profile_interval) : 0;
}

static u64 weight_of(size_t size)
{
	double x = (double)max(size, (size_t)1) / (double)profile_interval;

	return profile_interval > 1 ? (u64)(PROFILE_UNIT / profile_probability(x) + 0.5)
				    : PROFILE_UNIT;
}

/* A thread's first point, too, must be drawn; 0 after that is a point that comes at once. */
static bool unknown(const struct counted *t)
{
	return !t->due[0];
}

static void begin(struct counted *t)
{
	t->due[0] = 1;
	t->until = draw();
}

u32 profile_reserve(struct kmem_percpu *c, u32 id)
{
	struct counted *t = &c->counted;
	size_t size = cache_of(id)->size;
	u32 want = READ_ONCE(runs[id]), got;

	if (unlikely(unknown(t)))
		begin(t);
	if (unlikely(t->due[id])) {
		got = min(t->due[id] - 1u, want);
		t->due[id] = (u8)(t->due[id] - max(got, 1u));
		return got;
	}
	if (likely(t->until >= want * size)) {
		t->until -= want * size;
		return want;
	}
	got = (u32)(t->until / size);
	t->until = draw();
	t->due[id] = got ? 1 : 0;
	return got;
}

static bool is_due(struct counted *t, size_t size)
{
	if (unlikely(unknown(t)))
		begin(t);
	if (likely(t->until >= size)) {
		t->until -= size;
		return false;
	}
	t->until = draw();
	return true;
}

void profile_count(struct kmem_percpu *c, void *p, size_t n, size_t size, const void *caller)
{
	if (c && is_due(&c->counted, size))
		profile_sample(p, n, size, caller);
}

static u32 hash_pointer(const void *p)
{
	return (u32)((uintptr_t)p * 0x9e3779b97f4a7c15ull >> 48) % BUCKETS;
}

static u32 hash_trace(const struct profile_trace *t)
{
	u64 h = t->nr;

	for (u32 i = 0; i < t->nr; i++)
		h = (h ^ (uintptr_t)t->pc[i]) * 0x9e3779b97f4a7c15ull;
	return (u32)(h >> 32);
}

static void *arena_alloc(size_t size)
{
	void *p;

	if (size > arena_left) {
		p = os_map(ARENA_SIZE);
		if (!p)
			return NULL;
		arena = p;
		arena_left = ARENA_SIZE;
	}
	p = arena;
	arena += size;
	arena_left -= size;
	return p;
}

static void add_frame(const void *pc)
{
	struct profile_frame **bucket = &tables->frame[hash_pointer(pc)], *f;

	for (f = *bucket; f; f = f->next)
		if (f->pc == pc)
			return;
	f = arena_alloc(sizeof(*f));
	if (!f)
		return;
	*f = (struct profile_frame){ .next = *bucket, .older = profile_frames, .pc = pc };
	*bucket = f;
	__atomic_store_n(&profile_frames, f, __ATOMIC_RELEASE);
}

static struct profile_site *find_site(const struct profile_trace *t)
{
	u32 hash = hash_trace(t);
	struct profile_site **bucket = &tables->site[hash % BUCKETS], *s;

	for (s = *bucket; s; s = s->next)
		if (s->hash == hash && s->nr == t->nr &&
		    !memcmp(s->pc, t->pc, t->nr * sizeof(t->pc[0])))
			return s;
	s = arena_alloc(sizeof(*s) + t->nr * sizeof(t->pc[0]));
	if (!s)
		return NULL;
	*s = (struct profile_site){
		.next = *bucket, .older = profile_sites, .hash = hash, .nr = t->nr
	};
	memcpy(s->pc, t->pc, t->nr * sizeof(t->pc[0]));
	for (u32 i = 0; i < t->nr; i++)
		add_frame(t->pc[i]);
	*bucket = s;
	__atomic_store_n(&profile_sites, s, __ATOMIC_RELEASE);
	return s;
}

static uintptr_t hide(const void *p)
{
	return ~(uintptr_t)p;
}

/* Takes the sample at p out; NULL: there is none. */
static struct sample *take_out(void *p)
{
	struct sample **link = &tables->sample[hash_pointer(p)], *s;

	for (; (s = *link); link = &s->next) {
		if (s->hidden == hide(p)) {
			WRITE_ONCE(*link, s->next);
			profile_count_freed(s->site, s->weight, s->n);
			s->next = free_samples;
			free_samples = s;
			return s;
		}
	}
	return NULL;
}

static bool put_in(void *p, size_t n, u64 weight, struct profile_site *site)
{
	struct sample **bucket = &tables->sample[hash_pointer(p)], *s;

	/* It may have gone by a way that does not come here, such as vfree. */
	take_out(p);
	s = free_samples;
	if (s)
		free_samples = s->next;
	else
		s = arena_alloc(sizeof(*s));
	if (!s)
		return false;
	*s = (struct sample){ *bucket, hide(p), n, weight, site };
	WRITE_ONCE(*bucket, s);
	site->samples++;
	site->sums.allocs += weight;
	site->sums.alloc_bytes += weight * n;
	return true;
}

noinline void profile_sample(void *p, size_t n, size_t size, const void *caller)
{
	u64 weight = weight_of(size);
	struct profile_trace t;
	struct profile_site *site;
	bool kept;

	profile_trace(&t, caller);
	lock(&profile_lock, RANK_PROFILE);
	site = find_site(&t);
	kept = site && put_in(p, n, weight, site);
	unlock(&profile_lock, RANK_PROFILE);
	if (kept)
		PROBE3(otel_memory, alloc, p, n, weight * n / PROFILE_UNIT);
	profile_look_for_trigger();
}

/* Whoever frees p holds it: if it is a sample, its bucket is not empty now, whatever others do. */
void profile_free(void *p)
{
	struct sample *s;

	if (likely(!READ_ONCE(tables->sample[hash_pointer(p)])))
		return;
	lock(&profile_lock, RANK_PROFILE);
	s = take_out(p);
	unlock(&profile_lock, RANK_PROFILE);
	if (s)
		PROBE1(otel_memory, free, p);
}

static void sampled_layout(struct kmem_cache *s)
{
	s->flags |= SLAB_SAMPLED;
}

struct kmem_cache *profile_cache(u32 id)
{
	struct kmem_cache *s = __atomic_load_n(&caches[id], __ATOMIC_ACQUIRE), *none = NULL;
	char name[CACHE_NAME_MAX] = "sampled-";
	size_t size = cache_of(id)->size;
	const struct cache_shape shape = {
		.name = name,
		.size = size,
		.align = min(size & -size, FRAME_SIZE),
		.flags = SLAB_DIVERTED | SLAB_NO_MERGE,
	};

	if (likely(s))
		return s;
	strcat(name, cache_of(id)->name);
	s = kmem_cache_new(&shape, sampled_layout);
	/* Two threads may both make one: the second takes its own back. */
	if (s && !__atomic_compare_exchange_n(&caches[id], &none, s, false, __ATOMIC_ACQ_REL,
					      __ATOMIC_ACQUIRE)) {
		kmem_cache_forget(s);
		s = none;
	}
	return s;
}

void profile_init(void)
{
	static bool done;

	if ((!options.profile[0] && !options.leaks) ||
	    __atomic_exchange_n(&done, true, __ATOMIC_RELAXED))
		return;
	profile_parse(options.profile, &profile_set);
	if (!profile_set.interval)
		return;
	tables = os_map(ALIGN(sizeof(*tables), os_page_size()));
	if (!tables || !counted_begin())
		printk("profile: %s: off", tables ? "there are threads already" : "no memory");
	else
		WRITE_ONCE(profile_interval, profile_set.interval);
}

void profile_divert(void)
{
	for (u32 id = 1; id < NR_KMALLOC; id++) {
		u32 n = (u32)RUN_BYTES / cache_of(id)->size;

		/* Its objects follow each other through the caches, where a program alone would use the hot one again. */
		WRITE_ONCE(runs[id], (u8)min(max(n, 1u), (u32)RUN_MAX));
		if (!kmalloc_divert[id])
			kmalloc_divert[id] = &counted_class;
	}
}
