// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads which modules are loaded and installed.
 *
 * A report has no modules, so it has a file INSTALLED with the properties of the
 * installed module instead.
 *
 * Calls: source, kmod, elf, file.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tce2ctl.h"

#define LOADED	"sys/module/" MODULE

static const char *find_platform(const struct source *source)
{
	const char *platform = "unknown";
	size_t size;
	char *text;

	if (source_read(source, "proc/cpuinfo", &text, &size))
		return platform;
	if (strstr(text, ": PowerNV"))
		platform = "powernv";
	else if (strstr(text, ": pSeries"))
		platform = "pseries";
	else if (size)
		platform = "other";
	free(text);
	return platform;
}

static void read_parameters(struct host *host, const struct source *source)
{
	char path[PATH_SIZE];
	struct names names;
	size_t i;

	source_list(source, LOADED "/parameters", &names);
	for (i = 0; i < names.count; i++) {
		snprintf(path, sizeof(path), LOADED "/parameters/%s",
			 names.name[i]);
		host->parameter = grow(host->parameter, host->parameters,
				       sizeof(*host->parameter));
		host->parameter[host->parameters++] = (struct parameter){
			.name = copy_text(names.name[i]),
			.value = source_line(source, path) ?:
				 copy_text("?"),
		};
	}
	names_free(&names);
}

/**
 * host_parameter() - look up a parameter of the loaded module
 * @host: the host
 * @name: the parameter
 *
 * Return: its value, or NULL
 */
const char *host_parameter(const struct host *host, const char *name)
{
	size_t i;

	for (i = 0; i < host->parameters; i++) {
		if (!strcmp(host->parameter[i].name, name))
			return host->parameter[i].value;
	}
	return NULL;
}

static void read_loaded(struct host *host, const struct source *source)
{
	const char *enabled;
	struct names names;

	host->loaded = !source_list(source, LOADED, &names);
	names_free(&names);
	host->version = source_line(source, LOADED "/version");
	host->srcversion = source_line(source, LOADED "/srcversion");
	host->users = source_line(source, LOADED "/refcnt");
	read_parameters(host, source);
	enabled = host_parameter(host, "enabled");
	host->enabled = host->loaded && (!enabled || !strchr("N0", *enabled));
}

static bool is_built_in(const struct host *host, const struct source *source)
{
	char path[PATH_SIZE];
	bool found;
	size_t size;
	char *text;

	snprintf(path, sizeof(path), "lib/modules/%s/modules.builtin",
		 host->release);
	if (source_read(source, path, &text, &size))
		return false;
	found = strstr(text, "/" IN_TREE ".ko");
	free(text);
	return found;
}

static void read_in_tree(struct host *host, const struct source *source)
{
	struct names names;

	host->in_tree_loaded =
		!source_list(source, "sys/module/" IN_TREE, &names) ||
		is_built_in(host, source);
	names_free(&names);
}

static char *copy_info(struct bytes modinfo, const char *key)
{
	const char *value = modinfo_get(modinfo, key);

	return value ? copy_text(value) : NULL;
}

static void read_module(struct host *host, const struct file *file)
{
	struct bytes modinfo;
	struct error why;
	struct elf elf;

	if (elf_open(&elf, file->bytes, &why)) {
		fail(&host->disk_error, "%s: %.200s", host->path, why.text);
		return;
	}
	if (!elf_section(&elf, ".modinfo", &modinfo)) {
		fail(&host->disk_error, "%s is no kernel module", host->path);
		return;
	}
	host->disk_version = copy_info(modinfo, "version");
	host->disk_srcversion = copy_info(modinfo, "srcversion");
}

static void read_installed(struct host *host, const struct source *source)
{
	char modules[PATH_SIZE];
	struct file file;

	if (snprintf(modules, sizeof(modules), "%s/lib/modules/%s", source->root,
		     host->release) >= sizeof(modules) ||
	    kmod_find_file(modules, MODULE, host->path, &host->disk_error)) {
		host->path[0] = '\0';
		return;
	}
	host->installed = host->path[0];
	if (!host->installed)
		return;
	if (file_read(&file, host->path, &host->disk_error))
		return;
	read_module(host, &file);
	file_free(&file);
}

/* Reads KEY=VALUE lines from the entry of a report. */
static void read_saved(struct host *host, const struct source *source)
{
	char *text, *rest, *line, *value;
	size_t size;

	if (source_read(source, INSTALLED, &text, &size)) {
		fail(&host->disk_error, "the report has no data about the installed module");
		return;
	}
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		value = strchr(line, '=');
		if (!value)
			continue;
		*value++ = '\0';
		if (!strcmp(line, "path"))
			snprintf(host->path, PATH_SIZE, "%s", value);
		else if (!strcmp(line, "version") && !host->disk_version)
			host->disk_version = copy_text(value);
		else if (!strcmp(line, "srcversion") && !host->disk_srcversion)
			host->disk_srcversion = copy_text(value);
		else if (!strcmp(line, "error"))
			fail(&host->disk_error, "%s", value);
	}
	host->installed = host->path[0];
	free(text);
}

/**
 * host_read() - read which modules are loaded and installed
 * @host: receives the answer; the caller frees it with host_free()
 * @source: the source
 */
void host_read(struct host *host, const struct source *source)
{
	char *release = source_line(source, "proc/sys/kernel/osrelease");

	*host = (struct host){ .platform = find_platform(source) };
	if (release && !strchr(release, '/'))
		snprintf(host->release, sizeof(host->release), "%s", release);
	free(release);
	read_loaded(host, source);
	read_in_tree(host, source);
	if (source->entry)
		read_saved(host, source);
	else if (host->release[0])
		read_installed(host, source);
	else
		fail(&host->disk_error, "the kernel's release is unknown");
}

/**
 * host_has_upgrade() - check that another module is installed than is loaded
 * @host: the host
 *
 * Return: true if the module is loaded, and the installed module differs
 */
bool host_has_upgrade(const struct host *host)
{
	if (!host->loaded)
		return false;
	if (host->srcversion && host->disk_srcversion)
		return strcmp(host->srcversion, host->disk_srcversion);
	return host->version && host->disk_version &&
	       strcmp(host->version, host->disk_version);
}

/**
 * host_free() - free the memory of a host
 * @host: the host
 */
void host_free(struct host *host)
{
	while (host->parameters) {
		host->parameters--;
		free(host->parameter[host->parameters].name);
		free(host->parameter[host->parameters].value);
	}
	free(host->parameter);
	free(host->version);
	free(host->srcversion);
	free(host->users);
	free(host->disk_version);
	free(host->disk_srcversion);
}
