// SPDX-License-Identifier: GPL-2.0-only
/*
 * Searches for files that load the module without modprobe's configuration.
 *
 * These files are udev rules, which load the module after the in-tree driver
 * was loaded, and files in modules-load.d. The search does not evaluate udev
 * rules: it finds a rule only if one line names both modules.
 *
 * Calls: file.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "preflight.h"

/*
 * In order of precedence: udev and systemd ignore a file if an earlier
 * directory has a file of the same name.
 */
static const char * const rules_at[] = {
	"etc/udev/rules.d", "run/udev/rules.d", "usr/local/lib/udev/rules.d",
	"usr/lib/udev/rules.d", "lib/udev/rules.d", NULL
};

static const char * const lists_at[] = {
	"etc/modules-load.d", "run/modules-load.d",
	"usr/local/lib/modules-load.d", "usr/lib/modules-load.d",
	"lib/modules-load.d", NULL
};

/**
 * struct search - search for a line in configuration files
 * @root: root directory
 * @at: directories below @root to search, ended by NULL
 * @suffix: suffix of the names of the files to read
 * @matches: predicate for the line to find
 * @module: name of the module that the line must load
 * @other: name of the module whose loading triggers a udev rule, or NULL
 */
struct search {
	const char *root;
	const char * const *at;
	const char *suffix;
	bool (*matches)(const char *line, const struct search *search);
	const char *module;
	const char *other;
};

static bool is_rule(const char *line, const struct search *search)
{
	char load[128], when[128];
	const char *at;

	snprintf(load, sizeof(load), "kmod load %s", search->module);
	snprintf(when, sizeof(when), "KERNEL==\"%s\"", search->other);
	at = strstr(line, load);
	return at && strchr("\" ", at[strlen(load)]) && strstr(line, when);
}

static bool is_list(const char *line, const struct search *search)
{
	const char *name = search->module;

	for (; *name; name++, line++) {
		if (*line != *name && !(*line == '-' && *name == '_'))
			return false;
	}
	return !*line || *line == ' ' || *line == '\t';
}

static bool has_line(struct bytes text, const struct search *search)
{
	char line[1024];

	while (text.size) {
		const char *begin = (const char *)text.data;
		const char *end = memchr(begin, '\n', text.size);
		size_t length = end ? (size_t)(end - begin) : text.size;
		size_t blanks;

		snprintf(line, sizeof(line), "%.*s", (int)length, begin);
		blanks = strspn(line, " \t");
		if (line[blanks] != '#' &&
		    search->matches(line + blanks, search))
			return true;
		text.data += length + !!end;
		text.size -= length + !!end;
	}
	return false;
}

static bool is_hidden(const struct search *search, const char * const *at,
		      const char *name)
{
	char path[PATH_SIZE];
	const char * const *before;

	for (before = search->at; before < at; before++) {
		snprintf(path, sizeof(path), "%s/%s/%s", search->root, *before,
			 name);
		if (file_exists(path))
			return true;
	}
	return false;
}

static bool search_file(const struct search *search, const char * const *at,
			const char *name, char path[PATH_SIZE])
{
	size_t suffix = strlen(search->suffix), length = strlen(name);
	struct error err;
	struct file file;
	bool found;

	if (length < suffix || strcmp(name + length - suffix, search->suffix) ||
	    is_hidden(search, at, name) ||
	    snprintf(path, PATH_SIZE, "%s/%s/%s", search->root, *at,
		     name) >= PATH_SIZE || file_read(&file, path, &err))
		return false;
	found = has_line(file.bytes, search);
	file_free(&file);
	return found;
}

static bool search_all(const struct search *search, char path[PATH_SIZE])
{
	const char * const *at;
	struct dirent *entry;
	bool found = false;
	DIR *dir;

	for (at = search->at; *at && !found; at++) {
		snprintf(path, PATH_SIZE, "%s/%s", search->root, *at);
		dir = opendir(path);
		while (dir && !found && (entry = readdir(dir)))
			found = search_file(search, at, entry->d_name, path);
		if (dir)
			closedir(dir);
	}
	if (!found)
		path[0] = '\0';
	return found;
}

/**
 * autoload_find_rule() - find the udev rule that loads a module
 * @target: the kernel, and its root directory
 * @module: the module's name
 * @other: name of the module whose loading triggers the rule
 * @path: receives the path of the rule's file, or becomes empty
 *
 * Return: true if a rule was found
 */
bool autoload_find_rule(const struct target *target, const char *module,
			const char *other, char path[PATH_SIZE])
{
	const struct search search = {
		target->root, rules_at, ".rules", is_rule, module, other,
	};

	path[0] = '\0';
	return target->has_root && search_all(&search, path);
}

/**
 * autoload_find_list() - find the modules-load.d file that loads a module
 * @target: the kernel, and its root directory
 * @module: the module's name
 * @path: receives the path of the file, or becomes empty
 *
 * Return: true if a file was found
 */
bool autoload_find_list(const struct target *target, const char *module,
			char path[PATH_SIZE])
{
	const struct search search = {
		target->root, lists_at, ".conf", is_list, module, NULL,
	};

	path[0] = '\0';
	return target->has_root && search_all(&search, path);
}
