// SPDX-License-Identifier: MIT
#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "heap.h"

struct elf {
	const char *bytes;
	size_t size;
};

/* n things of a size at an offset, or NULL: the file does not have them. */
static const void *part(const struct elf *e, uint64_t offset, uint64_t n, size_t size)
{
	if (offset > e->size || n > (e->size - offset) / size || offset % sizeof(uint32_t))
		return NULL;
	return e->bytes + offset;
}

static uintptr_t find_in(const struct elf *e, const Elf64_Shdr *table, const Elf64_Shdr *strings,
			 const char *name)
{
	uint64_t n = table->sh_size / sizeof(Elf64_Sym);
	const Elf64_Sym *sym = part(e, table->sh_offset, n, sizeof(*sym));
	size_t length = strlen(name) + 1;

	if (!sym || strings->sh_offset > e->size || strings->sh_size > e->size - strings->sh_offset)
		return 0;
	for (uint64_t i = 0; i < n; i++)
		if (sym[i].st_shndx != SHN_UNDEF && strings->sh_size >= length &&
		    sym[i].st_name <= strings->sh_size - length &&
		    !memcmp(e->bytes + strings->sh_offset + sym[i].st_name, name, length))
			return sym[i].st_value;
	return 0;
}

static uintptr_t find_symbol(const struct elf *e, const char *name)
{
	const Elf64_Ehdr *h = part(e, 0, 1, sizeof(*h));
	const Elf64_Shdr *section;
	uintptr_t value = 0;

	if (!h || memcmp(h->e_ident, ELFMAG, SELFMAG) || h->e_ident[EI_CLASS] != ELFCLASS64 ||
	    h->e_shentsize != sizeof(*section))
		return 0;
	section = part(e, h->e_shoff, h->e_shnum, sizeof(*section));
	for (u32 i = 0; section && i < h->e_shnum && !value; i++)
		if ((section[i].sh_type == SHT_DYNSYM || section[i].sh_type == SHT_SYMTAB) &&
		    section[i].sh_link < h->e_shnum)
			value = find_in(e, &section[i], &section[section[i].sh_link], name);
	return value;
}

/* The distance of a loaded file's addresses from those that it names. */
static uintptr_t first_address(const struct elf *e)
{
	const Elf64_Ehdr *h = part(e, 0, 1, sizeof(*h));
	const Elf64_Phdr *p = h ? part(e, h->e_phoff, h->e_phnum, sizeof(*p)) : NULL;

	for (u32 i = 0; p && i < h->e_phnum; i++)
		if (p[i].p_type == PT_LOAD)
			return (p[i].p_vaddr - p[i].p_offset) & ~0xffful;
	return 0;
}

uintptr_t symbol_find(const char *path, const char *name)
{
	struct elf e = { MAP_FAILED, 0 };
	uintptr_t value = 0;
	struct stat st;
	int fd;

	/* A device may not even be opened: it could notice. */
	if (stat(path, &st) || !S_ISREG(st.st_mode) || !st.st_size)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	e.size = (size_t)st.st_size;
	e.bytes = mmap(NULL, e.size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (e.bytes == MAP_FAILED)
		return 0;
	value = find_symbol(&e, name);
	if (value)
		value -= first_address(&e);
	munmap((void *)e.bytes, e.size);
	return value;
}
