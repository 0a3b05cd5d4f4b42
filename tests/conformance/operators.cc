// SPDX-License-Identifier: MIT
// The C++ operators new and delete, called by name. How they call each other: tests/cxx.
#include "clause.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include <sys/mman.h>
#include <sys/resource.h>

using std::align_val_t;
using std::nothrow;

static const char FORMS[] = "operator new";

enum { FORMS_THAT_THROW = 4, ALL_FORMS = 8 };

/* By each form of new; the second half are the nothrow forms. */
static void *get(int form, size_t n)
{
	switch (form) {
	case 0:
		return ::operator new(n);
	case 1:
		return ::operator new[](n);
	case 2:
		return ::operator new(n, align_val_t(64));
	case 3:
		return ::operator new[](n, align_val_t(8192));
	case 4:
		return ::operator new(n, nothrow);
	case 5:
		return ::operator new[](n, nothrow);
	case 6:
		return ::operator new(n, align_val_t(64), nothrow);
	default:
		return ::operator new[](n, align_val_t(8192), nothrow);
	}
}

/* What its form promises of a size that cannot be had. */
static bool fails_rightly(int form, size_t n)
{
	try {
		return !get(form, n) && form >= FORMS_THAT_THROW;
	} catch (const std::bad_alloc &) {
		return form < FORMS_THAT_THROW;
	}
}

CLAUSE(new_blocks, FORMS, "C++20 [new.delete.single]",
       "blocks are apart, and aligned for every type without an alignment of its own")
{
	static unsigned char *p[3000];

	for (size_t i = 0; i < ARRAY_SIZE(p); i++) {
		size_t align = __STDCPP_DEFAULT_NEW_ALIGNMENT__;

		while (align > i * 3 && align > 1)
			align /= 2;
		p[i] = static_cast<unsigned char *>(i % 2 ? ::operator new(i * 3)
							  : ::operator new[](i * 3));
		check(p[i] && (uintptr_t)p[i] % align == 0);
		pattern_fill(p[i], i * 3, i);
	}
	for (size_t i = 0; i < ARRAY_SIZE(p); i++) {
		check(pattern_holds(p[i], i * 3, i));
		/* clang 14 makes both calls of one conditional expression. */
		if (i % 2)
			::operator delete(p[i]);
		else
			::operator delete[](p[i]);
	}
}

CLAUSE(new_nothing, FORMS, "C++20 [basic.stc.dynamic.allocation]",
       "no bytes: a pointer of its own, and no null pointer")
{
	void *p = ::operator new(0), *q = ::operator new(0), *r = ::operator new[](0);

	check(p && q && r && p != q && q != r && p != r);
	::operator delete(p);
	::operator delete(q);
	::operator delete[](r);
}

CLAUSE(new_aligned, FORMS, "C++20 [new.delete.single]",
       "every power of two to 128 MiB is an alignment")
{
	for (size_t align = 1; align <= 128 * MIB; align *= 2)
		for (size_t size = 1; size < 10 * MIB; size *= 17) {
			void *p = ::operator new(size, align_val_t(align));
			void *q = ::operator new[](size, align_val_t(align), nothrow);

			check((uintptr_t)p % align == 0 && q && (uintptr_t)q % align == 0);
			memset(p, 1, size);
			memset(q, 1, size);
			::operator delete(p, size, align_val_t(align));
			::operator delete[](q, align_val_t(align));
		}
}

CLAUSE(new_throws, FORMS, "C++20 [new.delete.single]", "what cannot be had is std::bad_alloc")
{
	for_each_impossible(i, 0, 13)
		for (int form = 0; form < FORMS_THAT_THROW; form++)
			check(fails_rightly(form, impossible(i)));
	check_heap_works();
}

CLAUSE(new_is_null, FORMS, "C++20 [new.delete.single]",
       "what cannot be had is a null pointer of the nothrow forms")
{
	for_each_impossible(i, 0, 3)
		for (int form = FORMS_THAT_THROW; form < ALL_FORMS; form++)
			check(fails_rightly(form, impossible(i)));
	check_heap_works();
}

static int calls;

static void fifth_time_lucky()
{
	if (++calls == 5)
		std::set_new_handler(nullptr);
}

CLAUSE(new_handler_repeats, FORMS, "C++20 [new.delete.single]",
       "the handler is called again and again, until there is none")
{
	for (int form = 0; form < ALL_FORMS; form++) {
		calls = 0;
		std::set_new_handler(fifth_time_lucky);
		check(fails_rightly(form, PTRDIFF_MAX - 4096) && calls == 5);
	}
}

static struct rlimit limit;

/* Not under qemu-user. */
static bool limit_is_kept()
{
	void *p = mmap(nullptr, 512 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED || munmap(p, 512 * MIB);
}

static void raise_limit()
{
	calls++;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_AS, &limit);
}

CLAUSE(new_handler_helps, FORMS, "C++20 [new.delete.single]",
       "once the handler has made memory available, the block is had")
{
	void *p;

	getrlimit(RLIMIT_AS, &limit);
	limit.rlim_cur = mapped_bytes() + 64 * MIB;
	setrlimit(RLIMIT_AS, &limit);
	if (!limit_is_kept())
		return;
	calls = 0;
	std::set_new_handler(raise_limit);
	p = ::operator new(512 * MIB);
	check(p && calls == 1);
	::operator delete(p);
}

static void throw_bad_alloc()
{
	calls++;
	throw std::bad_alloc();
}

CLAUSE(new_handler_throws, FORMS, "C++20 [new.delete.single]",
       "what the handler throws goes to the caller; the nothrow forms catch it")
{
	std::set_new_handler(throw_bad_alloc);
	for (int form = 0; form < ALL_FORMS; form++) {
		calls = 0;
		check(fails_rightly(form, PTRDIFF_MAX - 4096) && calls == 1);
	}
}

CLAUSE(new_array_length, FORMS, "C++20 [expr.new]",
       "an array of too many objects is std::bad_alloc, or what is derived from it")
{
	static volatile size_t n = SIZE_MAX / 2;
	bool thrown = false;

	try {
		delete[] new long[n];
	} catch (const std::bad_alloc &) { /* clang 14's own choice */
		thrown = true;
	}
	check(thrown);
}

CLAUSE(delete_null, "operator delete", "C++20 [new.delete.single]",
       "of a null pointer every form does nothing")
{
	::operator delete(nullptr);
	::operator delete[](nullptr);
	::operator delete(nullptr, size_t(8));
	::operator delete[](nullptr, size_t(8));
	::operator delete(nullptr, nothrow);
	::operator delete[](nullptr, nothrow);
	::operator delete(nullptr, align_val_t(64));
	::operator delete[](nullptr, align_val_t(64));
	::operator delete(nullptr, size_t(64), align_val_t(64));
	::operator delete[](nullptr, size_t(64), align_val_t(64));
	::operator delete(nullptr, align_val_t(64), nothrow);
	::operator delete[](nullptr, align_val_t(64), nothrow);
}

CLAUSE(delete_takes, "operator delete", "C++20 [new.delete.single]",
       "every form takes what its new gave: 200 rounds in bounded memory")
{
	size_t before = 0;

	for (int round = 0; round < 200; round++) {
		for (size_t n = 1; n < 2 * MIB; n *= 3) {
			::operator delete(memset(::operator new(n), 1, n));
			::operator delete[](memset(::operator new[](n), 1, n));
			::operator delete(memset(::operator new(n), 1, n), n);
			::operator delete[](memset(::operator new[](n), 1, n), n);
			::operator delete(::operator new(n, nothrow), nothrow);
			::operator delete[](::operator new[](n, nothrow), nothrow);
			::operator delete(::operator new(n, align_val_t(128)), align_val_t(128));
			::operator delete[](::operator new[](n, align_val_t(128)), n,
					    align_val_t(128));
		}
		if (round == 20)
			before = rss_bytes();
	}
	check(rss_bytes() < before + rss_room(16 * MIB));
}
