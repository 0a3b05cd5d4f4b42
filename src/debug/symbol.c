// SPDX-License-Identifier: MIT
/*
 * symbol.c - names for addresses.
 *
 * dladdr waits for the loader's lock and knows what is exported only. The file's own tables (.symtab, else .dynsym) are
 * mapped for as long as the report takes. A file that was replaced since is seen by its header and not believed. The
 * vdso has no file: its image is its tables.
 */
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <string.h>

#include "debug/stack.h"
#include "debug/unwind.h"
#include "os/mem.h"

/* The tables of the object that was looked at last. */
struct image {
	struct loaded object;
	const char *data; /* NULL: none to be had */
	size_t size;
	bool mapped;
};

struct symbol {
	const char *name;
	uintptr_t start, size;
};

static void image_close(struct image *i)
{
	if (i->mapped)
		os_unmap((void *)i->data, i->size);
	i->data = NULL;
	i->mapped = false;
}

static bool is_elf_of(const struct loaded *o, const char *data, size_t size)
{
	return size >= sizeof(ElfW(Ehdr)) && (size_t)(o->end - o->start) >= sizeof(ElfW(Ehdr)) &&
	       memcmp(data, o->start, sizeof(ElfW(Ehdr))) == 0;
}

static void image_open(struct image *i, const struct loaded *o)
{
	image_close(i);
	i->object = *o;
	if (strncmp(o->name, "linux-vdso", 10) == 0 || strncmp(o->name, "linux-gate", 10) == 0) {
		i->data = o->start;
		i->size = (size_t)(o->end - o->start);
	} else {
		i->data = os_map_file(*o->name ? o->name : "/proc/self/exe", &i->size);
		i->mapped = i->data;
	}
	if (i->data && !is_elf_of(o, i->data, i->size))
		image_close(i);
}

/* n bytes at an offset of the file, or NULL. */
static const void *part(const struct image *i, size_t offset, size_t n)
{
	return offset <= i->size && n <= i->size - offset ? i->data + offset : NULL;
}

/* The smallest symbol of a table that covers the address (as the file counts). */
static bool search(const struct image *i, const ElfW(Shdr) * table, const ElfW(Shdr) * strings,
		   uintptr_t address, struct symbol *best)
{
	const char *names = part(i, strings->sh_offset, strings->sh_size);
	const ElfW(Sym) *sym = part(i, table->sh_offset, table->sh_size);
	bool found = false;

	if (!names || !sym || !strings->sh_size || names[strings->sh_size - 1])
		return false;
	for (size_t n = table->sh_size / sizeof(*sym); n--; sym++) {
		unsigned int type = ELF64_ST_TYPE(sym->st_info);

		if ((type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE) ||
		    sym->st_shndx == SHN_UNDEF || address - sym->st_value >= sym->st_size ||
		    sym->st_name >= strings->sh_size)
			continue;
		if (found && best->size <= sym->st_size)
			continue;
		*best = (struct symbol){ names + sym->st_name, sym->st_value, sym->st_size };
		found = true;
	}
	return found;
}

static bool find_symbol(const struct image *i, uintptr_t address, struct symbol *s)
{
	const ElfW(Ehdr) *elf = (const void *)i->data;
	const ElfW(Shdr) * section;

	if (!elf || elf->e_shentsize != sizeof(*section))
		return false;
	section = part(i, elf->e_shoff, elf->e_shnum * sizeof(*section));
	if (!section)
		return false;
	for (u32 type = SHT_SYMTAB;; type = SHT_DYNSYM) {
		for (u32 k = 0; k < elf->e_shnum; k++)
			if (section[k].sh_type == type && section[k].sh_link < elf->e_shnum &&
			    search(i, &section[k], &section[section[k].sh_link], address, s))
				return true;
		if (type == SHT_DYNSYM)
			return false;
	}
}

static const char *base_name(const struct loaded *o)
{
	const char *slash = strrchr(o->name, '/');

	if (!*o->name)
		return program_invocation_short_name;
	return slash ? slash + 1 : o->name;
}

static void print_address(struct seq_file *m, struct image *i, uintptr_t pc, bool with_object)
{
	struct loaded o;
	struct symbol s;

	if (!loaded_at(pc, &o) && !loaded_at(pc - 1, &o)) {
		seq_printf(m, "%p", (void *)pc);
		return;
	}
	if (!i->object.start || i->object.start != o.start)
		image_open(i, &o);
	/* Behind a call that does not return there may be another function. */
	if (!find_symbol(i, pc - 1 - o.base, &s) && !find_symbol(i, pc - o.base, &s)) {
		seq_printf(m, "%s+%#lx", base_name(&o), (unsigned long)(pc - o.base));
		return;
	}
	seq_printf(m, "%s+%#lx/%#lx", s.name, (unsigned long)(pc - o.base - s.start),
		   (unsigned long)s.size);
	if (with_object)
		seq_printf(m, " [%s]", base_name(&o));
}

void stack_print_symbol(struct seq_file *m, const void *pc)
{
	struct image i = { .data = NULL };

	print_address(m, &i, (uintptr_t)pc, false);
	image_close(&i);
}

void stack_print(struct seq_file *m, const struct stack *t)
{
	struct image i = { .data = NULL };

	for (u32 k = 0; k < t->nr; k++) {
		seq_putc(m, ' ');
		print_address(m, &i, (uintptr_t)t->pc[k], true);
		seq_putc(m, '\n');
	}
	image_close(&i);
}
