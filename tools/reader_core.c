// SPDX-License-Identifier: MIT
/*
 * reader_core.c - an ELF core file as the memory of a process.
 *
 * The kernel leaves out what is in files anyway (code, constants); the note NT_FILE names them, and they are read from
 * there, if they are still the same: their first page is in the core, with the build-id.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/procfs.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reader.h"

enum { PAGE = 4096 };

struct segment {
	uintptr_t start, end, filled; /* filled: end of what is in the core */
	uint64_t offset;
};

struct backing {
	const struct mapping *map; /* of the last file */
	int fd; /* -1: it cannot be had, or is another one now */
};

static const struct segment *segment_at(const struct reader *r, uintptr_t addr)
{
	for (size_t i = 0; i < r->nr_segments; i++)
		if (addr - r->segment[i].start < r->segment[i].end - r->segment[i].start)
			return &r->segment[i];
	return NULL;
}

static const struct mapping *file_at(const struct reader *r, uintptr_t addr)
{
	for (size_t i = 0; i < r->nr_maps; i++)
		if (addr - r->map[i].start < r->map[i].end - r->map[i].start)
			return &r->map[i];
	return NULL;
}

static size_t read_filled(const struct reader *r, uintptr_t addr, void *to, size_t n)
{
	const struct segment *s = segment_at(r, addr);
	size_t at, room;

	if (!s || addr >= s->filled)
		return 0;
	at = s->offset + (addr - s->start);
	room = s->filled - addr;
	/* A core may have been cut off. */
	if (at >= r->file_size)
		return 0;
	room = room < r->file_size - at ? room : r->file_size - at;
	n = n < room ? n : room;
	memcpy(to, r->file + at, n);
	return n;
}

/* The file's first page is what the process had there. Nothing of it in the core: nobody can tell. */
static bool same_file(const struct reader *r, const struct mapping *m, int fd)
{
	char then[PAGE], now[PAGE];
	size_t n = 0;

	for (size_t i = 0; i < r->nr_maps && !n; i++)
		if (!r->map[i].offset && !strcmp(r->map[i].path, m->path))
			n = read_filled(r, r->map[i].start, then, sizeof(then));
	return !n || (pread(fd, now, n, 0) == (ssize_t)n && !memcmp(then, now, n));
}

static int open_backing(const struct reader *r, const struct mapping *m)
{
	struct backing *b = r->backing;

	if (b->map && !strcmp(b->map->path, m->path))
		return b->fd;
	if (b->map && b->fd >= 0)
		close(b->fd);
	b->map = m;
	b->fd = open(m->path, O_RDONLY | O_CLOEXEC);
	if (b->fd >= 0 && !same_file(r, m, b->fd)) {
		close(b->fd);
		b->fd = -1;
	}
	return b->fd;
}

static size_t read_some(const struct reader *r, uintptr_t addr, void *to, size_t n)
{
	size_t got = read_filled(r, addr, to, n);
	const struct mapping *m;
	ssize_t from_file;
	int fd;

	if (got)
		return got;
	m = file_at(r, addr);
	if (!m || (fd = open_backing(r, m)) < 0)
		return 0;
	n = n < m->end - addr ? n : m->end - addr;
	from_file = pread(fd, to, n, (off_t)(m->offset + (addr - m->start)));
	return from_file < 0 ? 0 : (size_t)from_file;
}

static size_t read_core(const struct reader *r, uintptr_t addr, void *to, size_t n)
{
	size_t done = 0, got;

	while (done < n && (got = read_some(r, addr + done, (char *)to + done, n - done)))
		done += got;
	return done;
}

/* count, page size; start, end, page offset of each; then the names. */
static void note_files(struct reader *r, const char *desc, size_t size)
{
	uint64_t head[2], entry[3];
	const char *name, *end = desc + size;

	if (size < sizeof(head))
		return;
	memcpy(head, desc, sizeof(head));
	if (head[0] > (size - sizeof(head)) / sizeof(entry))
		return;
	name = desc + sizeof(head) + head[0] * sizeof(entry);
	for (uint64_t i = 0; i < head[0] && name < end; i++) {
		struct mapping *m = reader_add_map(r);
		size_t length = strnlen(name, (size_t)(end - name));

		if (!m)
			return;
		memcpy(entry, desc + sizeof(head) + i * sizeof(entry), sizeof(entry));
		m->start = entry[0];
		m->end = entry[1];
		m->offset = entry[2] * head[1];
		m->readable = true;
		m->path = strndup(name, length);
		name += length + 1;
	}
}

static void note(struct reader *r, const Elf64_Nhdr *n, const char *desc)
{
	if (n->n_type == NT_FILE) {
		note_files(r, desc, n->n_descsz);
	} else if (n->n_type == NT_PRPSINFO && n->n_descsz >= sizeof(struct elf_prpsinfo)) {
		struct elf_prpsinfo info;

		memcpy(&info, desc, sizeof(info));
		r->pid = info.pr_pid;
		snprintf(r->name, sizeof(r->name), "%.*s", (int)sizeof(info.pr_fname),
			 info.pr_fname);
	}
}

static void read_notes(struct reader *r, const Elf64_Phdr *p)
{
	size_t at = p->p_offset, end = p->p_offset + p->p_filesz;

	while (end <= r->file_size && at < end && end - at >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr n;
		size_t name, desc;

		memcpy(&n, r->file + at, sizeof(n));
		name = at + sizeof(n);
		desc = name + ((n.n_namesz + 3ul) & ~3ul);
		at = desc + ((n.n_descsz + 3ul) & ~3ul);
		if (at <= end && n.n_namesz == sizeof("CORE") &&
		    !memcmp(r->file + name, "CORE", sizeof("CORE")))
			note(r, &n, r->file + desc);
	}
}

/* More than the head's 16 bits can say are in the first section's. */
static size_t nr_headers(const struct reader *r, const Elf64_Ehdr *e)
{
	const Elf64_Shdr *first;

	if (e->e_phnum != PN_XNUM || e->e_shoff % sizeof(uint64_t) ||
	    r->file_size < sizeof(*first) || e->e_shoff > r->file_size - sizeof(*first))
		return e->e_phnum;
	first = (const void *)(r->file + e->e_shoff);
	return first->sh_info;
}

static const char *parse(struct reader *r)
{
	const Elf64_Ehdr *e = (const void *)r->file;
	const Elf64_Phdr *p;
	size_t nr;

	if (r->file_size < sizeof(*e) || memcmp(e->e_ident, ELFMAG, SELFMAG))
		return "neither the number of a process nor a core file";
	if (e->e_ident[EI_CLASS] != ELFCLASS64 || e->e_type != ET_CORE)
		return "an ELF file, but no core of a 64-bit process";
	if (e->e_phentsize != sizeof(*p) || e->e_phoff % sizeof(uint64_t) ||
	    e->e_phoff > r->file_size ||
	    nr_headers(r, e) > (r->file_size - e->e_phoff) / sizeof(*p))
		return "the core file is damaged";
	nr = nr_headers(r, e);
	p = (const void *)(r->file + e->e_phoff);
	r->segment = calloc(nr + 1, sizeof(*r->segment));
	r->backing = calloc(1, sizeof(*r->backing));
	if (!r->segment || !r->backing)
		return "no memory";
	for (size_t i = 0; i < nr; i++) {
		if (p[i].p_type == PT_NOTE)
			read_notes(r, &p[i]);
		if (p[i].p_type != PT_LOAD)
			continue;
		r->segment[r->nr_segments++] = (struct segment){
			p[i].p_vaddr,
			p[i].p_vaddr + p[i].p_memsz,
			p[i].p_vaddr + p[i].p_filesz,
			p[i].p_offset,
		};
	}
	return r->nr_maps ? NULL : "the core file names no mapped files (note NT_FILE)";
}

struct reader *reader_open_core(const char *path, char **error)
{
	struct reader *r = calloc(1, sizeof(*r));
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const char *wrong;
	struct stat st;
	void *file = MAP_FAILED;

	if (!r)
		return reader_fail(r, error, "no memory");
	r->core = true;
	r->read = read_core;
	if (fd < 0 || fstat(fd, &st) < 0)
		return reader_fail(r, error, "%s: %s", path, strerror(errno));
	if (S_ISREG(st.st_mode) && st.st_size)
		file = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (file == MAP_FAILED)
		return reader_fail(r, error, "%s: no core file", path);
	r->file = file;
	r->file_size = (size_t)st.st_size;
	wrong = parse(r);
	return wrong ? reader_fail(r, error, "%s: %s", path, wrong) : r;
}

void reader_close_core(struct reader *r)
{
	if (r->file)
		munmap((void *)r->file, r->file_size);
	if (r->backing && r->backing->map && r->backing->fd >= 0)
		close(r->backing->fd);
	free(r->backing);
	free(r->segment);
}
