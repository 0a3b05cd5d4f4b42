// SPDX-License-Identifier: MIT
#include "debug/kfence.h"

#include <string.h>

#include "base/bitops.h"
#include "base/options.h"
#include "debug/kfence_pool.h"
#include "os/mem.h"
#include "os/signal.h"

enum { COVERED = 1 << 10, COVERED_DEPTH = 8, MALLOC_ALIGN = 16 };

struct kfence_gate kfence_gate;
struct kfence_pool kfence;
struct lock kfence_lock;

static uintptr_t object_page(const struct kfence_metadata *m)
{
	return kfence_gate.pool + (2ul * kfence_number(m) + 1) * os_page_size();
}

/* The object whose page an address lies in, or NULL: it is a guard's. */
static struct kfence_metadata *object_at(uintptr_t address)
{
	size_t page = (address - kfence_gate.pool) / os_page_size();

	return page % 2 ? &kfence.object[page / 2] : NULL;
}

static void set_track(struct kfence_track *t, const struct stack *stack)
{
	t->ns = os_now_ns();
	t->thread = os_thread_id();
	t->cpu = os_cpu();
	t->stack = *stack;
}

/*
 * A stack is covered if objects in use have it, about: two of the counters that it is hashed to say so (Bloom). When
 * the pool fills up, such stacks are not sampled again, so that long-lived objects of the most frequent ones do not
 * take all of it.
 */
static u32 stack_hash(const struct stack *t)
{
	u64 h = 0;

	for (u32 i = 0; i < min(t->nr, (u32)COVERED_DEPTH); i++)
		h = (h ^ (uintptr_t)t->pc[i]) * 0x9e3779b97f4a7c15ull;
	return (u32)(h >> 32);
}

static bool is_covered(u32 hash)
{
	return READ_ONCE(kfence.covered[hash % COVERED]) &&
	       READ_ONCE(kfence.covered[hash / COVERED % COVERED]);
}

static void cover(u32 hash, int change)
{
	counter_add(kfence.covered[hash % COVERED], (u16)change);
	counter_add(kfence.covered[hash / COVERED % COVERED], (u16)change);
}

static bool is_filling_up(void)
{
	size_t n = kfence.set.num_objects;

	return (n - READ_ONCE(kfence.queued)) * 100 > n * kfence.set.skip_covered_thresh;
}

/* Takes the object that has been free for longest, or NULL; right: where it is to lie. */
static struct kfence_metadata *dequeue(bool *right)
{
	struct kfence_metadata *m = NULL;

	lock(&kfence_lock, RANK_KFENCE);
	if (kfence.queued) {
		m = &kfence.object[kfence.queue[kfence.head]];
		kfence.head = (kfence.head + 1) % (u32)kfence.set.num_objects;
		SUB_ONCE(kfence.queued, 1);
	}
	kfence.random ^= kfence.random >> 12;
	kfence.random ^= kfence.random << 25;
	kfence.random ^= kfence.random >> 27;
	*right = kfence.random * 0x2545f4914f6cdd1dull >> 63;
	unlock(&kfence_lock, RANK_KFENCE);
	return m;
}

static void enqueue(struct kfence_metadata *m)
{
	lock(&kfence_lock, RANK_KFENCE);
	kfence.queue[(kfence.head + kfence.queued) % (u32)kfence.set.num_objects] =
		kfence_number(m);
	ADD_ONCE(kfence.queued, 1);
	unlock(&kfence_lock, RANK_KFENCE);
}

static void fill_canary(uintptr_t p, uintptr_t end)
{
	for (; p < end; p++)
		*(u8 *)p = kfence_canary(p);
}

/* The first byte that is not as it was, or end. */
static uintptr_t check_canary(uintptr_t p, uintptr_t end)
{
	while (p < end && *(const u8 *)p == kfence_canary(p))
		p++;
	return p;
}

static size_t alignment(const struct kmem_cache *s)
{
	return s->id >= TYPED_FIRST && s->align ? s->align : MALLOC_ALIGN;
}

static bool suits(const struct kmem_cache *s, size_t size, gfp_t gfp)
{
	return size <= os_page_size() && alignment(s) <= os_page_size() &&
	       gfp & __GFP_DIRECT_RECLAIM && !(gfp & (__GFP_DMA | __GFP_DMA32 | __GFP_HIGHMEM)) &&
	       (s->id < TYPED_FIRST || s->zone == ZONE_NORMAL);
}

/* One caller gets the sample that is due. */
static bool take_sample(void)
{
	u64 now = os_now_ms(), next = READ_ONCE(kfence_gate.next_ms);
	u32 left = READ_ONCE(kfence_gate.burst);

	while (left)
		if (__atomic_compare_exchange_n(&kfence_gate.burst, &left, left - 1, false,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return true;
	if (now < next || !__atomic_compare_exchange_n(&kfence_gate.next_ms, &next,
						       now + kfence.set.sample_interval, false,
						       __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return false;
	WRITE_ONCE(kfence_gate.burst, (u32)kfence.set.burst);
	return true;
}

/* The guard page that an error opened is one again. */
static void close_guard(struct kfence_metadata *m)
{
	uintptr_t page = __atomic_exchange_n(&m->unprotected, 0, __ATOMIC_RELAXED);

	if (page)
		os_protect((void *)page, os_page_size(), false);
}

/* Places an object of size bytes on its page, and everything around it. */
static void lay_out(struct kfence_metadata *m, const struct kmem_cache *s, size_t size, bool right)
{
	uintptr_t page = object_page(m), end = page + os_page_size();

	m->address = right ? end - ALIGN(size, alignment(s)) : page;
	m->size = size;
	WRITE_ONCE(m->cache, s->id);
	memcpy(m->name, s->name, sizeof(m->name));
	fill_canary(page, m->address);
	fill_canary(m->address + size, end);
}

noinline void *kfence_alloc(const struct kmem_cache *s, size_t size, gfp_t gfp, const void *caller)
{
	struct kfence_metadata *m;
	struct stack stack;
	bool right;
	u32 hash;

	size = max(size, (size_t)1);
	if (!suits(s, size, gfp)) {
		counter_add(kfence.skipped_other, 1);
		return NULL;
	}
	if (!take_sample())
		return NULL;
	stack_save(&stack, caller);
	hash = stack_hash(&stack);
	if (is_filling_up() && is_covered(hash)) {
		counter_add(kfence.skipped_covered, 1);
		return NULL;
	}
	m = dequeue(&right);
	if (!m || !os_protect((void *)object_page(m), os_page_size(), true)) {
		if (m)
			enqueue(m);
		counter_add(kfence.skipped_full, 1);
		return NULL;
	}
	close_guard(m);
	lay_out(m, s, size, right);
	m->hash = hash;
	cover(hash, 1);
	set_track(&m->alloc, &stack);
	if (gfp & __GFP_ZERO || s->flags & SLAB_INIT_ON_ALLOC)
		memset((void *)m->address, 0, size);
	__atomic_store_n(&m->state, KFENCE_ALLOCATED, __ATOMIC_RELEASE);
	counter_add(kfence.allocations, 1);
	return (void *)m->address;
}

static const char *access_name(const struct call *call)
{
	return strstr(call->function, "free") ? "free" : call->function;
}

void kfence_report_bad(const struct call *call, const void *caller)
{
	kfence_report(&(struct kfence_report){
		.error = KFENCE_INVALID_FREE,
		.address = (uintptr_t)call->ptr,
		.object = object_at((uintptr_t)call->ptr),
		.access = access_name(call),
		.pc = caller,
	});
}

static void check_around(const struct kfence_metadata *m, const void *caller)
{
	uintptr_t page = object_page(m), end = page + os_page_size();
	uintptr_t bad = check_canary(page, m->address);

	if (bad == m->address)
		bad = check_canary(m->address + m->size, end);
	if (bad != end)
		kfence_report(&(struct kfence_report){
			.error = KFENCE_CORRUPTION, .address = bad, .object = m, .pc = caller });
}

void kfence_free(void *p, const struct call *call, const void *caller)
{
	struct kfence_metadata *m = object_at((uintptr_t)p);
	u32 allocated = KFENCE_ALLOCATED;
	struct stack stack;

	if (!m || m->address != (uintptr_t)p ||
	    !__atomic_compare_exchange_n(&m->state, &allocated, KFENCE_FREEING, false,
					 __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
		kfence_report_bad(call, caller);
		return;
	}
	stack_save(&stack, caller);
	set_track(&m->free, &stack);
	check_around(m, caller);
	close_guard(m);
	os_protect((void *)object_page(m), os_page_size(), false);
	cover(m->hash, -1);
	__atomic_store_n(&m->state, KFENCE_FREED, __ATOMIC_RELEASE);
	counter_add(kfence.frees, 1);
	enqueue(m);
}

size_t kfence_ksize(const void *p)
{
	const struct kfence_metadata *m = object_at((uintptr_t)p);

	return m && m->address == (uintptr_t)p && READ_ONCE(m->state) == KFENCE_ALLOCATED ? m->size
											  : 0;
}

u32 kfence_objects(const struct kmem_cache *s)
{
	u32 n = 0;

	if (!kfence_gate.size)
		return 0;
	for (size_t i = 0; i < kfence.set.num_objects; i++)
		n += READ_ONCE(kfence.object[i].state) == KFENCE_ALLOCATED &&
		     READ_ONCE(kfence.object[i].cache) == s->id;
	return n;
}

/* Of the objects on both sides of a guard page the nearer one; NULL: neither was ever used. */
static struct kfence_metadata *nearest(uintptr_t address)
{
	size_t right = (address - kfence_gate.pool) / os_page_size() / 2;
	struct kfence_metadata *l = right ? &kfence.object[right - 1] : NULL;
	struct kfence_metadata *r = right < kfence.set.num_objects ? &kfence.object[right] : NULL;

	if (l && !l->size)
		l = NULL;
	if (r && !r->size)
		r = NULL;
	if (l && r)
		return address - (l->address + l->size) < r->address - address ? l : r;
	return l ? l : r;
}

/* After the report the page is open, so that the program goes on where the access failed. */
static bool handle_fault(const struct os_fault *f)
{
	static const char *const access[] = {
		[FAULT_READ] = "read", [FAULT_WRITE] = "write", [FAULT_UNKNOWN] = "access"
	};
	uintptr_t page = ALIGN_DOWN(f->address, os_page_size());
	struct kfence_report r = { .address = f->address, .access = access[f->kind], .pc = f->pc };
	struct kfence_metadata *m;

	if (!is_kfence_address((void *)f->address))
		return false;
	m = object_at(f->address);
	if (m) {
		r.error = KFENCE_USE_AFTER_FREE;
	} else {
		m = nearest(f->address);
		r.error = m ? KFENCE_OUT_OF_BOUNDS : KFENCE_INVALID;
		if (m)
			WRITE_ONCE(m->unprotected, page);
	}
	r.object = m && m->size ? m : NULL;
	if (!r.object)
		r.error = KFENCE_INVALID;
	kfence_report(&r);
	return os_protect((void *)page, os_page_size(), true);
}

/* Everything but the pool is one mapping, touched as it is used. */
static bool map_pool(void)
{
	const size_t n = kfence.set.num_objects, page = os_page_size();
	size_t size = n * (sizeof(*kfence.object) + sizeof(*kfence.queue)) +
		      COVERED * sizeof(*kfence.covered);
	size_t pool_size = (2 * n + 1) * page;
	char *p = os_map(ALIGN(size, page));
	void *pool = p ? os_reserve_aligned(pool_size, page) : NULL;

	if (!pool) {
		if (p)
			os_unmap(p, ALIGN(size, page));
		return false;
	}
	kfence.object = (struct kfence_metadata *)p;
	kfence.queue = (u32 *)(kfence.object + n);
	kfence.covered = (u16 *)(kfence.queue + n);
	for (u32 i = 0; i < n; i++)
		kfence.queue[i] = i;
	kfence.queued = (u32)n;
	kfence_gate.pool = (uintptr_t)pool;
	kfence_gate.next_ms = os_now_ms() + kfence.set.sample_interval;
	kfence_gate.burst = (u32)kfence.set.burst;
	__atomic_store_n(&kfence_gate.size, pool_size, __ATOMIC_RELEASE);
	return true;
}

void kfence_init(void)
{
	static bool done;

	if (!options.kfence[0] || __atomic_exchange_n(&done, true, __ATOMIC_RELAXED) ||
	    !kfence_parse(options.kfence, &kfence.set))
		return;
	kfence.random = os_random() | 1;
	if (!map_pool())
		printk("kfence: no memory for a pool of %zu objects: off", kfence.set.num_objects);
	else if (kfence.set.handler && !os_catch_faults(handle_fault))
		printk("kfence: no handler of SIGSEGV");
}

bool kfence_counts(struct kfence_counts *counts)
{
	if (!kfence_gate.size)
		return false;
	*counts = (struct kfence_counts){
		.allocated = kfence.set.num_objects - READ_ONCE(kfence.queued),
		.allocations = counter_read(kfence.allocations),
		.frees = counter_read(kfence.frees),
		.bugs = counter_read(kfence.bugs),
		.skipped_unfit = counter_read(kfence.skipped_other),
		.skipped_full = counter_read(kfence.skipped_full),
		.skipped_covered = counter_read(kfence.skipped_covered),
	};
	return true;
}
