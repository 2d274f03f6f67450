// SPDX-License-Identifier: GPL-2.0-only
/*
 * Check "symbols": compare the module's imports with the kernel's exports.
 *
 * Module.symvers has a line for each export, with the CRC, name, owner, kind of
 * export and namespace, separated by tabs. A CRC of 0 means that the kernel has
 * no CRC. This check also looks up two symbols for check "vfio", and stores the
 * results in struct target.
 *
 * Calls: module, report.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "preflight.h"

#define CHECK	"symbols"

struct line {
	uint32_t crc;
	struct bytes name;
	struct bytes owner;
	struct bytes export;
	struct bytes space;
};

/* Removes the field before the next tab, or the last field, from a line. */
static struct bytes next_field(struct bytes *line)
{
	const unsigned char *tab = line->size ?
				   memchr(line->data, '\t', line->size) : NULL;
	struct bytes field = { line->data,
			       tab ? (size_t)(tab - line->data) : line->size };
	size_t taken = tab ? field.size + 1 : field.size;

	line->data += taken;
	line->size -= taken;
	return field;
}

static int hex_digit(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_crc(struct bytes field, uint32_t *crc)
{
	size_t i;

	*crc = 0;
	if (field.size < 3 || field.size > 10 || memcmp(field.data, "0x", 2))
		return false;
	for (i = 2; i < field.size; i++) {
		int digit = hex_digit(field.data[i]);

		if (digit < 0)
			return false;
		*crc = *crc << 4 | digit;
	}
	return true;
}

static bool parse_line(struct bytes text, struct line *line)
{
	if (!parse_crc(next_field(&text), &line->crc))
		return false;
	line->name = next_field(&text);
	line->owner = next_field(&text);
	line->export = next_field(&text);
	line->space = next_field(&text);
	return line->name.size && line->owner.size && line->export.size;
}

static bool equals(struct bytes bytes, const char *text)
{
	return bytes.size == strlen(text) &&
	       !memcmp(bytes.data, text, bytes.size);
}

static void copy(char *to, size_t room, struct bytes from)
{
	snprintf(to, room, "%.*s", (int)from.size, (const char *)from.data);
}

/* Same licenses as license_is_gpl_compatible() of include/linux/license.h */
static bool is_gpl_compatible(const char *license)
{
	static const char * const licenses[] = {
		"GPL", "GPL v2", "GPL and additional rights",
		"Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL",
	};
	size_t i;

	for (i = 0; license && i < ARRAY_SIZE(licenses); i++) {
		if (!strcmp(license, licenses[i]))
			return true;
	}
	return false;
}

/*
 * Returns true if the module may use a symbol of the namespace. A namespace
 * "module:a,b*" lists the modules that may use it. For any other namespace, the
 * module must import the namespace.
 */
static bool may_use_space(const struct module *module, const char *space)
{
	size_t length, name = strlen(module->name);
	const char *import = NULL;

	if (!strncmp(space, "module:", 7)) {
		for (space += 7; *space; space += length + (space[length] == ',')) {
			length = strcspn(space, ",");
			if (length && space[length - 1] == '*' ?
			    !strncmp(space, module->name, length - 1) :
			    length == name &&
			    !strncmp(space, module->name, length))
				return true;
		}
		return false;
	}
	while ((import = modinfo_next(module->modinfo, "import_ns", import))) {
		if (!strcmp(import, space))
			return true;
	}
	return false;
}

static enum symbol_status judge(const struct module *module,
				const struct import *import,
				const struct line *line)
{
	if (equals(line->export, "EXPORT_SYMBOL_GPL") &&
	    !is_gpl_compatible(modinfo_get(module->modinfo, "license")))
		return SYMBOL_GPL_ONLY;
	if (import->space[0] && !may_use_space(module, import->space))
		return SYMBOL_NAMESPACE;
	if (!line->crc)
		return SYMBOL_NO_CRC;
	if (!import->has_crc)
		return SYMBOL_CRC_ABSENT;
	return import->crc == line->crc ? SYMBOL_OK : SYMBOL_CRC_DIFFERS;
}

static void take_line(struct module *module, struct target *target,
		      const struct line *line)
{
	struct import *import;

	if (equals(line->name, "iommu_group_claim_dma_owner"))
		target->has_symbol_dma_owner = true;
	if (equals(line->name, "iommu_take_ownership"))
		target->has_symbol_take_ownership = true;

	import = module_import(module, (const char *)line->name.data,
			       line->name.size);
	if (!import)
		return;
	import->target_crc = line->crc;
	copy(import->owner, sizeof(import->owner), line->owner);
	copy(import->space, sizeof(import->space), line->space);
	import->status = judge(module, import, line);
}

/* Returns the number of the first invalid line, or 0. */
static size_t read_symvers(struct module *module, struct target *target)
{
	struct bytes rest = target->symvers_file.bytes, text;
	const unsigned char *end;
	struct line line;
	size_t number = 0;

	while (rest.size) {
		end = memchr(rest.data, '\n', rest.size);
		text = (struct bytes){ rest.data,
				       end ? (size_t)(end - rest.data) :
				       rest.size };
		number++;
		/* A line without newline is truncated, even if it looks valid. */
		if (!end || !parse_line(text, &line))
			return number;
		take_line(module, target, &line);
		rest.data = end + 1;
		rest.size -= text.size + 1;
	}
	return 0;
}

static void report_symbol(struct report *report, const struct module *module,
			  const struct import *import,
			  const struct target *target)
{
	switch (import->status) {
	case SYMBOL_MISSING:
		report_add(report, STATUS_FAIL, CHECK,
			   "the kernel does not export %s", import->name);
		break;
	case SYMBOL_CRC_DIFFERS:
		report_add(report, STATUS_FAIL, CHECK,
			   "the CRC of %s (%s) differs: built against 0x%08x, the kernel has 0x%08x",
			   import->name, import->owner, import->crc,
			   import->target_crc);
		break;
	case SYMBOL_CRC_ABSENT:
		/*
		 * In Debian's kernels check_version() refuses such a module; in
		 * upstream kernels it only warns. A module without any CRC is
		 * reported once, by report_no_versions().
		 */
		if (module->has_versions)
			report_add(report, STATUS_FAIL, CHECK,
				   "the module has no CRC of %s (%s), but the kernel requires one",
				   import->name, import->owner);
		break;
	case SYMBOL_GPL_ONLY:
		report_add(report, STATUS_FAIL, CHECK,
			   "%s is only for modules whose license is compatible with the GPL",
			   import->name);
		break;
	case SYMBOL_NAMESPACE:
		report_add(report, config_is(target,
					     "MODULE_ALLOW_MISSING_NAMESPACE_IMPORTS",
					     "y") &&
			   strncmp(import->space, "module:", 7) ?
			   STATUS_NOTE : STATUS_FAIL, CHECK,
			   "%s is in the namespace %s, which the module does not import",
			   import->name, import->space);
		break;
	default:
		break;
	}
}

static void settle_absent(struct module *module)
{
	struct import *import = module->import;
	size_t i;

	for (i = 0; i < module->imports; i++) {
		if (import[i].status != SYMBOL_NOT_LOOKED_UP)
			continue;
		import[i].status = import[i].weak ? SYMBOL_WEAK_ABSENT :
				   SYMBOL_MISSING;
	}
}

/* Only a module without any CRC is affected by CONFIG_MODULE_FORCE_LOAD. */
static void report_no_versions(struct report *report,
			       const struct module *module,
			       const struct target *target, size_t absent)
{
	bool forced = config_is(target, "MODULE_FORCE_LOAD", "y");

	report_add(report, forced ? STATUS_UNKNOWN : STATUS_FAIL, CHECK,
		   "the module has no CRCs at all, but the kernel has CRCs of %zu of %zu imports, and %s",
		   absent, module->imports, forced ?
		   "would load the module without comparing CRCs (CONFIG_MODULE_FORCE_LOAD)" :
		   "requires them");
}

static void report_crcs(struct report *report, const struct module *module,
			const size_t *count, bool accept)
{
	size_t unknown = count[SYMBOL_NO_CRC];

	if (unknown)
		report_add(report, accept ? STATUS_NOTE : STATUS_UNKNOWN,
			   CHECK,
			   "%zu of %zu imports cannot be compared, because the kernel has no CRC of them%s",
			   unknown, module->imports,
			   accept ? "" : " (--accept-unknown-crcs accepts them)");
	if (count[SYMBOL_OK])
		report_add(report, STATUS_OK, CHECK,
			   "%zu of %zu imports have the same CRC in the kernel",
			   count[SYMBOL_OK], module->imports);
}

/**
 * check_symbols() - compare the module's imports with the kernel's exports
 * @report: receives the findings
 * @module: the module; receives the status of its imports
 * @target: the kernel; the check sets the members has_symbol_*
 * @request: the command line, which may accept missing CRCs
 */
void check_symbols(struct report *report, struct module *module,
		   struct target *target, const struct request *request)
{
	size_t count[SYMBOL_STATUSES] = { 0 }, i, bad;

	if (!target->symvers[0]) {
		report_add(report, STATUS_UNKNOWN, CHECK,
			   "the kernel's Module.symvers was not found: install the kernel's headers, or name the file with --symvers");
		return;
	}
	bad = read_symvers(module, target);
	if (bad) {
		report_add(report, STATUS_UNKNOWN, CHECK,
			   "%s: line %zu is damaged or truncated",
			   target->symvers, bad);
		return;
	}
	settle_absent(module);
	for (i = 0; i < module->imports; i++) {
		count[module->import[i].status]++;
		report_symbol(report, module, &module->import[i], target);
	}
	if (count[SYMBOL_CRC_ABSENT] && !module->has_versions)
		report_no_versions(report, module, target,
				   count[SYMBOL_CRC_ABSENT]);
	report_crcs(report, module, count, request->accept_unknown_crcs);
}
