// SPDX-License-Identifier: MIT
/*
 * A program to be looked at. Its first line is what it holds; then
 *
 *	still	writes the library's own dump, as text and as JSON, and stops itself
 *	busy	allocates and frees in eight threads, beside what it holds
 *	leak	has lost blocks, and sleeps
 *
 * The numbers of `leak` are in gdb.py.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "slabmalloc/gfp_types.h"

enum { NODES = 1000, MIDDLE = 300, THREADS = 4, BUSY = 8, SLOTS = 512 };

struct node {
	struct node *next;
	char data[96]; /* 104 bytes in all: kmalloc-112 */
};

static struct node *volatile nodes;
static void *volatile middle[MIDDLE], *volatile large, *volatile area, *volatile freed,
									       *volatile pooled;
static _Thread_local void *volatile own;
static pthread_barrier_t barrier;

static void hold(void)
{
	for (int i = 0; i < NODES; i++) {
		struct node *n = malloc(sizeof(*n));

		n->next = nodes;
		nodes = n;
	}
	for (int i = 0; i < MIDDLE; i++)
		middle[i] = malloc(5000);
	large = malloc(1 << 20);
	area = malloc(40 << 20);
	freed = malloc(72);
	free(freed);
	printf("node %p middle %p large %p area %p freed %p code %p\n", (void *)nodes, middle[0],
	       large, area, freed, (void *)(size_t)hold);
	fflush(stdout);
}

static void *park(void *arg)
{
	own = malloc(777);
	free(malloc(3000));
	free(malloc(1 << 20));
	pthread_barrier_wait(&barrier);
	pause();
	return arg;
}

static void *work(void *arg)
{
	static void *slot[BUSY][SLOTS];
	unsigned int seed = (unsigned int)(size_t)arg;
	void **mine = slot[seed % BUSY];

	for (unsigned int n = 0;; n++) {
		unsigned int i = (unsigned int)rand_r(&seed) % SLOTS;

		free(mine[i]);
		mine[i] = malloc((unsigned int)rand_r(&seed) % 2000);
		if (n % 1000 == 0)
			usleep(1000);
	}
	return arg;
}

__attribute__((noinline)) static void lose(int pairs)
{
	for (int i = 0; i < pairs; i++) {
		struct node *a = malloc(200), *b = malloc(200);

		a->next = b;
		b->next = NULL;
		__asm__ volatile("" : : "r"(a), "r"(b) : "memory");
	}
}

/* What was lost may still lie on the stack. */
__attribute__((noinline)) static void wipe(void)
{
	char room[16384];

	memset(room, 0, sizeof(room));
	__asm__ volatile("" : : "r"(room) : "memory");
}

static void *lose_in_thread(void *arg)
{
	own = malloc(777);
	lose(5);
	wipe();
	pthread_barrier_wait(&barrier);
	pause();
	return arg;
}

static void start(void *(*fn)(void *), int n)
{
	for (int i = 0; i < n; i++) {
		pthread_t t;

		if (pthread_create(&t, NULL, fn, (void *)(size_t)(i + 1)))
			abort();
	}
}

/* A memory pool of 3 elements of 300 bytes, one of which is out. */
static void make_pool(void)
{
	void *alloc = dlsym(RTLD_DEFAULT, "slabmalloc_mempool_kmalloc");
	void *release = dlsym(RTLD_DEFAULT, "slabmalloc_mempool_kfree");
	void *(*create)(int, void *, void *, void *) =
		(void *(*)(int, void *, void *, void *))dlsym(RTLD_DEFAULT,
							      "slabmalloc_mempool_create");
	void *(*take)(void *, gfp_t) =
		(void *(*)(void *, gfp_t))dlsym(RTLD_DEFAULT, "slabmalloc_mempool_alloc");

	if (!alloc || !release || !create || !take)
		abort();
	pooled = take(create(3, alloc, release, (void *)300), GFP_KERNEL);
}

static void still(void)
{
	/* A format that a library may not know yet is one that it ignores. */
	int (*write_stats)(int, int) =
		(int (*)(int, int))dlsym(RTLD_DEFAULT, "slabmalloc_stats_write");

	make_pool();
	pthread_barrier_init(&barrier, NULL, THREADS + 1);
	start(park, THREADS);
	pthread_barrier_wait(&barrier);
	usleep(100000);
	if (!write_stats)
		abort();
	write_stats(STDOUT_FILENO, 0);
	write_stats(STDOUT_FILENO, 1);
	(void)!write(STDOUT_FILENO, "end\n", 4);
	raise(SIGSTOP);
}

static void leak(void)
{
	pthread_barrier_init(&barrier, NULL, 2);
	lose(10);
	(void)malloc(3 << 20);
	wipe();
	start(lose_in_thread, 1);
	pthread_barrier_wait(&barrier);
	wipe();
	puts("end");
	fflush(stdout);
	pause();
}

int main(int argc, char **argv)
{
	static char buffer[4096];

	/* Where only parents may look at their children (Yama), it lets anybody look. */
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	if (argc != 2)
		return 2;
	hold();
	if (!strcmp(argv[1], "still"))
		still();
	else if (!strcmp(argv[1], "leak"))
		leak();
	else
		start(work, BUSY);
	pause();
	return 0;
}
