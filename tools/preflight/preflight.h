/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tce2-preflight: what its files share.
 *
 * Data flows one way: file -> elf -> module, target (what is looked at) ->
 * symbols, config, layout, order, ... (checks, one a concern) -> report.
 *
 * Whatever is read from a file may be wrong in any way; a function that finds
 * it so returns -1 and leaves a sentence in a struct error.
 */
#ifndef TCE2_PREFLIGHT_H
#define TCE2_PREFLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define PATH_SIZE	4096

#define __printf(at, from)	__attribute__((__format__(printf, at, from)))

/**
 * struct error - why something could not be done
 * @text: a sentence without its full stop
 */
struct error {
	char text[PATH_SIZE + 256];
};

int fail(struct error *err, const char *format, ...) __printf(2, 3);

/**
 * struct bytes - a piece of memory that somebody else owns
 * @data: its first byte, or NULL
 * @size: bytes
 */
struct bytes {
	const unsigned char *data;
	size_t size;
};

uint16_t get_le16(const unsigned char *at);
uint32_t get_le32(const unsigned char *at);
uint64_t get_le64(const unsigned char *at);

/**
 * struct file - a file's content, uncompressed
 * @bytes: the content
 * @mapped: it is mapped, otherwise on the heap
 */
struct file {
	struct bytes bytes;
	bool mapped;
};

int file_read(struct file *file, const char *path, struct error *err);
void file_free(struct file *file);
bool file_exists(const char *path);

/**
 * struct elf - a 64-bit little-endian POWER ELF file; every section is within
 * @bytes: the file
 * @type: e_type
 * @sections: number of section headers
 * @headers: where they are
 * @names: the section of their names
 * @end: first byte behind everything that a header describes
 */
struct elf {
	struct bytes bytes;
	unsigned int type;
	unsigned int sections;
	uint64_t headers;
	struct bytes names;
	uint64_t end;
};

int elf_open(struct elf *elf, struct bytes bytes, struct error *err);
bool elf_section(const struct elf *elf, const char *name, struct bytes *out);
int elf_symbols(const struct elf *elf, struct bytes *symbols,
		struct bytes *strings, struct error *err);
const char *string_at(struct bytes strings, uint64_t offset);
const char *modinfo_next(struct bytes modinfo, const char *key,
			 const char *after);
const char *modinfo_get(struct bytes modinfo, const char *key);

/**
 * enum symbol_status - what the kernel has for an import of the module
 * @SYMBOL_NOT_LOOKED_UP: no list of the kernel's symbols was found
 * @SYMBOL_OK: the same symbol with the same CRC
 * @SYMBOL_NO_CRC: the symbol; the kernel has no CRC of it
 * @SYMBOL_WEAK_ABSENT: nothing, but the module can do without
 * @SYMBOL_MISSING: nothing
 * @SYMBOL_CRC_DIFFERS: the symbol with another CRC
 * @SYMBOL_CRC_ABSENT: the symbol with a CRC, of which the module has none
 * @SYMBOL_GPL_ONLY: a symbol that the module's license can't have
 * @SYMBOL_NAMESPACE: a symbol of a namespace the module doesn't import
 */
enum symbol_status {
	SYMBOL_NOT_LOOKED_UP,
	SYMBOL_OK,
	SYMBOL_NO_CRC,
	SYMBOL_WEAK_ABSENT,
	SYMBOL_MISSING,
	SYMBOL_CRC_DIFFERS,
	SYMBOL_CRC_ABSENT,
	SYMBOL_GPL_ONLY,
	SYMBOL_NAMESPACE,
	SYMBOL_STATUSES
};

/**
 * struct import - a symbol that the module takes from the kernel
 * @name: in the module's string table
 * @weak: it may be absent
 * @has_crc: the module says which CRC it was built against
 * @crc: that
 * @status: what came of the comparison
 * @target_crc: the kernel's CRC, 0 for none
 * @owner: the kernel's module that has it, as in Module.symvers
 * @space: the namespace, as there
 */
struct import {
	const char *name;
	bool weak;
	bool has_crc;
	uint32_t crc;
	enum symbol_status status;
	uint32_t target_crc;
	char owner[80];
	char space[80];
};

/**
 * enum signature - how a module is signed
 * @SIGNATURE_NONE: not at all
 * @SIGNATURE_PRESENT: as the kernel wants it; who signed is another question
 * @SIGNATURE_BAD: the kernel refuses to look at it, whatever it enforces
 */
enum signature {
	SIGNATURE_NONE,
	SIGNATURE_PRESENT,
	SIGNATURE_BAD,
};

/**
 * struct module - the module that is looked at
 * @path: its file
 * @file: what that contains
 * @elf: the same, as ELF
 * @modinfo: section .modinfo
 * @layout: section of include/tce2_layout.h, empty if there is none
 * @name: of the module
 * @version: MODULE_VERSION, or NULL
 * @vermagic: of the kernel it was built for
 * @has_versions: it carries CRCs
 * @import: its imports, sorted by name
 * @imports: how many
 * @signature: whether it is signed
 * @trailing: bytes behind the module that are no signature
 */
struct module {
	const char *path;
	struct file file;
	struct elf elf;
	struct bytes modinfo;
	struct bytes layout;
	const char *name;
	const char *version;
	const char *vermagic;
	bool has_versions;
	struct import *import;
	size_t imports;
	enum signature signature;
	uint64_t trailing;
};

int module_open(struct module *module, const char *path, struct error *err);
void module_close(struct module *module);
struct import *module_import(const struct module *module, const char *name,
			     size_t length);

/**
 * struct request - what the command line says
 * @target: the kernel: its release, or a directory
 * @module: the module's file, or NULL
 * @root: where /lib/modules, /boot and /etc/modprobe.d are, or NULL
 * @build: directory of Module.symvers and .config, or NULL
 * @symvers: Module.symvers, or NULL
 * @config: the kernel's configuration, or NULL
 * @vmlinux: ELF file with BTF, or BTF alone, or NULL
 * @machine: "powernv" or "pseries", or NULL for either
 * @accept_unknown_crcs: do not say "unknown" for them alone
 * @json: for programs
 * @verbose: everything, not only what matters
 */
struct request {
	const char *target;
	const char *module;
	const char *root;
	const char *build;
	const char *symvers;
	const char *config;
	const char *vmlinux;
	const char *machine;
	bool accept_unknown_crcs;
	bool json;
	bool verbose;
};

/**
 * struct target - the kernel that the module shall run on
 * @root: directory that the kernel belongs to; empty for "/"
 * @has_root: there is one
 * @release: `uname -r` of the kernel; empty if nothing tells
 * @modules: its /lib/modules directory, or empty
 * @symvers: path of Module.symvers, or empty
 * @config: path of the configuration, or empty
 * @vmlinux: path of what has the kernel's BTF, or empty
 * @in_tree: a module of the kernel's own, vfio if that is one, or empty
 * @vfio: path of vfio.ko, or empty
 * @vermagic: that of @in_tree, or NULL
 * @in_tree_file: what that contains
 * @in_tree_elf: the same, as ELF
 * @why_no_vermagic: what is wrong with @in_tree
 * @symvers_file: what @symvers contains
 * @config_file: what @config contains
 * @has_symbol_dma_owner: the kernel has iommu_group_claim_dma_owner
 * @has_symbol_take_ownership: the kernel has iommu_take_ownership
 */
struct target {
	char root[PATH_SIZE];
	bool has_root;
	char release[256];
	char modules[PATH_SIZE];
	char symvers[PATH_SIZE];
	char config[PATH_SIZE];
	char vmlinux[PATH_SIZE];
	char in_tree[PATH_SIZE];
	char vfio[PATH_SIZE];
	const char *vermagic;
	struct file in_tree_file;
	struct elf in_tree_elf;
	struct error why_no_vermagic;
	struct file symvers_file;
	struct file config_file;
	bool has_symbol_dma_owner;
	bool has_symbol_take_ownership;
};

int target_find(struct target *target, const struct request *request,
		struct error *err);
void target_free(struct target *target);
int target_module(const struct target *target, const char *name,
		  char path[PATH_SIZE]);

/**
 * enum status - what a check found
 * @STATUS_OK: as it should be
 * @STATUS_NOTE: worth knowing, stops nothing
 * @STATUS_UNKNOWN: it could not be told
 * @STATUS_FAIL: the module would not load, or not work
 */
enum status {
	STATUS_OK,
	STATUS_NOTE,
	STATUS_UNKNOWN,
	STATUS_FAIL,
};

/**
 * struct finding - one result of a check
 * @check: the check's name
 * @status: what it found
 * @text: in words
 */
struct finding {
	const char *check;
	enum status status;
	char *text;
};

/**
 * struct layout_row - one member or enumerator, here and there
 * @object: structure or enumeration
 * @member: member or enumerator; empty for the object
 * @status: result
 * @offset: as built; an enumerator's value
 * @size: as built
 * @found: the kernel has it
 * @target_offset: of the kernel
 * @target_size: of the kernel
 */
struct layout_row {
	char object[33];
	char member[33];
	enum status status;
	uint32_t offset;
	uint32_t size;
	bool found;
	uint32_t target_offset;
	uint32_t target_size;
};

/**
 * struct report - all results
 * @finding: results, in the order of the checks
 * @findings: how many
 * @row: comparison of the layout
 * @rows: how many
 */
struct report {
	struct finding *finding;
	size_t findings;
	struct layout_row *row;
	size_t rows;
};

void report_add(struct report *report, enum status status, const char *check,
		const char *format, ...) __printf(4, 5);
void report_row(struct report *report, const struct layout_row *row);
enum status report_verdict(const struct report *report);
void report_human(const struct report *report, const struct module *module,
		  const struct target *target, bool verbose);
void report_json(const struct report *report, const struct module *module,
		 const struct target *target);
void report_json_error(const char *text);
void report_free(struct report *report);
void *grow(void *array, size_t count, size_t size);

const char *config_get(const struct target *target, const char *option,
		       struct bytes *value);
bool config_is(const struct target *target, const char *option,
	       const char *values);

bool ask_in_child(void (*ask)(const void *question, char *text, size_t room),
		  const void *question, char *text, size_t room);

struct btf;
struct types;
struct types *types_open(const struct target *target, struct error *err);
const struct btf *types_btf(const struct types *types, const char *name,
			    uint32_t *id);
bool types_have_function(const struct types *types, const char *name);
const char *types_vfio_error(const struct types *types);
void types_close(struct types *types);

void check_symbols(struct report *report, struct module *module,
		   struct target *target, const struct request *request);
void check_vermagic(struct report *report, const struct module *module,
		    const struct target *target);
void check_config(struct report *report, const struct module *module,
		  const struct target *target);
void check_signature(struct report *report, const struct module *module,
		     const struct target *target);
void check_layout(struct report *report, const struct module *module,
		  const struct types *types, const char *why_no_types);
void check_vfio(struct report *report, const struct target *target,
		const struct types *types, const struct request *request);
bool autoload_find_rule(const struct target *target, const char *module,
			const char *other, char path[PATH_SIZE]);
bool autoload_find_list(const struct target *target, const char *module,
			char path[PATH_SIZE]);
int order_find_module(const struct target *target, const char *name,
		      char path[PATH_SIZE], struct error *err);
void check_order(struct report *report, const struct module *module,
		 const struct target *target);

#endif /* TCE2_PREFLIGHT_H */
