// SPDX-License-Identifier: MIT
/*
 * strings.c - texts that grow by realloc, many of them at the same time.
 *
 * A word is appended to one of the open strings at random. Half of the strings are given just the
 * room that they need, each time; the other half grow by half of themselves and are cut to their
 * length at the end. Most stay short, some reach 256 KiB. A finished string is compared with what
 * it must be, and freed.
 */
#include "workload.h"

enum {
	LONGEST = 256 << 10,
	WORD = 64, /* bytes appended at once, at most */
};

static struct knob knobs[] = {
	{ "open", 500, 20 }, /* strings that grow at the same time */
	{ "appends", 12000000, 20000 },
	{ NULL, 0, 0 },
};

struct string {
	char *text;
	size_t length, room, end; /* finished when it is so long */
	size_t from; /* where in the source it begins */
	bool exact;
};

/* What all strings are copied from: each begins somewhere in the first half. */
static char source[2 * LONGEST];

static void source_fill(struct rng *rng)
{
	for (size_t i = 0; i < sizeof(source); i++)
		source[i] = (char)rng_between(rng, ' ', '~');
}

static void string_open(struct string *s, struct rng *rng)
{
	*s = (struct string){
		.end = rng_size(rng, 16, rng_below(rng, 256) ? 4096 : LONGEST),
		.from = rng_below(rng, LONGEST),
		.exact = rng_below(rng, 2),
	};
}

static void string_room(struct string *s, size_t room)
{
	s->text = realloc(s->text, room);
	s->room = room;
	if (!s->text)
		die("realloc returned NULL");
}

static void string_append(struct string *s, size_t word)
{
	size_t length = s->length + word < s->end ? s->length + word : s->end;

	if (length > s->room)
		string_room(s, s->exact || s->room + s->room / 2 < length ? length
									  : s->room + s->room / 2);
	memcpy(s->text + s->length, source + s->from + s->length, length - s->length);
	s->length = length;
}

static void string_close(struct string *s)
{
	if (s->room > s->length)
		string_room(s, s->length);
	if (s->text && memcmp(s->text, source + s->from, s->length) != 0)
		die("a string has other bytes");
	free(s->text);
}

int main(int argc, char **argv)
{
	struct rng rng = rng_seed(0);
	struct string *string;
	struct measure m;
	unsigned long open, appends;
	double seconds;

	knobs_read(knobs, argc, argv);
	open = knob(knobs, "open");
	appends = knob(knobs, "appends");
	string = table_map(open * sizeof(*string));
	source_fill(&rng);

	m = measure_begin();
	for (unsigned long i = 0; i < open; i++)
		string_open(&string[i], &rng);
	for (unsigned long i = 0; i < appends; i++) {
		struct string *s = &string[rng_below(&rng, (uint32_t)open)];

		string_append(s, rng_between(&rng, 1, WORD));
		if (s->length == s->end) {
			string_close(s);
			string_open(s, &rng);
		}
	}
	for (unsigned long i = 0; i < open; i++)
		string_close(&string[i]);
	seconds = measure_end(&m);
	result("operations_per_second", (double)appends / seconds);
	return 0;
}
