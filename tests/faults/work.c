/* SPDX-License-Identifier: MIT */
/*
 * work [KIND] - a program that uses memory in all ways, first while the system refuses things, then while it does not.
 *
 *	(none)	what refuses is outside: a tracer (trouble.c), a limit set before, a cgroup
 *	cold	the same, from the first allocation on
 *	as, data	RLIMIT_AS, 8 MiB above what there is; RLIMIT_DATA, some 40 MiB
 *	maps	the process has as many mappings as it may
 *	narrow	39 bits of address space: above them nothing is free
 *
 * In trouble an allocation may fail: NULL, ENOMEM, and a block that realloc did not move is as it was. free keeps errno.
 * Afterwards every allocation must succeed, and once all is freed the heap is consistent, no object is
 * missing, and resident memory is where it was before.
 */
#define _GNU_SOURCE
#include "trouble.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api.h"
#include "slabmalloc/gfp.h"

enum { SMALL = 1200, LARGE = 30, THREADS = 3, EXCHANGE = 64, HIGH = 24 };

static bool must_succeed;
static unsigned long refused;

struct block {
	unsigned char *p;
	size_t size;
	uint64_t seed;
};

/* A failure is an answer only in trouble, and only this one. */
static bool got(const void *p)
{
	if (p)
		return true;
	check(errno == ENOMEM);
	check(!must_succeed);
	__atomic_fetch_add(&refused, 1, __ATOMIC_RELAXED);
	return false;
}

static void *obtain(uint64_t way, size_t size)
{
	void *p = NULL;
	int err;

	errno = 0;
	switch (way % 5) {
	case 0:
		p = calloc(1, size);
		for (size_t i = 0; p && i < size; i += 509)
			check(((char *)p)[i] == 0);
		return p;
	case 1:
		err = posix_memalign(&p, 64, size);
		check(err == 0 || err == ENOMEM);
		errno = err;
		return err ? NULL : p;
	case 2:
		return realloc(NULL, size);
	default:
		return malloc(size);
	}
}

static void take(struct block *b, uint64_t way, size_t size)
{
	*b = (struct block){ obtain(way, size), size, way };
	if (got(b->p))
		pattern_fill(b->p, size, b->seed);
}

static void give(struct block *b)
{
	if (!b->p)
		return;
	check(pattern_holds(b->p, b->size, b->seed));
	errno = 4711;
	free(b->p);
	check(errno == 4711);
	b->p = NULL;
}

static void resize(struct block *b, size_t size)
{
	unsigned char *q;

	if (!b->p)
		return;
	errno = 0;
	q = realloc(b->p, size);
	if (!got(q)) {
		check(pattern_holds(b->p, b->size, b->seed));
		return;
	}
	check(pattern_prefix_holds(q, b->size, size < b->size ? size : b->size, b->seed));
	*b = (struct block){ q, size, b->seed };
	pattern_fill(q, size, b->seed);
}

static void small_objects(struct rng *r)
{
	static __thread struct block *b;
	size_t n = SMALL;

	b = mmap(NULL, SMALL * sizeof(*b), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		 0);
	if (b == MAP_FAILED)
		return;
	for (size_t i = 0; i < n; i++)
		take(&b[i], rng_next(r), 1 + rng_below(r, i % 50 ? 600 : 60000));
	for (size_t i = 0; i < n; i += 2)
		give(&b[i]);
	for (size_t i = 1; i < n; i += 4)
		resize(&b[i], 1 + rng_below(r, 3000));
	for (size_t i = 0; i < n; i++)
		give(&b[i]);
	while (munmap(b, SMALL * sizeof(*b)) && errno == ENOMEM)
		;
}

static void large_blocks(struct rng *r)
{
	struct block b[LARGE];

	for (size_t i = 0; i < LARGE; i++)
		take(&b[i], rng_next(r), (300 + rng_below(r, 1000)) * KIB);
	for (size_t i = 0; i < LARGE; i += 3)
		resize(&b[i], (200 + rng_below(r, 9000)) * KIB);
	for (size_t i = 0; i < LARGE; i++)
		give(&b[i]);
	/* Grown in steps: from a class to frames to an area of its own. */
	take(&b[0], 3, 1000);
	for (size_t size = 2000; size < 24 * MIB; size += size / 2)
		resize(&b[0], size);
	give(&b[0]);
	for (size_t align = 8192; align <= 16 * MIB; align *= 8) {
		void *p;

		errno = 0;
		p = aligned_alloc(align, 100000);
		if (got(p))
			check((uintptr_t)p % align == 0);
		free(p);
	}
}

/* What one thread allocates another frees. */
static struct block exchange[EXCHANGE];
static pthread_mutex_t exchange_lock = PTHREAD_MUTEX_INITIALIZER;

static void swap(struct rng *r)
{
	struct block mine, theirs;
	size_t i = rng_below(r, EXCHANGE);

	take(&mine, rng_next(r), 1 + rng_below(r, 20000));
	pthread_mutex_lock(&exchange_lock);
	theirs = exchange[i];
	exchange[i] = mine;
	pthread_mutex_unlock(&exchange_lock);
	give(&theirs);
}

static void *thread(void *arg)
{
	struct rng r = { (uintptr_t)arg };

	for (int i = 0; i < 600; i++)
		swap(&r);
	small_objects(&r);
	return NULL;
}

static void threads(void)
{
	pthread_t id[THREADS];
	pthread_attr_t attr;
	bool there[THREADS];

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 * KIB);
	for (uintptr_t i = 0; i < THREADS; i++) {
		there[i] = !pthread_create(&id[i], &attr, thread, (void *)(i + 1));
		check(there[i] || !must_succeed);
	}
	thread((void *)(uintptr_t)99);
	for (int i = 0; i < THREADS; i++)
		if (there[i])
			pthread_join(id[i], NULL);
	pthread_attr_destroy(&attr);
	for (int i = 0; i < EXCHANGE; i++)
		give(&exchange[i]);
}

static void child(void)
{
	struct rng r = { 5 };
	pid_t pid = fork();
	int status;

	check(pid >= 0 || !must_succeed);
	if (pid < 0)
		return;
	if (pid == 0) {
		small_objects(&r);
		large_blocks(&r);
		_exit(heap_inconsistencies() != 0);
	}
	while (waitpid(pid, &status, 0) < 0)
		check(errno == EINTR);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void frames(void)
{
	struct page *page[HIGH];

	for (int i = 0; i < HIGH; i++) {
		char *p;

		page[i] =
			alloc_pages(i % 2 ? GFP_HIGHUSER | __GFP_NOWARN : GFP_KERNEL | __GFP_NOWARN,
				    (unsigned int)i % 4);
		if (!page[i])
			check(!must_succeed);
		p = page[i] ? kmap_local_page(page[i]) : NULL;
		if (!p)
			continue;
		memset(p, i, 4096);
		kunmap_local(p);
	}
	for (int i = 0; i < HIGH; i++)
		if (page[i])
			__free_pages(page[i], (unsigned int)i % 4);
}

static void everything(void)
{
	struct rng r = { 1 };

	small_objects(&r);
	large_blocks(&r);
	threads();
	child();
	frames();
	malloc_trim(0);
}

static struct rlimit before;
static char *wall[70000];
static size_t nr_wall;

static void limit(int which, size_t bytes)
{
	struct rlimit l;

	check(!getrlimit(which, &before));
	l = (struct rlimit){ bytes, before.rlim_max };
	check(!setrlimit(which, &l));
}

/* Neighbours of different protection cannot be one mapping. */
static void use_up_mappings(void)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);

	while (nr_wall < ARRAY_SIZE(wall)) {
		char *p = mmap(NULL, page, nr_wall % 2 ? PROT_READ : PROT_NONE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return;
		wall[nr_wall++] = p;
	}
}

/* Everything above is taken that is free; the heap's own regions from before stay. */
static void leave_39_bits(void)
{
	for (size_t size = 1ul << 46; size >= 1ul << 16; size /= 2) {
		for (;;) {
			char *p = mmap(NULL, size, PROT_NONE,
				       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

			if (p == MAP_FAILED)
				break;
			if ((uintptr_t)p >> 39 == 0) {
				munmap(p, size);
				break;
			}
		}
	}
}

static void trouble_begins(const char *kind)
{
	prctl(TROUBLE, 1);
	if (strcmp(kind, "as") == 0)
		limit(RLIMIT_AS, mapped_bytes() + 8 * MIB);
	else if (strcmp(kind, "data") == 0)
		limit(RLIMIT_DATA, mapped_bytes() / 4 + 16 * MIB);
	else if (strcmp(kind, "maps") == 0)
		use_up_mappings();
	else if (strcmp(kind, "narrow") == 0)
		leave_39_bits();
	if (strcmp(kind, "narrow") == 0)
		must_succeed = true;
}

static void trouble_is_over(const char *kind)
{
	prctl(TROUBLE, 0);
	if (strcmp(kind, "as") == 0)
		setrlimit(RLIMIT_AS, &before);
	else if (strcmp(kind, "data") == 0)
		setrlimit(RLIMIT_DATA, &before);
	while (nr_wall)
		munmap(wall[--nr_wall], (size_t)sysconf(_SC_PAGESIZE));
}

static size_t live(void)
{
	return mallinfo2().uordblks;
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "";
	size_t rss, objects;

	require_library();
	must_succeed = true;
	if (strcmp(kind, "cold") != 0)
		everything();
	rss = rss_bytes();
	objects = live();

	must_succeed = false;
	trouble_begins(kind);
	everything();
	trouble_is_over(kind);

	must_succeed = true;
	check(heap_inconsistencies() == 0);
	everything();
	check(heap_inconsistencies() == 0);
	printf("refused %lu live %zu %zu rss %zu %zu\n", refused, objects, live(), rss,
	       rss_bytes());
	check(live() <= objects + 16 * KIB);
	check(rss_bytes() < rss + 4 * MIB);
	return 0;
}
