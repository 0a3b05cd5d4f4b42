// SPDX-License-Identifier: MIT
/* A C program: without an argument it has no C++ runtime, with one it loads that module. */
#include <dlfcn.h>
#include <stdint.h>

#include "check.h"

int main(int argc, char **argv)
{
	void *(*operator_new)(size_t), *plugin;
	int (*fails_as_it_should)(void);

	if (argc > 1) {
		plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
		CHECK(plugin);
		fails_as_it_should = (int (*)(void))dlsym(plugin, "plugin_fails_as_it_should");
		CHECK(fails_as_it_should());
		return 0;
	}
	operator_new =
		(void *(*)(size_t))dlsym(RTLD_DEFAULT, sizeof(size_t) == 8 ? "_Znwm" : "_Znwj");
	CHECK(operator_new && operator_new(100));
	operator_new(SIZE_MAX / 4);
	return 0;
}
