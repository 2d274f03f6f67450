// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checks "vermagic", "page-size", "config" and "signature".
 *
 * Each check examines a property of the kernel's build that can prevent the
 * kernel from loading the module.
 *
 * Calls: report, child, libkmod (for the signer of a module).
 */
#include <libkmod.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../include/tce2_layout.h"
#include "preflight.h"

/**
 * config_get() - look up an option in the kernel's configuration
 * @target: the kernel
 * @option: the option's name without CONFIG_
 * @value: receives the value
 *
 * The value is "n" if the file has the line "# CONFIG_... is not set". An
 * option without a line in the file has no value.
 *
 * Return: the first byte of the value, or NULL if the option has no value
 */
const char *config_get(const struct target *target, const char *option,
		       struct bytes *value)
{
	static const char * const forms[] = { "\nCONFIG_%s=",
					      "\n# CONFIG_%s is not set" };
	struct bytes file = target->config_file.bytes;
	char line[128];
	const char *at;

	if (!file.size)
		return NULL;
	snprintf(line, sizeof(line), forms[0], option);
	at = memmem(file.data, file.size, line, strlen(line));
	if (at) {
		at += strlen(line);
		file.size -= (const unsigned char *)at - file.data;
		file.data = memchr(at, '\n', file.size);
		*value = (struct bytes){ (const unsigned char *)at,
			file.data ? (size_t)((const char *)file.data - at) :
			file.size };
		return at;
	}
	snprintf(line, sizeof(line), forms[1], option);
	if (!memmem(file.data, file.size, line, strlen(line)))
		return NULL;
	*value = (struct bytes){ (const unsigned char *)"n", 1 };
	return "n";
}

/**
 * config_is() - check that an option has one of several one-letter values
 * @target: the kernel
 * @option: the option's name without CONFIG_
 * @values: the values, such as "ym"
 *
 * Return: true if the option has one of the values
 */
bool config_is(const struct target *target, const char *option,
	       const char *values)
{
	struct bytes value;
	const char *at = config_get(target, option, &value);

	return at && value.size == 1 && strchr(values, *at);
}

/*
 * Same rule as the kernel's same_magic(): the releases may differ if the module
 * has CRCs and the kernel compares CRCs.
 */
static bool same_magic(const char *built, const char *kernel, bool has_crcs)
{
	if (has_crcs && strstr(kernel, " modversions ")) {
		built += strcspn(built, " ");
		kernel += strcspn(kernel, " ");
	}
	return !strcmp(built, kernel);
}

/**
 * check_vermagic() - compare the module's vermagic with the kernel's
 * @report: receives the finding
 * @module: the module
 * @target: the kernel
 */
void check_vermagic(struct report *report, const struct module *module,
		    const struct target *target)
{
	enum status status = STATUS_OK;

	if (!module->vermagic) {
		report_add(report, STATUS_FAIL, "vermagic",
			   "the module has no vermagic");
		return;
	}
	if (!target->vermagic) {
		report_add(report, STATUS_UNKNOWN, "vermagic",
			   "the kernel's vermagic is unknown: %s",
			   target->why_no_vermagic.text);
		return;
	}
	if (!same_magic(module->vermagic, target->vermagic,
			module->has_versions))
		status = STATUS_FAIL;
	report_add(report, status, "vermagic",
		   status == STATUS_OK ?
		   "built for \"%s\", which the kernel accepts as equal to its \"%s\"" :
		   "built for \"%s\", but the kernel has \"%s\"",
		   module->vermagic, target->vermagic);
}

/* Older kernels have no CONFIG_PAGE_SHIFT on POWER. */
static unsigned int kernel_page_shift(const struct target *target)
{
	struct bytes value;
	const char *at = config_get(target, "PAGE_SHIFT", &value);

	if (at && value.size == 2)
		return strtoul((char[]){ at[0], at[1], 0 }, NULL, 10);
	if (config_is(target, "PPC_64K_PAGES", "y"))
		return 16;
	return config_is(target, "PPC_4K_PAGES", "y") ? 12 : 0;
}

static void check_page_size(struct report *report, const struct module *module,
			    const struct target *target)
{
	unsigned int kernel = kernel_page_shift(target), built;

	if (module->layout.size < sizeof(struct tce2_layout_header)) {
		report_add(report, STATUS_UNKNOWN, "page-size",
			   "the module has no record of the page size that it was built for");
		return;
	}
	built = get_le32(module->layout.data +
			 offsetof(struct tce2_layout_header, page_shift));
	if (built > 24 || kernel > 24 || !kernel)
		report_add(report, STATUS_UNKNOWN, "page-size",
			   "the page size of the module or of the kernel is missing or invalid");
	else
		report_add(report, built == kernel ? STATUS_OK : STATUS_FAIL,
			   "page-size",
			   "built for pages of %uK, the kernel has pages of %uK",
			   1u << built >> 10, 1u << kernel >> 10);
}

/*
 * Required options, with their possible values and the reason. If "everywhere"
 * is false, the option is required only on kernels that have this option.
 */
static const struct {
	const char *option;
	const char *values;
	bool everywhere;
	const char *reason;
} needed[] = {
	{ "PPC64", "y", true, "the module supports only 64-bit POWER" },
	{ "CPU_LITTLE_ENDIAN", "y", true, "the module is little-endian" },
	{ "MODULES", "y", true, "without it the kernel cannot load modules" },
	{ "IOMMU_API", "y", true, "without it VFIO has no groups" },
	{ "SPAPR_TCE_IOMMU", "y", true, "without it VFIO cannot create TCE tables" },
	{ "VFIO", "ym", true, "the module is a backend of VFIO" },
	/* Linux 6.1 has neither option: its VFIO always has both features. */
	{ "VFIO_GROUP", "y", false, "without it there are no groups to attach" },
	{ "VFIO_CONTAINER", "y", false, "without it VFIO accepts no backends" },
};

/*
 * auto.conf lists only options that are set. If an option is absent from it,
 * the option may be off, or the kernel may lack the option.
 */
static bool tells_what_is_off(const struct target *target)
{
	static const char form[] = "\n# CONFIG_";
	struct bytes file = target->config_file.bytes;

	return memmem(file.data, file.size, form, strlen(form));
}

static bool check_options(struct report *report, const struct target *target)
{
	bool all = tells_what_is_off(target), good = true;
	struct bytes value;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(needed); i++) {
		if (config_is(target, needed[i].option, needed[i].values))
			continue;
		if (!needed[i].everywhere &&
		    !config_get(target, needed[i].option, &value)) {
			if (all)
				continue;
			report_add(report, STATUS_UNKNOWN, "config",
				   "CONFIG_%s is off, or is not an option of this kernel: %s lists only options that are set",
				   needed[i].option, target->config);
			good = false;
			continue;
		}
		report_add(report, STATUS_FAIL, "config",
			   "CONFIG_%s is not set: %s", needed[i].option,
			   needed[i].reason);
		good = false;
	}
	return good;
}

/**
 * check_config() - check the kernel's page size and required options
 * @report: receives the findings
 * @module: the module
 * @target: the kernel
 */
void check_config(struct report *report, const struct module *module,
		  const struct target *target)
{
	struct bytes value;

	if (!target->config[0]) {
		report_add(report, STATUS_UNKNOWN, "config",
			   "the kernel's configuration was not found; name the file with --config");
		return;
	}
	/* The configuration of any POWER kernel has at least one of these options. */
	if (!config_get(target, "PPC", &value) &&
	    !config_get(target, "MODULES", &value)) {
		report_add(report, STATUS_UNKNOWN, "config",
			   "%s: not the configuration of a POWER kernel, or damaged",
			   target->config);
		return;
	}
	check_page_size(report, module, target);
	if (check_options(report, target))
		report_add(report, STATUS_OK, "config",
			   "all options that the module needs are set");
}

/* Finds the option that makes the kernel enforce signatures from boot. */
static const char *enforced_by(const struct target *target)
{
	static const char * const options[] = {
		"MODULE_SIG_FORCE",
		"LOCK_DOWN_KERNEL_FORCE_INTEGRITY",
		"LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(options); i++) {
		if (config_is(target, options[i], "y"))
			return options[i];
	}
	return NULL;
}

/* Question for the child process: the value that modinfo prints for a module's key */
struct question {
	const char *path;
	const char *key;
};

static void find_value(struct kmod_list *list, const char *key, char *text,
		       size_t room)
{
	struct kmod_list *item;

	kmod_list_foreach(item, list) {
		if (strcmp(kmod_module_info_get_key(item), key))
			continue;
		snprintf(text, room, "%s", kmod_module_info_get_value(item));
		return;
	}
}

static void ask_info(const void *data, char *text, size_t room)
{
	const struct question *question = data;
	const char *none = NULL;
	struct kmod_ctx *ctx = kmod_new("/", &none);
	struct kmod_module *module = NULL;
	struct kmod_list *list = NULL;

	if (!ctx)
		return;
	kmod_set_log_priority(ctx, 0);
	if (!kmod_module_new_from_path(ctx, question->path, &module) &&
	    kmod_module_get_info(module, &list) > 0)
		find_value(list, question->key, text, room);
	kmod_module_info_free_list(list);
	kmod_module_unref(module);
	kmod_unref(ctx);
}

/* Returns false if libkmod does not find the key, or crashes. */
static bool signature_info(const char *path, const char *key, char text[256])
{
	const struct question question = { path, key };

	return ask_in_child(ask_info, &question, text, 256) && text[0];
}

static void report_signed(struct report *report, const struct module *module,
			  const struct target *target, const char *enforced)
{
	char signer[256], ours[256], theirs[256];
	bool known = target->in_tree[0] &&
		     signature_info(module->path, "sig_key", ours) &&
		     signature_info(target->in_tree, "sig_key", theirs) &&
		     !strcmp(ours, theirs);
	const char *who = signature_info(module->path, "signer", signer) ?
			  signer : "an unknown signer";

	if (known || !enforced)
		report_add(report, STATUS_OK, "signature",
			   "the module is signed by %s%s", who, known ?
			   ", with the key of the kernel's own modules" : "");
	else
		report_add(report, STATUS_UNKNOWN, "signature",
			   "CONFIG_%s is set, and the module is signed by %s; whether the kernel trusts this key is unknown",
			   enforced, who);
}

static void report_unsigned(struct report *report, const struct target *target,
			    const char *enforced)
{
	if (enforced)
		report_add(report, STATUS_FAIL, "signature",
			   "the module is not signed, and CONFIG_%s makes the kernel refuse unsigned modules",
			   enforced);
	else if (config_is(target, "PPC_SECURE_BOOT", "y"))
		report_add(report, STATUS_NOTE, "signature",
			   "the module is not signed; the kernel refuses it on a machine with secure boot");
	else
		report_add(report, STATUS_OK, "signature",
			   "the module is not signed; the kernel refuses it only with module.sig_enforce or lockdown on its command line");
}

/**
 * check_signature() - check that the kernel accepts the module's signature
 * @report: receives the findings
 * @module: the module
 * @target: the kernel
 */
void check_signature(struct report *report, const struct module *module,
		     const struct target *target)
{
	const char *enforced = enforced_by(target);

	if (module->trailing)
		report_add(report, STATUS_NOTE, "signature",
			   "the file has %llu bytes after the module that are not a signature",
			   (unsigned long long)module->trailing);
	if (module->signature == SIGNATURE_BAD)
		report_add(report, STATUS_FAIL, "signature",
			   "the module's signature is damaged");
	else if (!target->config[0])
		report_add(report, STATUS_UNKNOWN, "signature",
			   "the module is %ssigned; without the kernel's configuration, it is unknown whether the kernel enforces signatures",
			   module->signature == SIGNATURE_NONE ? "not " : "");
	else if (module->signature == SIGNATURE_NONE)
		report_unsigned(report, target, enforced);
	else
		report_signed(report, module, target, enforced);
}
