/* SPDX-License-Identifier: MIT */
/*
 * file_cache.c - a cache of parsed files that gives its entries back when memory is wanted.
 *
 *	file_cache FILE KEY	prints the value of KEY in FILE, whose lines are key=value
 *	file_cache		shows with files of its own how the cache fills and shrinks
 *
 * Entries are looked up by name and kept when nobody uses them any more, the least recently used first in
 * line to go. A reference of the cache's and one of each user's keep an entry alive (kref), so the shrinker may take
 * out of the cache what is still in use elsewhere.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "slabmalloc/kref.h"
#include "slabmalloc/shrinker.h"
#include "slabmalloc/slab.h"

enum { NAME = 64, TEXT_MAX = 4096 };

struct file {
	struct kref ref;
	struct file *newer, *older; /* by last use */
	char name[NAME];
	size_t size;
	char text[TEXT_MAX]; /* key, 0, value, 0, key ... */
};

/* Looked up from the newest on: what is asked for often is found soon. */
static struct {
	pthread_mutex_t lock;
	struct file *newest, *oldest;
	unsigned long files, parsed;
} cache = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct kmem_cache *file_cache;

static void file_release(struct kref *ref)
{
	kmem_cache_free(file_cache, container_of(ref, struct file, ref));
}

/* The text as it is, with 0 where a key or a value ends. NULL: there is no such file, or no memory. */
static struct file *file_parse(const char *name)
{
	FILE *in = fopen(name, "r");
	struct file *f = in ? kmem_cache_alloc(file_cache, GFP_KERNEL) : NULL;

	if (f) {
		kref_init(&f->ref);
		snprintf(f->name, NAME, "%s", name);
		f->size = fread(f->text, 1, TEXT_MAX - 1, in);
		f->text[f->size++] = 0;
		for (char *p = f->text; (p = strpbrk(p, "=\n")); p++)
			*p = 0;
	}
	if (in)
		fclose(in);
	return f;
}

static void age_remove(struct file *f)
{
	*(f->newer ? &f->newer->older : &cache.newest) = f->older;
	*(f->older ? &f->older->newer : &cache.oldest) = f->newer;
}

/* The parsed file; the caller puts it when it is done with it. NULL: there is none, or no memory. */
static struct file *file_get(const char *name)
{
	struct file *f;

	pthread_mutex_lock(&cache.lock);
	for (f = cache.newest; f && strcmp(f->name, name) != 0; f = f->older)
		;
	if (f) {
		age_remove(f);
	} else if ((f = file_parse(name))) {
		cache.files++;
		cache.parsed++;
	}
	if (f) {
		f->newer = NULL;
		f->older = cache.newest;
		*(f->older ? &f->older->newer : &cache.oldest) = f;
		cache.newest = f;
		kref_get(&f->ref);
	}
	pthread_mutex_unlock(&cache.lock);
	return f;
}

static const char *file_value(const struct file *f, const char *key)
{
	const char *end = f->text + f->size;

	for (const char *k = f->text; k < end;) {
		const char *value = k + strlen(k) + 1;

		if (value < end && strcmp(k, key) == 0)
			return value;
		k = value < end ? value + strlen(value) + 1 : end;
	}
	return NULL;
}

static unsigned long count_files(struct shrinker *s, struct shrink_control *sc)
{
	(void)s;
	(void)sc;
	return __atomic_load_n(&cache.files, __ATOMIC_RELAXED);
}

/* Not by waiting: who holds the lock may be allocating, and have come here by that. */
static unsigned long scan_files(struct shrinker *s, struct shrink_control *sc)
{
	unsigned long n = 0;

	(void)s;
	if (pthread_mutex_trylock(&cache.lock))
		return SHRINK_STOP;
	for (struct file *f; n < sc->nr_to_scan && (f = cache.oldest); n++) {
		age_remove(f);
		cache.files--;
		kref_put(&f->ref, file_release);
	}
	pthread_mutex_unlock(&cache.lock);
	return n ? n : SHRINK_STOP;
}

static int demonstrate(void)
{
	enum { FILES = 500 };
	char dir[] = "/tmp/file_cache-XXXXXX", name[NAME];
	unsigned long freed;
	struct file *f;
	FILE *out;
	int wrong = 0;

	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	for (int i = 0; i < 2 * FILES; i++) {
		snprintf(name, NAME, "%d.conf", i % FILES);
		if (i < FILES && (out = fopen(name, "w"))) {
			fprintf(out, "number=%d\nname=file %d\n", i, i);
			fclose(out);
		}
		f = file_get(name);
		wrong += atoi(file_value(f, "number")) != i % FILES;
		kref_put(&f->ref, file_release);
	}
	f = file_get("0.conf");
	printf("%lu files in the cache, %lu parsed\n", cache.files, cache.parsed);
	wrong += cache.parsed != FILES;
	freed = slabmalloc_shrink(2);
	printf("a little pressure: %lu files freed, %lu left\n", freed, cache.files);
	wrong += freed + cache.files != FILES || !freed || !cache.files;
	freed = slabmalloc_shrink(0);
	printf("much of it: %lu files freed, %lu left\n", freed, cache.files);
	wrong += cache.files || strcmp(file_value(f, "name"), "file 0") != 0;
	kref_put(&f->ref, file_release);
	for (int i = 0; i < FILES; i++) {
		snprintf(name, NAME, "%d.conf", i);
		unlink(name);
	}
	return wrong + (chdir("/") || rmdir(dir));
}

int main(int argc, char **argv)
{
	struct shrinker *s = shrinker_alloc(0, "file_cache");
	struct file *f;
	int status = 1;

	file_cache = KMEM_CACHE(file, SLAB_RECLAIM_ACCOUNT);
	if (!s || !file_cache)
		return 1;
	s->count_objects = count_files;
	s->scan_objects = scan_files;
	shrinker_register(s);
	if (argc != 3) {
		status = demonstrate() != 0;
	} else if ((f = file_get(argv[1]))) {
		const char *value = file_value(f, argv[2]);

		status = !value || puts(value) < 0;
		kref_put(&f->ref, file_release);
	}
	slabmalloc_shrink(0);
	shrinker_free(s);
	kmem_cache_destroy(file_cache);
	return status;
}
