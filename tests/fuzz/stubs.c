/* SPDX-License-Identifier: MIT */
/* stubs.c - for options.c: what the parsers call that is no parser. Nothing is written, and no cache is made. */
#include "base/memcheck.h"
#include "base/platform.h"
#include "debug/random.h"
#include "debug/stack.h"
#include "debug/zero_size.h"
#include "slab/kmem_cache.h"

bool memcheck_on;
struct kmem_cache typed_caches[NR_TYPED];
struct kmem_cache *kmalloc_divert[NR_KMALLOC];
u32 kmalloc_shift;

bool platform_write(int fd, const char *buf, size_t len)
{
	static volatile char sum;

	(void)fd;
	for (size_t i = 0; i < len; i++)
		sum = (char)(sum + buf[i]);
	return true;
}

/* The names and numbers that there are on any machine. */
unsigned int platform_signal(const char *name, size_t len)
{
	return len == 4 && name[0] == 'U' && name[3] == '2' ? 12 : 0;
}

char **platform_environ(void)
{
	return NULL;
}

int platform_getpid(void)
{
	return 1;
}

void zero_size_boot(void)
{
}

_Noreturn void platform_abort(void)
{
	__builtin_trap();
}

void platform_futex_wait(u32 *word, u32 value)
{
	(void)word;
	(void)value;
}

void platform_futex_wake(u32 *word)
{
	(void)word;
}

void platform_yield(void)
{
}

struct kmem_cache *kmem_cache_new(const struct cache_shape *shape,
				  void (*layout)(struct kmem_cache *s))
{
	(void)layout;
	return shape->size ? NULL : &typed_caches[0];
}

void kmem_cache_forget(struct kmem_cache *s)
{
	(void)s;
}

void debug_layout(struct kmem_cache *s);
void debug_layout(struct kmem_cache *s)
{
	(void)s;
}

u64 random_seed(void)
{
	return 1;
}

u64 get_random_u64(void)
{
	return 1;
}

void stack_save(struct stack *t, const void *caller)
{
	(void)caller;
	t->nr = 0;
}

void stack_print(struct seq_file *m, const struct stack *t)
{
	(void)m;
	(void)t;
}

void stack_print_symbol(struct seq_file *m, const void *pc)
{
	(void)m;
	(void)pc;
}
