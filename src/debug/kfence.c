// SPDX-License-Identifier: MIT
#include "debug/kfence.h"

#include <string.h>

#include "base/bitops.h"
#include "base/options.h"
#include "base/platform.h"
#include "debug/harden.h"
#include "debug/kfence_pool.h"
#include "os/mem.h"
#include "os/signal.h"

enum { COVERED = 1 << 10, COVERED_DEPTH = 8, MALLOC_ALIGN = 16 };

struct kfence_gate kfence_gate;
struct kfence_pool kfence;
struct lock kfence_lock;

static struct kfence_room *room_of(const struct kfence_metadata *m)
{
	return &kfence.room[kfence_number(m) < kfence.set.num_objects ? KFENCE_PAGE : KFENCE_LARGE];
}

/* The first page of its own. */
static uintptr_t object_page(const struct kfence_metadata *m)
{
	const struct kfence_room *r = room_of(m);

	return r->start + ((r->pages + 1) * (kfence_number(m) - r->first) + 1) * os_page_size();
}

/* Behind the last page that it may be touched in. */
static uintptr_t object_end(const struct kfence_metadata *m)
{
	return ALIGN(m->address + m->size, os_page_size());
}

/* The object in whose pages an address lies, or *guard: in the one before them. The pool's end has a number, too. */
static u32 number_at(uintptr_t address, bool *guard)
{
	const struct kfence_room *r = &kfence.room[address >= kfence.room[KFENCE_LARGE].start];
	size_t page = (address - r->start) / os_page_size();

	*guard = page % (r->pages + 1) == 0;
	return r->first + (u32)(page / (r->pages + 1));
}

/* NULL: it is a guard's. */
static struct kfence_metadata *object_at(uintptr_t address)
{
	bool guard;
	u32 n = number_at(address, &guard);

	return guard ? NULL : &kfence.object[n];
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

static bool is_filling_up(const struct kfence_room *r)
{
	size_t n = r->nr;

	return (n - READ_ONCE(r->queued)) * 100 > n * kfence.set.skip_covered_thresh;
}

/* Takes the object that has been free for longest, or NULL; right: where it is to lie. */
static struct kfence_metadata *dequeue(struct kfence_room *r, bool *right)
{
	struct kfence_metadata *m = NULL;

	lock(&kfence_lock, RANK_KFENCE);
	if (r->queued) {
		m = &kfence.object[r->queue[r->head]];
		r->head = (r->head + 1) % r->nr;
		SUB_ONCE(r->queued, 1);
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
	struct kfence_room *r = room_of(m);

	lock(&kfence_lock, RANK_KFENCE);
	r->queue[(r->head + r->queued) % r->nr] = kfence_number(m);
	ADD_ONCE(r->queued, 1);
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

static struct kfence_room *room_for(size_t size)
{
	return &kfence.room[size <= os_page_size() ? KFENCE_PAGE : KFENCE_LARGE];
}

static bool suits(const struct kmem_cache *s, size_t size, gfp_t gfp)
{
	const struct kfence_room *r = room_for(size);

	return r->nr && size <= r->pages * os_page_size() && alignment(s) <= os_page_size() &&
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

/* The page that an error opened cannot be touched again. */
static void close_guard(struct kfence_metadata *m)
{
	uintptr_t page = __atomic_exchange_n(&m->unprotected, 0, __ATOMIC_RELAXED);

	if (page)
		os_protect((void *)page, os_page_size(), false);
}

/* Places an object of size bytes on as many of its pages as it needs, and everything around it. */
static void lay_out(struct kfence_metadata *m, const struct kmem_cache *s, size_t size, bool right)
{
	uintptr_t page = object_page(m), end = page + ALIGN(size, os_page_size());

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
	struct kfence_room *room;
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
	room = room_for(size);
	if (is_filling_up(room) && is_covered(hash)) {
		counter_add(kfence.skipped_covered, 1);
		return NULL;
	}
	m = dequeue(room, &right);
	if (m)
		close_guard(m);
	if (!m || !os_protect((void *)object_page(m), ALIGN(size, os_page_size()), true)) {
		if (m)
			enqueue(m);
		counter_add(kfence.skipped_full, 1);
		return NULL;
	}
	lay_out(m, s, size, right);
	m->hash = hash;
	cover(hash, 1);
	m->origin = s->track ? ORIGIN_MALLOC : NR_ORIGINS;
	set_track(&m->alloc, &stack);
	/* Also of a cache with debugging, which has not that flag: nothing here is poisoned. */
	if (gfp & __GFP_ZERO || harden.init_on_alloc)
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
	uintptr_t page = object_page(m), end = object_end(m);
	uintptr_t bad = check_canary(page, m->address);

	if (bad == m->address)
		bad = check_canary(m->address + m->size, end);
	if (bad != end)
		kfence_report(&(struct kfence_report){
			.error = KFENCE_CORRUPTION, .address = bad, .object = m, .pc = caller });
}

/* From in use to being freed, or looked at; false: it is not in use. */
static bool claim(struct kfence_metadata *m, enum kfence_state to)
{
	u32 seen = KFENCE_ALLOCATED;

	while (!__atomic_compare_exchange_n(&m->state, &seen, to, false, __ATOMIC_ACQUIRE,
					    __ATOMIC_RELAXED)) {
		if (seen != KFENCE_CHECKING)
			return false;
		platform_yield();
		seen = KFENCE_ALLOCATED;
	}
	return true;
}

/* Many pages are not kept. */
static void close_pages(const struct kfence_metadata *m)
{
	void *page = (void *)object_page(m);
	size_t size = object_end(m) - object_page(m);

	if (size > os_page_size())
		os_purge(page, size);
	os_protect(page, size, false);
}

void kfence_free(void *p, const struct call *call, const void *caller)
{
	struct kfence_metadata *m = object_at((uintptr_t)p);
	struct stack stack;

	if (!m || m->address != (uintptr_t)p || !claim(m, KFENCE_FREEING)) {
		kfence_report_bad(call, caller);
		return;
	}
	stack_save(&stack, caller);
	set_track(&m->free, &stack);
	check_around(m, caller);
	close_guard(m);
	close_pages(m);
	cover(m->hash, -1);
	__atomic_store_n(&m->state, KFENCE_FREED, __ATOMIC_RELEASE);
	counter_add(kfence.frees, 1);
	enqueue(m);
}

void kfence_exit(void)
{
	for (size_t i = 0; i < kfence_total(); i++) {
		struct kfence_metadata *m = &kfence.object[i];

		if (READ_ONCE(m->state) != KFENCE_ALLOCATED || !claim(m, KFENCE_CHECKING))
			continue;
		check_around(m, __builtin_return_address(0));
		__atomic_store_n(&m->state, KFENCE_ALLOCATED, __ATOMIC_RELEASE);
	}
}

/* In use, or looked at meanwhile. */
static bool in_use(const struct kfence_metadata *m)
{
	u32 state = READ_ONCE(m->state);

	return state == KFENCE_ALLOCATED || state == KFENCE_CHECKING;
}

/* The one in use that starts there, or NULL. */
static struct kfence_metadata *used_object(const void *p)
{
	struct kfence_metadata *m = object_at((uintptr_t)p);

	return m && m->address == (uintptr_t)p && in_use(m) ? m : NULL;
}

void kfence_set_origin(void *p, enum origin origin)
{
	struct kfence_metadata *m = used_object(p);

	if (m && m->origin != NR_ORIGINS)
		m->origin = origin;
}

bool kfence_check_origin(const struct call *call, enum origin origin, const void *caller)
{
	const struct kfence_metadata *m = used_object(call->ptr);

	if (!m || m->origin == NR_ORIGINS || m->origin == origin)
		return true;
	kfence_report(&(struct kfence_report){
		.error = KFENCE_MISMATCH,
		.address = m->address,
		.object = m,
		.access = debug_mismatch[m->origin],
		.pc = caller,
	});
	return false;
}

size_t kfence_ksize(const void *p)
{
	const struct kfence_metadata *m = used_object(p);

	return m ? m->size : 0;
}

u32 kfence_objects(const struct kmem_cache *s)
{
	u32 n = 0;

	if (!kfence_gate.size)
		return 0;
	for (size_t i = 0; i < kfence_total(); i++)
		n += in_use(&kfence.object[i]) && READ_ONCE(kfence.object[i].cache) == s->id;
	return n;
}

/* Of the objects on both sides of a guard page the nearer one; NULL: neither was ever used. */
static struct kfence_metadata *nearest(uintptr_t address)
{
	bool guard;
	u32 right = number_at(address, &guard);
	struct kfence_metadata *l = right ? &kfence.object[right - 1] : NULL;
	struct kfence_metadata *r = right < kfence_total() ? &kfence.object[right] : NULL;

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
	/* An object in use leaves those of its pages closed that it does not need. */
	r.error = m && !in_use(m) ? KFENCE_USE_AFTER_FREE : KFENCE_OUT_OF_BOUNDS;
	if (!m)
		m = nearest(f->address);
	if (m)
		WRITE_ONCE(m->unprotected, page);
	r.object = m && m->size ? m : NULL;
	if (!r.object)
		r.error = KFENCE_INVALID;
	kfence_report(&r);
	return os_protect((void *)page, os_page_size(), true);
}

static void set_room(struct kfence_room *r, size_t pages, size_t first, size_t nr, uintptr_t start,
		     u32 *queue)
{
	*r = (struct kfence_room){
		.pages = pages,
		.first = (u32)first,
		.nr = (u32)nr,
		.start = start,
		.queue = queue + first,
		.queued = (u32)nr,
	};
	for (u32 i = 0; i < r->nr; i++)
		r->queue[i] = r->first + i;
}

/* Everything but the pool is one mapping, touched as it is used. */
static bool map_pool(void)
{
	const size_t n = kfence_total(), page = os_page_size();
	const size_t pages = DIV_ROUND_UP((size_t)KFENCE_LARGE_MAX, page);
	size_t size =
		n * (sizeof(*kfence.object) + sizeof(u32)) + COVERED * sizeof(*kfence.covered);
	size_t pool_size =
		(2 * kfence.set.num_objects + (pages + 1) * kfence.set.num_large + 1) * page;
	char *p = os_map(ALIGN(size, page));
	u32 *queue;
	void *pool = p ? os_reserve_aligned(pool_size, page) : NULL;

	if (!pool) {
		if (p)
			os_unmap(p, ALIGN(size, page));
		return false;
	}
	kfence.object = (struct kfence_metadata *)p;
	queue = (u32 *)(kfence.object + n);
	kfence.covered = (u16 *)(queue + n);
	kfence.queued = (u32)n;
	set_room(&kfence.room[KFENCE_PAGE], 1, 0, kfence.set.num_objects, (uintptr_t)pool, queue);
	set_room(&kfence.room[KFENCE_LARGE], pages, kfence.set.num_objects, kfence.set.num_large,
		 (uintptr_t)pool + 2 * kfence.set.num_objects * page, queue);
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
		printk("kfence: no memory for a pool of %zu objects: off", kfence_total());
	else if (kfence.set.handler && !os_catch_faults(handle_fault))
		printk("kfence: no handler of SIGSEGV");
}

bool kfence_counts(struct kfence_counts *counts)
{
	if (!kfence_gate.size)
		return false;
	*counts = (struct kfence_counts){
		.allocated = kfence_total() - READ_ONCE(kfence.queued),
		.allocations = counter_read(kfence.allocations),
		.frees = counter_read(kfence.frees),
		.bugs = counter_read(kfence.bugs),
		.skipped_unfit = counter_read(kfence.skipped_other),
		.skipped_full = counter_read(kfence.skipped_full),
		.skipped_covered = counter_read(kfence.skipped_covered),
	};
	return true;
}
