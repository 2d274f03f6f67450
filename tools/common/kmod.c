// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asks libkmod where a module is installed.
 *
 * Calls: child, libkmod.
 */
#include <libkmod.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"

/**
 * kmod_index_path() - find the file of a module in the index
 * @ctx: context of libkmod; the caller runs in a child of ask_in_child()
 * @name: name of the module
 *
 * Return: the path, which the caller frees; NULL if the index lacks the module
 */
char *kmod_index_path(struct kmod_ctx *ctx, const char *name)
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

struct question {
	const char *modules;
	const char *name;
};

static void ask_path(const void *data, char *text, size_t room)
{
	const struct question *question = data;
	const char *none = NULL;
	struct kmod_ctx *ctx = kmod_new(question->modules, &none);
	char *path;

	if (!ctx)
		return;
	kmod_set_log_priority(ctx, 0);
	path = kmod_index_path(ctx, question->name);
	if (path)
		snprintf(text, room, "%s", path);
	free(path);
	kmod_unref(ctx);
}

/**
 * kmod_find_file() - find the file from which modprobe would load a module
 * @modules: the kernel's directory in /lib/modules
 * @name: name of the module
 * @path: receives the path of the file; empty if the index lacks the module
 * @err: receives the reason for a failure
 *
 * Return: 0, or -1 if the index is damaged
 */
int kmod_find_file(const char *modules, const char *name,
		   char path[PATH_SIZE], struct error *err)
{
	const struct question question = { modules, name };

	if (!ask_in_child(ask_path, &question, path, PATH_SIZE))
		return fail(err, KMOD_DAMAGED, modules);
	return 0;
}
