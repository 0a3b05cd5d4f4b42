/* SPDX-License-Identifier: MIT */
/*
 * The library opened by dlopen, not preloaded: as a plugin's dependency would be.
 * usage: dlopened LIBRARY [HOG]; with HOG, a library that takes 64 bytes of static TLS, copies
 * of it are opened until none fits, and one is closed: hardly more than 64 bytes are left.
 */
#define _GNU_SOURCE
#include "api.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

static void *(*their_malloc)(size_t);
static void (*their_free)(void *);

/* A copy is another file, so the loader takes it for another library. */
static void *open_copy(const char *path)
{
	int from = open(path, O_RDONLY | O_CLOEXEC);
	int to = memfd_create("hog", 0);
	struct stat st;
	char name[64];

	check(from >= 0 && to >= 0 && fstat(from, &st) == 0);
	check(sendfile(to, from, NULL, (size_t)st.st_size) == st.st_size);
	close(from);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", to);
	return dlopen(name, RTLD_NOW);
}

static void use_up_static_tls(const char *hog)
{
	void *last = NULL;

	for (int i = 0; i < 1000; i++) {
		void *handle = open_copy(hog);

		if (!handle) {
			check(last && strstr(dlerror(), "static TLS"));
			dlclose(last);
			return;
		}
		last = handle;
	}
	check(!"static TLS has an end");
}

static void use_heap(void)
{
	void *p[500];

	for (size_t i = 0; i < ARRAY_SIZE(p); i++) {
		p[i] = their_malloc(i * 50);
		check(p[i]);
		pattern_fill(p[i], i * 50, i);
	}
	for (size_t i = 0; i < ARRAY_SIZE(p); i++) {
		check(pattern_holds(p[i], i * 50, i));
		their_free(p[i]);
	}
}

static pthread_barrier_t stage;

static void *use_heap_in_thread(void *arg)
{
	pthread_barrier_wait(&stage);
	use_heap();
	pthread_barrier_wait(&stage);
	pthread_barrier_wait(&stage);
	/* dlclose came meanwhile; this thread's end still has work to do in the library. */
	return arg;
}

static void *use_heap_shortly(void *arg)
{
	use_heap();
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t thread, late;
	void *handle;

	check(argc >= 2);
	pthread_barrier_init(&stage, NULL, 2);
	/* A thread that was there before the library. */
	check(pthread_create(&thread, NULL, use_heap_in_thread, NULL) == 0);
	if (argc > 2)
		use_up_static_tls(argv[2]);
	handle = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	if (!handle) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	their_malloc = (void *(*)(size_t))dlsym(handle, "malloc");
	their_free = (void (*)(void *))dlsym(handle, "free");
	check(their_malloc && their_free);
	use_heap();
	pthread_barrier_wait(&stage);
	pthread_barrier_wait(&stage);
	check(pthread_create(&late, NULL, use_heap_shortly, NULL) == 0);
	pthread_join(late, NULL);

	check(dlclose(handle) == 0);
	pthread_barrier_wait(&stage);
	pthread_join(thread, NULL);
	/* nodelete: the code is still there, and so are the objects. */
	use_heap();
	handle = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	check(handle && dlsym(handle, "malloc") == (void *)their_malloc);
	printf("dlopened: well\n");
	return 0;
}
