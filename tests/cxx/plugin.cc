// SPDX-License-Identifier: MIT
/* A C++ module that a C program loads: the C++ runtime comes into the process with it. */
#include <stddef.h>
#include <stdint.h>

#include <new>
#include <vector>

static volatile size_t too_much = SIZE_MAX / 4;

extern "C" int plugin_fails_as_it_should(void)
{
	std::vector<int> v(1000, 7);
	bool thrown = false;

	try {
		::operator delete(::operator new(too_much));
	} catch (const std::bad_alloc &) {
		thrown = true;
	}
	std::set_new_handler([] { throw std::bad_alloc(); });
	if (::operator new(too_much, std::nothrow))
		return 0;
	std::set_new_handler(nullptr);
	return thrown && v[999] == 7;
}
