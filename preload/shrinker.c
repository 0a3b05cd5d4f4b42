// SPDX-License-Identifier: MIT
/*
 * shrinker.c - shrinkers of the program's: the two ways to register one (reclaim/shrinker.h has the walk).
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "base/bug.h"
#include "base/printk.h"
#include "init/boot.h"
#include "preload/entry.h"
#include "reclaim/pressure.h"
#include "reclaim/reclaim.h"
#include "reclaim/shrinker.h"

static struct shrinker_entry *make_entry(const char *fmt, va_list ap)
{
	struct seq_file m;

	seq_open(&m, -1);
	if (fmt)
		seq_vprintf(&m, fmt, ap);
	m.buf[min(m.len, (unsigned int)SHRINKER_NAME_MAX)] = 0;
	return shrinker_entry_alloc(m.buf);
}

EXPORT struct shrinker *shrinker_alloc(unsigned int flags, const char *fmt, ...)
{
	struct shrinker *s = entry_malloc(sizeof(*s));
	va_list ap;

	if (!s)
		return NULL;
	memset(s, 0, sizeof(*s));
	s->seeks = DEFAULT_SEEKS;
	s->flags = (flags & ~SHRINKER_REGISTERED) | SHRINKER_ALLOCATED;
	va_start(ap, fmt);
	s->entry = make_entry(fmt, ap);
	va_end(ap);
	if (s->entry)
		return s;
	entry_free(s);
	errno = ENOMEM;
	return NULL;
}

/* Registers s with entry e, or says why not. */
static bool add(struct shrinker *s, struct shrinker_entry *e, const char *function)
{
	const char *what = "registered already";

	if (!s->count_objects || !s->scan_objects)
		what = "count_objects or scan_objects is missing";
	else if (shrinker_add(e, s))
		return true;
	printk("%s(%p): %s", function, (void *)s, what);
	return false;
}

EXPORT void shrinker_register(struct shrinker *s)
{
	if (s->flags & SHRINKER_ALLOCATED)
		add(s, s->entry, "shrinker_register");
	else
		printk("shrinker_register(%p): not of shrinker_alloc()", (void *)s);
}

EXPORT void shrinker_free(struct shrinker *s)
{
	struct shrinker_entry *e;

	if (!s)
		return;
	if (!(s->flags & SHRINKER_ALLOCATED)) {
		report_bad(&(struct call){ "shrinker_free", s }, "not of shrinker_alloc()");
		return;
	}
	e = s->entry;
	if (!shrinker_remove(s))
		shrinker_entry_free(e);
	entry_free(s);
}

EXPORT int __register_shrinker(struct shrinker *s, const char *fmt, ...)
{
	struct shrinker_entry *e;
	va_list ap;

	va_start(ap, fmt);
	e = make_entry(fmt, ap);
	va_end(ap);
	if (!e)
		return -ENOMEM;
	if (add(s, e, "register_shrinker"))
		return 0;
	shrinker_entry_free(e);
	return -EINVAL;
}

EXPORT void unregister_shrinker(struct shrinker *s)
{
	shrinker_remove(s);
}

EXPORT void slabmalloc_on_pressure(void (*fn)(const struct slabmalloc_pressure *, void *),
				   void *arg)
{
	pressure_call(fn, arg);
}

EXPORT unsigned long slabmalloc_shrink(int priority)
{
	int saved = errno;
	unsigned long freed = shrink_all(priority, GFP_KERNEL);

	if (priority <= 0)
		entry_trim(false);
	errno = saved;
	return freed;
}
