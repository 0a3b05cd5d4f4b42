/* SPDX-License-Identifier: MIT */
/*
 * container_of.h - from a member to the structure that it lies in.
 */
#pragma once

#include <stddef.h>

/**
 * container_of() - the structure that a member is part of
 * @ptr: address of the member
 * @type: the structure's type, with its keyword in C: struct foo
 * @member: the member's name
 *
 * A @ptr of another type than the member's does not compile (a void pointer does), in C and in C++. A const
 * @ptr gives a pointer that is not const, as in the kernel.
 *
 * Return: the structure's address.
 */
#ifndef container_of
#ifdef __cplusplus
namespace slabmalloc_api {
template <typename T> struct bare {
	typedef T bare_t;
};
template <typename T> struct bare<T &> : bare<T> {
};
template <typename T> struct bare<const T> : bare<T> {
};
template <typename T> struct bare<volatile T> : bare<T> {
};
template <typename T> struct bare<const volatile T> : bare<T> {
};
template <typename T, typename U> struct same {
	enum { value = false };
};
template <typename T> struct same<T, T> {
	enum { value = true };
};
template <typename P, typename M> struct member_of {
	enum { value = same<typename bare<P>::bare_t, typename bare<M>::bare_t>::value };
};
template <typename P> struct pointee;
template <typename P> struct pointee<P *> {
	typedef typename bare<P>::bare_t bare_t;
};
} // namespace slabmalloc_api
#define container_of(ptr, type, member)                                                          \
	(__extension__({                                                                         \
		typedef slabmalloc_api::bare<decltype(ptr)>::bare_t container_of_ptr;            \
		typedef slabmalloc_api::pointee<container_of_ptr>::bare_t container_of_pointee;  \
		static_assert(slabmalloc_api::member_of<container_of_pointee,                    \
							decltype(((type *)0)->member)>::value || \
				      slabmalloc_api::same<container_of_pointee, void>::value,   \
			      "pointer type mismatch in container_of()");                        \
		(type *)((char *)(void *)(ptr)-offsetof(type, member));                          \
	}))
#else
#define container_of(ptr, type, member)                                                         \
	(__extension__({                                                                        \
		_Static_assert(__builtin_types_compatible_p(__typeof__(*(ptr)),                 \
							    __typeof__(((type *)0)->member)) || \
				       __builtin_types_compatible_p(__typeof__(*(ptr)), void),  \
			       "pointer type mismatch in container_of()");                      \
		(type *)((char *)(void *)(ptr)-offsetof(type, member));                         \
	}))
#endif
#endif
