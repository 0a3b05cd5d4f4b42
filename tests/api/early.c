/* SPDX-License-Identifier: MIT */
/* The earliest calls that a program can make, and the latest; early.py runs it. */
#define _GNU_SOURCE
#include "api.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

static void *from_preinit;

/* Runs before the constructors of all libraries: nothing of ours can have been initialised. */
static void preinit(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	(void)envp;
	free(NULL);
	from_preinit = malloc(1000);
	free(malloc(64));
}

__attribute__((section(".preinit_array"), used)) static void (*const before_all)(int, char **,
										 char **) = preinit;

static void at_exit(void)
{
	free(from_preinit);
	for (size_t size = 1; size < 100000; size *= 3)
		free(malloc(size));
}

__attribute__((destructor)) static void destroy(void)
{
	static const char text[] = "early ended\n";

	free(calloc(1, 3000));
	if (write(STDOUT_FILENO, text, sizeof(text) - 1) < 0)
		_exit(1);
}

int main(void)
{
	int (*lib)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, "early_lib_is_well");

	free(NULL);
	require_library();
	check(malloc_usable_size(from_preinit) >= 1000);
	check(!lib || lib());
	atexit(at_exit);
	check(heap_inconsistencies() == 0);
	return 0;
}
