// SPDX-License-Identifier: MIT
/*
 * new.c - the C++ operators new and delete, in C: the library must load into C programs too, so it
 * cannot need a C++ runtime. Functions are bound to the mangled names by asm labels.
 *
 * 1. Who calls whom
 *
 * [new.delete] says what each form does by default, and a program may count on it: one that replaces
 * only operator new(size_t) and operator delete(void *) gets its own for arrays, nothrow and sized
 * calls too. So only the plain forms stand on malloc and free; the others jump to the plain form by its
 * exported name, which finds the program's if there is one:
 *
 *	new[]			-> new		delete[]		-> delete
 *	new(nothrow)		-> new, below	delete, sized		-> delete
 *	new[](nothrow)		-> new(nothrow)	delete[], sized		-> delete[]
 *
 * and the same again with an alignment. Through the GOT that is one jump. It needs semantic
 * interposition: no -Bsymbolic, no -fno-semantic-interposition.
 *
 * 2. Out of memory
 *
 * Then the handlers of std::set_new_handler() run in a loop, and std::bad_alloc is thrown; the nothrow
 * forms catch what a handler throws. All that is done by the operator of the C++ runtime in the process:
 * we call it, by handle; its own call of malloc comes here and fails again, or a handler has freed some.
 * Catching in C would take a personality routine and weak references to the C++ ABI, and these bind
 * when we are loaded: too early where a plugin brings the runtime with it later (a C program, say
 * python3, that loads a module written in C++). A look-up at the time of the failure finds either.
 *
 * dlopen(RTLD_NOLOAD) and dlsym may call malloc: no lock is held here, so that is like any other call.
 * The runtime goes by its own name, not RTLD_NEXT: next may be another allocator's operator, whose
 * memory we could not free.
 *
 * 3. What is given back as what it is not
 *
 * Where somebody watches (mismatch.h), new marks its blocks, new[] marks them again, and delete[] makes them new's for
 * delete, whom it calls.
 *
 * The static library is without this file: the operators of the C++ runtime that the program is linked
 * with call the malloc of ours, and fail by their own rules.
 */
#include <dlfcn.h>

#include "base/bug.h"
#include "preload/entry.h"
#include "preload/mismatch.h"

/* size_t in a mangled name: unsigned long or unsigned int. */
#ifdef __LP64__
#define SIZE "m"
#else
#define SIZE "j"
#endif
#define ALIGNED "St11align_val_t"
#define NOTHROW "RKSt9nothrow_t"

/*
 * noipa, and noinline for clang, which has no noipa: what a call by name reaches is known to the dynamic
 * linker only. noplt, gcc's: one jump, not two.
 */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wattributes"
#define OPERATOR(symbol) \
	__asm__(symbol) noinline __attribute__((visibility("default"), noipa, noplt))

void *new_plain(size_t n) OPERATOR("_Znw" SIZE);
void *new_array(size_t n) OPERATOR("_Zna" SIZE);
void *new_nothrow(size_t n, const void *tag) OPERATOR("_Znw" SIZE NOTHROW);
void *new_array_nothrow(size_t n, const void *tag) OPERATOR("_Zna" SIZE NOTHROW);
void *new_aligned(size_t n, size_t align) OPERATOR("_Znw" SIZE ALIGNED);
void *new_array_aligned(size_t n, size_t align) OPERATOR("_Zna" SIZE ALIGNED);
void *new_aligned_nothrow(size_t n, size_t align, const void *tag)
	OPERATOR("_Znw" SIZE ALIGNED NOTHROW);
void *new_array_aligned_nothrow(size_t n, size_t align, const void *tag)
	OPERATOR("_Zna" SIZE ALIGNED NOTHROW);

void delete_plain(void *p) OPERATOR("_ZdlPv");
void delete_array(void *p) OPERATOR("_ZdaPv");
void delete_sized(void *p, size_t n) OPERATOR("_ZdlPv" SIZE);
void delete_array_sized(void *p, size_t n) OPERATOR("_ZdaPv" SIZE);
void delete_nothrow(void *p, const void *tag) OPERATOR("_ZdlPv" NOTHROW);
void delete_array_nothrow(void *p, const void *tag) OPERATOR("_ZdaPv" NOTHROW);
void delete_aligned(void *p, size_t align) OPERATOR("_ZdlPv" ALIGNED);
void delete_array_aligned(void *p, size_t align) OPERATOR("_ZdaPv" ALIGNED);
void delete_sized_aligned(void *p, size_t n, size_t align) OPERATOR("_ZdlPv" SIZE ALIGNED);
void delete_array_sized_aligned(void *p, size_t n, size_t align) OPERATOR("_ZdaPv" SIZE ALIGNED);
void delete_aligned_nothrow(void *p, size_t align, const void *tag)
	OPERATOR("_ZdlPv" ALIGNED NOTHROW);
void delete_array_aligned_nothrow(void *p, size_t align, const void *tag)
	OPERATOR("_ZdaPv" ALIGNED NOTHROW);

/* The same functions by names that nobody can replace: to compare with. */
#define LOCAL(symbol) __attribute__((alias(symbol), visibility("hidden")))
extern __typeof__(new_plain) local_plain LOCAL("_Znw" SIZE);
extern __typeof__(new_aligned) local_aligned LOCAL("_Znw" SIZE ALIGNED);
#pragma GCC diagnostic pop

/* Is this function, looked up by its exported name, still ours? The compiler must not know. */
#define is_ours(exported, local)                             \
	({                                                   \
		__typeof__(&(exported)) found = &(exported); \
		__asm__("" : "+r"(found));                   \
		found == &(local);                           \
	})

/*
 * The C++ runtime's own function of that name, or NULL. The handle is kept: the function must not be
 * unloaded under its caller.
 */
static __cold noinline void *runtime(const char *symbol)
{
	static const char *const names[] = { "libstdc++.so.6", "libc++.so.1", "libc++abi.so.1" };
	static void *handle;
	void *h = __atomic_load_n(&handle, __ATOMIC_ACQUIRE);

	for (size_t i = 0; !h && i < ARRAY_SIZE(names); i++)
		h = dlopen(names[i], RTLD_LAZY | RTLD_NOLOAD);
	__atomic_store_n(&handle, h, __ATOMIC_RELEASE);
	return h ? dlsym(h, symbol) : NULL;
}

/* What the sheaf does not have; out of memory at the end. */
static noinline void *slow_plain(size_t n)
{
	__typeof__(&new_plain) next;
	void *p = entry_kmalloc(n, GFP_KERNEL, CALLER);

	if (unlikely(!p)) {
		next = runtime("_Znw" SIZE);
		BUG_ON(!next, "operator new(%zu): out of memory, and no C++ runtime to say so", n);
		p = next(n);
	}
	return mismatch_watched() ? mismatch_allocated(p, ORIGIN_NEW) : p;
}

static noinline void *slow_nothrow(size_t n, const void *tag)
{
	__typeof__(&new_nothrow) next;
	void *p = is_ours(new_plain, local_plain) ? entry_kmalloc(n, GFP_KERNEL, CALLER) : NULL;

	if (unlikely(!p)) {
		next = runtime("_Znw" SIZE NOTHROW);
		p = next ? next(n, tag) : NULL;
	}
	return mismatch_watched() ? mismatch_allocated(p, ORIGIN_NEW) : p;
}

/* What cannot be had either, and what libstdc++ may round up to the alignment: near SIZE_MAX it would get 0. */
static size_t roundable(size_t n)
{
	return min(n, (size_t)PTRDIFF_MAX);
}

static __cold noinline void *fail_aligned(size_t n, size_t align)
{
	__typeof__(&new_aligned) next = runtime("_Znw" SIZE ALIGNED);

	BUG_ON(!next, "operator new(%zu, %zu): out of memory, and no C++ runtime to say so", n,
	       align);
	return next(roundable(n), align);
}

static __cold noinline void *fail_aligned_nothrow(size_t n, size_t align, const void *tag)
{
	__typeof__(&new_aligned_nothrow) next = runtime("_Znw" SIZE ALIGNED NOTHROW);

	return next ? next(roundable(n), align, tag) : NULL;
}

/* An alignment that is no power of two cannot be met: out of memory, as in the C++ runtimes. */
static void *allocate_aligned(size_t n, size_t align)
{
	void *p = align && !(align & (align - 1)) ? entry_memalign(align, n) : NULL;

	return mismatch_watched() ? mismatch_allocated(p, ORIGIN_NEW) : p;
}

HOT void *new_plain(size_t n)
{
	void *p = sheaf_malloc(n);

	return likely(p) ? p : slow_plain(n);
}

void *new_array(size_t n)
{
	if (unlikely(mismatch_watched()))
		return mismatch_allocated(new_plain(n), ORIGIN_NEW_ARRAY);
	return new_plain(n);
}

void *new_nothrow(size_t n, const void *tag)
{
	void *p = is_ours(new_plain, local_plain) ? sheaf_malloc(n) : NULL;

	return likely(p) ? p : slow_nothrow(n, tag);
}

void *new_array_nothrow(size_t n, const void *tag)
{
	if (unlikely(mismatch_watched()))
		return mismatch_allocated(new_nothrow(n, tag), ORIGIN_NEW_ARRAY);
	return new_nothrow(n, tag);
}

void *new_aligned(size_t n, size_t align)
{
	void *p = allocate_aligned(n, align);

	return likely(p) ? p : fail_aligned(n, align);
}

void *new_array_aligned(size_t n, size_t align)
{
	if (unlikely(mismatch_watched()))
		return mismatch_allocated(new_aligned(n, align), ORIGIN_NEW_ARRAY);
	return new_aligned(n, align);
}

void *new_aligned_nothrow(size_t n, size_t align, const void *tag)
{
	void *p = is_ours(new_aligned, local_aligned) ? allocate_aligned(n, align) : NULL;

	return likely(p) ? p : fail_aligned_nothrow(n, align, tag);
}

void *new_array_aligned_nothrow(size_t n, size_t align, const void *tag)
{
	if (unlikely(mismatch_watched()))
		return mismatch_allocated(new_aligned_nothrow(n, align, tag), ORIGIN_NEW_ARRAY);
	return new_aligned_nothrow(n, align, tag);
}

/* The sheaf does not take it. */
static noinline void delete_slow(void *p)
{
	const struct call call = { "operator delete", p };

	if (unlikely(mismatch_watched()) && is_ours(new_plain, local_plain) &&
	    !mismatch_origin(&call, ORIGIN_NEW, CALLER))
		return;
	entry_free_from(p, call.function, CALLER);
}

/* May a block of new[] go on to delete? It is as if new had made it, then. */
static noinline bool array_ends(void *p)
{
	const struct call call = { "operator delete[]", p };

	if (is_ours(new_plain, local_plain) && !mismatch_origin(&call, ORIGIN_NEW_ARRAY, CALLER))
		return false;
	mismatch_allocated(p, ORIGIN_NEW);
	return true;
}

/* The size that the program names must be the block's. */
static noinline bool size_is_right(void *p, size_t n, const char *function, bool aligned)
{
	const struct call call = { function, p };

	return !is_ours(new_plain, local_plain) || mismatch_size(&call, n, aligned);
}

HOT void delete_plain(void *p)
{
	if (unlikely(!sheaf_free(p)))
		delete_slow(p);
}

void delete_array(void *p)
{
	if (likely(!mismatch_watched()) || array_ends(p))
		delete_plain(p);
}

void delete_sized(void *p, size_t n)
{
	if (likely(!mismatch_watched()) || size_is_right(p, n, "operator delete", false))
		delete_plain(p);
}

void delete_array_sized(void *p, size_t n)
{
	if (likely(!mismatch_watched()) || size_is_right(p, n, "operator delete[]", false))
		delete_array(p);
}

void delete_nothrow(void *p, const void *tag)
{
	(void)tag;
	delete_plain(p);
}

void delete_array_nothrow(void *p, const void *tag)
{
	(void)tag;
	delete_array(p);
}

void delete_aligned(void *p, size_t align)
{
	(void)align;
	if (unlikely(!sheaf_free(p)))
		delete_slow(p);
}

void delete_array_aligned(void *p, size_t align)
{
	if (likely(!mismatch_watched()) || array_ends(p))
		delete_aligned(p, align);
}

void delete_sized_aligned(void *p, size_t n, size_t align)
{
	if (likely(!mismatch_watched()) || size_is_right(p, n, "operator delete", true))
		delete_aligned(p, align);
}

void delete_array_sized_aligned(void *p, size_t n, size_t align)
{
	if (likely(!mismatch_watched()) || size_is_right(p, n, "operator delete[]", true))
		delete_array_aligned(p, align);
}

void delete_aligned_nothrow(void *p, size_t align, const void *tag)
{
	(void)tag;
	delete_aligned(p, align);
}

void delete_array_aligned_nothrow(void *p, size_t align, const void *tag)
{
	(void)tag;
	delete_array_aligned(p, align);
}
