// SPDX-License-Identifier: MIT
/* Every form of operator new and delete, and what they do when there is no memory. */
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>

#include <initializer_list>
#include <new>

#include "check.h"

static const std::nothrow_t &nothrow = std::nothrow;
static volatile size_t too_much = SIZE_MAX / 4;
static int handler_calls;

static void *filled(void *p, size_t n, size_t align)
{
	CHECK(p && !((uintptr_t)p % align));
	memset(p, 0xa5, n);
	return p;
}

static void plain_forms_give_memory(size_t n)
{
	::operator delete(filled(::operator new(n), n, 16));
	::operator delete(filled(::operator new(n), n, 16), n);
	::operator delete(filled(::operator new(n, nothrow), n, 16), nothrow);
	::operator delete[](filled(::operator new[](n), n, 16));
	::operator delete[](filled(::operator new[](n), n, 16), n);
	::operator delete[](filled(::operator new[](n, nothrow), n, 16), nothrow);
}

static void aligned_forms_give_aligned_memory(size_t n, size_t align)
{
	std::align_val_t a{ align };

	::operator delete(filled(::operator new(n, a), n, align), a);
	::operator delete(filled(::operator new(n, a), n, align), n, a);
	::operator delete(filled(::operator new(n, a, nothrow), n, align), a, nothrow);
	::operator delete[](filled(::operator new[](n, a), n, align), a);
	::operator delete[](filled(::operator new[](n, a), n, align), n, a);
	::operator delete[](filled(::operator new[](n, a, nothrow), n, align), a, nothrow);
}

static void empty_objects_are_distinct(void)
{
	void *a = ::operator new(0), *b = ::operator new(0);

	CHECK(a && b && a != b);
	::operator delete(a);
	::operator delete(b);
	::operator delete(nullptr);
	::operator delete[](nullptr);
}

template <typename F> static bool throws_bad_alloc(F allocate)
{
	try {
		CHECK(!allocate());
	} catch (const std::bad_alloc &) {
		return true;
	}
	return false;
}

static void throwing_forms_throw(void)
{
	std::align_val_t a{ 64 };

	CHECK(throws_bad_alloc([] { return ::operator new(too_much); }));
	CHECK(throws_bad_alloc([] { return ::operator new[](too_much); }));
	CHECK(throws_bad_alloc([a] { return ::operator new(too_much, a); }));
	CHECK(throws_bad_alloc([a] { return ::operator new[](too_much, a); }));
}

static void nothrow_forms_return_null(void)
{
	std::align_val_t a{ 64 };

	CHECK(!::operator new(too_much, nothrow));
	CHECK(!::operator new[](too_much, nothrow));
	CHECK(!::operator new(too_much, a, nothrow));
	CHECK(!::operator new[](too_much, a, nothrow));
}

static void a_handler_that_throws_is_called_once_a_form(void)
{
	handler_calls = 0;
	std::set_new_handler([] {
		handler_calls++;
		throw std::bad_alloc();
	});
	throwing_forms_throw();
	CHECK(handler_calls == 4);
	nothrow_forms_return_null();
	CHECK(handler_calls == 8);
	std::set_new_handler(nullptr);
}

static rlim_t soft_limit(rlim_t limit)
{
	struct rlimit r;
	rlim_t old;

	CHECK(!getrlimit(RLIMIT_AS, &r));
	old = r.rlim_cur;
	r.rlim_cur = limit;
	CHECK(!setrlimit(RLIMIT_AS, &r));
	return old;
}

static rlim_t old_limit;

static void a_handler_that_finds_memory_makes_new_succeed(void)
{
	size_t n = (size_t)1 << 30;
	void *p;

	handler_calls = 0;
	std::set_new_handler([] {
		if (++handler_calls == 3)
			soft_limit(old_limit);
	});
	old_limit = soft_limit((rlim_t)1 << 29);
	p = ::operator new(n);
	CHECK(p && handler_calls == 3);
	::operator delete(p, n);
	std::set_new_handler(nullptr);
}

int main()
{
	for (size_t n : { 1, 16, 24, 100, 1024, 5000, 300000, 3000000 }) {
		plain_forms_give_memory(n);
		for (size_t align = 1; align <= 65536; align *= 2)
			aligned_forms_give_aligned_memory(n, align);
	}
	empty_objects_are_distinct();
	throwing_forms_throw();
	nothrow_forms_return_null();
	a_handler_that_throws_is_called_once_a_form();
	a_handler_that_finds_memory_makes_new_succeed();
	return 0;
}
