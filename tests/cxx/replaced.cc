// SPDX-License-Identifier: MIT
/*
 * A program that replaces only operator new(size_t) and operator delete(void *) gets them for arrays,
 * nothrow and sized calls too, as [new.delete] promises; its blocks have a header, so that a mixture of
 * its operators and the library's would be seen.
 */
#include <stdint.h>

#include <new>

#include "check.h"

#ifndef __clang__ /* which has no such warning */
#pragma GCC diagnostic ignored "-Wsized-deallocation"
#endif

enum { HEADER = 32 };

static int live, calls;
static volatile size_t size = 40, too_much = SIZE_MAX / 4;

void *operator new(size_t n)
{
	char *p = (char *)malloc(n + HEADER);

	if (!p)
		throw std::bad_alloc();
	*(uint64_t *)p = 0x1234567890abcdef;
	live++;
	calls++;
	return p + HEADER;
}

void operator delete(void *p) noexcept
{
	char *block = (char *)p - HEADER;

	if (!p)
		return;
	CHECK(*(uint64_t *)block == 0x1234567890abcdef);
	live--;
	free(block);
}

int main()
{
	::operator delete(::operator new(size), size);
	::operator delete(::operator new(size, std::nothrow), std::nothrow);
	::operator delete[](::operator new[](size));
	::operator delete[](::operator new[](size), size);
	::operator delete[](::operator new[](size, std::nothrow), std::nothrow);
	CHECK(!::operator new(too_much, std::nothrow));
	CHECK(!::operator new[](too_much, std::nothrow));
	CHECK(live == 0 && calls == 5);

	return 0;
}
