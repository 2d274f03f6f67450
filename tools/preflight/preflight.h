/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * tce2-preflight: types and functions that its files share.
 *
 * tools/common has the code that tce2ctl uses as well. Data flows one way:
 *
 *	file -> elf -> module, target, types -> the checks -> report
 *
 * The checks are in symbols.c, config.c, layout.c, vfio.c and order.c.
 *
 * Every input file may be damaged. A function that finds damage returns -1 and
 * stores the reason in a struct error.
 */
#ifndef TCE2_PREFLIGHT_H
#define TCE2_PREFLIGHT_H

#include "../common/common.h"

/**
 * enum symbol_status - result of looking up an import of the module
 * @SYMBOL_NOT_LOOKED_UP: no valid list of the kernel's exports was found
 * @SYMBOL_OK: the kernel exports the symbol with the same CRC
 * @SYMBOL_NO_CRC: the kernel exports the symbol without a CRC
 * @SYMBOL_WEAK_ABSENT: the kernel lacks the symbol, but the import is weak
 * @SYMBOL_MISSING: the kernel does not export the symbol
 * @SYMBOL_CRC_DIFFERS: the kernel exports the symbol with another CRC
 * @SYMBOL_CRC_ABSENT: the kernel has a CRC of the symbol, but the module lacks it
 * @SYMBOL_GPL_ONLY: the module's license does not allow this import
 * @SYMBOL_NAMESPACE: the module does not import the symbol's namespace
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
 * struct import - symbol that the module imports from the kernel
 * @name: the symbol's name, in the module's string table
 * @weak: true for a weak symbol, which the kernel may lack
 * @has_crc: true if the module records the CRC it was built against
 * @crc: the recorded CRC
 * @status: result of the comparison
 * @target_crc: the kernel's CRC, or 0 for no CRC
 * @owner: "vmlinux" or the module that exports the symbol, from Module.symvers
 * @space: the symbol's namespace, from Module.symvers; empty for no namespace
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
 * enum signature - form of a module's signature
 * @SIGNATURE_NONE: the module is not signed
 * @SIGNATURE_PRESENT: the signature is well-formed, but the kernel may not trust
 *	its key
 * @SIGNATURE_BAD: the signature is malformed; the kernel refuses the module, even
 *	if it does not enforce signatures
 */
enum signature {
	SIGNATURE_NONE,
	SIGNATURE_PRESENT,
	SIGNATURE_BAD,
};

/**
 * struct module - module to check
 * @path: path of the module's file
 * @file: contents of the file
 * @elf: ELF structure of @file
 * @modinfo: contents of section .modinfo
 * @layout: contents of the section TCE2_LAYOUT_SECTION, or empty
 * @name: name of the module
 * @version: MODULE_VERSION, or NULL
 * @vermagic: vermagic of the kernel that the module was built for, or NULL
 * @has_versions: true if the module has CRCs of its imports
 * @import: imports, sorted by name
 * @imports: number of imports
 * @signature: form of the module's signature
 * @trailing: number of bytes after the module that are not a signature
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
 * struct request - arguments of the command line
 * @target: the kernel: its release, or a directory
 * @module: path of the module, or NULL
 * @root: directory with /lib/modules, /boot and /etc/modprobe.d, or NULL
 * @build: directory with Module.symvers and .config, or NULL
 * @symvers: path of Module.symvers, or NULL
 * @config: path of the kernel's configuration, or NULL
 * @vmlinux: path of an ELF file with BTF or of raw BTF, or NULL
 * @machine: "powernv" or "pseries"; NULL if support for one of them is sufficient
 * @accept_unknown_crcs: true if missing CRCs alone do not make the verdict
 *	"unknown"
 * @json: true to print JSON
 * @verbose: true to also print each symbol and each member
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
 * struct target - kernel to check
 * @root: root directory of the kernel's machine; empty for "/"
 * @has_root: true if the root directory is known
 * @release: `uname -r` of the kernel; empty if unknown
 * @modules: the kernel's /lib/modules directory, or empty
 * @symvers: path of Module.symvers, or empty
 * @config: path of the configuration, or empty
 * @vmlinux: path of the file with the kernel's BTF, or empty
 * @in_tree: path of any module of the kernel, preferably vfio.ko, or empty
 * @vfio: path of vfio.ko, or empty
 * @vermagic: vermagic of @in_tree, or NULL
 * @in_tree_file: contents of @in_tree
 * @in_tree_elf: ELF structure of @in_tree_file
 * @why_no_vermagic: reason why @vermagic is NULL
 * @symvers_file: contents of @symvers
 * @config_file: contents of @config
 * @has_symbol_dma_owner: true if @symvers has iommu_group_claim_dma_owner
 * @has_symbol_take_ownership: true if @symvers has iommu_take_ownership
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
 * enum status - result of a check, in increasing severity
 * @STATUS_OK: the check passed
 * @STATUS_NOTE: information that does not change the verdict
 * @STATUS_UNKNOWN: the check could not decide
 * @STATUS_FAIL: the module would not load, or would not work
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
 * @status: the result
 * @text: the result in words
 */
struct finding {
	const char *check;
	enum status status;
	char *text;
};

/**
 * struct layout_row - comparison of one layout record with the kernel
 * @object: name of the structure or enumeration
 * @member: name of the member or enumerator; empty for the object itself
 * @status: result of the comparison
 * @offset: offset that the module was built with, or an enumerator's value
 * @size: size that the module was built with
 * @found: true if the kernel has the object or member
 * @target_offset: the kernel's offset, or an enumerator's value
 * @target_size: the kernel's size
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
 * @finding: findings, in the order of the checks
 * @findings: number of findings
 * @row: comparisons of the layout records
 * @rows: number of rows
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

const char *config_get(const struct target *target, const char *option,
		       struct bytes *value);
bool config_is(const struct target *target, const char *option,
	       const char *values);

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
