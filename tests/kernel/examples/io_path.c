/* SPDX-License-Identifier: MIT */
/*
 * io_path.c - a file copy that goes on when memory is out.
 *
 *	io_path FROM TO			copies FROM to TO
 *	io_path				the same with a file of its own, while the process has no memory left
 *
 * One thread reads, others write. Between them go requests: a small object and a buffer, each from a memory
 * pool, so that there is always a request to be had: at once, or when a writer has finished one. Nobody who holds
 * a request needs another to finish it; that is all that a pool asks of its users.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "slabmalloc/mempool.h"
#include "slabmalloc/slab.h"

enum { WRITERS = 3, MIN_REQUESTS = 4, BUFFER_SIZE = 64 * 1024 };

struct request {
	struct request *next;
	off_t offset;
	size_t size;
	char *data;
};

static struct kmem_cache *request_cache;
static mempool_t *request_pool, *buffer_pool;

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct request *first, **last;
	int to; /* the writers' file */
	int error; /* the first that a writer met */
	int done; /* no request will come any more */
} queue = { .lock = PTHREAD_MUTEX_INITIALIZER,
	    .changed = PTHREAD_COND_INITIALIZER,
	    .last = &queue.first };

/* Waits where it must; never fails. GFP_NOIO: what frees memory must not lead back into this path. */
static struct request *request_alloc(void)
{
	struct request *r = mempool_alloc(request_pool, GFP_NOIO);

	r->data = mempool_alloc(buffer_pool, GFP_NOIO);
	return r;
}

static void request_free(struct request *r)
{
	mempool_free(r->data, buffer_pool);
	mempool_free(r, request_pool);
}

static void submit(struct request *r)
{
	r->next = NULL;
	pthread_mutex_lock(&queue.lock);
	*queue.last = r;
	queue.last = &r->next;
	pthread_cond_signal(&queue.changed);
	pthread_mutex_unlock(&queue.lock);
}

static struct request *next_request(void)
{
	struct request *r;

	pthread_mutex_lock(&queue.lock);
	while (!queue.first && !queue.done)
		pthread_cond_wait(&queue.changed, &queue.lock);
	r = queue.first;
	if (r && !(queue.first = r->next))
		queue.last = &queue.first;
	pthread_mutex_unlock(&queue.lock);
	return r;
}

static void *writer(void *arg)
{
	struct request *r;

	while ((r = next_request())) {
		if (pwrite(queue.to, r->data, r->size, r->offset) != (ssize_t)r->size)
			__atomic_store_n(&queue.error, errno ? errno : EIO, __ATOMIC_RELAXED);
		request_free(r);
	}
	return arg;
}

/* Returns 0 or an errno. */
static int read_all(int from)
{
	for (off_t offset = 0;;) {
		struct request *r = request_alloc();
		ssize_t n = pread(from, r->data, BUFFER_SIZE, offset);

		if (n <= 0) {
			request_free(r);
			return n ? errno : 0;
		}
		r->size = (size_t)n;
		r->offset = offset;
		offset += n;
		submit(r);
	}
}

static int copy(int from, int to, void (*before)(void))
{
	pthread_t threads[WRITERS];
	int error;

	queue.to = to;
	for (int i = 0; i < WRITERS; i++)
		if (pthread_create(&threads[i], NULL, writer, NULL))
			abort();
	if (before)
		before();
	error = read_all(from);
	pthread_mutex_lock(&queue.lock);
	queue.done = 1;
	pthread_cond_broadcast(&queue.changed);
	pthread_mutex_unlock(&queue.lock);
	for (int i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	return error ? error : queue.error;
}

/* No address space any more, and nothing left in the heap. */
static void exhaust_memory(void)
{
	static void *hoard; /* every block points to the one before it */
	struct rlimit none = { 0, 0 };
	void **p;

	if (setrlimit(RLIMIT_AS, &none))
		abort();
	for (size_t size = 1 << 20; size >= 16; size /= 2) {
		while ((p = malloc(size))) {
			*p = hoard;
			hoard = p;
		}
	}
}

static int copy_without_memory(void)
{
	const size_t size = 4 << 20;
	int from = memfd_create("from", 0), to = memfd_create("to", 0), error;
	unsigned int *a = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, from, 0);
	unsigned int *b = mmap(NULL, size, PROT_READ, MAP_SHARED, to, 0);

	if (a == MAP_FAILED || b == MAP_FAILED || ftruncate(from, (off_t)size) ||
	    ftruncate(to, (off_t)size))
		return errno;
	for (unsigned int i = 0; i < size / sizeof(*a); i++)
		a[i] = i * 2654435761u;
	error = copy(from, to, exhaust_memory);
	if (!error && memcmp(a, b, size))
		error = EIO;
	printf("%zu MiB copied, in reserve: %d of %d, %d of %d\n", size >> 20,
	       request_pool->curr_nr, request_pool->min_nr, buffer_pool->curr_nr,
	       buffer_pool->min_nr);
	return error;
}

int main(int argc, char **argv)
{
	int error;

	request_cache = KMEM_CACHE(request, SLAB_HWCACHE_ALIGN);
	request_pool = mempool_create_slab_pool(MIN_REQUESTS, request_cache);
	buffer_pool = mempool_create_kmalloc_pool(MIN_REQUESTS, BUFFER_SIZE);
	if (!request_pool || !buffer_pool)
		return 1;
	if (argc == 3) {
		int from = open(argv[1], O_RDONLY),
		    to = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0666);

		error = from < 0 || to < 0 ? errno : copy(from, to, NULL);
	} else {
		error = copy_without_memory();
	}
	if (error)
		fprintf(stderr, "io_path: %s\n", strerror(error));
	mempool_destroy(buffer_pool);
	mempool_destroy(request_pool);
	kmem_cache_destroy(request_cache);
	return error != 0;
}
