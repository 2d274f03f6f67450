// SPDX-License-Identifier: GPL-2.0-only
/*
 * Finds the files of the kernel to check.
 *
 * Lists the paths at which distributions install a kernel's modules,
 * configuration, Module.symvers and image. These paths are relative to a root
 * directory, which may belong to another machine. If a file was not found, its
 * path in struct target is empty. Each check decides the effect of a missing file.
 *
 * Calls: file, elf.
 */
#include <dirent.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "preflight.h"

/* Parents of the kernels' modules directories, in different distributions */
static const char * const modules_at[] = { "lib/modules", "usr/lib/modules" };

static bool is_directory(const char *path)
{
	struct stat info;

	return !stat(path, &info) && S_ISDIR(info.st_mode);
}

/*
 * Returns false and an empty path if the path is too long. No file has such a
 * path.
 */
static bool __printf(2, 3)
join(char path[PATH_SIZE], const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(path, PATH_SIZE, format, args);
	va_end(args);
	if (length >= 0 && length < PATH_SIZE)
		return true;
	path[0] = '\0';
	return false;
}

static bool is_modules_directory(const char *path)
{
	char name[PATH_SIZE];

	return (join(name, "%s/modules.dep", path) && file_exists(name)) ||
	       (join(name, "%s/kernel", path) && is_directory(name));
}

static bool is_build_directory(const char *path)
{
	char name[PATH_SIZE];

	return (join(name, "%s/Module.symvers", path) && file_exists(name)) ||
	       (join(name, "%s/.config", path) && file_exists(name));
}

static int set_release(struct target *target, const char *release,
		       struct error *err)
{
	size_t length = strlen(release);

	if (length >= sizeof(target->release))
		return fail(err, "%.60s...: too long for the release of a kernel",
			    release);
	memcpy(target->release, release, length + 1);
	return 0;
}

static bool use_release(struct target *target, const char *release)
{
	struct error err;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(modules_at); i++) {
		if (join(target->modules, "%s/%s/%s", target->root,
			 modules_at[i], release) &&
		    is_directory(target->modules))
			return !set_release(target, release, &err);
	}
	target->modules[0] = '\0';
	return false;
}

/* Returns the number of kernels below a root, and joins their names. */
static int list_kernels(const char *root, const char *at,
			char names[PATH_SIZE])
{
	char path[PATH_SIZE], before[PATH_SIZE];
	struct dirent *entry;
	int kernels = 0;
	DIR *dir;

	names[0] = '\0';
	dir = join(path, "%s/%s", root, at) ? opendir(path) : NULL;
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.' ||
		    !join(path, "%s/%s/%s", root, at, entry->d_name) ||
		    !is_modules_directory(path))
			continue;
		memcpy(before, names, sizeof(before));
		join(names, "%s%s%s", before, kernels ? ", " : "",
		     entry->d_name);
		kernels++;
	}
	if (dir)
		closedir(dir);
	return kernels;
}

/* Uses a root directory with one kernel. Returns 1 if the directory has no kernel. */
static int use_root(struct target *target, const char *dir, struct error *err)
{
	char names[PATH_SIZE];
	size_t i;
	int kernels;

	for (i = 0; i < ARRAY_SIZE(modules_at); i++) {
		kernels = list_kernels(dir, modules_at[i], names);
		if (kernels > 1)
			return fail(err,
				    "%s has several kernels (%s); select one with --root %s VERSION",
				    dir, names, dir);
		if (!kernels)
			continue;
		if (!target->has_root)
			join(target->root, "%s", dir);
		target->has_root = true;
		join(target->modules, "%s/%s/%s", dir, modules_at[i], names);
		return set_release(target, names, err);
	}
	return 1;
}

/*
 * Uses the modules directory of a kernel. The root directory is the part of the
 * path before lib/modules/RELEASE.
 */
static int use_modules(struct target *target, const char *dir,
		       struct error *err)
{
	const char *release = strrchr(dir, '/');
	char tail[PATH_SIZE];
	size_t i, length, left;

	join(target->modules, "%s", dir);
	if (!release || set_release(target, release + 1, err))
		return fail(err, "%s: not the modules directory of a kernel", dir);
	for (i = ARRAY_SIZE(modules_at); i-- && !target->has_root; ) {
		join(tail, "/%s/%s", modules_at[i], target->release);
		length = strlen(tail);
		left = strlen(dir);
		if (left < length || strcmp(dir + left - length, tail))
			continue;
		memcpy(target->root, dir, left - length);
		target->has_root = true;
	}
	return 0;
}

static int use_build(struct target *target, const char *dir, char *build)
{
	char path[PATH_SIZE], release[256];
	struct error err;
	struct file file;

	join(build, "%s", dir);
	if (!join(path, "%s/include/config/kernel.release", dir) ||
	    file_read(&file, path, &err))
		return 0;
	snprintf(release, sizeof(release), "%.*s",
		 (int)file.bytes.size, (const char *)file.bytes.data);
	release[strcspn(release, "\n")] = '\0';
	set_release(target, release, &err);
	file_free(&file);
	return 0;
}

static int use_directory(struct target *target, const char *name, char *build,
			 struct error *err)
{
	char dir[PATH_MAX];
	int ret;

	if (!realpath(name, dir))
		return fail(err, "%s: no such directory", name);
	ret = use_root(target, dir, err);
	if (ret <= 0)
		return ret;
	if (is_modules_directory(dir))
		return use_modules(target, dir, err);
	if (is_build_directory(dir))
		return use_build(target, dir, build);
	return fail(err,
		    "%s: no kernel found: the directory has neither lib/modules/VERSION nor modules.dep, Module.symvers or .config",
		    name);
}

static int use_target(struct target *target, const struct request *request,
		      char *build, struct error *err)
{
	const char *name = request->target;

	if (!strchr(name, '/') && strcmp(name, ".") && strcmp(name, "..")) {
		if (use_release(target, name)) {
			target->has_root = true;
			return 0;
		}
		if (!is_directory(name))
			return fail(err,
				    "no kernel %s: neither %s/lib/modules/%s nor a directory of this name exists",
				    name, target->root, name);
	}
	return use_directory(target, name, build, err);
}

/* An absolute link is relative to the kernel's root directory, not this machine's. */
static void follow_build_link(const struct target *target, char *build)
{
	char link[PATH_SIZE], to[PATH_SIZE];
	ssize_t length;

	if (!target->modules[0] ||
	    !join(link, "%s/build", target->modules))
		return;
	length = readlink(link, to, sizeof(to) - 1);
	if (length < 0) {
		if (is_directory(link))
			join(build, "%s", link);
		return;
	}
	to[length] = '\0';
	if (to[0] == '/')
		join(build, "%s%s", target->root, to);
	else
		join(build, "%s/%s", target->modules, to);
	if (!is_directory(build))
		build[0] = '\0';
}

static void find_build(const struct target *target, char *build)
{
	static const char * const places[] = {
		"usr/src/linux-headers-", "usr/src/kernels/",
	};
	size_t i;

	follow_build_link(target, build);
	for (i = 0; i < ARRAY_SIZE(places) && !build[0]; i++) {
		if (!target->has_root || !target->release[0])
			return;
		join(build, "%s/%s%s", target->root, places[i],
		     target->release);
		if (!is_directory(build))
			build[0] = '\0';
	}
}

/*
 * Possible path of a file. @name is relative to @base: the build tree, the modules
 * directory or the root directory. If @suffix is not NULL, the kernel's release and
 * @suffix follow @name.
 */
enum base { BUILD, MODULES, ROOT };

struct place {
	enum base base;
	const char *name;
	const char *suffix;
};

static const struct place symvers_places[] = {
	{ BUILD, "Module.symvers", NULL },
	{ MODULES, "symvers.xz", NULL },
	{ MODULES, "symvers.gz", NULL },
	{ MODULES, "symvers.zst", NULL },
	{ ROOT, "boot/symvers-", ".xz" },
	{ ROOT, "boot/symvers-", ".gz" },
	{ ROOT, "boot/symvers-", ".zst" },
};

static const struct place config_places[] = {
	{ BUILD, ".config", NULL },
	{ MODULES, "config", NULL },
	{ ROOT, "boot/config-", "" },
	{ BUILD, "include/config/auto.conf", NULL },
};

static const struct place vmlinux_places[] = {
	{ BUILD, "vmlinux", NULL },
	{ MODULES, "vmlinux", NULL },
	{ ROOT, "boot/vmlinux-", "" },
	{ ROOT, "boot/vmlinuz-", "" },
	{ MODULES, "vmlinuz", NULL },
	{ ROOT, "usr/lib/debug/boot/vmlinux-", "" },
};

/* Returns true if a readable file has this path. */
static bool try_place(const struct target *target, const char *build,
		      const struct place *place, char path[PATH_SIZE])
{
	const char *base = place->base == BUILD ? build :
			   place->base == MODULES ? target->modules :
			   target->root;

	if (place->base == ROOT ? !target->has_root : !base[0])
		return false;
	if (place->suffix && !target->release[0])
		return false;
	return join(path, "%s/%s%s%s", base, place->name,
		    place->suffix ? target->release : "",
		    place->suffix ? place->suffix : "") &&
	       file_exists(path);
}

static void find_file(const struct target *target, const char *build,
		      const char *asked, const struct place *place,
		      size_t places, char path[PATH_SIZE])
{
	if (asked) {
		join(path, "%s", asked);
		return;
	}
	for (; places--; place++) {
		if (try_place(target, build, place, path))
			return;
	}
	path[0] = '\0';
}

/**
 * target_module() - find a module of the kernel below kernel/drivers/vfio
 * @target: the kernel
 * @name: path of the module below this directory, without suffix
 * @path: receives the path of the file
 *
 * Return: 0, or -1 if the kernel has no such file
 */
int target_module(const struct target *target, const char *name,
		  char path[PATH_SIZE])
{
	static const char * const suffixes[] = { "", ".xz", ".zst", ".gz" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(suffixes); i++) {
		if (target->modules[0] &&
		    join(path, "%s/kernel/drivers/vfio/%s.ko%s",
			 target->modules, name, suffixes[i]) &&
		    file_exists(path))
			return 0;
	}
	path[0] = '\0';
	return -1;
}

/*
 * Finds the first module of the kernel in modules.dep, which has lines
 * "path: dependencies". Modules outside of kernel/ are not part of the kernel.
 */
static void find_any_module(const struct target *target, char path[PATH_SIZE])
{
	static const char prefix[] = "kernel/";
	const char *at, *end, *line, *colon;
	struct error err;
	struct file file;

	if (!target->modules[0] ||
	    !join(path, "%s/modules.dep", target->modules) ||
	    file_read(&file, path, &err)) {
		path[0] = '\0';
		return;
	}
	path[0] = '\0';
	at = (const char *)file.bytes.data;
	end = at + file.bytes.size;
	for (; at < end && !path[0]; at = line + 1) {
		line = memchr(at, '\n', end - at) ?: end;
		colon = memchr(at, ':', line - at);
		if (colon && colon - at > strlen(prefix) &&
		    !memcmp(at, prefix, strlen(prefix)))
			join(path, "%s/%.*s", target->modules,
			     (int)(colon - at), at);
	}
	file_free(&file);
}

static void find_in_tree(struct target *target)
{
	if (target_module(target, "vfio", target->vfio))
		find_any_module(target, target->in_tree);
	else
		join(target->in_tree, "%s", target->vfio);
}

/* Reads the kernel's vermagic. A failure affects only check_vermagic(). */
static void read_in_tree(struct target *target)
{
	struct error *err = &target->why_no_vermagic;
	struct bytes modinfo;
	struct error why;

	if (!target->in_tree[0]) {
		fail(err, "no module of the kernel was found");
		return;
	}
	if (file_read(&target->in_tree_file, target->in_tree, err))
		return;
	if (elf_open(&target->in_tree_elf, target->in_tree_file.bytes, &why)) {
		fail(err, "%s: %.200s", target->in_tree, why.text);
		return;
	}
	elf_section(&target->in_tree_elf, ".modinfo", &modinfo);
	target->vermagic = modinfo_get(modinfo, "vermagic");
	if (!target->vermagic)
		fail(err, "%s: no vermagic in .modinfo", target->in_tree);
}

/**
 * target_find() - find a kernel and its files
 * @target: receives the properties of the kernel
 * @request: the command line, with the kernel and with paths of its files
 * @err: receives the reason for a failure
 *
 * Fails if Module.symvers or the configuration was found or named, but cannot
 * be read. The caller calls target_free(), also after a failure.
 *
 * Return: 0, or -1
 */
int target_find(struct target *target, const struct request *request,
		struct error *err)
{
	char build[PATH_SIZE] = "";

	*target = (struct target){ .has_root = request->root };
	if (request->root && !realpath(request->root, target->root))
		return fail(err, "%s: no such directory",
			    request->root);
	if (!strcmp(target->root, "/"))
		target->root[0] = '\0';
	if (use_target(target, request, build, err))
		return -1;
	if (request->build && !is_directory(request->build))
		return fail(err, "%s: no such directory",
			    request->build);
	if (request->build)
		join(build, "%s", request->build);
	else if (!build[0])
		find_build(target, build);

	find_file(target, build, request->symvers, symvers_places,
		  ARRAY_SIZE(symvers_places), target->symvers);
	find_file(target, build, request->config, config_places,
		  ARRAY_SIZE(config_places), target->config);
	find_file(target, build, request->vmlinux, vmlinux_places,
		  ARRAY_SIZE(vmlinux_places), target->vmlinux);
	find_in_tree(target);
	read_in_tree(target);
	if ((target->symvers[0] &&
	     file_read(&target->symvers_file, target->symvers, err)) ||
	    (target->config[0] &&
	     file_read(&target->config_file, target->config, err)))
		return -1;
	return 0;
}

/**
 * target_free() - free the memory of a target
 * @target: the kernel
 */
void target_free(struct target *target)
{
	file_free(&target->in_tree_file);
	file_free(&target->symvers_file);
	file_free(&target->config_file);
}
