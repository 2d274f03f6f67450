// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads ELF files for ppc64le, on a machine of any architecture.
 *
 * elf_open() checks that all section headers and all sections lie within the
 * file. elf_section() and elf_symbols() therefore return valid ranges.
 * string_at() returns only strings that are NUL-terminated within their table.
 *
 * Calls: file (for numbers and errors).
 */
#include <elf.h>
#include <stdio.h>
#include <string.h>

#include "common.h"

static const struct {
	unsigned int machine;
	const char *name;
} machines[] = {
	{ EM_386, "32-bit x86" },
	{ EM_X86_64, "x86-64" },
	{ EM_AARCH64, "arm64" },
	{ EM_S390, "s390x" },
	{ EM_RISCV, "RISC-V" },
	{ EM_PPC, "32-bit POWER" },
};

static int other_machine(unsigned int machine, struct error *err)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(machines); i++) {
		if (machines[i].machine == machine)
			return fail(err, "an ELF file for %s, not for ppc64le",
				    machines[i].name);
	}
	return fail(err, "an ELF file for machine %u, not for ppc64le",
		    machine);
}

static int check_ident(struct bytes in, struct error *err)
{
	unsigned int machine;

	if (in.size < EI_NIDENT || memcmp(in.data, ELFMAG, SELFMAG))
		return fail(err, in.size < SELFMAG ||
			    !memcmp(in.data, ELFMAG, SELFMAG) ?
			    "truncated in the ELF identification" :
			    "not an ELF file");
	if (in.size < sizeof(Elf64_Ehdr))
		return fail(err, "truncated in the ELF header");
	if (in.data[EI_DATA] != ELFDATA2LSB) {
		machine = in.data[offsetof(Elf64_Ehdr, e_machine) + 1];
		return fail(err, machine == EM_PPC64 ?
			    "an ELF file for big-endian ppc64, not for ppc64le" :
			    "a big-endian ELF file, not for ppc64le");
	}
	machine = get_le16(in.data + offsetof(Elf64_Ehdr, e_machine));
	if (machine != EM_PPC64)
		return other_machine(machine, err);
	if (in.data[EI_CLASS] != ELFCLASS64)
		return fail(err, "not a 64-bit ELF file");
	return 0;
}

struct section {
	uint32_t name;
	uint32_t type;
	uint64_t flags;
	uint64_t offset;
	uint64_t size;
	uint32_t link;
};

/* elf_open() has checked that the header lies within the file. */
static struct section section_header(const struct elf *elf, unsigned int i)
{
	const unsigned char *at = elf->bytes.data + elf->headers +
				  i * sizeof(Elf64_Shdr);

	return (struct section){
		.name = get_le32(at + offsetof(Elf64_Shdr, sh_name)),
		.type = get_le32(at + offsetof(Elf64_Shdr, sh_type)),
		.flags = get_le64(at + offsetof(Elf64_Shdr, sh_flags)),
		.offset = get_le64(at + offsetof(Elf64_Shdr, sh_offset)),
		.size = get_le64(at + offsetof(Elf64_Shdr, sh_size)),
		.link = get_le32(at + offsetof(Elf64_Shdr, sh_link)),
	};
}

static struct bytes section_bytes(const struct elf *elf, unsigned int i)
{
	struct section header = section_header(elf, i);

	if (header.type == SHT_NOBITS || header.flags & SHF_COMPRESSED)
		return (struct bytes){ 0 };
	return (struct bytes){ elf->bytes.data + header.offset, header.size };
}

static int check_headers(struct elf *elf, struct error *err)
{
	const unsigned char *at = elf->bytes.data;
	uint64_t size = elf->bytes.size;

	elf->type = get_le16(at + offsetof(Elf64_Ehdr, e_type));
	elf->headers = get_le64(at + offsetof(Elf64_Ehdr, e_shoff));
	elf->sections = get_le16(at + offsetof(Elf64_Ehdr, e_shnum));
	if (!elf->headers || !elf->sections ||
	    get_le16(at + offsetof(Elf64_Ehdr, e_shentsize)) !=
	    sizeof(Elf64_Shdr))
		return fail(err, "an ELF file without section headers");
	elf->end = elf->headers + elf->sections * sizeof(Elf64_Shdr);
	if (elf->headers > size || elf->end > size)
		return fail(err,
			    "truncated or damaged: the section headers are at %llu to %llu, but the file has %llu bytes",
			    (unsigned long long)elf->headers,
			    (unsigned long long)elf->end,
			    (unsigned long long)size);
	return 0;
}

static int check_sections(struct elf *elf, struct error *err)
{
	struct section header;
	unsigned int i;

	for (i = 0; i < elf->sections; i++) {
		header = section_header(elf, i);
		if (header.type == SHT_NOBITS || header.type == SHT_NULL)
			continue;
		if (header.offset > elf->bytes.size ||
		    header.size > elf->bytes.size - header.offset)
			return fail(err,
				    "truncated or damaged: section %u lies outside the file",
				    i);
		if (header.offset + header.size > elf->end)
			elf->end = header.offset + header.size;
	}
	return 0;
}

static int find_names(struct elf *elf, struct error *err)
{
	unsigned int i = get_le16(elf->bytes.data +
				  offsetof(Elf64_Ehdr, e_shstrndx));

	if (i >= elf->sections ||
	    section_header(elf, i).type != SHT_STRTAB)
		return fail(err, "damaged: the sections have no names");
	elf->names = section_bytes(elf, i);
	return 0;
}

/**
 * elf_open() - parse and check the headers of a ppc64le ELF file
 * @elf: receives the result; refers to the memory of @bytes
 * @bytes: contents of the file
 * @err: receives the reason for a failure, without the file's name
 *
 * Return: 0, or -1 if the file is damaged or for another architecture
 */
int elf_open(struct elf *elf, struct bytes bytes, struct error *err)
{
	*elf = (struct elf){ .bytes = bytes };
	if (check_ident(bytes, err) || check_headers(elf, err) ||
	    check_sections(elf, err))
		return -1;
	return find_names(elf, err);
}

/**
 * string_at() - return a string of a string table
 * @strings: the table
 * @offset: offset of the string
 *
 * Return: the string, or NULL if it does not end within the table
 */
const char *string_at(struct bytes strings, uint64_t offset)
{
	if (offset >= strings.size ||
	    !memchr(strings.data + offset, 0, strings.size - offset))
		return NULL;
	return (const char *)strings.data + offset;
}

/**
 * elf_section() - find the contents of the first section with a name
 * @elf: the file
 * @name: the section's name
 * @out: receives the contents, or becomes empty
 *
 * Compressed sections and sections of type SHT_NOBITS have no contents.
 *
 * Return: true if the section exists and has contents
 */
bool elf_section(const struct elf *elf, const char *name, struct bytes *out)
{
	const char *other;
	unsigned int i;

	for (i = 1; i < elf->sections; i++) {
		other = string_at(elf->names, section_header(elf, i).name);
		if (!other || strcmp(other, name) ||
		    section_header(elf, i).type == SHT_NULL)
			continue;
		*out = section_bytes(elf, i);
		return out->data;
	}
	*out = (struct bytes){ 0 };
	return false;
}

/**
 * elf_symbols() - find the symbol table
 * @elf: the file
 * @symbols: receives the table, an array of Elf64_Sym
 * @strings: receives the string table with the symbols' names
 * @err: receives the reason for a failure, without the file's name
 *
 * Return: 0, or -1
 */
int elf_symbols(const struct elf *elf, struct bytes *symbols,
		struct bytes *strings, struct error *err)
{
	struct section header;
	unsigned int i;

	for (i = 1; i < elf->sections; i++) {
		header = section_header(elf, i);
		if (header.type != SHT_SYMTAB)
			continue;
		if (header.link >= elf->sections ||
		    section_header(elf, header.link).type != SHT_STRTAB)
			return fail(err, "damaged: the symbols have no names");
		*symbols = section_bytes(elf, i);
		*strings = section_bytes(elf, header.link);
		return 0;
	}
	return fail(err, "no symbol table");
}

/**
 * modinfo_next() - find the next value of a key in .modinfo
 * @modinfo: the section: NUL-terminated strings "key=value"
 * @key: the key
 * @after: the previous value, or NULL to find the first value
 *
 * Return: the value, or NULL if no further value exists, or if it is not
 *	NUL-terminated
 */
const char *modinfo_next(struct bytes modinfo, const char *key,
			 const char *after)
{
	size_t length = strlen(key), at = 0;
	const char *entry;

	if (after)
		at = (const unsigned char *)after - modinfo.data +
			strlen(after) + 1;
	while ((entry = string_at(modinfo, at))) {
		if (!strncmp(entry, key, length) && entry[length] == '=')
			return entry + length + 1;
		at += strlen(entry) + 1;
	}
	return NULL;
}

/**
 * modinfo_get() - find the first value of a key in .modinfo
 * @modinfo: the section
 * @key: the key
 *
 * Return: the value, or NULL
 */
const char *modinfo_get(struct bytes modinfo, const char *key)
{
	return modinfo_next(modinfo, key, NULL);
}
