// SPDX-License-Identifier: MIT
/*
 * profile_pprof.c - pprof's profile.proto.
 *
 * A protobuf message is a row of fields, each a number, a kind, and a varint or counted bytes. All that is large
 * here is repeated fields of the outermost message, which may stand in any order, so each is put together on the stack and
 * written. The ids of locations are their addresses. (The numbers of the fields are those of
 * github.com/google/pprof/proto/profile.proto.)
 */
#include "debug/profile_pprof.h"

#include <elf.h>
#include <link.h>
#include <string.h>

#include "debug/profile_tables.h"
#include "os/maps.h"
#include "os/mem.h"
#include "os/thread.h"

enum { KIND_VARINT = 0, KIND_BYTES = 2 };

enum profile_field {
	PROFILE_SAMPLE_TYPE = 1,
	PROFILE_SAMPLE = 2,
	PROFILE_MAPPING = 3,
	PROFILE_LOCATION = 4,
	PROFILE_STRING = 6,
	PROFILE_TIME_NANOS = 9,
	PROFILE_PERIOD_TYPE = 11,
	PROFILE_PERIOD = 12,
	PROFILE_COMMENT = 13,
	PROFILE_DEFAULT_SAMPLE_TYPE = 14,
};

enum { TYPE_TYPE = 1, TYPE_UNIT = 2 };
enum { SAMPLE_LOCATION = 1, SAMPLE_VALUE = 2 };
enum { LOCATION_ID = 1, LOCATION_MAPPING = 2, LOCATION_ADDRESS = 3 };
enum {
	MAPPING_ID = 1,
	MAPPING_START = 2,
	MAPPING_LIMIT = 3,
	MAPPING_OFFSET = 4,
	MAPPING_FILENAME = 5,
	MAPPING_BUILD_ID = 6,
};

/* The first strings of the table, by number. */
enum {
	STR_NONE,
	STR_ALLOC_OBJECTS,
	STR_COUNT,
	STR_ALLOC_SPACE,
	STR_BYTES,
	STR_INUSE_OBJECTS,
	STR_INUSE_SPACE,
	STR_SPACE,
	STR_COMMENT,
	NR_FIXED
};

#define COMMENT "libslabmalloc " SLABMALLOC_VERSION

static const char *const fixed[NR_FIXED] = {
	[STR_NONE] = "",
	[STR_ALLOC_OBJECTS] = "alloc_objects",
	[STR_COUNT] = "count",
	[STR_ALLOC_SPACE] = "alloc_space",
	[STR_BYTES] = "bytes",
	[STR_INUSE_OBJECTS] = "inuse_objects",
	[STR_INUSE_SPACE] = "inuse_space",
	[STR_SPACE] = "space",
	[STR_COMMENT] = COMMENT,
};

enum { VARINT_MAX = 10, MESSAGE_MAX = (PROFILE_DEPTH + 8) * VARINT_MAX };

struct message {
	u32 len;
	u8 buf[MESSAGE_MAX];
};

static void put_varint(struct message *m, u64 v)
{
	for (; v >= 0x80; v >>= 7)
		m->buf[m->len++] = (u8)(v | 0x80);
	m->buf[m->len++] = (u8)v;
}

static void put_field(struct message *m, u32 field, u64 v)
{
	if (!v)
		return;
	put_varint(m, field << 3 | KIND_VARINT);
	put_varint(m, v);
}

static void put_bytes(struct seq_file *out, u32 field, const void *bytes, size_t len)
{
	struct message head = { 0 };

	put_varint(&head, field << 3 | KIND_BYTES);
	put_varint(&head, len);
	for (u32 i = 0; i < head.len; i++)
		seq_putc(out, (char)head.buf[i]);
	for (size_t i = 0; i < len; i++)
		seq_putc(out, ((const char *)bytes)[i]);
}

static void put_message(struct seq_file *out, u32 field, const struct message *m)
{
	put_bytes(out, field, m->buf, m->len);
}

static void put_number(struct seq_file *out, u32 field, u64 v)
{
	struct message m = { 0 };

	put_field(&m, field, v);
	for (u32 i = 0; i < m.len; i++)
		seq_putc(out, (char)m.buf[i]);
}

static void put_type(struct seq_file *out, u32 field, u32 type, u32 unit)
{
	struct message m = { 0 };

	put_field(&m, TYPE_TYPE, type);
	put_field(&m, TYPE_UNIT, unit);
	put_message(out, field, &m);
}

/* Where code is mapped; the numbers of mappings are their places here, from 1 on. */
struct code {
	struct seq_file *out;
	u32 nr, most, strings;
	struct os_mapping image; /* the start of the file that was mapped last */
	char image_name[256];
	struct {
		uintptr_t start, end;
	} map[];
};

static size_t code_bytes(void)
{
	return ALIGN(64 * KIB, os_page_size());
}

static void put_hex(char *out, const u8 *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		*out++ = "0123456789abcdef"[bytes[i] >> 4];
		*out++ = "0123456789abcdef"[bytes[i] & 15];
	}
	*out = 0;
}

/* The build id among the notes of [p, end), in hexadecimal. */
static bool find_note(const char *p, const char *end, char *id, size_t size)
{
	while ((size_t)(end - p) >= sizeof(ElfW(Nhdr))) {
		const ElfW(Nhdr) *n = (const void *)p;
		const char *name = p + sizeof(*n), *desc = name + ALIGN(n->n_namesz, 4);

		if (n->n_namesz > 256 || n->n_descsz > 4096 || desc > end ||
		    n->n_descsz > (size_t)(end - desc))
			return false;
		if (n->n_type == NT_GNU_BUILD_ID && n->n_namesz == 4 && !memcmp(name, "GNU", 4) &&
		    2 * n->n_descsz < size) {
			put_hex(id, (const u8 *)desc, n->n_descsz);
			return true;
		}
		p = desc + ALIGN(n->n_descsz, 4);
	}
	return false;
}

/* Of an ELF file's first mapping. */
static bool find_build_id(const struct os_mapping *image, char *id, size_t size)
{
	const ElfW(Ehdr) *elf = (const void *)image->start;
	size_t len = image->end - image->start;
	const ElfW(Phdr) * ph;

	if (!image->readable || len < sizeof(*elf) || memcmp(elf->e_ident, ELFMAG, SELFMAG) != 0 ||
	    elf->e_phentsize != sizeof(*ph) || elf->e_phoff > len ||
	    elf->e_phnum * sizeof(*ph) > len - elf->e_phoff)
		return false;
	ph = (const void *)(image->start + elf->e_phoff);
	for (u32 i = 0; i < elf->e_phnum; i++)
		if (ph[i].p_type == PT_NOTE && ph[i].p_offset <= len &&
		    ph[i].p_filesz <= len - ph[i].p_offset &&
		    find_note((const char *)image->start + ph[i].p_offset,
			      (const char *)image->start + ph[i].p_offset + ph[i].p_filesz, id,
			      size))
			return true;
	return false;
}

static u32 put_string(struct code *c, const char *s)
{
	put_bytes(c->out, PROFILE_STRING, s, strlen(s));
	return c->strings++;
}

static bool put_mapping(const struct os_mapping *map, void *arg)
{
	struct code *c = arg;
	struct message m = { 0 };
	char id[129];

	if (!map->offset && strlen(map->name) < sizeof(c->image_name)) {
		c->image = *map;
		strcpy(c->image_name, map->name);
	}
	if (!map->executable || c->nr == c->most)
		return true;
	c->map[c->nr].start = map->start;
	c->map[c->nr++].end = map->end;
	put_field(&m, MAPPING_ID, c->nr);
	put_field(&m, MAPPING_START, map->start);
	put_field(&m, MAPPING_LIMIT, map->end);
	put_field(&m, MAPPING_OFFSET, map->offset);
	put_field(&m, MAPPING_FILENAME, map->name[0] ? put_string(c, map->name) : 0);
	if (map->name[0] == '/' && !strcmp(map->name, c->image_name) &&
	    find_build_id(&c->image, id, sizeof(id)))
		put_field(&m, MAPPING_BUILD_ID, put_string(c, id));
	put_message(c->out, PROFILE_MAPPING, &m);
	return true;
}

/* The call, not what follows it. */
static u64 address_of(const void *pc)
{
	return (uintptr_t)pc - 1;
}

static void put_location(const struct code *c, const void *pc)
{
	u64 address = address_of(pc);
	struct message m = { 0 };
	u32 i = 0;

	while (i < c->nr && (address < c->map[i].start || address >= c->map[i].end))
		i++;
	put_field(&m, LOCATION_ID, address);
	put_field(&m, LOCATION_MAPPING, i < c->nr ? i + 1 : 0);
	put_field(&m, LOCATION_ADDRESS, address);
	put_message(c->out, PROFILE_LOCATION, &m);
}

static void put_packed(struct message *m, u32 field, const struct message *values)
{
	put_varint(m, field << 3 | KIND_BYTES);
	put_varint(m, values->len);
	memcpy(m->buf + m->len, values->buf, values->len);
	m->len += values->len;
}

static void put_sample(struct seq_file *out, const struct profile_site *s)
{
	struct message m = { 0 }, list = { 0 };

	for (u32 i = 0; i < s->nr; i++)
		put_varint(&list, address_of(s->pc[i]));
	put_packed(&m, SAMPLE_LOCATION, &list);
	list.len = 0;
	put_varint(&list, profile_whole(READ_ONCE(s->sums.allocs)));
	put_varint(&list, profile_whole(READ_ONCE(s->sums.alloc_bytes)));
	put_varint(&list, profile_live(s));
	put_varint(&list, profile_live_bytes(s));
	put_packed(&m, SAMPLE_VALUE, &list);
	put_message(out, PROFILE_SAMPLE, &m);
}

void profile_write_pprof(struct seq_file *out)
{
	struct code *c = os_map(code_bytes());
	const struct profile_site *s;
	const struct profile_frame *f;

	if (!c) {
		out->failed = true;
		return;
	}
	c->out = out;
	c->most = (u32)((code_bytes() - sizeof(*c)) / sizeof(c->map[0]));
	for (; c->strings < NR_FIXED;)
		put_string(c, fixed[c->strings]);
	put_type(out, PROFILE_SAMPLE_TYPE, STR_ALLOC_OBJECTS, STR_COUNT);
	put_type(out, PROFILE_SAMPLE_TYPE, STR_ALLOC_SPACE, STR_BYTES);
	put_type(out, PROFILE_SAMPLE_TYPE, STR_INUSE_OBJECTS, STR_COUNT);
	put_type(out, PROFILE_SAMPLE_TYPE, STR_INUSE_SPACE, STR_BYTES);
	put_type(out, PROFILE_PERIOD_TYPE, STR_SPACE, STR_BYTES);
	put_number(out, PROFILE_PERIOD, profile_interval);
	put_number(out, PROFILE_TIME_NANOS, os_wall_ms() * 1000000);
	put_number(out, PROFILE_COMMENT, STR_COMMENT);
	put_number(out, PROFILE_DEFAULT_SAMPLE_TYPE, STR_INUSE_SPACE);
	os_for_each_mapping(put_mapping, c);
	/* Sites first: the frames of one that comes meanwhile would be missing. */
	s = __atomic_load_n(&profile_sites, __ATOMIC_ACQUIRE);
	for_each_profile_frame(f)
		put_location(c, f->pc);
	for (; s; s = s->older)
		put_sample(out, s);
	os_unmap(c, code_bytes());
}
