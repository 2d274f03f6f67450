// SPDX-License-Identifier: GPL-2.0-only
/*
 * Check "load-order": whether the in-tree backend would be loaded after the
 * module.
 *
 * VFIO asks the backend that registered last first. Which is last is up to the
 * soft dependencies and commands in the root's modprobe.d and to vfio.ko's own;
 * libkmod is asked, as modprobe asks it, what it would load in which order. It
 * only says, it loads nothing.
 *
 * Calls: child, report, libkmod.
 */
#include <libkmod.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "preflight.h"

#define CHECK	"load-order"
#define IN_TREE	"vfio_iommu_spapr_tce"

#define DAMAGED	"libkmod can't read the modules' indexes in %s: run depmod for this kernel"

static const char * const config_at[] = {
	"etc/modprobe.d", "run/modprobe.d", "usr/local/lib/modprobe.d",
	"usr/lib/modprobe.d", "lib/modprobe.d",
};

/* Commands that bring the modules in; "" stands for the module itself. */
static const char * const orders[][2] = {
	{ "" }, { "vfio_pci" }, { IN_TREE },
	{ "vfio_pci", "" }, { "", "vfio_pci" },
	{ "", IN_TREE },
};

/**
 * struct loads - what some commands would load
 * @module: name of the module that is looked at
 * @count: modules so far
 * @ours: when the module was loaded; 0 if it was not
 * @in_tree: when the in-tree backend was
 * @command: an install command that decides instead; empty if there is none
 */
struct loads {
	const char *module;
	int count;
	int ours;
	int in_tree;
	char command[256];
};

/* libkmod passes no pointer of its caller's to note_load(). */
static struct loads loads;

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

static void load(struct kmod_ctx *ctx, const char *name)
{
	const unsigned int flags = KMOD_PROBE_DRY_RUN |
				   KMOD_PROBE_IGNORE_LOADED;
	struct kmod_module *module;

	if (kmod_module_new_from_name(ctx, name, &module))
		return;
	kmod_module_probe_insert_module(module, flags, NULL, NULL, NULL,
					note_load);
	kmod_module_unref(module);
}

/* Where the index says that a module is; to be freed, NULL for nowhere */
static char *index_path(struct kmod_ctx *ctx, const char *name)
{
	struct kmod_module *module;
	const char *path;
	char *copy = NULL;

	if (kmod_module_new_from_name(ctx, name, &module))
		return NULL;
	path = kmod_module_get_path(module);
	if (path)
		copy = strdup(path);
	kmod_module_unref(module);
	return copy;
}

static bool is_installed(struct kmod_ctx *ctx, const struct module *module)
{
	char *path = index_path(ctx, module->name);
	bool installed = path;

	free(path);
	return installed;
}

/* Nothing can be loaded in any order by an index of what was there once. */
static bool is_stale(struct kmod_ctx *ctx, char *text, size_t room)
{
	static const char * const names[] = { "vfio", "vfio_pci", IN_TREE };
	bool stale = false;
	char *path;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names) && !stale; i++) {
		path = index_path(ctx, names[i]);
		stale = path && !file_exists(path);
		if (stale)
			snprintf(text, room,
				 "%cmodules.dep has %s, which is not there: run depmod for this kernel",
				 '0' + STATUS_UNKNOWN, path);
		free(path);
	}
	return stale;
}

/*
 * Before the module is installed the kernel's index has nothing of it, so what
 * it depends on is taken from the module itself.
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
 * VFIO asks the backend that came last first, but a module that is told of
 * others' loading can come once more.
 */
static void describe_wrong(const struct module *module,
			   const char * const order[2], char *text,
			   size_t room)
{
	static const char notifier[] = "register_module_notifier";
	bool returns = module_import(module, notifier, strlen(notifier));

	snprintf(text, room, "%c\"modprobe %s%s%s\" loads " IN_TREE " after the module%s",
		 '0' + (returns ? STATUS_NOTE : STATUS_FAIL),
		 command_name(order[0], module),
		 order[1] ? "; modprobe " : "",
		 order[1] ? command_name(order[1], module) : "",
		 returns ? ", which then registers again to be asked first" :
		 ", so VFIO asks that one first");
}

/* In words, for the parent; the first character is the status. */
static void describe_orders(struct kmod_ctx *ctx, const struct module *module,
			    char *text, size_t room)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		bool wrong = order_is_wrong(ctx, module, orders[i]);

		if (loads.command[0]) {
			snprintf(text, room, "%c\"%s\" decides what is loaded when",
				 '0' + STATUS_UNKNOWN, loads.command);
			return;
		}
		if (!wrong)
			continue;
		describe_wrong(module, orders[i], text, room);
		return;
	}
	snprintf(text, room,
		 "%cwhatever modprobe is asked for, it loads %s before the module or not at all%s",
		 '0' + STATUS_OK, IN_TREE, is_installed(ctx, module) ? "" :
		 "; soft dependencies on the module count only once it is installed for this kernel");
}

/**
 * struct question - what is asked of libkmod in a process of its own
 * @target: the kernel
 * @module: the module
 * @name: the name of a module to look for
 */
struct question {
	const struct target *target;
	const struct module *module;
	const char *name;
};

static void ask_order(const void *data, char *text, size_t room)
{
	char paths[ARRAY_SIZE(config_at)][PATH_SIZE + 32];
	const char *config[ARRAY_SIZE(config_at) + 1] = { NULL };
	const struct question *question = data;
	struct kmod_ctx *ctx;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(config_at); i++) {
		snprintf(paths[i], sizeof(paths[i]), "%s/%s",
			 question->target->root, config_at[i]);
		config[i] = paths[i];
	}
	ctx = kmod_new(question->target->modules, config);
	if (!ctx) {
		snprintf(text, room, "%clibkmod can't read the configuration",
			 '0' + STATUS_UNKNOWN);
		return;
	}
	kmod_set_log_priority(ctx, 0);
	if (!is_stale(ctx, text, room))
		describe_orders(ctx, question->module, text, room);
	kmod_unref(ctx);
}

static void ask_path(const void *data, char *text, size_t room)
{
	const struct question *question = data;
	const char *none = NULL;
	struct kmod_ctx *ctx = kmod_new(question->target->modules, &none);
	char *path;

	if (!ctx)
		return;
	kmod_set_log_priority(ctx, 0);
	path = index_path(ctx, question->name);
	if (path)
		snprintf(text, room, "%s", path);
	free(path);
	kmod_unref(ctx);
}

/**
 * order_find_module() - where modprobe would take a module from
 * @target: the kernel
 * @name: the module's name
 * @path: gets its path
 * @err: why there is none
 *
 * Return: 0, or -1
 */
int order_find_module(const struct target *target, const char *name,
		      char path[PATH_SIZE], struct error *err)
{
	const struct question question = { .target = target, .name = name };

	path[0] = '\0';
	if (target->modules[0] &&
	    !ask_in_child(ask_path, &question, path, PATH_SIZE))
		return fail(err, DAMAGED, target->modules);
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

/**
 * check_order() - tell which backend would be loaded last
 * @report: gets the finding
 * @module: the module
 * @target: the kernel, and the root it is in
 */
void check_order(struct report *report, const struct module *module,
		 const struct target *target)
{
	const struct question question = {
		.target = target,
		.module = module,
	};
	char text[PATH_SIZE + 256], index[PATH_SIZE + 32];

	snprintf(index, sizeof(index), "%s/modules.dep.bin", target->modules);
	if (!has_config(target) || !target->modules[0]) {
		report_add(report, STATUS_NOTE, CHECK,
			   "not looked at: there is no modprobe.d beside this kernel (name the machine's root with --root)");
		return;
	}
	if (!file_exists(index)) {
		report_add(report, STATUS_UNKNOWN, CHECK,
			   "%s is missing: run depmod for this kernel", index);
		return;
	}
	if (!ask_in_child(ask_order, &question, text, sizeof(text))) {
		report_add(report, STATUS_UNKNOWN, CHECK,
			   DAMAGED, target->modules);
		return;
	}
	report_add(report, text[0] - '0', CHECK, "%s", text + 1);
}
