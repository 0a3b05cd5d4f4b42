// SPDX-License-Identifier: MIT
/*
 * table.c - a hash table that grows: entries in chains, a key for each, buckets by realloc.
 *
 * The array of buckets doubles where it lies, if realloc can, and each chain is divided between its
 * bucket and a new one; entries stay. The table is filled, every key is looked up, every other one
 * is removed, and as many others come. An operation is an insertion, a look-up or a removal.
 */
#include "workload.h"

enum { FIRST_BUCKETS = 16, KEY_MAX = 64 };

static struct knob knobs[] = {
	{ "keys", 600000, 500 },
	{ NULL, 0, 0 },
};

struct entry {
	struct entry *next;
	uint64_t hash;
	char *key;
	unsigned long value;
};

struct table {
	struct entry **bucket;
	size_t buckets; /* a power of two */
	size_t entries;
};

/* What keys are cut from; a key of number n ends with 8 letters that are n's alone. */
static char source[4096];

struct key {
	char text[KEY_MAX];
	size_t length; /* 12 to 63 */
	uint64_t hash;
};

static void source_fill(void)
{
	struct rng rng = rng_seed(0);

	for (size_t i = 0; i < sizeof(source); i++)
		source[i] = (char)rng_between(&rng, 'a', 'z');
}

/* FNV-1a (Fowler, Noll, Vo); the upper half is mixed in, since buckets are the lower bits. */
static uint64_t hash_of(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3ull;
	return hash ^ hash >> 32;
}

/* The same at each call. */
static void key_of(unsigned long number, struct key *key)
{
	struct rng rng = rng_seed(number);
	char *end;

	key->length = rng_size(&rng, 12, KEY_MAX - 1);
	memcpy(key->text, source + rng_below(&rng, sizeof(source) - KEY_MAX), key->length);
	end = key->text + key->length;
	*end = '\0';
	for (int i = 0; i < 8; i++, number >>= 4)
		*--end = (char)('a' + number % 16);
	key->hash = hash_of(key->text);
}

static void table_resize(struct table *t, size_t buckets)
{
	t->bucket = realloc(t->bucket, buckets * sizeof(*t->bucket));
	if (!t->bucket)
		die("realloc returned NULL");
	memset(t->bucket + t->buckets, 0, (buckets - t->buckets) * sizeof(*t->bucket));
	t->buckets = buckets;
}

/* An entry of bucket i belongs to i or to i + half now. */
static void table_double(struct table *t)
{
	size_t half = t->buckets;

	table_resize(t, 2 * half);
	for (size_t i = 0; i < half; i++)
		for (struct entry **at = &t->bucket[i]; *at;) {
			struct entry *e = *at;

			if (!(e->hash & half)) {
				at = &e->next;
				continue;
			}
			*at = e->next;
			e->next = t->bucket[i + half];
			t->bucket[i + half] = e;
		}
}

/* Where the entry hangs, or where a chain ends that has not got it. */
static struct entry **table_find(struct table *t, const struct key *key)
{
	struct entry **at = &t->bucket[key->hash & (t->buckets - 1)];

	while (*at && ((*at)->hash != key->hash || strcmp((*at)->key, key->text) != 0))
		at = &(*at)->next;
	return at;
}

static void table_insert(struct table *t, unsigned long number)
{
	struct entry *e = must_malloc(sizeof(*e));
	struct key key;

	if (t->entries == t->buckets)
		table_double(t);
	key_of(number, &key);
	*e = (struct entry){ .hash = key.hash, .value = number };
	e->key = must_malloc(key.length + 1);
	memcpy(e->key, key.text, key.length + 1);
	*table_find(t, &key) = e;
	t->entries++;
}

static struct entry **table_must_find(struct table *t, unsigned long number)
{
	struct entry **at;
	struct key key;

	key_of(number, &key);
	at = table_find(t, &key);
	if (!*at || (*at)->value != number)
		die("a key is lost");
	return at;
}

static void table_remove(struct table *t, unsigned long number)
{
	struct entry **at = table_must_find(t, number);
	struct entry *e = *at;

	*at = e->next;
	free(e->key);
	free(e);
	t->entries--;
}

int main(int argc, char **argv)
{
	struct table t = { NULL, 0, 0 };
	unsigned long keys;
	struct measure m;
	double seconds;

	knobs_read(knobs, argc, argv);
	keys = knob(knobs, "keys");
	source_fill();

	m = measure_begin();
	table_resize(&t, FIRST_BUCKETS);
	for (unsigned long i = 0; i < keys; i++)
		table_insert(&t, i);
	for (unsigned long i = 0; i < keys; i++)
		table_must_find(&t, i);
	for (unsigned long i = 0; i < keys; i += 2)
		table_remove(&t, i);
	for (unsigned long i = keys; i < keys + keys / 2; i++)
		table_insert(&t, i);
	for (unsigned long i = 0; i < keys + keys / 2; i++)
		if (i >= keys || i % 2)
			table_remove(&t, i);
	free(t.bucket);
	seconds = measure_end(&m);
	if (t.entries)
		die("entries are left over");
	result("operations_per_second", (double)(4 * keys) / seconds);
	return 0;
}
