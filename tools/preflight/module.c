// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads the module to check: its imports with their CRCs, its modinfo, its
 * layout records and the form of its signature.
 *
 * Calls: file, elf.
 */
#include <arpa/inet.h>
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../include/tce2_layout.h"
#include "preflight.h"

/* An entry of __versions: the CRC as unsigned long, and the name after it */
#define VERSION_SIZE	64
#define VERSION_NAME	8

#define SIGNATURE_MARK	"~Module signature appended~\n"

/*
 * The kernel's struct module_signature, which lies between the PKCS#7 signature
 * and the mark. The last four bytes are the length of the signature in
 * big-endian byte order. Of the other bytes, only the type is not 0.
 */
#define TRAILER_SIZE	12
#define TRAILER_TYPE	2
#define TRAILER_LENGTH	8
#define TYPE_PKCS7	2

static int by_name(const void *left, const void *right)
{
	const struct import *a = left, *b = right;

	return strcmp(a->name, b->name);
}

/**
 * module_import() - find an import of a module
 * @module: the module
 * @name: name of the symbol; need not be NUL-terminated
 * @length: length of @name
 *
 * Return: the import, or NULL
 */
struct import *module_import(const struct module *module, const char *name,
			     size_t length)
{
	size_t low = 0, high = module->imports, middle;
	struct import *import;
	int order;

	while (low < high) {
		middle = low + (high - low) / 2;
		import = &module->import[middle];
		order = strncmp(name, import->name, length);
		if (!order && import->name[length])
			order = -1;
		if (!order)
			return import;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

static void add_import(struct module *module, const char *name, bool weak)
{
	module->import = grow(module->import, module->imports,
			      sizeof(*module->import));
	module->import[module->imports++] = (struct import){
		.name = name,
		.weak = weak,
	};
}

/* Ignores .TOC., because the kernel's module loader defines it. */
static int read_imports(struct module *module, struct error *err)
{
	struct bytes symbols, strings;
	const unsigned char *at;
	const char *name;
	size_t i;

	if (elf_symbols(&module->elf, &symbols, &strings, err))
		return -1;
	for (i = 1; i < symbols.size / sizeof(Elf64_Sym); i++) {
		at = symbols.data + i * sizeof(Elf64_Sym);
		if (get_le16(at + offsetof(Elf64_Sym, st_shndx)) != SHN_UNDEF)
			continue;
		name = string_at(strings, get_le32(at));
		if (!name)
			return fail(err, "damaged: symbol %zu has no name",
				    i);
		if (*name && strcmp(name, ".TOC."))
			add_import(module, name,
				   ELF64_ST_BIND(at[4]) == STB_WEAK);
	}
	if (!module->imports)
		return fail(err, "not a kernel module: it imports no symbol");
	return 0;
}

static void sort_imports(struct module *module)
{
	qsort(module->import, module->imports, sizeof(*module->import),
	      by_name);
}

static void note_crc(struct module *module, const char *name, uint32_t crc)
{
	struct import *import = module_import(module, name, strlen(name));

	if (!import)
		return;
	import->has_crc = true;
	import->crc = crc;
}

/*
 * Adds module_layout to the imports: the kernel also compares the CRC of this
 * symbol, although the module does not import it.
 */
static void import_module_layout(struct module *module, struct bytes versions)
{
	size_t at;

	for (at = 0; at + VERSION_SIZE <= versions.size; at += VERSION_SIZE) {
		const char *name = string_at(versions, at + VERSION_NAME);

		if (name && !strcmp(name, "module_layout")) {
			add_import(module, name, false);
			return;
		}
	}
}

static int read_versions(struct module *module, struct error *err)
{
	struct bytes versions, entry = { NULL, VERSION_SIZE };
	const char *name;
	size_t at;

	if (elf_section(&module->elf, "__versions", &versions)) {
		if (versions.size % VERSION_SIZE)
			return fail(err,
				    "damaged: __versions has %zu bytes, not a multiple of %d",
				    versions.size, VERSION_SIZE);
		module->has_versions = versions.size;
		import_module_layout(module, versions);
	}
	sort_imports(module);
	for (at = 0; at < versions.size; at += VERSION_SIZE) {
		entry.data = versions.data + at;
		name = string_at(entry, VERSION_NAME);
		if (!name)
			return fail(err, "damaged: a name in __versions is not terminated");
		note_crc(module, name, get_le32(versions.data + at));
	}
	return 0;
}

/*
 * For symbols with long names (CONFIG_EXTENDED_MODVERSIONS), the build stores
 * CRCs in one more section, and the names in another. The kernel prefers these
 * sections to __versions.
 */
static int read_long_versions(struct module *module, struct error *err)
{
	struct bytes crcs, names;
	const char *name;
	size_t i, at = 0;

	if (!elf_section(&module->elf, "__version_ext_crcs", &crcs) ||
	    !elf_section(&module->elf, "__version_ext_names", &names))
		return 0;
	for (i = 0; i < crcs.size / 4; i++) {
		name = string_at(names, at);
		if (!name)
			return fail(err,
				    "damaged: __version_ext_names has fewer entries than __version_ext_crcs");
		note_crc(module, name, get_le32(crcs.data + i * 4));
		at += strlen(name) + 1;
	}
	module->has_versions = true;
	return 0;
}

static enum signature judge_trailer(struct bytes file)
{
	const unsigned char *trailer;
	uint32_t length;
	int i;

	if (file.size < TRAILER_SIZE)
		return SIGNATURE_BAD;
	trailer = file.data + file.size - TRAILER_SIZE;
	memcpy(&length, trailer + TRAILER_LENGTH, sizeof(length));
	if (ntohl(length) >= file.size - TRAILER_SIZE)
		return SIGNATURE_BAD;
	for (i = 0; i < TRAILER_LENGTH; i++) {
		if (trailer[i] != (i == TRAILER_TYPE ? TYPE_PKCS7 : 0))
			return SIGNATURE_BAD;
	}
	return SIGNATURE_PRESENT;
}

static void read_signature(struct module *module)
{
	struct bytes file = module->file.bytes;
	size_t mark = strlen(SIGNATURE_MARK);

	if (file.size > mark &&
	    !memcmp(file.data + file.size - mark, SIGNATURE_MARK, mark)) {
		file.size -= mark;
		module->signature = judge_trailer(file);
		return;
	}
	module->trailing = file.size - module->elf.end;
}

static int read_info(struct module *module, struct error *err)
{
	if (module->elf.type != ET_REL)
		return fail(err, "not a kernel module but a program or a library");
	if (!elf_section(&module->elf, ".modinfo", &module->modinfo))
		return fail(err, "not a kernel module: it has no section .modinfo");
	module->name = modinfo_get(module->modinfo, "name");
	module->version = modinfo_get(module->modinfo, "version");
	module->vermagic = modinfo_get(module->modinfo, "vermagic");
	if (!module->name)
		return fail(err, "not a kernel module: .modinfo has no name");
	return 0;
}

static int read_module(struct module *module, struct error *err)
{
	if (elf_open(&module->elf, module->file.bytes, err) ||
	    read_info(module, err) || read_imports(module, err) ||
	    read_versions(module, err) || read_long_versions(module, err))
		return -1;
	elf_section(&module->elf, TCE2_LAYOUT_SECTION, &module->layout);
	read_signature(module);
	return 0;
}

/**
 * module_open() - read and check a module
 * @module: receives the properties of the module
 * @path: path of the module; must remain valid as long as @module is in use
 * @err: receives the reason for a failure
 *
 * The caller calls module_close(), also after a failure.
 *
 * Return: 0, or -1
 */
int module_open(struct module *module, const char *path, struct error *err)
{
	struct error why;

	*module = (struct module){ .path = path };
	if (file_read(&module->file, path, err))
		return -1;
	if (read_module(module, &why))
		return fail(err, "%s: %.200s", path, why.text);
	return 0;
}

/**
 * module_close() - free the memory of a module
 * @module: the module; module_open() may have failed
 */
void module_close(struct module *module)
{
	free(module->import);
	file_free(&module->file);
}
