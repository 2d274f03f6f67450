// SPDX-License-Identifier: GPL-2.0-only
/*
 * Check "load-order": check that the module is loaded automatically, and after
 * the in-tree driver.
 *
 * VFIO asks its backends in the reverse order of their registration. The backends
 * are loaded in an order that depends on the soft dependencies and install commands
 * in modprobe.d, and on the soft dependencies of vfio.ko. The check gets this
 * order from dry runs of libkmod, the library of modprobe. It loads no module.
 *
 * Calls: autoload, child, kmod, report, libkmod.
 */
#include <dirent.h>
#include <libkmod.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "preflight.h"

#define CHECK	"load-order"
#define IN_TREE	"vfio_iommu_spapr_tce"

static const char * const config_at[] = {
	"etc/modprobe.d", "run/modprobe.d", "usr/local/lib/modprobe.d",
	"usr/lib/modprobe.d", "lib/modprobe.d",
};

/* Arguments of modprobe commands to try; "" stands for the module's name. */
static const char * const orders[][2] = {
	{ "" }, { "vfio_pci" }, { IN_TREE },
	{ "vfio_pci", "" }, { "", "vfio_pci" },
	{ "", IN_TREE },
};

/**
 * struct loads - modules that a sequence of modprobe commands would load
 * @module: name of the module to check
 * @count: number of modules loaded until now
 * @ours: value of @count when the module was loaded, or 0
 * @in_tree: value of @count when the in-tree driver was loaded, or 0
 * @command: first install command that modprobe would run, or empty
 */
struct loads {
	const char *module;
	int count;
	int ours;
	int in_tree;
	char command[256];
};

/* A global variable, because libkmod passes no user pointer to note_load() */
static struct loads loads;

/**
 * struct question - arguments of ask_order() and ask_path()
 * @target: the kernel
 * @module: the module, for ask_order()
 * @name: name of the module to find, for ask_path()
 * @rule: path of the udev rule that loads the module, or empty
 * @list: path of the file in modules-load.d that loads the module, or empty
 */
struct question {
	const struct target *target;
	const struct module *module;
	char rule[PATH_SIZE];
	char list[PATH_SIZE];
};

/**
 * struct answer - findings for the parent process
 * @text: a line for each finding: the status as a digit, and the text
 * @room: size of @text in bytes
 * @used: number of bytes in use
 */
struct answer {
	char *text;
	size_t room;
	size_t used;
};

static void __printf(3, 4)
tell(struct answer *answer, enum status status, const char *format, ...)
{
	size_t left = answer->room - answer->used;
	char *at = answer->text + answer->used;
	va_list args;
	int length;

	if (left < 3)
		return;
	*at = '0' + status;
	va_start(args, format);
	length = vsnprintf(at + 1, left - 2, format, args);
	va_end(args);
	length = length < 0 ? 0 : strlen(at + 1);
	at[1 + length] = '\n';
	at[2 + length] = '\0';
	answer->used += length + 2;
}

static bool is_built_in(const struct kmod_module *module)
{
	return kmod_module_get_initstate(module) == KMOD_MODULE_BUILTIN;
}

static void note_load(struct kmod_module *module, bool install,
		      const char *options)
{
	const char *name = kmod_module_get_name(module);

	(void)options;
	if (is_built_in(module))
		return;
	loads.count++;
	if (!strcmp(name, loads.module) && !loads.ours)
		loads.ours = loads.count;
	if (!strcmp(name, IN_TREE) && !loads.in_tree)
		loads.in_tree = loads.count;
	if (install && !loads.command[0])
		snprintf(loads.command, sizeof(loads.command), "install %s %s",
			 name, kmod_module_get_install_commands(module));
}

/* Like modprobe, ignores a built-in or missing module and its dependencies. */
static void load(struct kmod_ctx *ctx, const char *name)
{
	const unsigned int flags = KMOD_PROBE_DRY_RUN |
				   KMOD_PROBE_IGNORE_LOADED;
	struct kmod_module *module;

	if (kmod_module_new_from_name(ctx, name, &module))
		return;
	if (kmod_module_get_path(module) && !is_built_in(module))
		kmod_module_probe_insert_module(module, flags, NULL, NULL,
						NULL, note_load);
	kmod_module_unref(module);
}

/* Returns a module's path from the index for the caller to free, or NULL. */
static bool is_installed(struct kmod_ctx *ctx, const struct module *module)
{
	char *path = kmod_index_path(ctx, module->name);
	bool installed = path;

	free(path);
	return installed;
}

/* Reports that the index lists a deleted module, so that the load order is unknown. */
static bool is_stale(struct kmod_ctx *ctx, struct answer *answer)
{
	static const char * const names[] = { "vfio", "vfio_pci", IN_TREE };
	bool stale = false;
	char *path;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names) && !stale; i++) {
		path = kmod_index_path(ctx, names[i]);
		stale = path && !file_exists(path);
		if (stale)
			tell(answer, STATUS_UNKNOWN,
			     "modules.dep lists %s, which does not exist: run depmod for this kernel",
			     path);
		free(path);
	}
	return stale;
}

/*
 * Loads the module. If it is not installed, the index does not list it, so its
 * dependencies are read from its .modinfo.
 */
static void load_ours(struct kmod_ctx *ctx, const struct module *module)
{
	const char *depends = modinfo_get(module->modinfo, "depends");
	char name[64];
	size_t length;

	if (is_installed(ctx, module))
		depends = NULL;
	for (; depends && *depends; depends += length + !!depends[length]) {
		length = strcspn(depends, ",");
		snprintf(name, sizeof(name), "%.*s", (int)length, depends);
		load(ctx, name);
	}
	load(ctx, module->name);
}

static bool order_is_wrong(struct kmod_ctx *ctx, const struct module *module,
			   const char * const order[2])
{
	int i;

	loads = (struct loads){ .module = module->name };
	for (i = 0; i < 2 && order[i]; i++) {
		if (*order[i])
			load(ctx, order[i]);
		else
			load_ours(ctx, module);
	}
	return loads.ours && loads.in_tree > loads.ours;
}

static const char *command_name(const char *order, const struct module *module)
{
	return *order ? order : module->name;
}

/*
 * VFIO first asks the backend that registered last. A module with a module
 * notifier can register again after the in-tree driver was loaded.
 */
static void describe_wrong(const struct module *module,
			   const char * const order[2], struct answer *answer)
{
	static const char notifier[] = "register_module_notifier";
	bool returns = module_import(module, notifier, strlen(notifier));

	tell(answer, returns ? STATUS_NOTE : STATUS_FAIL,
	     "\"modprobe %s%s%s\" loads " IN_TREE " after the module%s",
	     command_name(order[0], module), order[1] ? "; modprobe " : "",
	     order[1] ? command_name(order[1], module) : "",
	     returns ? ", which then registers again to be asked first" :
	     ", so VFIO asks " IN_TREE " first");
}

/* True if a modprobe command that names only another module also loads this module */
static bool is_brought_in(const char * const order[2])
{
	return *order[0] && !order[1] && loads.ours;
}

/* Searches a part of modprobe's configuration for a module. */
static bool config_has(struct kmod_config_iter *iter, const char *name)
{
	bool found = false;

	while (iter && !found && kmod_config_iter_next(iter))
		found = !strcmp(kmod_config_iter_get_key(iter), name);
	kmod_config_iter_free_iter(iter);
	return found;
}

/*
 * Searches the configuration for a soft dependency on the module. Dry runs do
 * not show this dependency if the module is not installed.
 */
static bool config_wants(struct kmod_ctx *ctx, const char *name)
{
	struct kmod_config_iter *iter = kmod_config_get_softdeps(ctx);
	bool found = false;

	while (iter && !found && kmod_config_iter_next(iter))
		found = strstr(kmod_config_iter_get_value(iter) ?: "", name);
	kmod_config_iter_free_iter(iter);
	return found;
}

/* Parses the value of the parameter like the kernel's kstrtobool() */
static bool is_switched_off(struct kmod_ctx *ctx, const char *name)
{
	static const char option[] = "enabled=";
	struct kmod_module *module;
	const char *at;
	bool off = false;

	if (kmod_module_new_from_name(ctx, name, &module))
		return false;
	at = kmod_module_get_options(module);
	for (; at && *at; at += !!*at) {
		if (!strncmp(at, option, strlen(option)))
			off = strchr("0nNfF", at[strlen(option)]) ||
			      !strncasecmp(at + strlen(option), "of", 2);
		at += strcspn(at, " ");
	}
	kmod_module_unref(module);
	return off;
}

static void tell_ignored_command(struct kmod_ctx *ctx, struct answer *answer)
{
	struct kmod_module *module;
	const char *command;

	if (kmod_module_new_from_name(ctx, IN_TREE, &module))
		return;
	command = kmod_module_get_install_commands(module);
	if (command)
		tell(answer, STATUS_NOTE,
		     "modprobe ignores \"install " IN_TREE " %s\", because " IN_TREE " has a soft dependency",
		     command);
	kmod_module_unref(module);
}

enum in_tree { ABSENT, LOADABLE, BUILT_IN };

static enum in_tree find_in_tree(struct kmod_ctx *ctx)
{
	struct kmod_module *module;
	enum in_tree in_tree;

	if (kmod_module_new_from_name(ctx, IN_TREE, &module))
		return ABSENT;
	in_tree = is_built_in(module) ? BUILT_IN :
		  kmod_module_get_path(module) ? LOADABLE : ABSENT;
	kmod_module_unref(module);
	return in_tree;
}

static void tell_nothing_loads(struct kmod_ctx *ctx,
			       const struct question *question,
			       bool blacklisted, struct answer *answer)
{
	const char *name = question->module->name;
	bool installed = is_installed(ctx, question->module);

	if (question->rule[0] && !blacklisted && find_in_tree(ctx) == BUILT_IN)
		tell(answer, STATUS_UNKNOWN,
		     IN_TREE " is built in; it is unknown whether udev gets an event for it, so that %s loads the module",
		     question->rule);
	else
		tell(answer, installed ? STATUS_FAIL : STATUS_NOTE,
		     "nothing loads the module%s: modprobe loads it only when asked for %s, and no udev rule %s; install the soft dependency (modprobe.d) or the udev rule of the package",
		     installed ? "" : ", which is not installed for this kernel",
		     name, question->rule[0] ? "can load it" : "names it");
}

/* Reports how the module is loaded; describe_wrong() reports a wrong load order. */
static void tell_loader(struct kmod_ctx *ctx, const struct question *question,
			bool by_modprobe, struct answer *answer)
{
	const char *name = question->module->name;
	bool installed = is_installed(ctx, question->module);
	bool blacklisted = config_has(kmod_config_get_blacklists(ctx), name);

	if (blacklisted)
		tell(answer, STATUS_NOTE,
		     "%s is blacklisted: udev and modules-load.d do not load it, but modprobe loads it by name or as a soft dependency",
		     name);
	if (by_modprobe || (!installed && config_wants(ctx, name)))
		tell(answer, STATUS_OK,
		     "modprobe never loads %s after the module%s",
		     IN_TREE, installed ? "" :
		     "; soft dependencies on the module take effect once it is installed for this kernel");
	else if (question->list[0] && !blacklisted)
		tell(answer, STATUS_OK, "%s loads the module at boot",
		     question->list);
	else if (question->rule[0] && !blacklisted &&
		 find_in_tree(ctx) == LOADABLE)
		tell(answer, STATUS_OK,
		     "the udev rule %s loads the module when %s is loaded",
		     question->rule, IN_TREE);
	else
		tell_nothing_loads(ctx, question, blacklisted, answer);
}

static void describe_orders(struct kmod_ctx *ctx,
			    const struct question *question,
			    struct answer *answer)
{
	const struct module *module = question->module;
	bool wrong = false, brought_in = false, in_tree = false;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		bool this_wrong = order_is_wrong(ctx, module, orders[i]);

		if (loads.command[0]) {
			tell(answer, STATUS_UNKNOWN,
			     "the command \"%s\" in modprobe.d determines the load order",
			     loads.command);
			return;
		}
		in_tree |= loads.in_tree;
		brought_in |= is_brought_in(orders[i]);
		if (this_wrong && !wrong)
			describe_wrong(module, orders[i], answer);
		wrong |= this_wrong;
	}
	if (in_tree)
		tell_ignored_command(ctx, answer);
	if (is_switched_off(ctx, module->name))
		tell(answer, STATUS_NOTE,
		     "the module is switched off (enabled=0 in modprobe.d): the in-tree driver will handle all containers");
	if (!wrong || !brought_in)
		tell_loader(ctx, question, brought_in, answer);
}

static void ask_order(const void *data, char *text, size_t room)
{
	char paths[ARRAY_SIZE(config_at)][PATH_SIZE + 32];
	const char *config[ARRAY_SIZE(config_at) + 1] = { NULL };
	const struct question *question = data;
	struct answer answer = { text, room, 0 };
	struct kmod_ctx *ctx;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(config_at); i++) {
		snprintf(paths[i], sizeof(paths[i]), "%s/%s",
			 question->target->root, config_at[i]);
		config[i] = paths[i];
	}
	ctx = kmod_new(question->target->modules, config);
	if (!ctx) {
		tell(&answer, STATUS_UNKNOWN,
		     "libkmod cannot read the configuration of modprobe");
		return;
	}
	kmod_set_log_priority(ctx, 0);
	if (!is_stale(ctx, &answer))
		describe_orders(ctx, question, &answer);
	kmod_unref(ctx);
}

/**
 * order_find_module() - find the file from which modprobe would load a module
 * @target: the kernel
 * @name: the module's name
 * @path: receives the path of the file
 * @err: receives the reason for a failure
 *
 * Return: 0, or -1
 */
int order_find_module(const struct target *target, const char *name,
		      char path[PATH_SIZE], struct error *err)
{
	path[0] = '\0';
	if (target->modules[0] &&
	    kmod_find_file(target->modules, name, path, err))
		return -1;
	if (!path[0])
		return fail(err, "%s is not installed for %s; name the module's file with --module",
			    name, target->release);
	return 0;
}

static bool has_config(const struct target *target)
{
	char path[PATH_SIZE + 32];
	struct stat info;
	size_t i;

	for (i = 0; target->has_root && i < ARRAY_SIZE(config_at); i++) {
		snprintf(path, sizeof(path), "%s/%s", target->root,
			 config_at[i]);
		if (!stat(path, &info) && S_ISDIR(info.st_mode))
			return true;
	}
	return false;
}

/* True for /dev/null: administrators link a file to it to disable the file. */
static bool is_null(struct stat info)
{
	return S_ISCHR(info.st_mode) && info.st_rdev == makedev(1, 3);
}

/* Finds a special file in modprobe.d: libkmod would block on it or read it without end. */
static bool find_odd_file(const char *root, char path[PATH_SIZE])
{
	struct dirent *entry;
	bool found = false;
	struct stat info;
	size_t i;
	DIR *dir;

	for (i = 0; i < ARRAY_SIZE(config_at) && !found; i++) {
		dir = snprintf(path, PATH_SIZE, "%s/%s", root,
			       config_at[i]) < PATH_SIZE ? opendir(path) : NULL;
		while (dir && !found && (entry = readdir(dir))) {
			if (fstatat(dirfd(dir), entry->d_name, &info, 0) ||
			    S_ISREG(info.st_mode) || S_ISDIR(info.st_mode) ||
			    is_null(info))
				continue;
			found = snprintf(path, PATH_SIZE, "%s/%s/%s", root,
					 config_at[i],
					 entry->d_name) < PATH_SIZE;
		}
		if (dir)
			closedir(dir);
	}
	return found;
}

/**
 * check_order() - check how and in which order the module is loaded
 * @report: receives the findings
 * @module: the module
 * @target: the kernel, and its root directory
 */
void check_order(struct report *report, const struct module *module,
		 const struct target *target)
{
	static char text[4 * PATH_SIZE];
	struct question question = { .target = target, .module = module };
	char index[PATH_SIZE + 32], odd[PATH_SIZE], *line, *rest = text;

	snprintf(index, sizeof(index), "%s/modules.dep.bin", target->modules);
	autoload_find_rule(target, module->name, IN_TREE, question.rule);
	autoload_find_list(target, module->name, question.list);
	if (!has_config(target) || !target->modules[0]) {
		report_add(report, STATUS_NOTE, CHECK,
			   "not checked: no modprobe.d directory was found for this kernel (use --root to name the root directory of its machine)");
		return;
	}
	if (!file_exists(index)) {
		report_add(report, STATUS_UNKNOWN, CHECK,
			   "%s is missing: run depmod for this kernel", index);
		return;
	}
	if (find_odd_file(target->root, odd)) {
		report_add(report, STATUS_UNKNOWN, CHECK,
			   "%s is not a regular file: modprobe would block on it",
			   odd);
		return;
	}
	if (!ask_in_child(ask_order, &question, text, sizeof(text))) {
		report_add(report, STATUS_UNKNOWN, CHECK,
			   KMOD_DAMAGED, target->modules);
		return;
	}
	while ((line = strsep(&rest, "\n")) && *line)
		report_add(report, *line - '0', CHECK, "%s", line + 1);
}
